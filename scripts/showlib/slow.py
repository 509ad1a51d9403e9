"""Clients that keep footbridge waiting: a head, a content, or the taking of a response, a little each second."""

import socket
import time

HEAD = b"GET / HTTP/1.1\r\nHost: shown.example\r\nX-Slow: " + b"z" * 4000
UPLOAD = b"POST /content?up=1000000 HTTP/1.1\r\nHost: shown.example\r\nContent-Length: 1000000\r\n\r\n"
#: Far more than all the buffers on its way, or the response would be finished with while its reader dawdles.
DOWNLOAD = b"GET /content?n=50000000&seed=1&small=1 HTTP/1.1\r\nHost: shown.example\r\n\r\n"
SMALL_BUFFER = 4096
#: A second. Slower than limits.min_rate (500 B/s), a reader would be cut off after its grace.
READ = 1000


def connect(address, receive_buffer=None):
    link = socket.socket()
    link.settimeout(30)
    if receive_buffer:  # before the handshake: afterwards the larger window was offered already
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    link.connect(address)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


class SlowClients:
    """`number` of one kind: "head", "content" or "reader". Call `tick` often; each client moves once a second."""

    def __init__(self, kind, address, number):
        self._kind, self._address = kind, address
        self._clients = [self._open() for _ in range(number)]
        self._began, self._moved = time.monotonic(), 0

    def _open(self):
        """A client is [socket, how many bytes of its head it has sent]."""
        link = connect(self._address, SMALL_BUFFER if self._kind == "reader" else None)
        if self._kind != "head":
            link.sendall(UPLOAD if self._kind == "content" else DOWNLOAD)
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
            client[0].send(b"\0")
        else:
            client[0].recv(READ)

    def held(self):
        """How many of them footbridge still keeps."""
        return sum(self._is_held(link) for link, _ in self._clients)

    def _is_held(self, link):
        """A reader has bytes to read, the others must not: those would be a refusal."""
        try:
            return link.recv(1, socket.MSG_PEEK) != b"" and self._kind == "reader"
        except BlockingIOError:
            return True
        except OSError:
            return False
