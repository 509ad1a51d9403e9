"""INT and TERM let requests in flight end; a second one ends at once."""

import asyncio
import signal
import socket
import time

from . import backend, content, wire
from .processes import Peer
from .report import Trouble

REQUESTS = 20
SECONDS = 2.0
LENGTH = 4000
#: What is in flight may take so long before it is cut; the program must be gone by then.
GRACE = 8.0


def show(stage):
    stage.report.part("interrupt", f"a signal during {REQUESTS} slow requests: all complete, exit code 0")
    with Peer(backend.serve) as behind:
        backends = [("127.0.0.1", behind.receive())]
        for number in (signal.SIGINT, signal.SIGTERM):
            _drain(stage, backends, number)
        _twice(stage, backends)
    stage.report.end_part()


def _drain(stage, backends, number):
    name = signal.Signals(number).name
    with stage.footbridge(backends) as bridge, Peer(_requests, bridge.address, REQUESTS) as clients:
        clients.receive()
        bridge.signal(number)
        began = time.monotonic()
        refused = _refused(bridge.address, seconds=1)
        complete, failures, idle_closed = clients.receive()
        code = bridge.wait(GRACE + 2)
        took = time.monotonic() - began
        stage.report.check(f"{name}: requests in flight", complete == REQUESTS,
                           f"{complete} of {REQUESTS} complete {failures[0] if failures else ''}".rstrip(), "all")
        stage.report.check(f"{name}: a new connection meanwhile", refused, "refused" if refused else "taken", "refused")
        stage.report.check(f"{name}: an idle keep-alive connection", idle_closed,
                           "closed" if idle_closed else "left open", "closed")
        stage.report.check(f"{name}: end", code == 0 and took < GRACE, f"exit code {code} after {took:.1f} s",
                           f"exit code 0 within {GRACE:g} s")
        bridge.check_log(stage.report)


def _twice(stage, backends):
    with stage.footbridge(backends) as bridge, Peer(_requests, bridge.address, 1) as clients:
        clients.receive()
        bridge.signal(signal.SIGINT)
        time.sleep(0.3)
        if bridge.process.poll() is not None:
            raise Trouble("ended at the first INT, with a request in flight")
        bridge.signal(signal.SIGINT)
        began = time.monotonic()
        bridge.wait(GRACE + 2)
        took = time.monotonic() - began
        stage.report.check("a second INT", took < stage.within(0.5), f"ended {took:.2f} s later",
                           f"within {stage.within(0.5):g} s")


def _refused(address, seconds):
    """Whether connecting is refused, within that time of the signal."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection(address, timeout=1).close()
        except OSError:
            return True
        time.sleep(0.02)
    return False


def _requests(pipe, address, number):
    """The work of a Peer: slow requests of both kinds, and an idle connection beside them."""
    pipe.send(asyncio.run(_all_requests(pipe, address, number)))


async def _all_requests(pipe, address, number):
    idle = await wire.Client.connect(address)
    await idle.ask("GET", "/content?n=10")
    slow_head = f"/content?n={LENGTH}&seed=3&delay={SECONDS}"
    slow_content = f"/content?n={LENGTH}&seed=3&piece={LENGTH // 20}&gap={SECONDS / 20}&framing=chunked"
    tasks = [asyncio.create_task(_one_request(address, slow_content if each % 2 else slow_head))
             for each in range(number)]
    await asyncio.sleep(0.7)  # by now all are in flight, and none can have ended
    pipe.send("in flight")
    failures = [str(each) for each in await asyncio.gather(*tasks) if each]
    try:
        idle_closed = await asyncio.wait_for(idle.reader.read(1), 3) == b""
    except asyncio.TimeoutError:
        idle_closed = False
    except ConnectionError:
        idle_closed = True
    return number - len(failures), failures, idle_closed


async def _one_request(address, target):
    """What went wrong, or None."""
    verifier = content.Verifier(3, LENGTH)
    try:
        client = await wire.Client.connect(address)
        head = await asyncio.wait_for(client.ask("GET", target, feed=verifier.feed), 20)
        if head.first[1] != "200":
            return f"status {head.first[1]}"
        verifier.end()
    except (OSError, EOFError, asyncio.TimeoutError, wire.NotHttp, content.WrongBytes) as failure:
        return f"{type(failure).__name__}: {failure}"
    return None
