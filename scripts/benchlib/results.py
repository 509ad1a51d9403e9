"""What a run found, as plain values: to be printed, drawn, kept as JSON and read again."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path

# The program that the bench is about, and the peers whose better one a target is held against.
SUBJECT = "footbridge"
RIVALS = ("nginx", "haproxy")


@dataclass(frozen=True)
class Sample:
    """One proxy's turn in one repetition."""

    cpu_us: float
    """CPU microseconds per request."""
    rate: float
    """Requests per second."""
    p50_us: float
    p99_us: float
    errors: int
    requests: float


@dataclass
class CaseResult:
    name: str
    title: str
    target: float | None
    """Most that the subject's CPU time per request may be, as a part of the better rival's."""
    p99_target: bool
    """Whether p99 must be no worse than the better rival's."""
    samples: dict[str, list[Sample]]

    def median(self, proxy: str, what: str) -> float:
        return statistics.median(getattr(sample, what) for sample in self.samples[proxy])

    def ratios(self, other: str, what: str = "cpu_us") -> list[float]:
        """The subject's figure over another's, repetition by repetition; empty when either is missing."""
        pairs = zip(self.samples.get(SUBJECT, []), self.samples.get(other, []))
        return [getattr(mine, what) / getattr(theirs, what) for mine, theirs in pairs if getattr(theirs, what)]

    def worst_ratio(self, what: str = "cpu_us") -> float | None:
        """The median ratio to the better rival, which is the greater of the two."""
        medians = [statistics.median(found) for rival in RIVALS if (found := self.ratios(rival, what))]
        return max(medians, default=None)

    def missed(self) -> list[str] | None:
        """The targets of the case that are missed; None when it has none, or no rival ran."""
        cpu, p99 = self.worst_ratio(), self.worst_ratio("p99_us")
        if self.target is None or cpu is None or p99 is None:
            return None
        missed = ["CPU"] if cpu > self.target else []
        return missed + ["p99"] if self.p99_target and p99 > 1.0 else missed


@dataclass
class Figure:
    """A figure that is no load: one number per proxy."""

    name: str
    title: str
    unit: str
    values: dict[str, float]
    target: float | None = None
    at_least: bool = False
    """Whether the target is the least, not the most, that the subject may have."""
    note: str = ""

    def missed(self) -> list[str] | None:
        """As for a case: what of it is missed."""
        mine = self.values.get(SUBJECT)
        if self.target is None or mine is None:
            return None
        met = mine >= self.target if self.at_least else mine <= self.target
        return [] if met else [self.title]


@dataclass
class Results:
    machine: dict[str, str]
    versions: dict[str, str]
    how: str
    """Repetitions and seconds, in words."""
    cases: list[CaseResult] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


def read(path: Path) -> Results:
    """Reads what `write` wrote. Raises KeyError or ValueError on anything else."""
    kept = json.loads(path.read_text())
    results = Results(kept["machine"], kept["versions"], kept["how"])
    for case in kept["cases"]:
        samples = {name: [Sample(**sample) for sample in found] for name, found in case.pop("samples").items()}
        results.cases.append(CaseResult(**case, samples=samples))
    results.figures = [Figure(**figure) for figure in kept["figures"]]
    return results
