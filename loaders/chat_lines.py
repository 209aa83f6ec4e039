"""What chats exported as text share: a line with a stamp opens a message, and the lines below it go on with it.

[15/03/24, 21:04:05] 지훈: 내일 보자     ┐
여섯 시에.                               ┘ one message
[15/03/24, 21:05:10] 수민: 좋아.           the next
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from loaders.assemble import Utterance, without_blank_edges
from loaders.base import Role
from loaders.parsing import wall_clock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
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


def utterances(lines: Sequence[str], openings: Sequence[Opening]) -> list[Utterance]:
    """Every message with all lines down to the next one; a message without words says so."""
    ends = [*(opening.line for opening in openings[1:]), len(lines)]
    return [
        Utterance(
            role=opening.role,
            speaker=opening.speaker or None,
            time=opening.time,
            text=without_blank_edges([opening.text, *lines[opening.line + 1 : end]]) or NO_TEXT,
        )
        for opening, end in zip(openings, ends[: len(openings)], strict=True)
    ]


def time_at(day: tuple[int, int, int] | None, clock: re.Match[str]) -> datetime | None:
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
