"""What this machine is, and which of the tools it has. Changes nothing unless `install` is called."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
import time
from pathlib import Path

# Debian keeps servers out of an ordinary user's PATH.
SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])

# Tool -> what is left out without it. Those in PACKAGES are Debian packages of the same name.
NEEDED_FOR = {
    "nginx": "nginx as a peer, and the backend of all downloads: nothing can be measured without it",
    "wrk": "every measurement under load",
    "haproxy": "HAProxy as a peer",
    "caddy": "Caddy as a peer",
    "cc": "the bare relay, which shows the least that a request takes (compiled from relay.c)",
    "rustc": "uploads and chunked contents (their backend is compiled from sink.rs)",
    "perf": "system calls per request (strace does instead)",
    "strace": "the names of the system calls",
    "valgrind": "instructions per request",
    "cargo": "building footbridge, and the time a build takes",
}
PACKAGES = ("nginx", "haproxy", "caddy", "wrk")
INDISPENSABLE = ("nginx", "wrk")


def find(tool: str) -> str | None:
    """The path of a tool, or None."""
    return shutil.which(tool, path=SEARCH)


def missing() -> list[str]:
    return [tool for tool in NEEDED_FOR if find(tool) is None]


def install() -> None:
    """Installs the Debian packages that are missing. Asks for root through sudo where it is not given.

    The services that the packages start are none of ours and are left as the packages set them.
    """
    wanted = [tool for tool in PACKAGES if find(tool) is None]
    if not wanted:
        print("nothing to install: " + ", ".join(PACKAGES) + " are here")
        return
    if shutil.which("apt-get") is None:
        raise SystemExit("--install knows apt-get only; please install by hand: " + " ".join(wanted))
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    subprocess.run([*sudo, "apt-get", "update"], check=True)
    subprocess.run([*sudo, "apt-get", "install", "--yes", "--no-install-recommends", *wanted], check=True)


# More than any case uses. Some systems allow a milliard, and HAProxy makes its tables as large as allowed.
MOST_DESCRIPTORS = 65_536


def raise_descriptor_limit() -> int:
    """Sets the descriptor limit of the bench and what it starts to what is allowed; returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    return limit


def version(tool: str, path: str | None = None) -> str:
    """What a tool calls its version, short; "?" when it does not say."""
    path = path or find(tool)
    if path is None:
        return "not here"
    flag = {"nginx": "-v", "haproxy": "-v", "wrk": "-v", "caddy": "version"}.get(tool, "--version")
    try:
        answer = subprocess.run([path, flag], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "?"
    words = (answer.stdout + answer.stderr).replace("/", " ").split()
    numbers = [word for word in words if word.lstrip("v")[:1].isdigit() and "." in word]
    return numbers[0] if numbers else "?"


def python_version() -> str:
    return platform.python_version()


def describe() -> dict[str, str]:
    """The lines that a table of measurements is worth nothing without."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "processor": processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load average before": f"{os.getloadavg()[0]:.1f} (quiet: below 0.5)",
    }


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
