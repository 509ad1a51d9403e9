"""Markdown tables of what a run found, with footbridge's ratio to each peer and a verdict per target."""

from __future__ import annotations

import statistics

from .results import RIVALS, SUBJECT, CaseResult, Figure, Results

LABELS = {
    "nginx": "nginx", "haproxy": "HAProxy", "caddy": "Caddy",
    "relay": "bare relay",
    "nginx-tuned": "nginx, larger buffers", "haproxy-splice": "HAProxy, splicing",
}
NOTHING = "–"


def markdown(results: Results) -> str:
    parts = [heading(results)]
    if results.cases:
        parts += [cpu_table(results.cases), latency_table(results.cases)]
    if results.figures:
        parts.append(figure_table(results.figures))
    parts += [notes(results), summary(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def heading(results: Results) -> str:
    lines = [f"- {name}: {value}" for name, value in results.machine.items()]
    lines.append("- versions: " + ", ".join(f"{name} {value}" for name, value in results.versions.items()))
    lines.append(f"- {results.how}")
    return "\n".join(lines)


def cpu_table(cases: list[CaseResult]) -> str:
    """CPU time per request, and the ratios that the targets are held against."""
    names = proxies_of(cases)
    others = [name for name in names if name != SUBJECT] if SUBJECT in names else []
    header = ["CPU µs per request", *map(label, names), *(f"÷ {label(name)}" for name in others), "target", ""]
    rows = []
    for case in cases:
        row = [case.title]
        row += [number(case.median(name, "cpu_us")) if case.samples.get(name) else NOTHING for name in names]
        row += [ratio_text(case.ratios(name)) for name in others]
        row += [target_text(case), verdict(case)]
        rows.append(row)
    return table(header, rows)


def latency_table(cases: list[CaseResult]) -> str:
    names = proxies_of(cases)
    rivals = [name for name in RIVALS if SUBJECT in names and name in names]
    header = ["requests/s · p50 ms · p99 ms", *map(label, names), *(f"p99 ÷ {label(name)}" for name in rivals)]
    rows = []
    for case in cases:
        row = [case.title]
        row += [load_text(case, name) if case.samples.get(name) else NOTHING for name in names]
        row += [ratio_text(case.ratios(name, "p99_us")) for name in rivals]
        rows.append(row)
    return table(header, rows)


def figure_table(figures: list[Figure]) -> str:
    names = list(dict.fromkeys(name for figure in figures for name in figure.values))
    rows = []
    for figure in figures:
        title = f"{figure.title}, {figure.unit}" if figure.unit else figure.title
        row = [title]
        row += [number(figure.values[name]) if name in figure.values else NOTHING for name in names]
        sign = "≥" if figure.at_least else "≤"
        row += [f"{sign} {figure.target:g}" if figure.target is not None else "", verdict(figure)]
        rows.append(row)
    return table(["", *map(label, names), "target", ""], rows)


def notes(results: Results) -> str:
    """What the tables do not show: failed requests, and remarks of the figures."""
    lines = [f"- {figure.title}: {figure.note}" for figure in results.figures if figure.note]
    for case in results.cases:
        for name, samples in case.samples.items():
            failed = sum(sample.errors for sample in samples)
            if failed:
                lines.append(f"- **{case.title}: {label(name)} failed {failed:,} requests**")
    return "\n".join(lines)


def summary(results: Results) -> str:
    judged = [item for item in [*results.cases, *results.figures] if item.missed() is not None]
    missed = [item.title for item in judged if item.missed()]
    if not judged:
        return ""
    text = f"{len(judged) - len(missed)} of {len(judged)} lines with a target meet it."
    return text + (f" Not: {'; '.join(missed)}." if missed else "")


def proxies_of(cases: list[CaseResult]) -> list[str]:
    """Every proxy of any case, in the order of their first turn."""
    return list(dict.fromkeys(name for case in cases for name in case.samples))


def label(name: str) -> str:
    return LABELS.get(name, name)


def number(value: float) -> str:
    """Three figures at least, with thousands marked: 0.71, 12.5, 1,204."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def load_text(case: CaseResult, name: str) -> str:
    p50, p99 = (case.median(name, what) / 1000 for what in ("p50_us", "p99_us"))
    return f"{number(case.median(name, 'rate'))} · {number(p50)} · {number(p99)}"


def ratio_text(ratios: list[float]) -> str:
    """The median, and half of what lies between the least and the greatest."""
    if not ratios:
        return NOTHING
    return f"{statistics.median(ratios):.2f} ±{(max(ratios) - min(ratios)) / 2:.2f}"


def target_text(case: CaseResult) -> str:
    if case.target is None:
        return ""
    return f"≤ {case.target:.2f}" + (", p99 ≤ 1.00" if case.p99_target else "")


def verdict(item: CaseResult | Figure) -> str:
    missed = item.missed()
    if missed is None:
        return ""
    what = " " + ", ".join(missed) if isinstance(item, CaseResult) else ""
    return f"**missed{what}**" if missed else "met"


def table(header: list[str], rows: list[list[str]]) -> str:
    """Padded, so that it can be read in a terminal too."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    rule = ["-" * widths[0], *("-" * max(1, width - 1) + ":" for width in widths[1:])]
    lines = []
    for row in [header, rule, *rows]:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
