/* upstream PORT: a fast imitation of an OpenAI-compatible provider, for measuring what stands in front of it.
 *
 * POST .../chat/completions answers with a fixed completion, or with a stream of chunks where the body asks for one
 * (and with a usage chunk where it asks for that). POST /control?delay_us=D&chunks=N&spread_us=S sets, for all
 * requests to come, how long an answer waits and how a stream is spread. Port 0 takes a free one; it is printed.
 * Loopback only, one thread, epoll, keep-alive, no pipelining. What it says is always the same: it simulates a provider.
 */
#define _GNU_SOURCE
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 4096, MAX_EVENTS = 256, READ_BYTES = 65536, MAX_BODY = 64 << 20 };
/* A backstop beside the leash: nobody benchmarks for longer. */
enum { LIFE_S = 4 * 3600 };

/* About 90 tokens, as short answers have. No quotes or backslashes: it is put into JSON as it stands. */
static const char ANSWER[] =
    "Start with the smallest change that would settle the question. Write down what you expect to see, make the change, "
    "and compare. If the two agree, keep it and move on; if they do not, the difference tells you where the mistake is. "
    "Most of the time the surprising part is an assumption that nobody wrote down, so look there first. Once it holds, "
    "add a check that fails when the assumption breaks, and remove whatever you no longer need.";

struct settings {
    uint64_t delay_ns, spread_ns;
    long chunks;
};

struct connection {
    int fd;                /* -1: free */
    bool waiting;          /* a whole request is in; its answer is under way */
    bool stream, usage;
    bool writable_watched;
    uint64_t due, began;   /* when the next piece of the answer leaves; when the first did */
    long next_chunk;
    struct settings plan;  /* as they were when the request came */
    struct http request;
    char *body;
    size_t body_len, body_size;
    char *out;
    size_t out_len, out_pos, out_size;
    long number;
};

static struct connection connections[MAX_CONNECTIONS];
static int highest = 0; /* connections beyond it are free */
static struct settings settings = {.delay_ns = 0, .spread_ns = 250000000, .chunks = 50};
static int poller, timer;
static long answered = 0;

static void keep_body(void *context, const char *data, size_t n) {
    struct connection *c = context;
    if (c->body_len + n + 1 > MAX_BODY) {
        c->request.state = MALFORMED;
        return;
    }
    if (c->body_len + n + 1 > c->body_size) {
        c->body_size = (c->body_len + n + 1) * 2;
        c->body = grow(c->body, c->body_size);
    }
    memcpy(c->body + c->body_len, data, n);
    c->body_len += n;
}

static void hang_up(struct connection *c) {
    close(c->fd); /* epoll forgets it by itself */
    c->fd = -1;
    c->waiting = false;
    while (highest > 0 && connections[highest - 1].fd < 0) highest--;
}

static void watch(struct connection *c, bool writable) {
    struct epoll_event e = {.events = writable ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c};
    if (c->writable_watched != writable) epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
    c->writable_watched = writable;
}

static void flush(struct connection *c) {
    while (c->out_pos < c->out_len) {
        ssize_t n = send(c->fd, c->out + c->out_pos, c->out_len - c->out_pos, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            watch(c, true);
            return;
        }
        if (n < 0) {
            hang_up(c);
            return;
        }
        c->out_pos += (size_t)n;
    }
    c->out_len = c->out_pos = 0;
    watch(c, false);
}

static void put(struct connection *c, const char *data, size_t n) {
    if (c->out_len + n > c->out_size) {
        c->out_size = (c->out_len + n) * 2;
        c->out = grow(c->out, c->out_size);
    }
    memcpy(c->out + c->out_len, data, n);
    c->out_len += n;
}

/* One server-sent event as one chunk of the transfer coding. */
static void put_event(struct connection *c, const char *json) {
    char frame[2048], size[32];
    int n = snprintf(frame, sizeof frame, "data: %s\n\n", json);
    int s = snprintf(size, sizeof size, "%x\r\n", (unsigned)n);
    put(c, size, (size_t)s);
    put(c, frame, (size_t)n);
    put(c, "\r\n", 2);
}

