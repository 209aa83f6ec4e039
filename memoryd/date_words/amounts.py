"""Amounts of time ("사흘", "두세 달", "a couple of weeks"): how long ago, how long before or after, the last so many.

An amount is as exact as people are: up to five days mean the very day, more mean about a quarter to either side.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import Enum

from memoryd.date_words.stretches import DAY, Stretch, days, shift_months

# So many days are counted to the day.
EXACT_DAYS = 5


class Unit(Enum):
    """A unit that people count time in."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


# What one of it may be off by at least; a quarter of a longer time.
LEAST_SLACK = {
    Unit.HOUR: timedelta(minutes=30),
    Unit.DAY: DAY,
    Unit.WEEK: 2 * DAY,
    Unit.MONTH: 10 * DAY,
    Unit.YEAR: 90 * DAY,
}
# A unit and a half of it more, in a finer one: how many there are in the unit, how many in the half.
HALVES = {Unit.WEEK: (7, 3, Unit.DAY), Unit.MONTH: (30, 15, Unit.DAY), Unit.YEAR: (12, 6, Unit.MONTH)}


@dataclass(frozen=True, slots=True)
class Amount:
    """So many of a unit; `few` and `many` differ where it is a range: 두세 달 is 2 to 3 months."""

    few: int
    many: int
    unit: Unit


def half_more(amount: Amount) -> Amount:
    """The amount and half a unit: 1년 반. Half an hour or half a day is less than people are off by anyway."""
    if amount.unit not in HALVES:
        return amount
    size, half, finer = HALVES[amount.unit]
    return Amount(amount.few * size + half, amount.many * size + half, finer)


def ago(now: datetime, amount: Amount) -> Stretch:
    """The time so long before now."""
    if amount.unit is Unit.HOUR:
        since, until = (now - timedelta(hours=count) for count in (amount.many, amount.few))
        return Stretch(since - _slack(now, since, Unit.HOUR), until + _slack(now, until, Unit.HOUR))
    return beside(now.date(), amount, -1)


def beside(day: date, amount: Amount, direction: int) -> Stretch:
    """The days so long before (`direction` -1) or after (1) a day.

    Raises:
        ValueError: of hours, which no day has beside it, or beyond the calendar.
    """
    ends = sorted(_shifted(day, direction * count, amount.unit) for count in (amount.few, amount.many))
    first, last = (datetime.combine(end, time()) for end in ends)
    origin = datetime.combine(day, time())
    first -= round(_slack(origin, first, amount.unit) / DAY) * DAY
    last += round(_slack(origin, last, amount.unit) / DAY) * DAY
    return Stretch(first, last + DAY)


def within(now: datetime, amount: Amount) -> Stretch:
    """The last so much time, today included."""
    if amount.unit is Unit.HOUR:
        return Stretch(now - timedelta(hours=amount.many), now)
    first = _shifted(now.date(), -amount.many, amount.unit)
    return days(first, (now.date() - first).days + 1)


def _shifted(day: date, count: int, unit: Unit) -> date:
    """The day so many units later or, below zero, earlier."""
    match unit:
        case Unit.DAY:
            return day + count * DAY
        case Unit.WEEK:
            return day + count * 7 * DAY
        case Unit.MONTH:
            return shift_months(day, count)
        case Unit.YEAR:
            return shift_months(day, 12 * count)
        case Unit.HOUR:
            raise ValueError("hours are not counted in days")


def _slack(origin: datetime, moment: datetime, unit: Unit) -> timedelta:
    """What people may be off by, so far from where they count."""
    far = abs(origin - moment)
    if unit is Unit.DAY and far <= EXACT_DAYS * DAY:
        return timedelta()
    return max(LEAST_SLACK[unit], far / 4)
