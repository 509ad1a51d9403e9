"""A backend is killed under load, again and again: no GET fails."""

import asyncio
import random
import time

from . import backend, content, wire
from .processes import Peer, reserve_port
from .report import milliseconds

CONNECTIONS = 32


def show(stage):
    kills = stage.size(8, 3)
    stage.report.part("kill", f"kill -9 of one of two backends, {kills} times, under {CONNECTIONS} keep-alive connections")
    reserved = [reserve_port(), reserve_port()]
    ports = [each.getsockname()[1] for each in reserved]
    backends = [_start(port) for port in ports]
    try:
        with stage.footbridge([("127.0.0.1", port) for port in ports]) as bridge, \
                Peer(_load, bridge.address) as load:
            load.receive()
            time.sleep(0.5)
            for turn in range(kills):
                victim = turn % 2
                backends[victim].kill()
                time.sleep(0.4)
                backends[victim] = _start(ports[victim])
                time.sleep(0.6)
            load.send("end")
            done, failures, slowest = load.receive()
            stage.report.check("GETs that failed", done and not failures, f"{len(failures)} of {done:,}", "none")
            for failure in sorted(set(failures))[:5]:
                stage.report.note(failure)
            stage.report.note(f"the slowest took {milliseconds(slowest)}")
            bridge.check_log(stage.report)
    finally:
        for each in backends:
            each.kill()
        for each in reserved:
            each.close()
    stage.report.end_part()


def _start(port):
    peer = Peer(backend.serve, port)
    peer.receive()
    return peer


def _load(pipe, address):
    """The work of a Peer: GETs without pause until it is told to end."""
    pipe.send("running")
    pipe.send(asyncio.run(_all_clients(pipe, address)))


async def _all_clients(pipe, address):
    tally = {"done": 0, "failures": [], "slowest": 0.0, "end": False}
    clients = [asyncio.create_task(_one_client(address, tally, seed)) for seed in range(CONNECTIONS)]
    while not pipe.poll():
        await asyncio.sleep(0.05)
    tally["end"] = True
    await asyncio.wait(clients, timeout=20)
    for client in clients:
        if not client.done():
            tally["failures"].append("a GET that never ended")
    return tally["done"], tally["failures"], tally["slowest"]


async def _one_client(address, tally, seed):
    chance, client = random.Random(seed), None
    while not tally["end"]:
        began = time.monotonic()
        length = chance.choice([0, 100, 1000, 10_000])
        verifier = content.Verifier(seed, length)
        try:
            client = client or await wire.Client.connect(address)
            head = await client.ask("GET", f"/content?n={length}&seed={seed}&delay={chance.choice([0, 0.002])}",
                                    feed=verifier.feed)
            if head.first[1] != "200":
                raise wire.NotHttp(f"status {head.first[1]}")
            verifier.end()
        except (OSError, EOFError, wire.NotHttp, content.WrongBytes) as failure:
            tally["failures"].append(f"{type(failure).__name__}: {failure}")
            if client:
                client.close()
            client = None
        tally["done"] += 1
        tally["slowest"] = max(tally["slowest"], time.monotonic() - began)
