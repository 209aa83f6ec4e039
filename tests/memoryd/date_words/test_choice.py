"""Which year is meant: the latest, the last that is over, this one, the coming one."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

import pytest

from memoryd.date_words.choice import coming, latest, over, this
from memoryd.date_words.stretches import SUMMER, WINTER, Stretch, days, month, season

if TYPE_CHECKING:
    from collections.abc import Callable

    from memoryd.date_words.choice import OfYear


def march(year: int) -> Stretch:
    return month(year, 3)


def winter(year: int) -> Stretch:
    return season(year, WINTER)


def summer(year: int) -> Stretch:
    return season(year, SUMMER)


def leap_day(year: int) -> Stretch:
    return days(date(year, 2, 29))


@pytest.mark.parametrize(
    ("choice", "of_year", "now", "since"),
    [
        (latest, march, "2026-03-12", "2026-03-01"),
        (latest, march, "2026-02-12", "2025-03-01"),
        (latest, winter, "2026-01-05", "2025-12-01"),
        (latest, leap_day, "2026-03-12", "2024-02-29"),
        (latest, leap_day, "1903-12-31", "1896-02-29"),
        (over, march, "2026-03-12", "2025-03-01"),
        (over, march, "2026-04-01", "2026-03-01"),
        (over, winter, "2026-01-05", "2024-12-01"),
        (this, march, "2026-01-05", "2026-03-01"),
        (this, winter, "2026-01-05", "2025-12-01"),
        (this, winter, "2026-03-12", "2025-12-01"),
        (this, winter, "2026-07-12", "2026-12-01"),
        (this, summer, "2026-03-12", "2026-06-01"),
        (coming, march, "2026-03-12", "2027-03-01"),
        (coming, march, "2026-01-12", "2026-03-01"),
    ],
)
def test_the_year_that_is_meant(
    choice: Callable[[OfYear, datetime], Stretch], of_year: OfYear, now: str, since: str
) -> None:
    assert choice(of_year, datetime.fromisoformat(now)).since == datetime.fromisoformat(since)


@pytest.mark.parametrize("choice", [latest, over, this, coming])
def test_what_no_year_has_is_not_found(choice: Callable[[OfYear, datetime], Stretch]) -> None:
    with pytest.raises(ValueError, match="no year has it"):
        choice(lambda year: days(date(year, 2, 31)), datetime.fromisoformat("2026-03-12"))
