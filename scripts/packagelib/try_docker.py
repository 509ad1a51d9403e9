"""The image: built, run, asked one question, and stopped as docker stops it."""

import os
import re
import shutil
import subprocess
import time

from showlib.fleet import Fleet
from showlib.processes import PROJECT
from showlib.report import Trouble

from .stage import PACKAGE, ask, run

IMAGE = "footbridge-try"


def show(stage):
    report = stage.report
    report.part("docker", "the image")
    missing = _missing()
    if missing:
        report.skip("the image", missing)
    else:
        run("docker", "build", "-t", IMAGE, "-f", PACKAGE / "Dockerfile", PROJECT, timeout=900,
            env={**os.environ, "DOCKER_BUILDKIT": "1"})
        size = int(run("docker", "image", "inspect", "-f", "{{.Size}}", IMAGE))
        report.check("size of the image", size < 4_000_000, f"{size:,} bytes", "below 4 MB")
        _show(report)
    report.end_part()


def _missing():
    """Why there can be no image here, or None."""
    if not shutil.which("docker"):
        return "docker is not installed"
    if subprocess.run(["docker", "version"], capture_output=True, timeout=30).returncode:
        return "no docker daemon answers"
    return None


def _show(report):
    with Fleet(1) as fleet:
        host, port = fleet.addresses[0]
        # Its own port of this machine, so that nothing is published and no port is guessed.
        container = run("docker", "run", "-d", "--network", "host", IMAGE,
                        "--listen", "127.0.0.1:0", "--to", f"{host}:{port}").strip()
        try:
            status = ask(_address(container))
            run("docker", "stop", container)
            code = run("docker", "inspect", "-f", "{{.State.ExitCode}}", container).strip()
        finally:
            run("docker", "rm", "-f", container)
    report.check("a request, and docker stop", status == 200 and code == "0", f"{status}, exit code {code}", "200, 0")


def _address(container):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        said = subprocess.run(["docker", "logs", container], capture_output=True, text=True).stderr
        found = re.search(r"listening on ([\d.]+):(\d+)", said)
        if found:
            return found[1], int(found[2])
        time.sleep(0.1)
    raise Trouble(f"the container does not listen; it said: {said.strip()[-300:]}")
