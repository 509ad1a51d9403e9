"""The configuration is replaced every 100 ms under load: no request fails.

Two files take turns. They differ in a field of the response, in the backends of a group, in a route and in a
listener that comes and goes; clients use connections again, or make one for each request.
"""

import os
import signal
import tempfile
import time
from pathlib import Path

from . import load
from .fleet import Fleet
from .processes import Peer
from .report import Trouble

CLIENTS = 32
THINK = 0.005, 0.02
EVERY = 0.1


def show(stage):
    seconds = stage.size(30, 8)
    stage.report.part("reload", f"the configuration is replaced every {EVERY * 1000:g} ms for {seconds} s, "
                                f"{CLIENTS} clients")
    with tempfile.TemporaryDirectory() as folder, Fleet(3) as fleet:
        path = Path(folder) / "footbridge.toml"
        texts = [_text(fleet.addresses, turn) for turn in (0, 1)]
        _replace(path, texts[0])
        with stage.configured(path) as bridge, Peer(load.visitors, bridge.address, CLIENTS, THINK) as clients:
            clients.receive()
            reloads = _reload(bridge, path, texts, time.monotonic() + seconds)
            clients.send("end")
            done = clients.receive(load.PATIENCE + 20)
            _check(stage, bridge, done, reloads)
            bridge.check_log(stage.report)
    stage.report.end_part()


def _text(addresses, turn):
    servers = ", ".join(f'"{host}:{port}"' for host, port in (addresses[:2] if turn else addresses))
    more = '[[listen]]\naddress = "127.0.0.2:0"\n' if turn else ""
    return f"""
[backends.app]
servers = [{servers}]

[[listen]]
address = "127.0.0.1:0"
{more}
[[route]]
to = "app"
response_headers = {{ set = {{ X-Turn = "{turn}" }} }}

[[route]]
path = "/turn-{turn}"
respond = {{ status = 200, body = "{turn}" }}
"""


def _replace(path, text):
    following = path.with_suffix(".next")
    following.write_text(text)
    following.replace(path)


def _reload(bridge, path, texts, end):
    count = 0
    while time.monotonic() < end:
        count += 1
        _replace(path, texts[count % 2])
        os.kill(bridge.pid, signal.SIGHUP)
        time.sleep(EVERY)
    return count


def _check(stage, bridge, done, reloads):
    if not done:
        raise Trouble("no request was made")
    failed = load.failures(done)
    stage.report.check("requests that failed", not failed, f"{len(failed)} of {len(done):,}", "none")
    load.explain(stage.report, failed)
    said = bridge.log()
    stage.report.check("reloads that took effect", said.count(" reloaded: ") >= 0.9 * reloads,
                       f"{said.count(' reloaded: ')} of {reloads}", "nearly all: signals may fall together")
    stage.report.check("reloads that were refused", "not reloaded" not in said, said.count("not reloaded"), "none")
