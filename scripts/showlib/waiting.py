"""Thousands of connections that only wait, on eight workers: nobody else notices them.

Four processes beside footbridge: the backend, the crowd (all that wait), the ordinary client whose requests are
timed, and the memory sampler. None of them shares an interpreter with another, so none distorts its figures.
"""

import selectors
import socket
import time

from . import backend, websocket
from .processes import MemorySampler, Peer, need_descriptors
from .report import Trouble, mebibytes, milliseconds, percentile
from .slow import SlowClients, connect

WORKERS = 8
DELAY = 3.0
MEMORY = 24 * 2**20
ECHOED = b"still there?"
#: At most so long must the whole crowd be in place: a dripping head has 10 s before it is refused.
TOGETHER = 8.0


def show(stage):
    idle, slow = stage.size(5000, 500), stage.size(500, 100)
    sockets, drips = stage.size(200, 40), stage.size(200, 40)
    stage.report.part("waiting", f"{idle:,} idle connections, {slow} requests that take {DELAY:g} s, {sockets} "
                                 f"WebSockets and {drips} dripping heads at once, --workers {WORKERS}")
    need_descriptors(idle + slow + sockets + drips + 200)
    with Peer(backend.serve) as behind:
        port = behind.receive()
        with stage.footbridge([("127.0.0.1", port)], "--workers", str(WORKERS)) as bridge, \
                MemorySampler(bridge.pid) as memory, \
                Peer(time_ordinary_requests, bridge.address, ("127.0.0.1", port)) as ordinary, \
                Peer(_crowd, bridge.address, idle, slow, sockets, drips) as crowd:
            ordinary.receive()
            stage.report.note(crowd.receive(120))
            began, ended, slowest, missing, dripping = crowd.receive(120)
            ordinary.send("end")
            _check_ordinary(stage, *ordinary.receive(), began, ended)
            stage.report.check(f"the {slow} slow requests", not missing and slowest < stage.within(4),
                               f"{slow - missing} answered, the last after {slowest:.2f} s",
                               f"all, in under {stage.within(4):g} s")
            stage.report.check("dripping heads", dripping == drips, f"{dripping} still held then", f"{drips}")
            _check_crowd(stage, crowd, idle, sockets)
            peak = max(size for _, size in memory.end())
            stage.report.check("memory all along", peak < MEMORY, f"at most {mebibytes(peak)}",
                               f"below {mebibytes(MEMORY)}")
            bridge.check_log(stage.report)
    stage.report.end_part()


def _check_ordinary(stage, samples, direct, failures, began, ended):
    """`samples`: [(when, seconds), ...]; the crowd was complete from `began` to `ended`."""
    stage.report.check("ordinary requests that failed", not failures, failures[0] if failures else "none", "none")
    bound = stage.within(0.1)
    during = [took for when, took in samples if began <= when <= ended]
    for which, times in [("with all of them there", during), ("all along", [took for _, took in samples])]:
        if not times:
            raise Trouble("no ordinary request came through")
        stage.report.check(f"ordinary request, {which}", max(times) < bound,
                           f"max {milliseconds(max(times))}, p99 {milliseconds(percentile(times, .99))}, "
                           f"of {len(times)}", f"under {milliseconds(bound)}")
    past = [took for _, took in direct]
    stage.report.note(f"without footbridge, in the same seconds: max {milliseconds(max(past))}, "
                      f"p99 {milliseconds(percentile(past, .99))}")


def _check_crowd(stage, crowd, idle, sockets):
    crowd.send("look after them")
    alive, echoed = crowd.receive(120)
    stage.report.check("idle connections afterwards", alive == idle, f"{alive} answer again", f"{idle}")
    stage.report.check("WebSockets afterwards", echoed == sockets, f"{echoed} echo again", f"{sockets}")


