"""The units: systemd understands every line, and finds little that the service could still do."""

import re
import shutil
import subprocess

from showlib.processes import PROJECT

from .stage import run

# systemd's own measure, 0 (can do nothing) to 10; services without any confinement have 9.6.
MOST_EXPOSED = 1.5
UNITS = PROJECT / "scripts" / "systemd"


def show(stage):
    report = stage.report
    report.part("systemd", "the units")
    if not shutil.which("systemd-analyze"):
        report.skip("the units", "systemd-analyze is not installed")
    else:
        # A copy with a program that is there, since verify looks.
        folder = stage.folder / "units"
        folder.mkdir()
        for unit in UNITS.iterdir():
            text = unit.read_text().replace("/usr/bin/footbridge ", f"{stage.program} ")
            (folder / unit.name).write_text(text)
        wrong = _verify(folder)
        report.check("systemd-analyze verify", not wrong, wrong or "no complaint", "no complaint")
        said = run("systemd-analyze", "security", "--offline=yes", folder / "footbridge.service")
        exposure = float(re.search(r"exposure level for \S+: ([\d.]+)", said)[1])
        report.check("exposure, by systemd-analyze security", exposure <= MOST_EXPOSED, exposure,
                     f"at most {MOST_EXPOSED}")
    report.end_part()


def _verify(folder):
    """What it says of our units; what it says of others is not ours to judge."""
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *folder.iterdir()], capture_output=True, text=True,
                          timeout=60)
    return [line for line in done.stderr.splitlines() if "footbridge" in line]
