"""Two of Python's own file servers behind footbridge: every answer right, the load in halves."""

import contextlib
import http.client
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import content
from .report import Trouble

FILES = {"empty": 0, "small": 1000, "page": 20_000, "picture": 300_000}
#: One in ten of curl's requests comes from a curl of its own; a process for each would only show how slow that is.
SEPARATE = 10


def show(stage):
    stage.report.part("balance", "two `python3 -m http.server` behind it share the requests of curl and of http.client")
    number = 1000  # fewer would leave 40 % to 60 % by chance now and then
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "files").mkdir()
        for seed, (name, size) in enumerate(FILES.items()):
            (folder / "files" / name).write_bytes(content.whole(seed, size))
        servers = [stack.enter_context(FileServer(folder, each)) for each in ("first", "second")]
        bridge = stack.enter_context(stage.footbridge([each.address for each in servers]))
        if shutil.which("curl"):
            _measure(stage, servers, "curl", number, _by_curl(folder, bridge.address, number))
        else:
            stage.report.skip("requests by curl", "curl is not installed")
        _measure(stage, servers, "http.client, keep-alive", number, _by_http_client(folder, bridge.address, number))
        bridge.check_log(stage.report)
    stage.report.end_part()


def _measure(stage, servers, who, number, requests):
    """`requests` is a generator of whether each request was answered with 200 and the right bytes."""
    before = [each.served() for each in servers]
    right = sum(requests)
    stage.report.check(f"{who}: 200 and the right bytes", right == number, f"{right} of {number}", "all")
    served = _settled(servers, before, number)
    shares = [100 * each / number for each in served]
    stage.report.check(f"{who}: share of each backend", all(40 <= share <= 60 for share in shares),
                       " and ".join(f"{share:.1f} %" for share in shares), "40 % to 60 %")


def _settled(servers, before, number):
    """How many each served; waits until their logs are complete."""
    deadline = time.monotonic() + 5
    while True:
        served = [each.served() - earlier for each, earlier in zip(servers, before)]
        if sum(served) >= number or time.monotonic() > deadline:
            return served
        time.sleep(0.02)


def _by_curl(folder, address, number):
    names = list(FILES)
    for first in range(number // SEPARATE):
        yield from _curl(folder, address, [names[first % len(names)]])
    yield from _curl(folder, address, [names[each % len(names)] for each in range(number - number // SEPARATE)])


def _curl(folder, address, names):
    """One curl with many URLs: it keeps its connection."""
    (folder / "got").mkdir(exist_ok=True)
    lines = ["silent", 'write-out = "%{http_code}\\n"']
    for place, name in enumerate(names):
        got = folder / "got" / str(place)
        got.unlink(missing_ok=True)
        lines += [f'url = "http://{address[0]}:{address[1]}/{name}"', f'output = "{got}"']
    done = subprocess.run(["curl", "--config", "-"], input="\n".join(lines).encode(), capture_output=True, timeout=120)
    codes = done.stdout.decode().split() + [""] * len(names)
    for place, name in enumerate(names):
        got = folder / "got" / str(place)
        body = got.read_bytes() if got.exists() else b""  # curl makes no file of an empty content
        yield codes[place] == "200" and body == (folder / "files" / name).read_bytes()


def _by_http_client(folder, address, number):
    connection = http.client.HTTPConnection(*address, timeout=10)
    for place in range(number):
        name = list(FILES)[place % len(FILES)]
        connection.request("GET", f"/{name}")
        response = connection.getresponse()
        body = response.read()
        kept = not response.will_close
        yield response.status == 200 and kept and body == (folder / "files" / name).read_bytes()
    connection.close()


class FileServer:
    """`python3 -m http.server` on a port of its own choice; counts requests by its log."""

    def __init__(self, folder, name):
        self._log = folder / f"{name}.log"
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1",
                 "--directory", folder / "files"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def __enter__(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self._process.poll() is None:
            found = re.search(r"Serving HTTP on \S+ port (\d+)", self._log.read_text())
            if found:
                self.address = "127.0.0.1", int(found[1])
                return self
            time.sleep(0.02)
        self.__exit__()
        raise Trouble(f"http.server does not start: {self._log.read_text()}")

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()

    def served(self):
        return self._log.read_text().count('"GET /')