def time_ordinary_requests(pipe, address, backend_address):
    """The work of a Peer: requests on a kept and on fresh connections in turn, until it is told to end.

    Sends [(when, seconds), ...], the same of some requests that went to the backend directly, and failures.
    """
    through, direct, failures = [], [], []
    kept, kept_direct = connect(address), connect(backend_address)
    pipe.send("running")
    while not pipe.poll():
        for link, into in [(kept, through), (None, through), (kept_direct, direct)]:
            began = time.monotonic()
            try:
                one_request(link or address)
            except (OSError, Trouble) as trouble:
                failures.append(f"{type(trouble).__name__}: {trouble}")
                kept = kept if link is not kept else connect(address)
            took = time.monotonic() - began
            into.append((began, took))
        time.sleep(0.002)
    pipe.receive()
    pipe.send((through, direct, failures))


def one_request(link, target="/content?n=1000&seed=1"):
    """A request on an open connection, or (given an address) on a fresh one; must be answered with 200."""
    fresh = isinstance(link, tuple)
    if fresh:
        link = connect(link)
    try:
        link.sendall(_request(target))
        _read_response(link)
    finally:
        if fresh:
            link.close()


def _request(target, fields=""):
    return f"GET {target} HTTP/1.1\r\nHost: shown.example\r\n{fields}\r\n".encode()


def _read_response(link):
    got = b""
    while b"\r\n\r\n" not in got:
        got += _some(link)
    head, _, rest = got.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise Trouble(f"answered {head[:40]!r}")
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    while len(rest) < length:
        rest += _some(link)


def _some(link):
    data = link.recv(65536)
    if not data:
        raise Trouble("connection closed before the response was complete")
    return data


def _crowd(pipe, address, idle, slow, sockets, drips):
    """The work of a Peer: all those that wait."""
    began = time.monotonic()
    sleepers = [_connect_and_ask(address) for _ in range(idle)]
    tunnels = [_open_websocket(address) for _ in range(sockets)]
    dripping = SlowClients("head", address, drips)
    waiters = {}
    for _ in range(slow):
        link = connect(address)
        link.sendall(_request(f"/content?n=1000&seed=1&delay={DELAY}"))
        waiters[link] = time.monotonic()
    complete = time.monotonic()
    pipe.send(f"in place after {complete - began:.1f} s")
    slowest = _await_answers(waiters, dripping)
    pipe.send((complete, time.monotonic(), slowest, len(waiters), dripping.held()))
    pipe.receive()
    alive = sum(_works(one_request, link) for link in sleepers)
    echoed = sum(_works(_check_echo, link) for link in tunnels)
    pipe.send((alive, echoed))


def _connect_and_ask(address):
    link = connect(address)
    one_request(link)
    return link


def _open_websocket(address):
    link = connect(address)
    key = websocket.key()
    link.sendall(_request("/websocket", websocket.upgrade_fields(key)))
    got = b""
    while b"\r\n\r\n" not in got:
        got += _some(link)
    if not got.startswith(b"HTTP/1.1 101") or websocket.accept(key).encode() not in got:
        raise Trouble(f"WebSocket handshake answered {got[:60]!r}")
    _check_echo(link)
    return link


def _check_echo(link):
    link.sendall(websocket.frame(ECHOED, masked=True))
    wanted, got = websocket.frame(ECHOED, masked=False), b""
    while len(got) < len(wanted):
        got += _some(link)
    if got != wanted:
        raise Trouble("the echo is not what was sent")


def _await_answers(waiters, dripping):
    """Takes each answered request out of `waiters`; the longest time one took."""
    slowest = 0.0
    with selectors.DefaultSelector() as selector:
        for link in waiters:
            selector.register(link, selectors.EVENT_READ)
        deadline = time.monotonic() + TOGETHER
        while waiters and time.monotonic() < deadline:
            for ready, _ in selector.select(0.02):
                selector.unregister(ready.fileobj)
                if _works(_read_response, ready.fileobj):
                    slowest = max(slowest, time.monotonic() - waiters.pop(ready.fileobj))
            dripping.tick()
    return slowest


def _works(action, link):
    try:
        action(link)
    except (OSError, Trouble):
        return False
    return True
