/* load: a closed loop of chat requests over N kept-alive connections; prints what it measured as one line of JSON.
 *
 * load PORT PATH KEY BODIES FIRST CONNECTIONS SECONDS CHUNKS
 *   BODIES       a file with one JSON body a line. Each has the mark @@@@@@@@@@@@@@ once, which is overwritten with a
 *                counter that starts at FIRST, as 00-00-00-12-34: no two requests are alike, so that nothing is
 *                answered from a cache; and in pairs, since a new long number would be an unusually hard word.
 *   CHUNKS       0: plain replies; otherwise streams, each of which must bring at least so many events and [DONE].
 *
 * After SECONDS nothing new is sent; what is under way is awaited, so that every request that cost the server work is
 * counted. Percentiles are exact: every sample is kept. Loopback only, one thread, epoll.
 */
#define _GNU_SOURCE
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MARK_LEN = 14, READ_BYTES = 65536, KEPT_BODY = 8192, EVENT_LINE = 16, MAX_ERRORS = 200 };
static const char MARK[] = "@@@@@@@@@@@@@@";
/* How long answers under way are awaited at the end. */
static const uint64_t GRACE_NS = 60000000000u;

struct samples {
    uint64_t *values;
    size_t count, size;
};

struct template {
    char *before, *after; /* the whole request, head included, around the mark */
    size_t before_len, after_len;
};

struct connection {
    int fd;
    bool busy;
    const struct template *template;
    char counter[MARK_LEN + 1];
    size_t sent;
    uint64_t began, last_event;
    struct http reply;
    long events;
    bool done_seen, event_in_read;
    char line[EVENT_LINE]; /* how the current line of the stream begins */
    size_t line_len;
    char body[KEPT_BODY];
    size_t body_len;
};

static struct samples latency, first_event, gaps;
static struct template *templates;
static size_t template_count;
static uint64_t counter, first_counter, deadline;
static long completed, errors, events_total, reconnects, wanted_chunks;
static char first_error[512];
static int poller, port;

static void add(struct samples *s, uint64_t value) {
    if (s->count == s->size) {
        s->size = s->size ? s->size * 2 : 4096;
        s->values = grow(s->values, s->size * sizeof *s->values);
    }
    s->values[s->count++] = value;
}

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The nearest-rank percentile in milliseconds, of sorted samples. */
static double percentile(const struct samples *s, double p) {
    size_t rank = (size_t)(p / 100 * (double)s->count + 0.999999);
    return (double)s->values[rank > 0 ? rank - 1 : 0] / 1e6;
}

static void print_samples(const char *name, struct samples *s) {
    if (s->count == 0) return;
    qsort(s->values, s->count, sizeof *s->values, by_value);
    printf(",\"%s\":{\"p50\":%.4f,\"p90\":%.4f,\"p99\":%.4f,\"max\":%.4f}", name, percentile(s, 50), percentile(s, 90),
           percentile(s, 99), percentile(s, 100));
}

static char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) die(path);
    fseek(file, 0, SEEK_END);
    *length = (size_t)ftell(file);
    rewind(file);
    char *content = grow(NULL, *length + 1);
    if (fread(content, 1, *length, file) != *length) die(path);
    content[*length] = '\0';
    fclose(file);
    return content;
}

/* Makes a whole request of every line of the file. */
static void load_templates(const char *path, const char *url_path, const char *key) {
    size_t length;
    char *content = read_file(path, &length), *rest = content, *line;
    while ((line = strsep(&rest, "\n")) != NULL) {
        char *mark = strstr(line, MARK), *before;
        if (*line == '\0') continue;
        if (mark == NULL) {
            fprintf(stderr, "%s: a body without the mark %s\n", path, MARK);
            exit(1);
        }
        int head = asprintf(&before,
                            "POST %s HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nauthorization: Bearer %s\r\n"
                            "content-type: application/json\r\naccept: */*\r\nuser-agent: rung-bench\r\n"
                            "content-length: %zu\r\n\r\n%.*s",
                            url_path, port, key, strlen(line), (int)(mark - line), line);
        if (head < 0) die("asprintf");
        templates = grow(templates, (template_count + 1) * sizeof *templates);
        templates[template_count++] = (struct template){.before = before, .before_len = (size_t)head,
                                                        .after = mark + MARK_LEN, .after_len = strlen(mark + MARK_LEN)};
    }
    if (template_count == 0) {
        fprintf(stderr, "%s: no bodies\n", path);
        exit(1);
    }
}

