"""Feasts: their days, the rows of days off that they lie in, and what lies beside them."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from memoryd.date_words.amounts import Amount, Unit
from memoryd.date_words.feasts import (
    AFTER,
    BEFORE,
    BUDDHAS_BIRTHDAY,
    CHRISTMAS,
    CHUSEOK,
    EASTER,
    SEOLLAL,
    THANKSGIVING,
    Feast,
    Mention,
)
from memoryd.date_words.stretches import days

FRIDAY = 4


@pytest.mark.parametrize(
    ("feast", "day"),
    [
        (SEOLLAL, "2024-02-10"),
        (SEOLLAL, "2025-01-29"),
        (SEOLLAL, "2026-02-17"),
        (CHUSEOK, "2009-10-03"),  # on the same day as 개천절
        (CHUSEOK, "2025-10-06"),
        (CHUSEOK, "2026-09-25"),
        (BUDDHAS_BIRTHDAY, "2010-05-21"),  # it had another name then
        (BUDDHAS_BIRTHDAY, "2025-05-05"),  # on the same day as 어린이날
        (EASTER, "2026-04-05"),
        (THANKSGIVING, "2026-11-26"),
        (CHRISTMAS, "2026-12-25"),
    ],
)
def test_a_feast_has_its_day_in_a_year(feast: Feast, day: str) -> None:
    assert feast.day(date.fromisoformat(day).year) == date.fromisoformat(day)


def test_a_year_whose_moon_is_not_known_has_no_such_feast() -> None:
    with pytest.raises(ValueError, match="no 설날 in 2300"):
        SEOLLAL.day(2300)


@pytest.mark.parametrize(
    ("year", "first", "count"),
    [(2025, "2025-10-03", 7), (2017, "2017-09-30", 10), (2024, "2024-09-14", 5)],
)
def test_the_days_off_about_a_feast_are_a_row(year: int, first: str, count: int) -> None:
    """In 2025 from 개천절 to 한글날, with a weekend and a substitute day between them."""
    assert Mention(feast=CHUSEOK, days_off=True).of_year(year) == days(date.fromisoformat(first), count)


def test_what_lies_beside_a_feast() -> None:
    christmas = date(2025, 12, 25)
    before, after = Mention(feast=CHRISTMAS, side=BEFORE), Mention(feast=CHRISTMAS, side=AFTER)
    assert before.of_year(2025) == days(christmas - timedelta(days=21), 21)
    assert after.of_year(2025) == days(christmas + timedelta(days=1), 21)


def test_a_weekday_beside_a_feast_is_the_nearest_one() -> None:
    assert Mention(feast=CHRISTMAS, side=BEFORE, weekday=FRIDAY).of_year(2025) == days(date(2025, 12, 19))
    assert Mention(feast=CHRISTMAS, side=AFTER, weekday=FRIDAY).of_year(2025) == days(date(2025, 12, 26))


def test_an_amount_beside_a_feast_is_counted_from_it() -> None:
    three_days = Amount(3, 3, Unit.DAY)
    assert Mention(feast=CHRISTMAS, side=BEFORE, amount=three_days).of_year(2025) == days(date(2025, 12, 22))
    assert Mention(feast=CHRISTMAS, side=AFTER, amount=three_days).of_year(2025) == days(date(2025, 12, 28))
