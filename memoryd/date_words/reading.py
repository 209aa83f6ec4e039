"""Readings: a pattern of words, and the stretch of time that they name.

Where two overlap, the longer words win: of "the day before yesterday", "yesterday" is not read as well. Words that name
nothing keep their place all the same: of 2월 31일, 2월 is not read instead.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from memoryd.date_words.stretches import Stretch

    # What the named groups of a pattern matched; "" for those that did not, and for those that it has not.
    Words = Mapping[str, str]
    # The stretch that words name on the wall clock; None or ValueError where they name none.
    Read = Callable[[Words, datetime], Stretch | None]


@dataclass(frozen=True, slots=True)
class Reading:
    """A pattern, of a text with single spaces, and what its words mean.

    Attributes:
        hints: in small letters; a text that holds none of them has no match, and the pattern is not tried.
        pattern: compiled when it is first tried.
    """

    hints: tuple[str, ...]
    pattern: str
    read: Read


def reading(hints: Iterable[str], pattern: str, read: Read) -> Reading:
    """A reading that heeds no case, save where its pattern says `(?-i:…)`."""
    return Reading(tuple(hints), pattern, read)


def no_date(hints: Iterable[str], pattern: str) -> Reading:
    """Words that only look like a date: they name nothing, and no part of them is read."""
    return reading(hints, pattern, lambda _words, _now: None)


def any_of(words: Iterable[str]) -> str:
    """A pattern for any of the words or patterns, the longest first."""
    return f"(?:{'|'.join(sorted(words, key=len, reverse=True))})"


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern, compiled once; together they take a third of a second, which the port is not to wait for."""
    return re.compile(pattern, re.IGNORECASE)


def named(text: str, readings: Iterable[Reading], now: datetime) -> list[tuple[str, Stretch]]:
    """The words that name a stretch, and the stretch, in the order of the text.

    Args:
        now: the wall clock, without a zone.
    """
    small = text.lower()
    found = [
        (match, each.read)
        for each in readings
        if any(hint in small for hint in each.hints)
        for match in compiled(each.pattern).finditer(text)
    ]
    found.sort(key=lambda pair: (pair[0].start() - pair[0].end(), pair[0].start()))
    taken = bytearray(len(text))
    stretches: list[tuple[int, str, Stretch]] = []
    for match, read in found:
        if any(taken[match.start() : match.end()]):
            continue
        taken[match.start() : match.end()] = b"\1" * (match.end() - match.start())
        try:
            stretch = read(defaultdict(str, match.groupdict("")), now)
        except (ValueError, OverflowError):  # 2월 31일; a year that no calendar has
            continue
        if stretch is not None:
            stretches.append((match.start(), match[0].strip(), stretch))
    return [(words, stretch) for _, words, stretch in sorted(stretches, key=lambda each: each[0])]