static void open_connection(struct connection *c) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket");
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e) < 0) die("epoll_ctl");
}

static void fail(const struct connection *c, const char *why) {
    if (errors++ == 0)
        snprintf(first_error, sizeof first_error, "%s; %.100s; %.*s", why, c->reply.start,
                 (int)(c->body_len < 300 ? c->body_len : 300), c->body);
}

/* Writes what is left of the request. Templates are shared by connections, so the counter goes between their parts. */
static void send_rest(struct connection *c) {
    const struct template *t = c->template;
    struct iovec parts[3] = {{t->before, t->before_len}, {c->counter, MARK_LEN}, {t->after, t->after_len}};
    size_t total = t->before_len + MARK_LEN + t->after_len;
    while (c->busy && c->sent < total) {
        struct iovec left[3];
        size_t skip = c->sent;
        int n = 0;
        for (int i = 0; i < 3; i++) {
            size_t cut = skip < parts[i].iov_len ? skip : parts[i].iov_len;
            skip -= cut;
            if (parts[i].iov_len > cut)
                left[n++] = (struct iovec){(char *)parts[i].iov_base + cut, parts[i].iov_len - cut};
        }
        struct msghdr message = {.msg_iov = left, .msg_iovlen = (size_t)n};
        ssize_t written = sendmsg(c->fd, &message, MSG_NOSIGNAL);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return; /* full, or broken: then reading will tell */
        c->sent += (size_t)written;
    }
}

static void write_counter(char *to, uint64_t value) {
    for (int i = MARK_LEN - 1; i >= 0; i--) {
        bool dash = i % 3 == 2;
        to[i] = dash ? '-' : (char)('0' + value % 10);
        if (!dash) value /= 10;
    }
}

static void begin(struct connection *c) {
    if (now_ns() >= deadline || errors >= MAX_ERRORS) {
        c->busy = false;
        return;
    }
    c->template = &templates[counter % template_count];
    write_counter(c->counter, first_counter + counter);
    counter++;
    c->sent = c->events = 0;
    c->body_len = c->line_len = 0;
    c->done_seen = false;
    c->last_event = 0;
    c->busy = true;
    http_reset(&c->reply, false);
    c->began = now_ns();
    send_rest(c);
}

static void end_of_line(struct connection *c) {
    if (c->line_len >= 5 && memcmp(c->line, "data:", 5) == 0) {
        if (c->line_len >= 11 && memmem(c->line, c->line_len, "[DONE]", 6) != NULL) c->done_seen = true;
        else c->events++, c->event_in_read = true;
    }
    c->line_len = 0;
}

static void on_body(void *context, const char *data, size_t n) {
    struct connection *c = context;
    size_t kept = n < KEPT_BODY - c->body_len ? n : KEPT_BODY - c->body_len;
    memcpy(c->body + c->body_len, data, kept);
    c->body_len += kept;
    if (wanted_chunks == 0) return;
    for (const char *end = data + n, *newline; data < end; data = newline + 1) {
        newline = memchr(data, '\n', (size_t)(end - data));
        size_t part = (size_t)((newline != NULL ? newline : end) - data);
        if (part > EVENT_LINE - c->line_len) part = EVENT_LINE - c->line_len;
        memcpy(c->line + c->line_len, data, part);
        c->line_len += part;
        if (newline == NULL) return;
        end_of_line(c);
    }
}

