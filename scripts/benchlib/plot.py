"""Draws footbridge's CPU time per request as a part of each peer's: bars, by hand, in SVG.

The picture brings its own ground and follows the reader's light or dark scheme.
"""

from __future__ import annotations

import statistics
from html import escape

from .report import label
from .results import SUBJECT, CaseResult, Results

# Bars are drawn for these, in this order, where they ran.
PEERS = ("nginx", "haproxy", "caddy")

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 760, 300, 50, 74, 48
BAR, GAP = 11, 10

# A ratio beyond this is cut off: it says "worse" long before.
MOST = 1.5

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.ground { fill: #ffffff; stroke: #d0d7de }
.title { font-size: 15px; font-weight: 600 }
.small { font-size: 11px; fill: #57606a }
.value { font-size: 11px; paint-order: stroke; stroke: #ffffff; stroke-width: 4px }
.even { stroke: #57606a; stroke-dasharray: 4 3 }
.nginx { fill: #1a7f37 }
.haproxy { fill: #0969da }
.caddy { fill: #8250df }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .ground { fill: #0d1117; stroke: #30363d }
  .small { fill: #9198a1 }
  .value { stroke: #0d1117 }
  .even { stroke: #9198a1 }
  .nginx { fill: #3fb950 }
  .haproxy { fill: #4493f8 }
  .caddy { fill: #ab7df8 }
}
"""


def svg(results: Results) -> str:
    """The whole picture. Raises ValueError when there is no ratio to draw."""
    cases = [case for case in results.cases if peers_of(case)]
    if not cases:
        raise ValueError("no ratio to draw: footbridge and a peer must both have run")
    parts, y = [], TOP
    for case in cases:
        parts.append(case_bars(case, y))
        y += len(peers_of(case)) * BAR + GAP
    height = y + BOTTOM
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    title = "CPU time per request: footbridge as a part of each peer's"
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">', f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>",
        f'<rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="6"/>',
        text(16, 26, title, "title"), legend(cases), even_line(y), *parts,
        *(text(16, height - 28 + 16 * line, words, "small") for line, words in enumerate(caption(results))), "</svg>", "",
    ])


def peers_of(case: CaseResult) -> list[str]:
    return [peer for peer in PEERS if case.ratios(peer)]


def case_bars(case: CaseResult, y: int) -> str:
    peers = peers_of(case)
    lines = [text(LEFT - 8, y + len(peers) * BAR / 2 + 4, case.title, anchor="end")]
    for peer in peers:
        ratio = statistics.median(case.ratios(peer))
        end = x_of(min(ratio, MOST))
        lines.append(f'<rect class="{peer}" x="{LEFT}" y="{y + 1}" width="{end - LEFT:.1f}" height="{BAR - 2}" rx="1"/>')
        lines.append(text(end + 4, y + BAR - 2, f"{ratio:.2f}", "value"))
        y += BAR
    return "\n".join(lines)


def legend(cases: list[CaseResult]) -> str:
    lines, x = [], 16
    for peer in PEERS:
        if any(peer in peers_of(case) for case in cases):
            lines.append(f'<rect class="{peer}" x="{x}" y="40" width="10" height="10" rx="2"/>')
            lines.append(text(x + 15, 49, f"÷ {label(peer)}"))
            x += 95
    return "\n".join(lines)


def even_line(bottom: float) -> str:
    x = x_of(1.0)
    line = f'<line class="even" x1="{x}" x2="{x}" y1="{TOP - 6}" y2="{bottom}"/>'
    return line + "\n" + text(x, TOP - 12, "1.0: equal", "small", "middle")


def caption(results: Results) -> tuple[str, str]:
    versions = ", ".join(f"{label(name)} {results.versions[name]}" for name in (SUBJECT, *PEERS) if name in results.versions)
    return (
        f"Less is better. One and the same core for each, medians of interleaved runs, {results.machine.get('date', '')}.",
        versions,
    )


def x_of(ratio: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * ratio / MOST


def text(x: float, y: float, words: str, style: str = "", anchor: str = "start") -> str:
    name = f' class="{style}"' if style else ""
    return f'<text{name} x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(words)}</text>'
