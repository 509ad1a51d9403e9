"""Server-sent events arrive when they are sent, not when a buffer is full.

The backend notes when it sends each event, the client when its last byte is there; both read the same clock
(CLOCK_MONOTONIC is one for all processes). Some streams go past footbridge, to tell what the machine itself adds.
"""

import itertools
import random
import selectors
import socket
import time

from .processes import Peer, listen
from .report import Trouble, milliseconds, percentile
from .wire import ChunkDecoder

SIZES = [1, 2, 17, 300, 1460, 4096, 16_000, 65_536]
FRAMINGS = ["chunked", "close"]
STREAMS = 4
LATEST = 0.02
IDLE = [0.005, 0.03, 0.1, 0.4, 1.0]
#: The machine may be busy with something else: streams past footbridge tell, and then all is measured again.
TRIES = 3


def show(stage):
    stage.report.part("events", f"event streams, events of {SIZES[0]} byte to {SIZES[-1] // 1024} KiB, "
                                f"chunked and until close, {STREAMS} streams of each")
    rounds = stage.size(8, 2)
    for left in reversed(range(TRIES)):
        late, direct = _measure(stage, rounds)
        if not left or max(direct) < LATEST / 2:
            break
        stage.report.note(f"this machine takes {milliseconds(max(direct))} by itself: once more")
    bound = stage.within(LATEST)
    for (framing, size), delays in sorted(late.items()):
        stage.report.check(f"{framing}, {size} bytes", max(delays) < bound, f"max {milliseconds(max(delays))}, median "
                           f"{milliseconds(percentile(delays, .5))}, of {len(delays)}", f"under {milliseconds(bound)}")
    stage.report.note(f"without footbridge: max {milliseconds(max(direct))}")
    stage.report.end_part()


def _measure(stage, rounds):
    """({(framing, size): [seconds late, ...]}, [seconds late of those past footbridge, ...])"""
    plan = _plan(rounds)
    with Peer(_backend, plan) as behind:
        port = behind.receive()
        with stage.footbridge([("127.0.0.1", port)], "--workers", "8") as bridge:
            streams = [(bridge.address, framing) for framing in FRAMINGS for _ in range(STREAMS)]
            streams.append((("127.0.0.1", port), "close"))
            with Peer(_client, streams, plan) as client:
                client.receive()
                behind.send("begin")
                sent, arrived = behind.receive(120), client.receive(120)
            bridge.check_log(stage.report)
    late, direct = {}, []
    for number, (address, framing) in enumerate(streams):
        if len(arrived[number]) != len(plan):
            raise Trouble(f"{len(arrived[number])} of {len(plan)} events arrived, {framing}")
        for (_, size), start, end in zip(plan, sent[number], arrived[number]):
            (late.setdefault((framing, size), []) if address == bridge.address else direct).append(end - start)
    return late, direct


def _plan(rounds):
    """[(idle seconds before, size), ...]: every size, after gaps of all kinds, the same in each run."""
    order = random.Random(7)
    idle = itertools.cycle(IDLE)
    return [(next(idle), size) for _ in range(rounds) for size in order.sample(SIZES, len(SIZES))]


def _event(number, size):
    return bytes([97 + number % 26]) * size


def _backend(pipe, plan):
    """Takes one connection per stream; the stream's number and framing stand in the target."""
    listener = listen()
    pipe.send(listener.getsockname()[1])
    links, expected = {}, len(FRAMINGS) * STREAMS + 1
    listener.settimeout(20)
    while len(links) < expected:
        link, _ = listener.accept()
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _, number, framing = link.recv(65536).split()[1].decode().split("/")
        coding = "Transfer-Encoding: chunked\r\n" if framing == "chunked" else ""
        link.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{coding}\r\n".encode())
        links[int(number)] = link, framing
    pipe.receive()
    sent = {number: [] for number in links}
    for number_of_event, (idle, size) in enumerate(plan):
        time.sleep(idle)
        data = _event(number_of_event, size)
        for number, (link, framing) in links.items():
            framed = b"%x\r\n%s\r\n" % (size, data) if framing == "chunked" else data
            sent[number].append(time.monotonic())
            link.sendall(framed)
    pipe.send(sent)
    pipe.poll(30)  # the connections stay open: the end of the stream must not be what pushes the last event out


def _client(pipe, streams, plan):
    """Opens all streams, then notes when each event is complete."""
    arrived = {number: [] for number in range(len(streams))}
    with selectors.DefaultSelector() as selector:
        for number, (address, framing) in enumerate(streams):
            stream = _Stream(number, address, framing, plan, arrived[number])
            selector.register(stream.link, selectors.EVENT_READ, stream)
        pipe.send("open")
        deadline = time.monotonic() + sum(idle for idle, _ in plan) + 20
        while any(len(each) < len(plan) for each in arrived.values()) and time.monotonic() < deadline:
            for ready, _ in selector.select(1):
                if not ready.data.read():
                    selector.unregister(ready.fileobj)
    pipe.send(arrived)


class _Stream:
    def __init__(self, number, address, framing, plan, arrived):
        self.link = socket.create_connection(address, timeout=10)
        self.link.sendall(f"GET /{number}/{framing} HTTP/1.1\r\nHost: shown.example\r\n"
                          "Accept: text/event-stream\r\n\r\n".encode())
        self._plan, self._arrived, self._pending = plan, arrived, b""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self.link.recv(1)
            if not byte:
                raise Trouble(f"stream refused: {head!r}")
            head += byte
        self._decoder = ChunkDecoder() if b"transfer-encoding: chunked" in head.lower() else None

    def read(self):
        """Takes what is there; False once the stream is over."""
        data = self.link.recv(1 << 18)
        now = time.monotonic()
        self._pending += self._decoder.feed(data) if self._decoder else data
        while len(self._arrived) < len(self._plan):
            number = len(self._arrived)
            size = self._plan[number][1]
            if len(self._pending) < size:
                break
            if self._pending[:size] != _event(number, size):
                raise Trouble(f"event {number} has other bytes than were sent")
            self._pending = self._pending[size:]
            self._arrived.append(now)
        return bool(data)
