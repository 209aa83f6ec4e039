"""Feasts, and the days before and after them.

    "설 전에"           ──▶ the three weeks before it
    "추석 연휴"         ──▶ all the days off in a row
    "설날 직전 금요일"   ──▶ the Friday before it

Those that follow the moon, and Thanksgiving, are looked up in `holidays`, which is imported at the first of
them, because the app answers before it. It knows Korea's days from 1948 to 2100.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING

from dateutil.easter import easter

from memoryd.date_words.amounts import beside
from memoryd.date_words.stretches import DAY, Stretch, days, weekday_before, weekday_from

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from memoryd.date_words.amounts import Amount

SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Feast:
    """A feast of every year: its day, and how many days before and after it people mean too."""

    day: Callable[[int], date]
    before: int = 0
    after: int = 0


def fixed(month: int, day: int, *, before: int = 0, after: int = 0) -> Feast:
    """A feast that has the same date every year."""
    return Feast(lambda year: date(year, month, day), before, after)


def moving(country: str, *names: str, before: int = 0, after: int = 0) -> Feast:
    """A feast that `holidays` knows in a country, under one of these names."""

    def day(year: int) -> date:
        found = [day for day, named in _calendar(country, year).items() if not named.isdisjoint(names)]
        if not found:
            raise ValueError(f"no {names[0]} in {year}")
        return min(found)

    return Feast(day, before, after)


SEOLLAL = moving("KR", "설날", before=1, after=1)
CHUSEOK = moving("KR", "추석", before=1, after=1)
BUDDHAS_BIRTHDAY = moving("KR", "부처님오신날", "석가탄신일")
EASTER = Feast(easter)
THANKSGIVING = moving("US", "Thanksgiving Day")
CHRISTMAS = fixed(12, 25)
HALLOWEEN = fixed(10, 31)
VALENTINES_DAY = fixed(2, 14)
NEW_YEARS_DAY = fixed(1, 1)
NEW_YEARS_EVE = fixed(12, 31)


@dataclass(frozen=True, slots=True)
class Side:
    """Where beside a feast: before it (-1), after it (1) or to both sides (0), and how many days far."""

    direction: int
    reach: int


BEFORE, JUST_BEFORE, DAY_BEFORE = Side(-1, 21), Side(-1, 7), Side(-1, 1)
AFTER, JUST_AFTER, DAY_AFTER = Side(1, 21), Side(1, 7), Side(1, 1)
AROUND = Side(0, 7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """A feast as a question speaks of it.

    Attributes:
        days_off: all the days off in a row that it lies in.
        side: the days beside it.
        weekday: the nearest such one on that side; Monday is 0.
        amount: the day so long before or after it.
    """

    feast: Feast
    days_off: bool = False
    side: Side | None = None
    weekday: int | None = None
    amount: Amount | None = None

    def of_year(self, year: int) -> Stretch:
        """The stretch that it names in a year.

        Raises:
            ValueError: there is none.
        """
        day = self.feast.day(year)
        if self.days_off:
            whole = _days_off(day)
        elif self.side:
            whole = days(day)
        else:
            return days(day - self.feast.before * DAY, self.feast.before + 1 + self.feast.after)
        return self._beside(whole, self.side) if self.side else whole

    def _beside(self, whole: Stretch, side: Side) -> Stretch:
        before = side.direction < 0
        if self.weekday is not None:
            return (
                weekday_before(whole.since.date(), self.weekday)
                if before
                else weekday_from(whole.until.date(), self.weekday)
            )
        if self.amount:
            origin = whole.since if before else whole.until - DAY
            return beside(origin.date(), self.amount, side.direction)
        reach = side.reach * DAY
        return Stretch(
            whole.until if side.direction > 0 else whole.since - reach,
            whole.since if before else whole.until + reach,
        )


def _days_off(day: date) -> Stretch:
    """The row of Korean days off and weekends that a day lies in."""
    first = last = day
    while _is_off(first - DAY):
        first -= DAY
    while _is_off(last + DAY):
        last += DAY
    return days(first, (last - first).days + 1)


def _is_off(day: date) -> bool:
    return day.weekday() >= SATURDAY or day in _calendar("KR", day.year)


@lru_cache(maxsize=64)
def _calendar(country: str, year: int) -> Mapping[date, frozenset[str]]:
    """The names of a country's holidays in a year, in Korean for Korea, by day."""
    import holidays

    known = (
        holidays.country_holidays("KR", years=year, language="ko")
        if country == "KR"
        else holidays.country_holidays(country, years=year, categories=("public", "unofficial"))
    )
    return {day: frozenset(named.split("; ")) for day, named in known.items()}
