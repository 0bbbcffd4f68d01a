/* The floor: how little CPU a receiver can spend on a delivery.
 *
 * Opens CONNECTIONS WebSockets one after the other, sends each TEXT on them, waits for the word
 * subscribe_success where there was a text, and then only counts text frames: epoll, recv, frame
 * header. No payload is looked at, no clock is read. Prints "ready" when all are open and, at
 * SIGTERM, the number of frames.
 *
 *   floor HOST PORT PATH CONNECTIONS SUBPROTOCOLS|- PLAIN|TLS [TEXT ...]
 *
 * Built with -DWITH_TLS and OpenSSL it also speaks TLS, without checking the certificate.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef WITH_TLS
#include <openssl/ssl.h>
#endif

enum { BUFFER_BYTES = 65536, EVENTS = 256, HEADER_BYTES = 10, TEXT_FRAME = 1 };

struct connection {
    int fd;
    int header_length;               /* bytes of an incomplete frame header */
    unsigned char header[HEADER_BYTES];
    uint64_t payload_left;           /* bytes of the current payload still to come */
#ifdef WITH_TLS
    SSL *tls;
#endif
};

static volatile sig_atomic_t stopped;
static unsigned char buffer[BUFFER_BYTES + 1];

static void stop(int signum) {
    (void)signum;
    stopped = 1;
}

static void fail(const char *what) {
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static ssize_t take(struct connection *c, void *into, size_t size) {
#ifdef WITH_TLS
    if (c->tls) {
        int got = SSL_read(c->tls, into, (int)size);
        if (got > 0) return got;
        if (SSL_get_error(c->tls, got) == SSL_ERROR_WANT_READ) {
            errno = EAGAIN;
            return -1;
        }
        return 0;
    }
#endif
    return recv(c->fd, into, size, 0);
}

static void give(struct connection *c, const void *from, size_t size) {
#ifdef WITH_TLS
    if (c->tls) {
        if (SSL_write(c->tls, from, (int)size) != (int)size) fail("TLS write");
        return;
    }
#endif
    if (send(c->fd, from, size, MSG_NOSIGNAL) != (ssize_t)size) fail("send");
}

/* Send a text frame; the masking key is zero, so the payload goes as it is. */
static void send_text(struct connection *c, const char *text) {
    size_t length = strlen(text);
    unsigned char frame[8 + 65536] = {0x81, 0x80 | 126, (unsigned char)(length >> 8),
                                      (unsigned char)length};
    if (length > 65535) fail("a text is too long");
    memcpy(frame + 8, text, length);
    give(c, frame, 8 + length);
}

/* Read until the bytes hold `word`; what comes with it is dropped: no delivery is due yet. */
static void await(struct connection *c, const char *word) {
    size_t have = 0;
    while (have < BUFFER_BYTES) {
        ssize_t got = take(c, buffer + have, BUFFER_BYTES - have);
        if (got <= 0) fail(word);
        have += (size_t)got;
        if (memmem(buffer, have, word, strlen(word))) return;
    }
    fail(word);
}

static void open_connection(struct connection *c, const struct sockaddr_in *address,
                            const char *request, int texts, char **text) {
    int yes = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)address, sizeof *address))
        fail("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
#ifdef WITH_TLS
    if (c->tls) {
        SSL_set_fd(c->tls, c->fd);
        if (SSL_connect(c->tls) != 1) fail("TLS handshake");
    }
#endif
    give(c, request, strlen(request));
    await(c, "\r\n\r\n");
    if (memcmp(buffer, "HTTP/1.1 101", 12)) fail("the upgrade was refused");
    for (int i = 0; i < texts; i++) send_text(c, text[i]);
    if (texts) await(c, "subscribe_success");
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK)) fail("fcntl");
}

/* Walk over the frames in `data`, however they were cut; return how many text frames began. */
static uint64_t count_frames(struct connection *c, const unsigned char *data, size_t size) {
    uint64_t frames = 0;
    while (size) {
        if (c->payload_left) {
            size_t skipped = c->payload_left < size ? (size_t)c->payload_left : size;
            c->payload_left -= skipped;
            data += skipped;
            size -= skipped;
            continue;
        }
        c->header[c->header_length++] = *data++;
        size--;
        if (c->header_length < 2) continue;
        int short_length = c->header[1] & 0x7f;
        int needed = short_length == 126 ? 4 : short_length == 127 ? 10 : 2;
        if (c->header_length < needed) continue;
        uint64_t length = needed == 2 ? (uint64_t)short_length : 0;
        for (int i = 2; i < needed; i++) length = length << 8 | c->header[i];
        frames += (c->header[0] & 0x0f) == TEXT_FRAME;
        c->payload_left = length;
        c->header_length = 0;
    }
    return frames;
}

static uint64_t receive_until_stopped(int poll) {
    struct epoll_event events[EVENTS];
    uint64_t frames = 0;
    while (!stopped) {
        int ready = epoll_wait(poll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            ssize_t got;
            do {
                got = take(c, buffer, BUFFER_BYTES);
                if (got > 0) frames += count_frames(c, buffer, (size_t)got);
                if (got == 0) epoll_ctl(poll, EPOLL_CTL_DEL, c->fd, NULL);
#ifdef WITH_TLS
            } while (got > 0 && c->tls && SSL_pending(c->tls));
#else
            } while (0);
#endif
        }
    }
    return frames;
}

int main(int argc, char **argv) {
    if (argc < 7) {
        fprintf(stderr, "usage: floor HOST PORT PATH CONNECTIONS SUBPROTOCOLS|- PLAIN|TLS [TEXT ...]\n");
        return 2;
    }
    int count = atoi(argv[4]), poll = epoll_create1(0), tls = !strcmp(argv[6], "TLS");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    struct connection *all = calloc((size_t)count, sizeof *all);
    struct sigaction action = {.sa_handler = stop};
    struct rlimit files;
    char request[8192], protocol[4096] = "";
    if (!all || poll < 0 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) fail("arguments");
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigaction(SIGTERM, &action, NULL);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (strcmp(argv[5], "-"))
        snprintf(protocol, sizeof protocol, "Sec-WebSocket-Protocol: %s\r\n", argv[5]);
    snprintf(request, sizeof request,
             "GET %s HTTP/1.1\r\nHost: %s:%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
             argv[3], argv[1], argv[2], protocol);
#ifdef WITH_TLS
    SSL_CTX *context = tls ? SSL_CTX_new(TLS_client_method()) : NULL;
#else
    if (tls) fail("TLS was not built in");
#endif
    for (int i = 0; i < count; i++) {
#ifdef WITH_TLS
        if (tls) all[i].tls = SSL_new(context);
#endif
        open_connection(&all[i], &address, request, argc - 7, argv + 7);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &event)) fail("epoll_ctl");
    }
    printf("ready\n");
    fflush(stdout);
    printf("%llu\n", (unsigned long long)receive_until_stopped(poll));
    return 0;
}
