"""What every part is given, and what the parts have in common."""

import functools
import http.client
import os
import subprocess
from pathlib import Path

from showlib.processes import PROJECT

from . import helptext

PACKAGE = PROJECT / "scripts" / "package"


class Stage:
    """`folder` is for temporary files; it is removed at the end."""

    def __init__(self, program, report, folder):
        self.program, self.report, self.folder = program, report, folder
        self.root = os.geteuid() == 0

    @functools.cached_property
    def help(self):
        """(the program's help, [its commands' help], its version)."""
        return helptext.read(self.program)

    @functools.cached_property
    def generated(self):
        """The folder with the man page and the completions, made anew: where the Debian package takes them from."""
        run(PACKAGE / "generate", "--footbridge", self.program)
        return self.program.parent / "package"

    def has_command(self, name):
        return any(command == name for command, _ in self.help[0].commands)

    def has_flag(self, name):
        return any(name in option.names for option in self.help[0].options)


def run(*command, **more):
    """Its standard output, as text; an error if it fails."""
    more = {"timeout": 60, "stdin": subprocess.DEVNULL, **more}
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True, **more).stdout


def target_folder():
    return Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target"))


def ask(address, target="/content?n=100&seed=1"):
    """The status of one request to the proxy."""
    connection = http.client.HTTPConnection(*address, timeout=10)
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()
