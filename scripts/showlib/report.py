"""Prints what was measured beside its bound, and remembers whether all of it held."""

import time


class Trouble(Exception):
    """A demonstration could not be carried out; the text says why."""


class Report:
    """For the caller: `part`, then `check` and `note` for what it found, then `end_part`."""

    def __init__(self):
        self.failed = []
        self.passed = []
        self.skipped = []

    def part(self, name, title):
        self._name = name
        self._holds, self._checked, self._skipped = True, False, False
        self._began = time.monotonic()
        print(f"\n{name}: {title}", flush=True)

    def check(self, what, holds, measured, bound):
        """One line: what was looked at, what was found, and what was asked for."""
        self._holds, self._checked = self._holds and bool(holds), True
        print(f"  {'ok  ' if holds else 'FAIL'}  {what}: {measured}   (asked: {bound})", flush=True)

    def note(self, text):
        print(f"        {text}", flush=True)

    def skip(self, what, why):
        """Something cannot be looked at here. Said at once, and again at the end."""
        self._skipped = True
        self.skipped.append(f"{what}: {why}")
        print(f"  SKIPPED: {what}: {why}", flush=True)

    def end_part(self):
        """A part of which nothing could be looked at counts as skipped only."""
        if self._skipped and not self._checked:
            return
        (self.passed if self._holds else self.failed).append(self._name)
        verdict = "PASS" if self._holds else "FAIL"
        print(f"  {verdict}  {self._name}, {time.monotonic() - self._began:.1f} s", flush=True)

    def summary(self):
        """Prints the last lines; returns the exit code."""
        print(f"\n{len(self.passed)} passed, {len(self.failed)} failed, {len(self.skipped)} skipped", end="")
        print(f"; failed: {', '.join(self.failed)}" if self.failed else "", flush=True)
        for line in self.skipped:
            print(f"SKIPPED: {line}", flush=True)
        return 1 if self.failed else 0


def milliseconds(seconds):
    return f"{seconds * 1000:.1f} ms"


def mebibytes(size):
    return f"{size / 2**20:.2f} MiB"


def percentile(values, part):
    """The value that `part` (0 to 1) of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
