"""The Korean readings: which words name which stretch.

A date word begins where a word begins and ends with particles (3월에는, 어제부터) or a copula (지난주였나): that is
what tells 다음 달 from 다음 달리기, and 이번 주 from 이번 주소.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from memoryd.date_words.amounts import ago, within
from memoryd.date_words.korean_amounts import AMOUNT, korean_amount
from memoryd.date_words.korean_feasts import KOREAN_FEASTS
from memoryd.date_words.korean_words import (
    BEGIN,
    END,
    HOUR,
    HOURS,
    PART,
    PART_OF_YEAR,
    PARTS,
    SHIFT,
    SHIFTS,
    WEEKDAY,
    WEEKDAYS,
    YEAR,
    YEAR_OR_WHICH,
    chosen,
    named_year,
    weekday_of,
)
from memoryd.date_words.reading import any_of, no_date, reading
from memoryd.date_words.stretches import (
    AUTUMN,
    DAY,
    SPRING,
    SUMMER,
    WINTER,
    Stretch,
    day_of_week,
    days,
    hours,
    latest_day_of_month,
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

# Days from today: the first one, and how many.
DAYS = {
    "오늘": (0, 1),
    "어제": (-1, 1),
    "어저께": (-1, 1),
    "그제": (-2, 1),
    "그저께": (-2, 1),
    "엊그제": (-3, 3),
    "엊그저께": (-3, 3),
    "그끄제": (-3, 1),
    "그끄저께": (-3, 1),
    "내일": (1, 1),
    "모레": (2, 1),
    "내일모레": (1, 2),
    "글피": (3, 1),
}
# Nights, in days from the one that they begin on.
NIGHTS = {"어젯밤": -1, "엊저녁": -1, "간밤": -1, "지난밤": -1, "지난 밤": -1}
# How long ago at most.
MOMENTS = {"방금": timedelta(hours=1), "아까": timedelta(hours=12)}
SEASONS = {"봄": SPRING, "여름": SUMMER, "가을": AUTUMN, "겨울": WINTER}
# Without 일월 (sun and moon) and 이월 (what is carried over).
MONTHS = {"삼": 3, "사": 4, "오": 5, "유": 6, "칠": 7, "팔": 8, "구": 9, "시": 10, "십일": 11, "십이": 12}
WEEKS = {"첫": 1, "첫째": 1, "둘째": 2, "셋째": 3, "넷째": 4, "다섯째": 5, "마지막": 0}


def _day(words: Words, now: datetime) -> Stretch:
    first, count = DAYS[words["name"]]
    return _narrowed(words, days(now.date() + first * DAY, count))


def _narrowed(words: Words, day: Stretch) -> Stretch:
    """A day, or the part of it that was matched."""
    return hours(day.since.date(), *HOURS[words["hours"]]) if words["hours"] else day


def _night(words: Words, now: datetime) -> Stretch:
    return hours(now.date() + NIGHTS[words["name"]] * DAY, *HOURS["밤"])


def _moment(words: Words, now: datetime) -> Stretch:
    return Stretch(now - MOMENTS[words["name"]], now)


def _week(words: Words, now: datetime) -> Stretch:
    shift = SHIFTS.get(words["shift"], 0)
    weekday = weekday_of(words)
    if weekday is not None:
        return _narrowed(words, day_of_week(now, weekday, shift))
    return weekend(now, shift) if words["weekend"] else week(now, shift, PARTS.get(words["part"]))


def _weekday(words: Words, now: datetime) -> Stretch:
    weekday = WEEKDAYS.index(words["weekday"])
    shift = SHIFTS[words["shift"] or "지난"]
    day = weekday_before(now.date(), weekday) if shift == -1 else day_of_week(now, weekday, shift)
    return _narrowed(words, day)


def _month(words: Words, now: datetime) -> Stretch:
    number = MONTHS.get(words["name"]) or int(words["number"])
    return chosen(words, lambda year: _in_month(words, year, number), now)


def _month_from_now(words: Words, now: datetime) -> Stretch:
    first = shift_months(now.date().replace(day=1), SHIFTS.get(words["shift"], 0))
    return _in_month(words, first.year, first.month)


def _in_month(words: Words, year: int, number: int) -> Stretch:
    """A month, or the day, the week or the part of it that was matched."""
    if words["day"]:
        return days(month(year, number).since.replace(day=int(words["day"])))
    if words["nth"]:
        return week_of_month(year, number, WEEKS[words["nth"]])
    return month(year, number, PARTS.get(words["part"]))


def _season(words: Words, now: datetime) -> Stretch:
    return chosen(words, lambda year: season(year, SEASONS[words["season"]]), now)


def _year(words: Words, now: datetime) -> Stretch:
    return year_of(named_year(words, now) or now.year, PARTS.get(words["part"]))


_WEEKDAY_OF_DATE = rf"(?: ?(?:\([{WEEKDAYS}](?:요일)?\)|[{WEEKDAYS}]요일))?"
_IN_MONTH = rf"(?: ?(?:(?P<day>\d{{1,2}}) ?일{_WEEKDAY_OF_DATE}|{PART}|(?P<nth>{any_of(WEEKS)}) ?주))?"
_IN_WEEK = rf"의? ?(?:{WEEKDAY}(?: ?{HOUR})?|(?P<weekend>주말)|{PART})"
_SEASON = rf"(?P<season>{any_of(SEASONS)})"

KOREAN = (
    *KOREAN_FEASTS,
    reading(DAYS, rf"{BEGIN}(?P<name>{any_of(DAYS)})(?: ?{HOUR})?{END}", _day),
    reading(("밤", "엊저녁"), rf"{BEGIN}(?P<name>{any_of(NIGHTS)}){END}", _night),
    reading(MOMENTS, rf"{BEGIN}(?P<name>{any_of(MOMENTS)}){END}", _moment),
    # "Recent immigration", and what goes on every week or month.
    no_date(
        ("이주", "매"),
        rf"{BEGIN}(?:(?:최근|지난) ?이주|매주 ?{WEEKDAY}|매[달월년] ?(?:\d{{1,2}}월 ?)?(?:\d{{1,2}}일)?)",
    ),
    no_date(("그제", "오늘날"), rf"{BEGIN}(?:그제서?야|오늘날)"),
    reading(
        ("전",),
        rf"{BEGIN}(?:한 )?(?P<amount>{AMOUNT}) ?(?:쯤|정도|가량)? ?전{END}",
        lambda words, now: ago(now, korean_amount(words["amount"])),
    ),
    reading(
        ("최근", "지난", "요"),
        rf"{BEGIN}(?:최근|지난|요) ?(?P<amount>{AMOUNT})(?: ?(?:동안|간|사이|내내))?{END}",
        lambda words, now: within(now, korean_amount(words["amount"])),
    ),
    reading(("주말",), rf"{BEGIN}{SHIFT} ?(?P<weekend>주말){END}", _week),
    reading(("주",), rf"{BEGIN}{SHIFT} ?주(?:{_IN_WEEK})?{END}", _week),
    # 금주 alone is also "no more drinking".
    reading(("금주",), rf"{BEGIN}금주{_IN_WEEK}{END}", _week),
    no_date(("주의",), rf"{BEGIN}{SHIFT} ?주의 ?(?:사항|점)"),
    reading(("요일", "욜"), rf"{BEGIN}(?:{SHIFT} ?)?{WEEKDAY}(?: ?{HOUR})?{END}", _weekday),
    reading(
        ("월",),
        rf"{BEGIN}(?:{YEAR_OR_WHICH} ?)?(?:(?P<number>\d{{1,2}})|(?P<name>{any_of(MONTHS)}))월달?{_IN_MONTH}{END}",
        _month,
    ),
    reading(("달",), rf"{BEGIN}(?:{SHIFT} ?|이)달(?:의(?= ))?{_IN_MONTH}{END}", _month_from_now),
    # "3일에 한 번" is how often.
    reading(
        ("일에",),
        rf"{BEGIN}(?:지난 ?)?(?P<day>\d{{1,2}})일에(?:는|도)?(?![가-힣])(?! ?(?:한|두|세|네|\d+) ?번| ?걸쳐)",
        lambda words, now: latest_day_of_month(now, int(words["day"])),
    ),
    reading(SEASONS, rf"{BEGIN}{YEAR_OR_WHICH} ?(?:초|늦|한)?{_SEASON}(?: ?(?:방학|휴가))?{END}", _season),
    reading(("방학", "휴가"), rf"{BEGIN}{_SEASON} ?(?:방학|휴가){END}", _season),
    reading(("년", "해"), rf"{BEGIN}{YEAR}(?: ?{PART_OF_YEAR})?{END}", _year),
    reading(("올",), rf"{BEGIN}올 ?{PART}{END}", _year),
)