static void put_reply(struct connection *c, int status, const char *json) {
    char head[256];
    size_t length = strlen(json);
    int n = snprintf(head, sizeof head, "HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n",
                     status, status == 200 ? "OK" : "Error", length);
    put(c, head, (size_t)n);
    put(c, json, length);
}

static long prompt_tokens(const struct connection *c) { return (long)(c->body_len / 4 + 1); }

static void put_completion(struct connection *c) {
    char json[2048];
    long prompt = prompt_tokens(c);
    snprintf(json, sizeof json,
             "{\"id\":\"chatcmpl-%ld\",\"object\":\"chat.completion\",\"created\":%ld,\"model\":\"bench\",\"choices\":[{"
             "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\",\"refusal\":null},\"logprobs\":null,"
             "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":%ld,\"completion_tokens\":90,\"total_tokens\":%ld},"
             "\"system_fingerprint\":null}",
             c->number, (long)time(NULL), ANSWER, prompt, prompt + 90);
    put_reply(c, 200, json);
    c->waiting = false;
}

static void put_chunk(struct connection *c, const char *delta, const char *finish) {
    char json[1024];
    snprintf(json, sizeof json,
             "{\"id\":\"chatcmpl-%ld\",\"object\":\"chat.completion.chunk\",\"created\":%ld,\"model\":\"bench\",\"choices\":["
             "{\"index\":0,\"delta\":%s,\"logprobs\":null,\"finish_reason\":%s}]}",
             c->number, (long)time(NULL), delta, finish);
    put_event(c, json);
}

static void end_stream(struct connection *c) {
    put_chunk(c, "{}", "\"stop\"");
    if (c->usage) {
        char json[512];
        snprintf(json, sizeof json,
                 "{\"id\":\"chatcmpl-%ld\",\"object\":\"chat.completion.chunk\",\"created\":%ld,\"model\":\"bench\","
                 "\"choices\":[],\"usage\":{\"prompt_tokens\":%ld,\"completion_tokens\":%ld,\"total_tokens\":%ld}}",
                 c->number, (long)time(NULL), prompt_tokens(c), c->plan.chunks,
                 prompt_tokens(c) + c->plan.chunks);
        put_event(c, json);
    }
    put_event(c, "[DONE]");
    put(c, "0\r\n\r\n", 5);
    c->waiting = false;
}

/* The next chunk. The k-th leaves at began + k * spread / chunks, so that lateness does not add up. */
static void put_next_chunk(struct connection *c) {
    if (c->next_chunk == 0) {
        static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
                                   "transfer-encoding: chunked\r\n\r\n";
        put(c, head, sizeof head - 1);
        c->began = c->due;
        put_chunk(c, "{\"role\":\"assistant\",\"content\":\"Start\"}", "null");
    } else {
        put_chunk(c, "{\"content\":\" word\"}", "null");
    }
    c->next_chunk++;
    if (c->next_chunk >= c->plan.chunks) end_stream(c);
    else c->due = c->began + (uint64_t)c->next_chunk * c->plan.spread_ns / (uint64_t)c->plan.chunks;
}

/* Sends whatever is due now. */
static void answer(struct connection *c, uint64_t now) {
    while (c->waiting && c->due <= now) {
        if (c->stream) put_next_chunk(c);
        else put_completion(c);
    }
    flush(c);
}

/* Whether the JSON object says "name": true. Inside a JSON string the quotes are escaped, so prompts cannot say it. */
static bool asks_for(const char *body, const char *name) {
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\"", name);
    const char *at = strstr(body, quoted);
    if (at == NULL) return false;
    at += strlen(quoted);
    at += strspn(at, " \t\r\n");
    if (*at != ':') return false;
    at++;
    at += strspn(at, " \t\r\n");
    return strncmp(at, "true", 4) == 0;
}

static long parameter(const char *line, const char *name, long otherwise) {
    const char *at = strstr(line, name);
    return at != NULL ? atol(at + strlen(name)) : otherwise;
}

