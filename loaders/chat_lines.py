"""What chats exported as text share: a line with a stamp opens a message, and the lines below it go on with it.

[15/03/24, 21:04:05] 지훈: 내일 보자     ┐
여섯 시에.                               ┘ one message
[15/03/24, 21:05:10] 수민: 좋아.           the next
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from loaders.assemble import Utterance, without_blank_edges
from loaders.base import Role
from loaders.parsing import wall_clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Final

    Day = tuple[int, int, int]

# A time of day as telephones write it: `21:04`, `21:04:05`, `9.04`, `오후 9:04`, `9:04 PM`, `9:04 p. m.`
CLOCK: Final = (
    r"(?:(?P<before>오전|오후|[AaPp][Mm])\s)?(?P<hour>\d{1,2})[:.](?P<minute>\d{2})(?:[:.](?P<second>\d{2}))?"
    r"(?:\s?(?P<after>[AaPp]\.?\s?[Mm]\.?|오전|오후))?"
)
# Marks of writing direction and the byte order mark: they show nothing, and open lines that apps wrote.
MARKS: Final = (
    "\N{LEFT-TO-RIGHT MARK}\N{RIGHT-TO-LEFT MARK}\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
)
NO_TEXT: Final = "[no text]"

_LOG_WORDS: Final = frozenset(
    {"error", "warning", "warn", "info", "debug", "critical", "fatal", "notice", "panic"}
)
_WORD: Final = re.compile(r"[A-Za-z]+")


class Opening(NamedTuple):  # a long chat has a million, and a tuple is made in half the time
    """A line that opens a message.

    Attributes:
        line: 0-based place in the file.
        text: what the same line says after the stamp and the name.
        speaker: None where the app itself speaks.
    """

    line: int
    text: str
    speaker: str | None
    role: Role = Role.USER
    time: datetime | None = None


def utterances(lines: Sequence[str], openings: Iterable[Opening]) -> Iterator[Utterance]:
    """Every message with all lines down to the next one; a message without words says so.

    The openings are taken one at a time, and none is kept: a million of them at once would keep Python's
    garbage collector busy for as long as all the rest takes.
    """
    before: Opening | None = None
    for opening in openings:
        if before is not None:
            yield _utterance(before, lines, opening.line)
        before = opening
    if before is not None:
        yield _utterance(before, lines, len(lines))


def _utterance(opening: Opening, lines: Sequence[str], end: int) -> Utterance:
    text = opening.text
    if end > opening.line + 1:
        text = without_blank_edges([text, *lines[opening.line + 1 : end]])
    return Utterance(
        role=opening.role,
        speaker=opening.speaker or None,
        time=opening.time,
        text=text if text.strip() else NO_TEXT,
    )


class Times:
    """The times of one file, each worked out once: in a chat many messages share a minute."""

    def __init__(self) -> None:
        self._known: dict[tuple[Day, tuple[str | None, ...]], datetime | None] = {}

    def at(self, day: Day | None, clock: re.Match[str]) -> datetime | None:
        """What `time_at` says."""
        if day is None:
            return None
        key = day, clock.group("before", "after", "hour", "minute", "second")
        try:
            return self._known[key]
        except KeyError:
            return self._known.setdefault(key, time_at(day, clock))


def time_at(day: Day | None, clock: re.Match[str]) -> datetime | None:
    """The time of a day (year, month, day) and a match of `CLOCK`, or None where there is no such time."""
    if day is None:
        return None
    half = (clock["before"] or clock["after"] or "")[:2].casefold()
    hour = int(clock["hour"])
    if half and hour <= 12:
        hour = hour % 12 + (12 if half[0] == "p" or half == "오후" else 0)
    try:
        time = datetime(*day, hour, int(clock["minute"]), int(clock["second"] or 0))  # noqa: DTZ001 - a wall clock's
    except (ValueError, OverflowError):
        return None
    return wall_clock(time)


def is_log_source(name: str) -> bool:
    """Whether what stands where a name would is a log's level: `ERROR`, `[main] INFO`, `production.WARNING`."""
    words = _WORD.findall(name[:200])
    return any(word.isupper() and word.casefold() in _LOG_WORDS for word in words) or (
        len(words) == 1 and words[0].casefold() in _LOG_WORDS
    )
