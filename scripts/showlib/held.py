"""Thousands of slow clients held at once, and what an ordinary client notices of them."""

import time

from . import backend
from .processes import Footbridge, Peer, cpu_of, memory_of, need_descriptors, threads_of
from .report import Trouble, mebibytes, milliseconds, percentile
from .slow import HAVE_BYTES, SlowClients
from .waiting import time_ordinary_requests

#: In the order in which they come: a head must be complete in 10 s, who takes nothing is cut off after 30.
KINDS = ["reader", "content", "silent", "pipeliner", "head"]
LATEST = 0.05
#: So long they are watched. Less than the time after which a slow head is refused.
SECONDS = 6.0
#: Those that do not read first let the kernel's buffers fill. Only when footbridge has come to rest, that is, needs less
#: than this part of a core, are they slow readers and nothing else. At most so long is waited for that.
REST = 0.2
FILLING = 15.0


def show(report, program, number):
    """Each kind by itself, then all at once."""
    need_descriptors(len(KINDS) * number + 200)
    for kinds in [[each] for each in KINDS] + [KINDS]:
        name = kinds[0] if len(kinds) == 1 else "all kinds"
        report.part(name, f"{number:,} slow clients {'of each kind ' if len(kinds) > 1 else ''}held at once")
        try:
            _hold(report, program, kinds, number)
        except Trouble as trouble:
            report.check("carried out", False, trouble, "to the end")
        report.end_part()


def _hold(report, program, kinds, number):
    # Ordinary requests and slow ones have the same backends; two, so that less of the wait is the backend's own.
    with Peer(backend.serve) as first, Peer(backend.serve) as second:
        backends = [("127.0.0.1", port) for port in (first.receive(), second.receive())]
        # With all kinds it is more than half of the descriptors; but a head has none for a backend.
        most = f"limits.connections={len(kinds) * number + 100}"
        with Footbridge(program, backends, "--set", most) as bridge, \
                Peer(time_ordinary_requests, bridge.address, backends[0]) as ordinary, \
                Peer(_slow_clients, bridge.address, bridge.pid, kinds, number) as crowd:
            ordinary.receive()
            report.note(crowd.receive(120))
            began, held = crowd.receive()
            report.note(f"{threads_of(bridge.pid)} threads, memory {mebibytes(memory_of(bridge.pid))}")
            ordinary.send("end")
            _check(report, held, number, began, *ordinary.receive())
            bridge.check_log(report)


def _check(report, held, number, began, samples, direct, failures):
    for kind, lowest in held.items():
        report.check(f"slow clients, {kind}", lowest == number, f"never fewer than {lowest:,}", f"{number:,}")
    report.check("ordinary requests that failed", not failures,
                 f"{len(failures)}, such as {failures[0]}" if failures else "none", "none")
    times = [took for when, took in samples if when >= began]
    opening = [took for when, took in samples if when < began]
    direct_opening = [took for when, took in direct if when < began]
    direct = [took for when, took in direct if when >= began]
    if not times or not direct or not opening or not direct_opening:
        raise Trouble("no ordinary request came through")
    p99 = percentile(times, .99)
    report.check("ordinary request", p99 < LATEST, f"p99 {milliseconds(p99)}, max {milliseconds(max(times))}, "
                 f"of {len(times)}", f"p99 under {milliseconds(LATEST)}")
    report.note(f"without footbridge, in the same seconds: p99 {milliseconds(percentile(direct, .99))}, "
                f"max {milliseconds(max(direct))}")
    report.note(f"while they came: p99 {milliseconds(percentile(opening, .99))}, max {milliseconds(max(opening))}; "
                f"without footbridge: p99 {milliseconds(percentile(direct_opening, .99))}, "
                f"max {milliseconds(max(direct_opening))}")


def _slow_clients(pipe, address, pid, kinds, number):
    """The work of a Peer: keeps them moving; sends since when all were there and the lowest number of each kind."""
    began = time.monotonic()
    crowds = {}
    for kind in kinds:
        crowds[kind] = SlowClients(kind, address, number)
        opened = time.monotonic()
        used = cpu_of(pid)
        _keep_moving(crowds, 0.5)
        while kind in HAVE_BYTES and (now := cpu_of(pid)) - used > REST / 2 and time.monotonic() < opened + FILLING:
            used = now
            _keep_moving(crowds, 0.5)
    complete = time.monotonic()
    pipe.send(f"in place after {complete - began:.1f} s")
    held = dict.fromkeys(kinds, number)
    while time.monotonic() < complete + SECONDS:
        held = {kind: min(held[kind], crowd.held()) for kind, crowd in crowds.items()}
        _keep_moving(crowds, 1)
    pipe.send((complete, held))
    pipe.poll(60)


def _keep_moving(crowds, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for crowd in crowds.values():
            crowd.tick()
        time.sleep(0.01)