static void control(struct connection *c) {
    const char *line = c->request.start;
    settings.delay_ns = (uint64_t)parameter(line, "delay_us=", (long)(settings.delay_ns / 1000)) * 1000;
    settings.spread_ns = (uint64_t)parameter(line, "spread_us=", (long)(settings.spread_ns / 1000)) * 1000;
    settings.chunks = parameter(line, "chunks=", settings.chunks);
    if (settings.chunks < 1) settings.chunks = 1;
    put_reply(c, 200, "{}");
    flush(c);
}

static void begin_answer(struct connection *c) {
    keep_body(c, "\0", 1); /* for strstr */
    c->body_len--;
    if (strncmp(c->request.start, "POST /control", 13) == 0) {
        control(c);
        return;
    }
    if (strstr(c->request.start, "/chat/completions ") == NULL) {
        put_reply(c, 404, "{\"error\":{\"message\":\"only /chat/completions here\",\"type\":\"not_found\"}}");
        flush(c);
        return;
    }
    uint64_t now = now_ns();
    c->number = ++answered;
    c->plan = settings;
    c->stream = asks_for(c->body, "stream");
    c->usage = c->stream && asks_for(c->body, "include_usage");
    c->next_chunk = 0;
    c->due = now + settings.delay_ns;
    c->waiting = true;
    answer(c, now);
}

static void receive(struct connection *c) {
    static char buffer[READ_BYTES];
    ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
    if (n <= 0 || c->waiting) { /* gone, or pipelining */
        hang_up(c);
        return;
    }
    if (c->request.state == COMPLETE) {
        http_reset(&c->request, true);
        c->body_len = 0;
    }
    size_t used = http_feed(&c->request, buffer, (size_t)n, keep_body, c);
    if (c->request.state == MALFORMED || used < (size_t)n) hang_up(c);
    else if (c->request.state == COMPLETE) begin_answer(c);
}

static void welcome(int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        int i = 0;
        while (i < MAX_CONNECTIONS && connections[i].fd >= 0) i++;
        if (i == MAX_CONNECTIONS) {
            close(fd);
            continue;
        }
        struct connection *c = &connections[i];
        if (i >= highest) highest = i + 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        c->fd = fd;
        c->waiting = c->writable_watched = false;
        c->out_len = c->out_pos = c->body_len = 0;
        http_reset(&c->request, true);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
    }
}

/* Sends what is due, and sets the alarm for what comes next. */
static void run_clock(void) {
    uint64_t now = now_ns(), next = 0;
    for (int i = 0; i < highest; i++) {
        struct connection *c = &connections[i];
        if (c->fd >= 0 && c->waiting && c->due <= now) answer(c, now);
        if (c->fd >= 0 && c->waiting && (next == 0 || c->due < next)) next = c->due;
    }
    struct itimerspec alarm_at = {.it_value = {(time_t)(next / 1000000000u), (long)(next % 1000000000u)}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &alarm_at, NULL);
}

static int open_listener(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    if (fd < 0) die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, length) < 0) die("bind");
    if (listen(fd, 1024) < 0) die("listen");
    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0) die("getsockname");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv) {
    static int LISTENER, TIMER; /* only their addresses count: they mark events that are no connection's */
    alarm(LIFE_S);
    for (int i = 0; i < MAX_CONNECTIONS; i++) connections[i].fd = -1;
    int listener = open_listener(argc > 1 ? atoi(argv[1]) : 0);
    poller = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (poller < 0 || timer < 0) die("epoll or timerfd");
    struct epoll_event on_listener = {.events = EPOLLIN, .data.ptr = &LISTENER};
    struct epoll_event on_timer = {.events = EPOLLIN, .data.ptr = &TIMER};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &on_listener);
    epoll_ctl(poller, EPOLL_CTL_ADD, timer, &on_timer);
    for (;;) {
        struct epoll_event events[MAX_EVENTS];
        int n = epoll_wait(poller, events, MAX_EVENTS, -1);
        if (n < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            uint64_t expirations;
            if (events[i].data.ptr == &LISTENER) welcome(listener);
            else if (events[i].data.ptr == &TIMER) (void)!read(timer, &expirations, sizeof expirations);
            else if (c->fd >= 0 && (events[i].events & EPOLLOUT)) flush(c);
            else if (c->fd >= 0) receive(c);
        }
        run_clock();
    }
}
