"""The calendar: days, weeks, months, seasons and years as stretches of the wall clock."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from enum import Enum
from typing import NamedTuple

DAY = timedelta(days=1)
WEEK = timedelta(weeks=1)


class Stretch(NamedTuple):
    """[since, until) on the wall clock of the one who asks; without a zone."""

    since: datetime
    until: datetime


class Part(Enum):
    """A part of a week, a month or a year."""

    EARLY = 0
    MIDDLE = 1
    LATE = 2
    FIRST_HALF = 3
    SECOND_HALF = 4


# First day and day after the last, counted from 0; None is the end.
PARTS_OF_WEEK = {Part.EARLY: (0, 3), Part.MIDDLE: (2, 5), Part.LATE: (3, 7)}
PARTS_OF_MONTH = {Part.EARLY: (0, 10), Part.MIDDLE: (10, 20), Part.LATE: (20, None)}
# The same in months.
PARTS_OF_YEAR = {
    Part.EARLY: (0, 3),
    Part.MIDDLE: (4, 8),
    Part.LATE: (9, 12),
    Part.FIRST_HALF: (0, 6),
    Part.SECOND_HALF: (6, 12),
}
# The month that each season begins with.
SPRING, SUMMER, AUTUMN, WINTER = 3, 6, 9, 12


def days(first: date, count: int = 1) -> Stretch:
    """So many days from the first one on."""
    midnight = datetime.combine(first, time())
    return Stretch(midnight, midnight + count * DAY)


def hours(day: date, first: int, last: int) -> Stretch:
    """From one hour of a day to another; 30 is six o'clock the next morning."""
    midnight = datetime.combine(day, time())
    return Stretch(midnight + timedelta(hours=first), midnight + timedelta(hours=last))


def shift_months(day: date, months: int) -> date:
    """The same day some months later or, below zero, earlier; the month's last where it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    following = date(year + (month + 1) // 12, (month + 1) % 12 + 1, 1)
    return date(year, month + 1, min(day.day, (following - DAY).day))


# Weeks


def week(now: datetime, shift: int = 0, part: Part | None = None) -> Stretch:
    """A week, Monday to Sunday, or a part of it; `shift` weeks from this one."""
    monday = now.date() - now.weekday() * DAY + shift * WEEK
    first, last = PARTS_OF_WEEK[part] if part else (0, 7)
    return days(monday + first * DAY, last - first)


def day_of_week(now: datetime, weekday: int, shift: int = 0) -> Stretch:
    """Monday is 0."""
    return days(week(now, shift).since + weekday * DAY)


def weekend(now: datetime, shift: int = 0) -> Stretch:
    """Saturday and Sunday."""
    return days(week(now, shift).since + 5 * DAY, 2)


def weekday_before(day: date, weekday: int) -> Stretch:
    """The last such weekday before a day."""
    return days(day - ((day.weekday() - weekday - 1) % 7 + 1) * DAY)


def weekday_from(day: date, weekday: int) -> Stretch:
    """The first such weekday, the day itself included."""
    return days(day + (weekday - day.weekday()) % 7 * DAY)


# Months, seasons, years


def month(year: int, number: int, part: Part | None = None) -> Stretch:
    """A month or a part of it."""
    first = date(year, number, 1)
    length = (shift_months(first, 1) - first).days
    begin, end = PARTS_OF_MONTH[part] if part else (0, None)
    return days(first + begin * DAY, (end or length) - begin)


def latest_day_of_month(now: datetime, number: int) -> Stretch:
    """The last day of that number that has begun.

    Raises:
        ValueError: no month has it.
    """
    this_month = now.date().replace(day=1)
    for back in range(3):  # of two months in a row one has 31 days
        first = shift_months(this_month, -back)
        if shift_months(first, 1) - first >= number * DAY and first + (number - 1) * DAY <= now.date():
            return days(first.replace(day=number))
    raise ValueError(f"no month has a day {number}")


def week_of_month(year: int, number: int, nth: int) -> Stretch:
    """The first (1) to fifth seven days of a month; 0 is its last seven."""
    whole = month(year, number)
    first = whole.since + (nth - 1) * WEEK if nth else whole.until - WEEK
    return Stretch(first, min(first + WEEK, whole.until))


def months(year: int, first: int, count: int) -> Stretch:
    """So many months from the first one on; 13 is the next year's January."""
    begin = shift_months(date(year, 1, 1), first - 1)
    return days(begin, (shift_months(begin, count) - begin).days)


def season(year: int, first_month: int) -> Stretch:
    """The three months from the first one; a winter belongs to the year that it begins in."""
    return months(year, first_month, 3)


def year_of(year: int, part: Part | None = None) -> Stretch:
    """A year or a part of it."""
    first, last = PARTS_OF_YEAR[part] if part else (0, 12)
    return months(year, first + 1, last - first)
