"""Backends in processes of their own, to be killed, frozen and started again on the same port.

  GET  /content?n=1000&seed=7   that content
  POST /count/ID                notes ID in the backend's journal, then answers with ID

Every response says in X-Backend which one it is. An ID is in the journal, a file that is only ever appended to,
before the first byte of the answer leaves: what was executed is known even of a backend that was killed.
"""

import asyncio
import collections
import os
import signal
import urllib.parse

from . import content
from .processes import Peer, listen, reserve_port


class Fleet:
    """`number` backends on 127.0.0.1; leaving the block ends them. `journals` is a folder for what they executed.

    `services` gives each its seconds of work per request and how many it works on at once; the others queue.
    """

    def __init__(self, number, journals=None, services=None):
        self._journals, self._services = journals, services or [(0, 0)] * number
        self._reserved = [reserve_port() for _ in range(number)]
        self.addresses = [each.getsockname() for each in self._reserved]
        self._peers = [None] * number

    def __enter__(self):
        try:
            for which in range(len(self._peers)):
                self.start(which)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for which in range(len(self._peers)):
            self.kill(which)
        for each in self._reserved:
            each.close()

    def start(self, which):
        """Returns when it listens."""
        host, port = self.addresses[which]
        journal = self._journal(which) if self._journals else None
        self._peers[which] = Peer(serve, host, port, str(which), journal, *self._services[which], seconds=600)
        self._peers[which].receive()

    def kill(self, which):
        """SIGKILL; its port refuses from now on."""
        if self._peers[which]:
            self._peers[which].kill()
        self._peers[which] = None

    def freeze(self, which):
        """SIGSTOP: connections to it are still made, by the kernel, and nothing is answered."""
        self._peers[which].signal(signal.SIGSTOP)

    def thaw(self, which):
        self._peers[which].signal(signal.SIGCONT)

    def _journal(self, which):
        return os.path.join(self._journals, f"backend-{which}")

    def executed(self):
        """How often each ID was executed, in all backends together."""
        found = collections.Counter()
        for which in range(len(self._peers)):
            if os.path.exists(self._journal(which)):
                with open(self._journal(which)) as lines:
                    found.update(line.strip() for line in lines)
        return found


def serve(pipe, host, port, name, journal=None, seconds=0, slots=0):
    """The work of a Peer. Sends its port once it listens, then serves until it is killed."""
    listener = listen(port, host)
    desk = _Desk(name, journal and os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), seconds, slots)
    pipe.send(listener.getsockname()[1])
    asyncio.run(_serve(listener, desk))


async def _serve(listener, desk):
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(desk), sock=listener, backlog=4096)
    await server.serve_forever()


class _Desk:
    """Does the work: `slots` requests at once, each for `seconds`; the others wait their turn."""

    def __init__(self, name, journal, seconds, slots):
        self._name, self._journal, self._seconds, self._free = name.encode(), journal, seconds, slots
        self._queue, self._contents = collections.deque(), {}

    def take(self, connection, method, target):
        if not self._seconds:
            connection.answer(self._response(method, target))
        elif self._free:
            self._begin(connection, method, target)
        else:
            self._queue.append((connection, method, target))

    def _begin(self, connection, method, target):
        """What a POST does is done first: who is killed before the answer has done it all the same."""
        self._free -= 1
        asyncio.get_running_loop().call_later(self._seconds, self._end, connection, self._response(method, target))

    def _end(self, connection, response):
        self._free += 1
        connection.answer(response)
        if self._queue:
            self._begin(*self._queue.popleft())

    def _response(self, method, target):
        body = self._execute(target) if method == "POST" else self._content(target)
        return b"HTTP/1.1 200 OK\r\nX-Backend: %s\r\nContent-Length: %d\r\n\r\n%s" % (self._name, len(body), body)

    def _execute(self, target):
        """One write of one line, so that two never mix and none is there by half."""
        identity = target.rpartition("/")[2].encode()
        os.write(self._journal, identity + b"\n")
        return identity

    def _content(self, target):
        if target not in self._contents:
            how = dict(urllib.parse.parse_qsl(target.partition("?")[2]))
            self._contents[target] = content.whole(int(how["seed"]), int(how["n"]))
        return self._contents[target]


class _Connection(asyncio.Protocol):
    """Requests one after the other, with a Content-Length or without content."""

    def __init__(self, desk):
        self._desk, self._got = desk, b""

    def connection_made(self, transport):
        self._transport = transport

    def data_received(self, data):
        self._got += data
        while b"\r\n\r\n" in self._got:
            head, _, rest = self._got.partition(b"\r\n\r\n")
            _, field, after = head.lower().partition(b"\r\ncontent-length:")
            length = int(after.split(b"\r\n", 1)[0]) if field else 0
            if len(rest) < length:
                return
            self._got = rest[length:]
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
            self._desk.take(self, method, target)

    def answer(self, response):
        """In one call: a backend that is killed has sent all of it or nothing."""
        if not self._transport.is_closing():
            self._transport.write(response)
