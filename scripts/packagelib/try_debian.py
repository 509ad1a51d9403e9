"""The Debian package: what is in it, that the program in it runs, and that dpkg installs and removes it without a trace.

The installation is a real one, into a copy of this system that is thrown away: an overlay, seen by one process only.
"""

import re
import shutil
import subprocess

from showlib.processes import PROJECT

from .stage import run

FILES = {
    "usr/bin/footbridge": "-rwxr-xr-x",
    "usr/lib/systemd/system/footbridge.service": "-rw-r--r--",
    "usr/lib/systemd/system/footbridge.socket": "-rw-r--r--",
    "usr/share/man/man1/footbridge.1": "-rw-r--r--",
    "usr/share/bash-completion/completions/footbridge": "-rw-r--r--",
    "usr/share/zsh/vendor-completions/_footbridge": "-rw-r--r--",
    "usr/share/fish/vendor_completions.d/footbridge.fish": "-rw-r--r--",
    "etc/footbridge/footbridge.toml": "-rw-r--r--",
    "usr/share/doc/footbridge/README.md": "-rw-r--r--",
    "usr/share/doc/footbridge/copyright": "-rw-r--r--",
}
# In the copy: installed, found, changed, removed; what a person changed stays until it is purged.
INSTALL = """set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/changes" "$1/work" "$1/system"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/changes,workdir=$1/work" "$1/system"
mount -t proc proc "$1/system/proc"
cp "$2" "$1/system/footbridge.deb"
chroot "$1/system" sh -ec '
    export DEBIAN_FRONTEND=noninteractive
    dpkg --no-triggers -i /footbridge.deb >&2
    footbridge --version
    if command -v man >/dev/null; then man -w footbridge; fi
    echo "# mine" >>/etc/footbridge/footbridge.toml
    dpkg --no-triggers -i /footbridge.deb >&2
    tail -n 1 /etc/footbridge/footbridge.toml
    dpkg --remove footbridge >&2
    ls /etc/footbridge /usr/bin/footbridge 2>/dev/null || true
    dpkg --purge footbridge >&2
    echo "left over:" $(find /etc /usr /var/lib/systemd -name "*footbridge*" 2>/dev/null)
'
"""


def show(stage):
    report = stage.report
    report.part("deb", "the Debian package")
    missing = [name for name in ("cargo-deb", "dpkg-deb") if not shutil.which(name)]
    if missing:
        report.skip("the Debian package", f"{' and '.join(missing)} not installed (cargo install cargo-deb)")
    else:
        _show(stage)
    report.end_part()


def _show(stage):
    report = stage.report
    stage.generated  # Packed, so made before.
    run("cargo", "deb", "--quiet", "--no-build", "-o", stage.folder, cwd=PROJECT, timeout=300)
    package = next(stage.folder.glob("*.deb"))
    listed = {line.split()[-1].removeprefix("./"): line.split()[0] for line in run("dpkg-deb", "-c", package).splitlines()
              if not line.startswith("d")}
    report.check("files, and who may do what with them", listed == FILES, set(listed.items()) ^ set(FILES.items()) or
                 f"{len(listed)}, as intended", "as intended")
    control = run("dpkg-deb", "-f", package, "Package", "Version", "Depends").replace("\n", ", ")
    report.check("what dpkg knows of it", re.search(r"Depends: libc6 \(>= [\d.]+\), $", control), control,
                 "it depends on the C library only")
    conffiles = run("dpkg-deb", "-I", package, "conffiles")
    report.check("files that a person's changes stay in", conffiles.split() == ["/etc/footbridge/footbridge.toml"],
                 conffiles.strip(), "the configuration")
    root = stage.folder / "unpacked"
    run("dpkg-deb", "-x", package, root)
    version = run(root / "usr/bin/footbridge", "--version").strip()
    report.check("the program from the package", version == stage.help[2], version, stage.help[2])
    _install(stage, package, version)


def _install(stage, package, version):
    if not stage.root or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        stage.report.skip("installing the Debian package", "not root, or no mount namespace can be made")
        return
    copy = stage.folder / "copy"
    copy.mkdir()
    done = subprocess.run(["unshare", "--mount", "sh", "-c", INSTALL, "sh", copy, package], capture_output=True,
                          text=True, timeout=120, stdin=subprocess.DEVNULL)
    if "overlay" in done.stderr and "mount" in done.stderr and done.returncode:
        stage.report.skip("installing the Debian package", f"no overlay can be mounted: {done.stderr.strip()[-200:]}")
        return
    said = done.stdout.splitlines()
    wanted = [version, *(["/usr/share/man/man1/footbridge.1"] if shutil.which("man") else []),
              "# mine", "/etc/footbridge:", "footbridge.toml", "left over:"]
    stage.report.check("installed, used, upgraded, removed, purged", done.returncode == 0 and said == wanted,
                       said if said == wanted else f"{said}, {done.stderr.strip()[-300:]}", wanted)
