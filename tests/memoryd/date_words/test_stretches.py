"""The calendar: months of every length, weeks over the turn of a year, and parts of them."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memoryd.date_words.stretches import (
    WINTER,
    Part,
    Stretch,
    days,
    hours,
    latest_day_of_month,
    month,
    season,
    shift_months,
    week,
    week_of_month,
    weekday_before,
    weekday_from,
    year_of,
)

DATES = st.dates(date(1900, 1, 1), date(2100, 12, 31))


def between(since: str, until: str) -> Stretch:
    return Stretch(datetime.fromisoformat(since), datetime.fromisoformat(until))


@pytest.mark.parametrize(
    ("day", "months", "shifted"),
    [
        ("2026-03-31", -1, "2026-02-28"),
        ("2024-03-31", -1, "2024-02-29"),
        ("2026-01-15", -1, "2025-12-15"),
        ("2026-12-31", 1, "2027-01-31"),
        ("2026-11-30", 3, "2027-02-28"),
        ("2026-03-12", 0, "2026-03-12"),
        ("2026-03-12", -27, "2023-12-12"),
    ],
)
def test_a_month_earlier_or_later_is_the_same_day_or_the_months_last(
    day: str, months: int, shifted: str
) -> None:
    assert shift_months(date.fromisoformat(day), months) == date.fromisoformat(shifted)


def test_hours_may_reach_into_the_next_morning() -> None:
    assert hours(date(2026, 12, 31), 18, 30) == between("2026-12-31T18:00", "2027-01-01T06:00")


def test_a_week_is_monday_to_sunday_over_the_turn_of_a_year() -> None:
    new_year = datetime.fromisoformat("2026-01-01T12:00")
    assert week(new_year) == between("2025-12-29", "2026-01-05")
    assert week(new_year, -1, Part.LATE) == between("2025-12-25", "2025-12-29")


@given(DATES, st.integers(0, 6))
def test_weekdays_before_and_from_a_day_are_at_most_a_week_away(day: date, weekday: int) -> None:
    before, after = weekday_before(day, weekday).since.date(), weekday_from(day, weekday).since.date()
    assert before.weekday() == after.weekday() == weekday
    assert timedelta(days=1) <= day - before <= timedelta(days=7)
    assert after - before == timedelta(days=7)


@given(st.integers(1900, 2100), st.integers(1, 12))
def test_the_parts_of_a_month_are_the_month(year: int, number: int) -> None:
    whole = month(year, number)
    early, middle, late = (month(year, number, part) for part in (Part.EARLY, Part.MIDDLE, Part.LATE))
    assert (early.since, early.until, middle.until, late.until) == (
        whole.since,
        middle.since,
        late.since,
        whole.until,
    )


def test_the_weeks_of_a_month_are_its_sevens_of_days() -> None:
    assert week_of_month(2026, 2, 1) == between("2026-02-01", "2026-02-08")
    assert week_of_month(2026, 3, 5) == between("2026-03-29", "2026-04-01")
    assert week_of_month(2026, 3, 0) == between("2026-03-25", "2026-04-01")


def test_a_winter_belongs_to_the_year_that_it_begins_in() -> None:
    assert season(2023, WINTER) == between("2023-12-01", "2024-03-01")


@pytest.mark.parametrize(
    ("part", "since", "until"),
    [
        (None, "2025-01-01", "2026-01-01"),
        (Part.EARLY, "2025-01-01", "2025-04-01"),
        (Part.MIDDLE, "2025-05-01", "2025-09-01"),
        (Part.LATE, "2025-10-01", "2026-01-01"),
        (Part.FIRST_HALF, "2025-01-01", "2025-07-01"),
        (Part.SECOND_HALF, "2025-07-01", "2026-01-01"),
    ],
)
def test_a_year_and_its_parts(part: Part | None, since: str, until: str) -> None:
    assert year_of(2025, part) == between(since, until)


@given(DATES, st.integers(1, 31))
def test_the_latest_day_of_a_month_is_at_most_two_months_ago(day: date, number: int) -> None:
    now = datetime.combine(day, datetime.min.time())
    found = latest_day_of_month(now, number)
    assert found == days(found.since.date())
    assert found.since.day == number
    assert timedelta() <= now - found.since <= timedelta(days=61)


@pytest.mark.parametrize("number", [0, 32])
def test_no_month_has_a_day_beyond_31_or_before_1(number: int) -> None:
    with pytest.raises(ValueError, match=r"no month|out of range|must be in"):
        latest_day_of_month(datetime.fromisoformat("2026-03-12"), number)
