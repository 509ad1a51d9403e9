"""A name that comes to mean another address: traffic moves there, without an error.

A dnsmasq on 127.0.0.x answers for app.test. footbridge runs in a mount namespace of its own, where /etc/resolv.conf
names that dnsmasq; nothing outside sees it. Needs root and dnsmasq; without them it says so and is left out.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from . import load
from .fleet import serve
from .processes import Peer, end_with_parent
from .report import Trouble

NAME = "app.test"
FIRST, SECOND = "127.0.0.2", "127.0.0.3"
RESOLVE = 2.0
RATE = 200
#: dnsmasq lives in sbin, which an ordinary PATH leaves out.
SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def show(stage):
    stage.report.part("dns", f"{NAME} moves from {FIRST} to {SECOND}, looked up every {RESOLVE:g} s")
    missing = _missing()
    if missing:
        stage.report.skip("dns", missing)
    else:
        _show(stage)
    stage.report.end_part()


def _missing():
    """What is needed and not here, or None."""
    if not shutil.which("dnsmasq", path=SEARCH):
        return "dnsmasq is not installed"
    if not shutil.which("unshare") or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        return "a mount namespace cannot be made; it needs root"
    return None


def _show(stage):
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = _free_port_on_both()
        for host in (FIRST, SECOND):
            stack.enter_context(Peer(serve, host, port, host)).receive()
        names = stack.enter_context(Dnsmasq(folder))
        bridge = stack.enter_context(stage.footbridge(
            [(NAME, port)], "--set", f"backends.resolve={RESOLVE:g}s", wrapper=_own_resolver(folder, names.address)))
        clients = stack.enter_context(Peer(load.arrivals, bridge.address, RATE))
        clients.receive()
        time.sleep(2)
        moved = time.monotonic()
        names.answer(SECOND)
        time.sleep(RESOLVE + stage.within(1) + 1)
        names.kill()
        silent = time.monotonic()
        time.sleep(2 * RESOLVE + 1)
        clients.send("end")
        done = clients.receive(load.PATIENCE + 20)
        bridge.check_log(stage.report)
    _check(stage, done, moved, silent)


def _check(stage, done, moved, silent):
    failed = load.failures(done)
    stage.report.check("requests that failed", done and not failed, f"{len(failed)} of {len(done):,}", "none")
    load.explain(stage.report, failed)
    before = [each for each in done if each.began + each.took < moved]
    stage.report.check(f"before, at {FIRST}", before and all(each.backend == FIRST for each in before),
                       f"{sum(each.backend == FIRST for each in before)} of {len(before)}", "all")
    last = max((each.began for each in done if each.backend == FIRST), default=moved)
    bound = RESOLVE + stage.within(1)
    stage.report.check(f"the last request at {FIRST}", last - moved <= bound, f"{last - moved:.2f} s after the change",
                       f"within {bound:g} s")
    after = [each for each in done if each.began > silent]
    stage.report.check("with the name server gone, still at the last good answer",
                       after and all(each.backend == SECOND for each in after),
                       f"{sum(each.backend == SECOND for each in after)} of {len(after)}", "all")


def _own_resolver(folder, address):
    """A command that becomes another by exec, in a mount namespace with this name server."""
    (folder / "resolv.conf").write_text(f"nameserver {address}\noptions timeout:1 attempts:1\n")
    return ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', folder / "resolv.conf"]


def _free_port_on_both():
    for _ in range(50):
        with socket.socket() as one, socket.socket() as other:
            one.bind((FIRST, 0))
            with contextlib.suppress(OSError):
                other.bind((SECOND, one.getsockname()[1]))
                return one.getsockname()[1]
    raise Trouble(f"no port that is free on {FIRST} and {SECOND}")


class Dnsmasq:
    """Answers for NAME alone, with no time to live, on port 53 of a loopback address that nobody uses."""

    def __init__(self, folder):
        self._hosts = folder / "hosts"
        self._hosts.write_text(f"{FIRST} {NAME}\n")
        self._log = folder / "dnsmasq.log"
        self.address = self._free_address()
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [shutil.which("dnsmasq", path=SEARCH), "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv",
                 "--no-hosts", f"--addn-hosts={self._hosts}", "--local=/test/", "--local-ttl=0", "--user=root",
                 "--pid-file=", f"--listen-address={self.address}", "--bind-interfaces", "--log-facility=-"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, preexec_fn=end_with_parent)

    def __enter__(self):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self._process.poll() is None:
            if "read " in self._log.read_text(errors="replace"):
                return self
            time.sleep(0.02)
        self.kill()
        raise Trouble(f"dnsmasq does not start: {self._log.read_text(errors='replace')}")

    def __exit__(self, *_):
        self.kill()

    def answer(self, address):
        self._hosts.write_text(f"{address} {NAME}\n")
        self._process.send_signal(signal.SIGHUP)

    def kill(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @staticmethod
    def _free_address():
        for last in range(53, 120):
            with socket.socket(type=socket.SOCK_DGRAM) as datagrams, socket.socket() as streams:
                with contextlib.suppress(OSError):
                    datagrams.bind((f"127.0.0.{last}", 53))
                    streams.bind((f"127.0.0.{last}", 53))
                    return f"127.0.0.{last}"
        raise Trouble("port 53 is taken on every loopback address that was tried")
