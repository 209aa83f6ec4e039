"""Which year a month, a day, a season or a feast without a year belongs to.

latest   the last one that has begun                                    "3월", "in March"
over     the last one that has ended                                    "지난 추석", "last summer"
this     this year's, or last year's while that lasts or is fresh       "이번 겨울", "this Christmas"
coming   the first one that has not begun                               "다음 설", "next spring"
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from memoryd.date_words.stretches import Stretch

    # What there is of it in a year; ValueError where that year has none.
    OfYear = Callable[[int], Stretch]

# "This winter" and "이번 설" still mean what ended so long ago.
FRESH = timedelta(days=60)
# From one February 29th to the next it is eight years at most.
YEARS_BACK = 8


def latest(of_year: OfYear, now: datetime) -> Stretch:
    """The last one that has begun."""
    return _first(stretch for stretch in _latest_first(of_year, now) if stretch.since <= now)


def over(of_year: OfYear, now: datetime) -> Stretch:
    """The last one that has ended."""
    return _first(stretch for stretch in _latest_first(of_year, now) if stretch.until <= now)


def this(of_year: OfYear, now: datetime) -> Stretch:
    """This year's, or last year's while that lasts or has only just ended."""
    recent = latest(of_year, now)
    return recent if now - recent.until < FRESH else of_year(now.year)


def coming(of_year: OfYear, now: datetime) -> Stretch:
    """The first one that has not begun."""
    return _first(reversed([stretch for stretch in _latest_first(of_year, now) if stretch.since > now]))


def _latest_first(of_year: OfYear, now: datetime) -> Iterator[Stretch]:
    for year in range(now.year + 1, now.year - YEARS_BACK - 1, -1):
        try:
            yield of_year(year)
        except ValueError:  # no February 29th in this one
            continue


def _first(stretches: Iterable[Stretch]) -> Stretch:
    for stretch in stretches:
        return stretch
    raise ValueError("no year has it")
