"""Amounts of time: exact for a few days, and wider the longer they are."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memoryd.date_words.amounts import Amount, Unit, ago, beside, half_more, within
from memoryd.date_words.stretches import Stretch, days

NOW = datetime.fromisoformat("2026-03-12T15:00")


@given(st.integers(1, 5))
def test_a_few_days_ago_is_that_very_day(count: int) -> None:
    assert ago(NOW, Amount(count, count, Unit.DAY)) == days(NOW.date() - timedelta(days=count))


@given(st.sampled_from([Unit.DAY, Unit.WEEK, Unit.MONTH, Unit.YEAR]), st.integers(1, 60), st.integers(0, 10))
def test_longer_ago_is_wider_and_holds_all_that_was_said(unit: Unit, count: int, more: int) -> None:
    near, far = ago(NOW, Amount(count, count, unit)), ago(NOW, Amount(count + more, count + more, unit))
    assert near.until - near.since <= far.until - far.since + timedelta(days=3)  # months differ by so much
    both = ago(NOW, Amount(count, count + more, unit))
    assert both == Stretch(far.since, near.until)


@pytest.mark.parametrize(("unit", "slack"), [(Unit.WEEK, 2), (Unit.MONTH, 10), (Unit.YEAR, 91)])
def test_one_of_a_unit_is_off_by_something(unit: Unit, slack: int) -> None:
    stretch = ago(NOW, Amount(1, 1, unit))
    assert stretch.until - stretch.since == timedelta(days=2 * slack + 1)


def test_hours_are_counted_from_the_minute() -> None:
    hours = ago(NOW, Amount(8, 8, Unit.HOUR))
    assert (hours.since.isoformat(), hours.until.isoformat()) == (
        "2026-03-12T05:00:00",
        "2026-03-12T09:00:00",
    )
    assert within(NOW, Amount(8, 8, Unit.HOUR)) == Stretch(NOW - timedelta(hours=8), NOW)


def test_the_last_week_is_seven_days_and_today() -> None:
    assert within(NOW, Amount(1, 1, Unit.WEEK)) == days(date(2026, 3, 5), 8)


def test_days_beside_a_day_are_counted_to_either_side() -> None:
    christmas = date(2025, 12, 25)
    assert beside(christmas, Amount(2, 2, Unit.DAY), -1) == days(date(2025, 12, 23))
    assert beside(christmas, Amount(2, 3, Unit.DAY), 1) == days(date(2025, 12, 27), 2)
    with pytest.raises(ValueError, match="hours"):
        beside(christmas, Amount(2, 2, Unit.HOUR), 1)


@pytest.mark.parametrize(
    ("amount", "more"),
    [
        (Amount(1, 1, Unit.YEAR), Amount(18, 18, Unit.MONTH)),
        (Amount(1, 2, Unit.MONTH), Amount(45, 75, Unit.DAY)),
        (Amount(2, 2, Unit.WEEK), Amount(17, 17, Unit.DAY)),
        (Amount(3, 3, Unit.HOUR), Amount(3, 3, Unit.HOUR)),
    ],
)
def test_half_a_unit_more_is_counted_in_a_finer_one(amount: Amount, more: Amount) -> None:
    assert half_more(amount) == more
