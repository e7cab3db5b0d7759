/* An incremental HTTP/1.1 message reader, and the few things that the benchmark's programs share.
 *
 * `http_feed` takes a message in pieces of any size, as the socket gives them, and hands on the decoded body. It knows
 * content-length, chunked transfer coding and bodies that end with the connection; nothing is kept but the current line.
 */
#ifndef BENCH_HTTP_H
#define BENCH_HTTP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { LINE_MAX_BYTES = 8192 };

enum http_state { HEAD, FIXED, UNTIL_CLOSE, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILERS, COMPLETE, MALFORMED };

struct http {
    enum http_state state;
    bool request;    /* a request without content-length has no body; a reply without one ends with the connection */
    bool chunked;
    bool sized;
    bool close;      /* the sender ends the connection after this message */
    long long left;  /* bytes of the body, or of the current chunk, still to come */
    size_t line_len;
    char line[LINE_MAX_BYTES];
    char start[512]; /* the request line or the status line; empty until it has been read */
};

typedef void body_fn(void *context, const char *data, size_t n);

static inline uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void die(const char *what) {
    perror(what);
    exit(1);
}

static inline void *grow(void *memory, size_t bytes) {
    void *bigger = realloc(memory, bytes);
    if (bigger == NULL) die("realloc");
    return bigger;
}

static inline void http_reset(struct http *h, bool request) {
    h->state = HEAD;
    h->request = request;
    h->chunked = h->sized = h->close = false;
    h->left = 0;
    h->line_len = 0;
    h->start[0] = '\0';
}

static inline void http_header(struct http *h) {
    if (strncasecmp(h->line, "content-length:", 15) == 0) {
        h->left = atoll(h->line + 15);
        h->sized = h->left >= 0;
    } else if (strncasecmp(h->line, "transfer-encoding:", 18) == 0) {
        h->chunked = strcasestr(h->line + 18, "chunked") != NULL;
    } else if (strncasecmp(h->line, "connection:", 11) == 0) {
        h->close = strcasestr(h->line + 11, "close") != NULL;
    }
}

static inline void http_end_of_head(struct http *h) {
    if (h->chunked) h->state = CHUNK_SIZE;
    else if (h->sized) h->state = h->left > 0 ? FIXED : COMPLETE;
    else h->state = h->request ? COMPLETE : UNTIL_CLOSE;
}

/* One whole line, without its line break. */
static inline void http_line(struct http *h) {
    switch (h->state) {
    case HEAD:
        if (h->line_len == 0) {
            if (h->start[0] != '\0') http_end_of_head(h);
        } else if (h->start[0] == '\0') {
            snprintf(h->start, sizeof h->start, "%.*s", (int)sizeof h->start - 1, h->line);
        } else {
            http_header(h);
        }
        break;
    case CHUNK_SIZE: {
        char *end = h->line;
        h->left = strtoll(h->line, &end, 16);
        if (end == h->line || h->left < 0) h->state = MALFORMED;
        else h->state = h->left > 0 ? CHUNK_DATA : TRAILERS;
        break;
    }
    case CHUNK_END:
        h->state = h->line_len == 0 ? CHUNK_SIZE : MALFORMED;
        break;
    case TRAILERS:
        if (h->line_len == 0) h->state = COMPLETE;
        break;
    default:
        h->state = MALFORMED;
    }
}

/* Takes bytes up to the line break; returns how many. */
static inline size_t http_take_line(struct http *h, const char *data, size_t n) {
    const char *newline = memchr(data, '\n', n);
    size_t taken = newline != NULL ? (size_t)(newline - data) : n;
    if (h->line_len + taken >= LINE_MAX_BYTES) {
        h->state = MALFORMED;
        return n;
    }
    memcpy(h->line + h->line_len, data, taken);
    h->line_len += taken;
    if (newline == NULL) return n;
    if (h->line_len > 0 && h->line[h->line_len - 1] == '\r') h->line_len--;
    h->line[h->line_len] = '\0';
    http_line(h);
    h->line_len = 0;
    return taken + 1;
}

/* Reads one message; returns how many of the bytes belonged to it. The state is COMPLETE once it is whole. */
static inline size_t http_feed(struct http *h, const char *data, size_t n, body_fn *on_body, void *context) {
    size_t used = 0;
    while (used < n && h->state != COMPLETE && h->state != MALFORMED) {
        if (h->state != FIXED && h->state != CHUNK_DATA && h->state != UNTIL_CLOSE) {
            used += http_take_line(h, data + used, n - used);
            continue;
        }
        size_t part = n - used;
        if (h->state != UNTIL_CLOSE) {
            if ((long long)part > h->left) part = (size_t)h->left;
            h->left -= (long long)part;
        }
        on_body(context, data + used, part);
        used += part;
        if (h->state != UNTIL_CLOSE && h->left == 0) h->state = h->state == FIXED ? COMPLETE : CHUNK_END;
    }
    return used;
}

#endif
