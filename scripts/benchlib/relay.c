/* The yardstick: what is left of a proxy without HTTP. Four system calls pass a request and its response on, and one
   epoll_wait brings many of them. No proxy that is made of sockets and epoll can use less than this one does.

   It is no proxy: it takes whatever one read brings for a whole message, which holds for the small ones that it is
   measured with. Otherwise it does what the others do: backend connections are kept, and the last one used goes first.

   relay PORT BACKEND_PORT; compiled by scripts/bench. Trusts its peers, so it listens on loopback only. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { MOST = 1 << 16, EVENTS = 256, BUFFER = 16 * 1024, NOBODY = -1 };

/* By descriptor: the other side while a request is under way, and which side this is. */
static int other_side[MOST];
static char is_backend[MOST];

static int idle[MOST], idles;
static int poller;
static struct sockaddr_in backend;

static int ok(int result, const char *what) {
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

static void watch(int fd, uint32_t how) {
    struct epoll_event event = {.events = how, .data.fd = fd};
    ok(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static void take_on(int fd, char backend_side) {
    int yes = 1;
    ok(fd < MOST ? 0 : -1, "too many connections");
    ok(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes), "TCP_NODELAY");
    is_backend[fd] = backend_side;
    other_side[fd] = NOBODY;
    watch(fd, EPOLLIN | EPOLLRDHUP | EPOLLET);
}

static int backend_connection(void) {
    if (idles > 0) {
        return idle[--idles];
    }
    int fd = ok(socket(AF_INET, SOCK_STREAM, 0), "socket");
    ok(connect(fd, (struct sockaddr *)&backend, sizeof backend), "connect");
    take_on(fd, 1);
    return fd;
}

static void drop(int fd) {
    for (int i = 0; is_backend[fd] && i < idles; i++) {
        if (idle[i] == fd) {
            idle[i] = idle[--idles];
        }
    }
    close(fd);
}

static void pass_on(int from) {
    static char buffer[BUFFER];
    ssize_t length = recv(from, buffer, sizeof buffer, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EBADF)) {
        return; /* EBADF: dropped since epoll_wait told of it. */
    }
    int to = other_side[from];
    if (length <= 0) {
        if (to != NOBODY) {
            drop(to);
        }
        drop(from);
        return;
    }
    if (is_backend[from]) {
        other_side[from] = other_side[to] = NOBODY;
        idle[idles++] = from;
    } else {
        to = backend_connection();
        other_side[from] = to;
        other_side[to] = from;
    }
    send(to, buffer, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: relay PORT BACKEND_PORT\n");
        return 2;
    }
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    backend = own;
    own.sin_port = htons(atoi(argv[1]));
    backend.sin_port = htons(atoi(argv[2]));
    int yes = 1, listener = ok(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");
    ok(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), "SO_REUSEADDR");
    ok(bind(listener, (struct sockaddr *)&own, sizeof own), "bind");
    ok(listen(listener, 4096), "listen");
    poller = ok(epoll_create1(0), "epoll_create1");
    watch(listener, EPOLLIN);
    for (;;) {
        struct epoll_event events[EVENTS];
        int found = ok(epoll_wait(poller, events, EVENTS, -1), "epoll_wait");
        for (int i = 0; i < found; i++) {
            if (events[i].data.fd != listener) {
                pass_on(events[i].data.fd);
                continue;
            }
            for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) {
                take_on(fd, 0);
            }
        }
    }
}
