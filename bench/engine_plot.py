"""The engine's picture for the README: first tokens and tokens a second beside the other servers', as SVG by hand.

It carries its own colours for a light and a dark page. Lengths are logarithmic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WIDTH = 880
LEFT, RIGHT = 190, 96
BAR, GAP, GROUP_GAP, HEADING = 20, 6, 30, 30
TOP = 62
STYLE = """\
svg { color-scheme: light dark; }
text { font: 14px system-ui, -apple-system, "Segoe UI", "Noto Sans", sans-serif; fill: #1f2328; }
.title { font-size: 18px; font-weight: 600; }
.heading { font-weight: 600; }
.note, .tick { fill: #59636e; font-size: 12px; }
.value { font-variant-numeric: tabular-nums; font-weight: 600; }
.grid { stroke: #d1d9e0; stroke-width: 1; }
.s0 { fill: #0969da; }
.s1 { fill: #bc4c00; }
.s2 { fill: #8250df; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .note, .tick { fill: #9198a1; }
  .grid { stroke: #3d444d; }
  .s0 { fill: #4493f8; }
  .s1 { fill: #f0883e; }
  .s2 { fill: #ab7df8; }
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Bars of one figure.

    Attributes:
        heading: what is measured.
        note: which way is good.
        unit: after each value.
        values: one a server, in the legend's order; None where it wasn't measured.
    """

    heading: str
    note: str
    unit: str
    values: tuple[float | None, ...]


def draw(title: str, note: str, servers: Sequence[str], groups: Sequence[Group]) -> str:
    """The picture: a heading, then bars for each server, the shortest bar a little longer than nothing."""
    parts: list[str] = []
    y = TOP
    for group in groups:
        lines, y = _group(group, servers, y)
        parts += lines
        y += GROUP_GAP
    height = y - GROUP_GAP + 18
    label = escape(f"{title}. {note}", quote=True)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            f'width="{WIDTH}" height="{height}" aria-label="{label}">',
            f"<style>\n{STYLE}\n</style>",
            f'<text class="title" x="16" y="28">{escape(title)}</text>',
            f'<text class="note" x="16" y="47">{escape(note)}</text>',
            *parts,
            "</svg>\n",
        ]
    )


def scale(values: Sequence[float]) -> tuple[float, float]:
    """Powers of ten around the values, as exponents: where a logarithmic axis begins and ends."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    if math.log10(min(values)) - low < 0.2:  # else the best bar would hardly be seen
        low -= 1
    return low, max(high, low + 1)


def _group(group: Group, servers: Sequence[str], y: float) -> tuple[list[str], float]:
    measured = [value for value in group.values if value]
    low, high = scale(measured) if measured else (0.0, 1.0)
    inner = WIDTH - LEFT - RIGHT

    def place(value: float) -> float:
        return LEFT + inner * (math.log10(value) - low) / (high - low)

    lines = [
        f'<text x="16" y="{y + 16}"><tspan class="heading">{escape(group.heading)}</tspan>'
        f'<tspan class="note" dx="10">{escape(group.note)}</tspan></text>'
    ]
    y += HEADING
    bottom = y + len(servers) * (BAR + GAP)
    for exponent in range(int(low), int(high) + 1):
        x = round(place(10.0**exponent), 1)
        lines.append(f'<line class="grid" x1="{x}" y1="{y - 4}" x2="{x}" y2="{bottom}"/>')
        tick = f"{10.0**exponent:g} {group.unit}"
        lines.append(f'<text class="tick" x="{x}" y="{bottom + 13}" text-anchor="middle">{tick}</text>')
    for number, (server, value) in enumerate(zip(servers, group.values, strict=True)):
        lines += _bar(number, server, value, group.unit, y, place(value) if value else LEFT)
        y += BAR + GAP
    return lines, y + 10


def _bar(number: int, server: str, value: float | None, unit: str, y: float, end: float) -> Iterator[str]:
    base = y + BAR - 5
    yield f'<text x="{LEFT - 10}" y="{base}" text-anchor="end">{escape(server)}</text>'
    width = round(max(end - LEFT, 2), 1)
    if value:
        yield f'<rect class="s{number}" x="{LEFT}" y="{y}" width="{width}" height="{BAR}" rx="3"/>'
    shown = f"{value:.3g} {unit}" if value else "not measured"
    yield f'<text class="value" x="{round(LEFT + width + 8, 1)}" y="{base}">{shown}</text>'
