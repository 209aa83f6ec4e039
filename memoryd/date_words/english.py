"""The English readings: which words name which stretch.

Names of months that are verbs, people or adjectives too ("may", "April", "august") are read only where something about
them speaks of time: a preposition, a day, a year. "Fall" is read only as a noun.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memoryd.date_words.amounts import Amount, Unit, ago, within
from memoryd.date_words.english_amounts import AMOUNT, PLURAL_AMOUNT, english_amount
from memoryd.date_words.english_feasts import ENGLISH_FEASTS
from memoryd.date_words.english_words import (
    CLEAR_MONTHS,
    HOUR,
    HOURS,
    MONTH,
    MONTHS,
    PART,
    PARTS,
    SHIFT,
    SHIFTS,
    WEEKDAY,
    WEEKDAYS,
    WHICH,
    YEAR,
    chosen,
    month_of,
    named_year,
)
from memoryd.date_words.reading import any_of, no_date, reading
from memoryd.date_words.stretches import (
    AUTUMN,
    DAY,
    SPRING,
    SUMMER,
    WINTER,
    Part,
    Stretch,
    day_of_week,
    days,
    hours,
    month,
    season,
    shift_months,
    week,
    week_of_month,
    weekday_before,
    weekend,
    year_of,
)

if TYPE_CHECKING:
    from datetime import datetime

    from memoryd.date_words.reading import Words

# In days from today.
DAYS = {
    "the day before yesterday": -2,
    "day before yesterday": -2,
    "yesterday": -1,
    "today": 0,
    "tomorrow": 1,
    "the day after tomorrow": 2,
    "day after tomorrow": 2,
}
# A day, and the part of it.
PARTS_OF_DAYS = {
    "last night": (-1, "night"),
    "tonight": (0, "night"),
    "this morning": (0, "morning"),
    "this afternoon": (0, "afternoon"),
    "this evening": (0, "evening"),
}
SEASONS = {"spring": SPRING, "summer": SUMMER, "fall": AUTUMN, "autumn": AUTUMN, "winter": WINTER}
WEEKS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "last": 0}
# "The other day".
OTHER_DAY = Amount(2, 6, Unit.DAY)


def _day(words: Words, now: datetime) -> Stretch:
    return _narrowed(words, days(now.date() + DAYS[words["name"].lower()] * DAY))


def _narrowed(words: Words, day: Stretch) -> Stretch:
    """A day, or the part of it that was matched."""
    return hours(day.since.date(), *HOURS[words["hours"].lower()]) if words["hours"] else day


def _part_of_day(words: Words, now: datetime) -> Stretch:
    shift, part = PARTS_OF_DAYS[words["name"].lower()]
    return hours(now.date() + shift * DAY, *HOURS[part])


def _shift(words: Words) -> int:
    return -2 if words["before_last"] else SHIFTS[words["shift"].lower()]


def _part(words: Words) -> Part | None:
    return PARTS.get(words["part"].lower())


def _week(words: Words, now: datetime) -> Stretch:
    if words["weekday"]:
        weekday = WEEKDAYS.index(words["weekday"].lower())
        return _narrowed(words, day_of_week(now, weekday, _shift(words)))
    return week(now, _shift(words), _part(words))


def _weekend(words: Words, now: datetime) -> Stretch:
    if not (words["shift"] or words["before_last"]):
        this_one = weekend(now)
        return this_one if this_one.since <= now else weekend(now, -1)
    return weekend(now, _shift(words))


def _weekday(words: Words, now: datetime) -> Stretch:
    weekday = WEEKDAYS.index(words["weekday"].lower())
    if words["shift"].lower() in {"this", "next"}:
        return _narrowed(words, day_of_week(now, weekday, _shift(words)))
    return _narrowed(words, weekday_before(now.date(), weekday))


def _month_from_now(words: Words, now: datetime) -> Stretch:
    first = shift_months(now.date().replace(day=1), _shift(words))
    return month(first.year, first.month, _part(words))


def _year_from_now(words: Words, now: datetime) -> Stretch:
    return year_of(now.year + _shift(words), _part(words))


def _year(words: Words, now: datetime) -> Stretch:
    return year_of(named_year(words, now) or now.year, _part(words))


def _date(words: Words, now: datetime) -> Stretch:
    number, day = month_of(words), int(words["day"])
    return chosen(words, lambda year: days(month(year, number).since.replace(day=day)), now)


def _month(words: Words, now: datetime) -> Stretch:
    number = month_of(words)
    return chosen(words, lambda year: month(year, number, _part(words)), now)


def _week_of_month(words: Words, now: datetime) -> Stretch:
    number, nth = month_of(words), WEEKS[words["nth"].lower()]
    return chosen(words, lambda year: week_of_month(year, number, nth), now)


def _season(words: Words, now: datetime) -> Stretch:
    return chosen(words, lambda year: season(year, SEASONS[words["season"].lower()]), now)


_NTH_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?\b(?![:.,]\d|%)"
_FOUR_DIGITS = r"(?P<year>(?:19|20)\d\d)\b(?![:.,]\d|%|-| (?:words|steps|people|ways|times|won|dollars)\b)"
_SEASON = rf"(?P<season>{any_of(SEASONS)})\b"
_OF_SEASON = r"\b(?:in|during|over|since) (?:the )?(?:(?:early|mid|late)[ -])?"
_BEFORE_LAST = r"(?P<before_last> before last)\b"

_MONTH_HINTS = [name[:3] for name in MONTHS]

ENGLISH = (
    *ENGLISH_FEASTS,
    reading(("day", "tomorrow"), rf"\b(?P<name>{any_of(DAYS)})\b(?: {HOUR})?", _day),
    reading(PARTS_OF_DAYS, rf"\b(?P<name>{any_of(PARTS_OF_DAYS)})\b", _part_of_day),
    reading(("other day",), r"\bthe other day\b", lambda _words, now: ago(now, OTHER_DAY)),
    reading(
        (" ago", " back"),
        rf"\b(?P<amount>{AMOUNT}) (?:ago|back(?! (?:to|home|from|at|in|and)))\b",
        lambda words, now: ago(now, english_amount(words["amount"])),
    ),
    reading(
        ("last ", "past ", "previous "),
        rf"\b(?:last|past|previous) (?P<amount>{PLURAL_AMOUNT})",
        lambda words, now: within(now, english_amount(words["amount"])),
    ),
    reading(
        (" past ",),
        rf"\b(?:the|this) past (?P<unit>{any_of(unit.value for unit in Unit)})\b",
        lambda words, now: within(now, Amount(1, 1, Unit(words["unit"].lower()))),
    ),
    # Weeks.
    reading(
        (" week",),
        rf"\b(?:{PART})?{SHIFT} week(?:['’]s)?\b(?! of\b)(?:(?: on)? {WEEKDAY}(?: {HOUR})?)?",
        _week,
    ),
    reading((" week",), rf"{WEEKDAY}(?: {HOUR})?(?: of)? {SHIFT} week\b", _week),
    reading(("before last",), rf"\b(?:{WEEKDAY} (?:of )?)?(?:the )?week{_BEFORE_LAST}", _week),
    reading(("weekend",), rf"{SHIFT} weekend\b|\b(?:over|at|on|during) the weekend\b", _weekend),
    reading(("weekend",), rf"\b(?:the )?weekend{_BEFORE_LAST}", _weekend),
    reading(
        WEEKDAYS,
        rf"\b(?:(?:on (?:the )?)?(?:(?P<shift>last|this|next)|(?:this )?past) |on )?{WEEKDAY}(?: {HOUR})?",
        _weekday,
    ),
    no_date(WEEKDAYS, rf"\b(?:every|each|black|good|girl|easter|palm|cyber) {WEEKDAY}"),
    # Months.
    reading((" month",), rf"\b(?:{PART})?{SHIFT} month\b(?! of\b)", _month_from_now),
    reading(("before last",), rf"\b(?:the )?month{_BEFORE_LAST}", _month_from_now),
    reading(
        _MONTH_HINTS,
        rf"\b(?:(?:in|during|of|on|since|until|till|around) )?(?:{WEEKDAY},? )?{MONTH} {_NTH_DAY}{YEAR}?",
        _date,
    ),
    reading(_MONTH_HINTS, rf"\b(?:{WEEKDAY},? )?(?:the )?{_NTH_DAY}(?: of)? {MONTH}{YEAR}?", _date),
    reading(
        _MONTH_HINTS,
        rf"\b(?:{PART}|(?:in|during|of|since|until|till|around) |{WHICH} )(?:the )?{MONTH}{YEAR}?",
        _month,
    ),
    reading(_MONTH_HINTS, rf"{MONTH}{YEAR}", _month),
    reading(CLEAR_MONTHS, rf"\b(?P<month>{any_of(CLEAR_MONTHS)})\b", _month),
    reading(
        (" week of", " week in"),
        rf"\b(?:the )?(?P<nth>{any_of(WEEKS)}) week (?:of|in) {MONTH}{YEAR}?",
        _week_of_month,
    ),
    # Seasons: "I fell in the fall", but not "I fall".
    reading(SEASONS, rf"{WHICH} {_SEASON}", _season),
    reading(SEASONS, rf"{_OF_SEASON}{_SEASON}{YEAR}?", _season),
    reading(SEASONS, rf"\b(?P<season>spring|summer|autumn|winter){YEAR}", _season),
    reading(("fall ",), rf"\b(?P<season>fall) (?:of )?{_FOUR_DIGITS}", _season),
    # Years.
    reading((" year",), rf"\b(?:{PART})?{SHIFT} year\b(?! of\b)", _year_from_now),
    reading(("before last",), rf"\b(?:the )?year{_BEFORE_LAST}", _year_from_now),
    reading(("19", "20"), rf"\b(?:{PART}|(?:in|during|since|of|from) ){_FOUR_DIGITS}", _year),
)
