"""The engine's picture for the README: first tokens and tokens a second beside the other servers', as SVG by hand.

It carries its own colours for a light and a dark page.
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
NEARLY_NOTHING = 0.2  # of a decade: a shorter bar would hardly be seen
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
        values: one a server, in the order of the servers; None where it wasn't measured.
        logarithmic: whether a length is a power of ten; else it begins at nothing.
    """

    heading: str
    note: str
    unit: str
    values: tuple[float | None, ...]
    logarithmic: bool = True


def draw(title: str, note: str, servers: Sequence[str], groups: Sequence[Group]) -> str:
    """The picture: a heading, then bars for each server, the shortest bar a little longer than nothing."""
    parts: list[str] = []
    y: float = TOP
    for group in groups:
        lines, y = _group(group, servers, y)
        parts += lines
        y += GROUP_GAP
    height = y - GROUP_GAP + 18
    label = escape(f"{title}. {note}", quote=True)
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{label}">',
            f"<style>\n{STYLE}\n</style>",
            f'<text class="title" x="16" y="28">{escape(title)}</text>',
            f'<text class="note" x="16" y="47">{escape(note)}</text>',
            *parts,
            "</svg>\n",
        ]
    )


@dataclass(frozen=True, slots=True)
class Axis:
    """Where values lie between an axis' beginning (0) and end (1), and the marks on it."""

    ticks: tuple[float, ...]
    logarithmic: bool

    @classmethod
    def around(cls, values: Sequence[float], *, logarithmic: bool) -> Axis:
        """An axis with round marks that holds the values; a logarithmic one has the powers of ten as marks."""
        if not values:
            return cls((0.0, 1.0), logarithmic=False)
        if not logarithmic:
            power = 10.0 ** math.floor(math.log10(max(values)))
            step = next(power * part for part in (0.25, 0.5, 1.0, 2.5) if max(values) <= 4 * power * part)
            return cls(tuple(step * number for number in range(math.ceil(max(values) / step) + 1)), False)
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        if math.log10(min(values)) - low < NEARLY_NOTHING:
            low -= 1
        return cls(tuple(10.0**exponent for exponent in range(low, max(high, low + 1) + 1)), True)

    def place(self, value: float) -> float:
        """0 to 1."""
        first, last, at = self.ticks[0], self.ticks[-1], value
        if self.logarithmic:
            first, last, at = math.log10(first), math.log10(last), math.log10(value)
        return (at - first) / (last - first)


def _group(group: Group, servers: Sequence[str], y: float) -> tuple[list[str], float]:
    axis = Axis.around([value for value in group.values if value], logarithmic=group.logarithmic)
    inner = WIDTH - LEFT - RIGHT
    heading = f'<tspan class="heading">{escape(group.heading)}</tspan>'
    note = f'<tspan class="note" dx="10">{escape(group.note)}</tspan>'
    lines = [f'<text x="16" y="{y + 16}">{heading}{note}</text>']
    y += HEADING
    bottom = y + len(servers) * (BAR + GAP)
    for value in axis.ticks:
        x = round(LEFT + inner * axis.place(value), 1)
        lines.append(f'<line class="grid" x1="{x}" y1="{y - 4}" x2="{x}" y2="{bottom}"/>')
        tick = f"{value:g} {group.unit}"
        lines.append(f'<text class="tick" x="{x}" y="{bottom + 13}" text-anchor="middle">{tick}</text>')
    for number, (server, each) in enumerate(zip(servers, group.values, strict=True)):
        end = LEFT + inner * axis.place(each) if each else LEFT
        lines += _bar(number, server, each, group.unit, y=y, end=end)
        y += BAR + GAP
    return lines, y + 10


def _bar(number: int, server: str, value: float | None, unit: str, *, y: float, end: float) -> Iterator[str]:
    base = y + BAR - 5
    yield f'<text x="{LEFT - 10}" y="{base}" text-anchor="end">{escape(server)}</text>'
    width = round(max(end - LEFT, 2), 1)
    if value:
        yield f'<rect class="s{number}" x="{LEFT}" y="{y}" width="{width}" height="{BAR}" rx="3"/>'
    shown = f"{value:.3g} {unit}" if value else "not measured"
    yield f'<text class="value" x="{round(LEFT + width + 8, 1)}" y="{base}">{shown}</text>'