static void finish(struct connection *c, uint64_t now) {
    bool ok = strstr(c->reply.start, " 200 ") != NULL;
    if (!ok) fail(c, "not a 200");
    else if (wanted_chunks == 0 && memmem(c->body, c->body_len, "\"choices\"", 9) == NULL) fail(c, "no choices");
    else if (wanted_chunks > 0 && (!c->done_seen || c->events < wanted_chunks)) fail(c, "a stream that is not whole");
    else {
        completed++;
        events_total += c->events;
        add(&latency, now - c->began);
    }
}

static void reopen(struct connection *c) {
    close(c->fd);
    reconnects++;
    open_connection(c);
    begin(c);
}

/* The gap between two events is the time between the reads that brought them: what arrives together has none. */
static void note_events(struct connection *c, uint64_t now) {
    if (!c->event_in_read) return;
    if (c->last_event == 0) add(&first_event, now - c->began);
    else add(&gaps, now - c->last_event);
    c->last_event = now;
    c->event_in_read = false;
}

static void receive(struct connection *c) {
    static char buffer[READ_BYTES];
    while (c->busy) {
        ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        uint64_t now = now_ns();
        if (n > 0) http_feed(&c->reply, buffer, (size_t)n, on_body, c);
        note_events(c, now);
        bool ended = c->reply.state == COMPLETE || (n == 0 && c->reply.state == UNTIL_CLOSE);
        if (ended) finish(c, now);
        else if (n <= 0 || c->reply.state == MALFORMED) fail(c, n <= 0 ? "the connection broke" : "not HTTP");
        if (n <= 0 || c->reply.state == MALFORMED || (ended && c->reply.close)) reopen(c);
        else if (ended) begin(c);
    }
}

static long under_way(const struct connection *connections, int n) {
    long busy = 0;
    for (int i = 0; i < n; i++) busy += connections[i].busy;
    return busy;
}

static void print_text(const char *text) {
    putchar('"');
    for (; *text != '\0'; text++) {
        unsigned char b = (unsigned char)*text;
        if (b == '"' || b == '\\') printf("\\%c", b);
        else if (b < 0x20 || b >= 0x7f) printf("\\u%04x", b);
        else putchar(b);
    }
    putchar('"');
}

static void report(uint64_t began, uint64_t ended) {
    printf("{\"completed\":%ld,\"errors\":%ld,\"events\":%ld,\"reconnects\":%ld,\"seconds\":%.6f", completed, errors,
           events_total, reconnects, (double)(ended - began) / 1e9);
    print_samples("latency_ms", &latency);
    print_samples("first_event_ms", &first_event);
    print_samples("gap_ms", &gaps);
    printf(",\"first_error\":");
    print_text(first_error);
    printf("}\n");
}

int main(int argc, char **argv) {
    if (argc != 9) {
        fprintf(stderr, "usage: load PORT PATH KEY BODIES FIRST CONNECTIONS SECONDS CHUNKS\n");
        return 2;
    }
    port = atoi(argv[1]);
    load_templates(argv[4], argv[2], argv[3]);
    first_counter = strtoull(argv[5], NULL, 10);
    int n = atoi(argv[6]);
    wanted_chunks = atol(argv[8]);
    struct connection *connections = calloc((size_t)n, sizeof *connections);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (n < 1 || connections == NULL || poller < 0) die("connections");
    for (int i = 0; i < n; i++) open_connection(&connections[i]);
    uint64_t began = now_ns();
    deadline = began + (uint64_t)(atof(argv[7]) * 1e9);
    for (int i = 0; i < n; i++) begin(&connections[i]);
    uint64_t ended = began;
    while (under_way(connections, n) > 0 && (ended = now_ns()) < deadline + GRACE_NS) {
        struct epoll_event events[256];
        int ready = epoll_wait(poller, events, 256, 1000);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) send_rest(c);
            receive(c);
        }
    }
    for (int i = 0; i < n; i++)
        if (connections[i].busy) fail(&connections[i], "no answer within the grace");
    report(began, now_ns());
    return 0;
}
