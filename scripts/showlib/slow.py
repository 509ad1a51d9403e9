"""Clients that keep footbridge waiting: by a head, a content, or the taking of a response, a little each second; by the
taking of nothing at all; or by asking a backend that says nothing."""

import socket
import time

from . import content

CONTENT = content.whole(0, 1_000_000)
HEAD = b"GET / HTTP/1.1\r\nHost: shown.example\r\nX-Slow: " + b"z" * 4000
UPLOAD = b"POST /content?up=1000000 HTTP/1.1\r\nHost: shown.example\r\nContent-Length: 1000000\r\n\r\n"
#: Far more than all the buffers on its way, or the response would be finished with while its reader dawdles.
DOWNLOAD = b"GET /content?n=50000000&seed=1&small=1 HTTP/1.1\r\nHost: shown.example\r\n\r\n"
PIPELINED = 50 * b"GET /content?n=100000&seed=1&small=1 HTTP/1.1\r\nHost: shown.example\r\n\r\n"
SILENT = b"GET /content?n=1&seed=1&delay=55 HTTP/1.1\r\nHost: shown.example\r\n\r\n"
SMALL_BUFFER = 4096
#: As over Ethernet. With loopback's of 64 KiB the kernel holds megabytes for each client that does not read.
SEGMENT = 1400
#: A second. Slower than limits.min_rate (500 B/s), a client would be cut off after its grace.
READ = SENT = 1000
#: What each kind sends at once.
FIRST = {"head": b"", "content": UPLOAD, "reader": DOWNLOAD, "pipeliner": PIPELINED, "silent": SILENT}
#: These have bytes to read all the time. For the others they would be a refusal.
HAVE_BYTES = {"reader", "pipeliner"}


def connect(address, receive_buffer=None):
    link = socket.socket()
    link.settimeout(30)
    if receive_buffer:  # before the handshake: afterwards the larger window was offered already
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
    link.connect(address)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


class SlowClients:
    """`number` of one kind: "head" drips its head, "content" its content, "reader" takes its response in drips,
    "pipeliner" none of fifty, "silent" waits for a backend. Call `tick` often; each client moves once a second."""

    def __init__(self, kind, address, number):
        self._kind, self._address = kind, address
        self._clients = [self._open() for _ in range(number)]
        self._began, self._moved = time.monotonic(), 0

    def _open(self):
        """A client is [socket, how many bytes of its head or its content it has sent]."""
        link = connect(self._address, SMALL_BUFFER if self._kind in HAVE_BYTES else None)
        link.sendall(FIRST[self._kind])
        link.setblocking(False)
        return [link, 0]

    def tick(self):
        due = int((time.monotonic() - self._began) * len(self._clients))
        for turn in range(self._moved, due):
            client = self._clients[turn % len(self._clients)]
            try:
                self._move(client)
            except BlockingIOError:
                pass
            except OSError:
                client[0].close()  # sent away: `held` no longer counts it
        self._moved = due

    def _move(self, client):
        if self._kind == "head":
            client[0].send(HEAD[client[1]:client[1] + 1])
            client[1] += 1
        elif self._kind == "content":
            client[1] += client[0].send(CONTENT[client[1]:client[1] + SENT])
        elif self._kind == "reader":
            client[0].recv(READ)

    def held(self):
        """How many of them footbridge still keeps."""
        return sum(self._is_held(link) for link, _ in self._clients)

    def _is_held(self, link):
        try:
            return link.recv(1, socket.MSG_PEEK) != b"" and self._kind in HAVE_BYTES
        except BlockingIOError:
            return True
        except OSError:
            return False
