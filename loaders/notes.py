"""Markdown and plain text, for whatever is no conversation: a section or a group of paragraphs is a turn.

    # 일기            ┐
    ## 2026-03-15     ├─ one turn, dated        a heading with nothing under it goes with the next
    비가 왔다.        ┘
    ## 2026-03-16     ┐
    개었다.           ┘  the next turn

Text without headings is cut at blank lines, neighbours put together up to 800 characters. Every line is kept
as it is. A date that opens a heading holds for what is under it; `date:` in the front matter holds for the
rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loaders.assemble import Utterance, assemble, own_id, without_blank_edges
from loaders.base import Role, UnreadableError
from loaders.parsing import is_json, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from typing import Final

    from loaders.base import Conversation, Source

SPEAKER: Final = "note"
_GROUP_CHARACTERS: Final = 800
_HEADING: Final = re.compile(r"(#{1,6})[ \t]+(\S.*)")
_DATE: Final = re.compile(r"(\d{4})(?:-|\. ?|년 ?)(\d{1,2})(?:-|\. ?|월 ?)(\d{1,2})(?!\d)")
_FENCES: Final = ("```", "~~~")


@dataclass(frozen=True, slots=True)
class _Heading:
    """A Markdown heading and the number of the line that it stands on."""

    line: int
    level: int
    title: str


class NotesLoader:
    """Any text that no other loader knows."""

    format: Final = "notes"

    def sniff(self, source: Source) -> bool:
        """Whether the source is text and no JSON."""
        return source.text is not None and not is_json(source)

    def load(self, source: Source) -> list[Conversation]:
        """One conversation: the note, titled by its first heading."""
        lines = (source.text or "").split("\n")
        front = _front_matter_end(lines)
        date = _front_matter_date(lines[:front])
        headings = list(_headings(lines, front))
        blocks = _sections(lines, front, headings, date) if headings else _paragraphs(lines, date)
        title = headings[0].title if headings else ""
        return [assemble(own_id(source), blocks, title=title)]


def _note(lines: list[str], time: datetime | None) -> Utterance:
    return Utterance(role=Role.USER, speaker=SPEAKER, text=without_blank_edges(lines), time=time)


def _headings(lines: list[str], front: int) -> Iterator[_Heading]:
    """The headings after the front matter, those in code fences left out."""
    fence = ""
    for number, line in enumerate(lines[front:], start=front):
        if not line:
            continue
        mark = line.lstrip()[:3]
        if mark in _FENCES and fence in {"", mark}:
            fence = "" if fence else mark
        elif not fence and (match := _HEADING.match(line)):
            yield _Heading(number, len(match[1]), match[2].rstrip("# \t") or match[2])


def _sections(
    lines: list[str],
    front: int,
    headings: list[_Heading],
    date: datetime | None,
) -> Iterator[Utterance]:
    """Cut before every heading that has something said above it."""
    start, body = 0, front
    dated: tuple[int, datetime] | None = None
    for heading in headings:
        if any(map(str.strip, lines[body : heading.line])):
            yield _note(lines[start : heading.line], dated[1] if dated else date)
            start = heading.line
        body = heading.line + 1
        if (own := _date(heading.title)) is not None:
            dated = heading.level, own
        elif dated and heading.level <= dated[0]:
            dated = None
    yield _note(lines[start:], dated[1] if dated else date)


def _paragraphs(lines: list[str], date: datetime | None) -> Iterator[Utterance]:
    """Cut at blank lines where the group before would grow past its size."""
    group: list[str] = []
    size = 0
    paragraph: list[str] = []
    for line in [*lines, ""]:
        if not line and not paragraph:
            # One of many blank lines: it ends nothing.
            group.append(line)
            continue
        paragraph.append(line)
        if line.strip():
            continue
        added = sum(map(len, paragraph))
        if group and size + added > _GROUP_CHARACTERS:
            yield _note(group, date)
            group, size = [], 0
        group += paragraph
        size += added
        paragraph = []
    yield _note(group, date)


def _front_matter_end(lines: list[str]) -> int:
    """The number of lines in the front matter (YAML between `---` lines at the very top), 0 without one."""
    if lines[0].rstrip() != "---":
        return 0
    closing = (number for number, line in enumerate(lines) if number and line.rstrip() == "---")
    return next(closing, -1) + 1


def _front_matter_date(lines: list[str]) -> datetime | None:
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip().lower() == "date":
            try:
                return parse_time(value.strip().strip("\"'"))
            except UnreadableError:
                return _date(value.strip())
    return None


def _date(text: str) -> datetime | None:
    """The day that the text opens with, at midnight here: `2026-03-15`, `2026. 3. 15`, `2026년 3월 15일`."""
    match = _DATE.match(text)
    if match is None:
        return None
    try:
        return parse_time(f"{match[1]}-{int(match[2]):02}-{int(match[3]):02}")
    except UnreadableError:
        return None
