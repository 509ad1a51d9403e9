"""Prints what was measured beside its bound, and remembers whether all of it held."""

import time


class Trouble(Exception):
    """A demonstration could not be carried out; the text says why."""


class Report:
    """For the caller: `part`, then `check` and `note` for what it found, then `end_part`."""

    def __init__(self):
        self.failed = []
        self.passed = []

    def part(self, name, title):
        self._name = name
        self._holds = True
        self._began = time.monotonic()
        print(f"\n{name}: {title}", flush=True)

    def check(self, what, holds, measured, bound):
        """One line: what was looked at, what was found, and what was asked for."""
        self._holds = self._holds and bool(holds)
        print(f"  {'ok  ' if holds else 'FAIL'}  {what}: {measured}   (asked: {bound})", flush=True)

    def note(self, text):
        print(f"        {text}", flush=True)

    def end_part(self):
        (self.passed if self._holds else self.failed).append(self._name)
        verdict = "PASS" if self._holds else "FAIL"
        print(f"  {verdict}  {self._name}, {time.monotonic() - self._began:.1f} s", flush=True)

    def summary(self):
        """Prints the last line; returns the exit code."""
        print(f"\n{len(self.passed)} passed, {len(self.failed)} failed", end="")
        print(f": {', '.join(self.failed)}" if self.failed else "", flush=True)
        return 1 if self.failed else 0


def milliseconds(seconds):
    return f"{seconds * 1000:.1f} ms"


def mebibytes(size):
    return f"{size / 2**20:.2f} MiB"


def percentile(values, part):
    """The value that `part` (0 to 1) of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
