"""What the Korean readings share: where a date word begins and ends, weekdays, hours, and which year is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memoryd.date_words import choice
from memoryd.date_words.reading import any_of
from memoryd.date_words.stretches import Part, Stretch

if TYPE_CHECKING:
    from datetime import datetime

    from memoryd.date_words.choice import OfYear
    from memoryd.date_words.reading import Words

_PARTICLES = (
    "(?:에|엔|에는|에도|에만|의|은|는|이|가|을|를|도|만|과|와|랑|이랑|하고|부터|까지|중|쯤|께|경"
    "|보다|처럼|로|으로|꺼|날)"
)
# Only at the end of a sentence: 이번 주요 is "this week" there, and "this main" elsewhere.
_LAST = r"이?[야지죠요](?=[?!.,~…]|$)"
_COPULAS = (
    "(?:였|이었|이야|이지|이죠|이에요|예요|인데|인가|인지|입니|이면|이던|이더라|더라|일까|일걸|잖|이잖)"
)
# Before a word: no letter or digit, nor what cuts a number in two (3.5일, 12:3).
BEGIN = r"(?<!\w)(?<!\d[.,:/~-])"
# After a word: nothing but particles, or a copula.
END = rf"(?=(?:{_PARTICLES}){{0,3}}(?:(?![가-힣])|{_LAST})|{_COPULAS})"

WEEKDAYS = "월화수목금토일"
WEEKDAY = rf"(?P<weekday>[{WEEKDAYS}])(?:요일|욜)"

PARTS = {
    "초": Part.EARLY,
    "초순": Part.EARLY,
    "초반": Part.EARLY,
    "상순": Part.EARLY,
    "중순": Part.MIDDLE,
    "중반": Part.MIDDLE,
    "말": Part.LATE,
    "하순": Part.LATE,
    "후반": Part.LATE,
    "상반기": Part.FIRST_HALF,
    "하반기": Part.SECOND_HALF,
}
_HALVES = ("상반기", "하반기")
# "지난주 말이야, …" only draws attention, and "말을" is what was said.
_LATE = r"말(?!이야|이지|고|을|은|도|이(?![가-힣]))"
_THIRDS = any_of((*(word for word in PARTS if word not in {*_HALVES, "말"}), _LATE))
PART = f"(?P<part>{_THIRDS})"
PART_OF_YEAR = f"(?P<part>{any_of((*_HALVES, _THIRDS))})"

# A part of a day: its first hour and the one after its last; what is told of a night is told until the morning.
HOURS = {
    "새벽": (0, 7),
    "아침": (4, 12),
    "오전": (0, 12),
    "점심": (11, 15),
    "낮": (9, 18),
    "오후": (12, 24),
    "저녁": (16, 30),
    "밤": (18, 30),
}
HOUR = rf"(?P<hours>{any_of(HOURS)})"

# Weeks or months from this one.
SHIFTS = {
    "지지난": -2,
    "저저번": -2,
    "지난": -1,
    "지난번": -1,
    "저번": -1,
    "이번": 0,
    "다음": 1,
    "다다음": 2,
}
SHIFT = rf"(?P<shift>{any_of(SHIFTS)})"

# Years from this one.
YEARS = {"재작년": -2, "작년": -1, "지난해": -1, "올해": 0, "금년": 0, "내년": 1}
CHOICES = {
    "지난": choice.over,
    "저번": choice.over,
    "이번": choice.this,
    "올": choice.this,
    "다음": choice.coming,
}
_DIGITS = r"(?P<year>(?:19|20)\d\d) ?년(?:도)?"
YEAR = rf"(?:{_DIGITS}|(?P<which>{any_of((*YEARS, '지난 해'))}))"
# A year, or which one of them all: 작년 여름, 지난 여름.
YEAR_OR_WHICH = rf"(?:{_DIGITS}|(?P<which>{any_of((*YEARS, '지난 해', *CHOICES))}))의?"


def weekday_of(words: Words) -> int | None:
    """The weekday that was matched, if any; Monday is 0."""
    return WEEKDAYS.index(words["weekday"]) if words["weekday"] else None


def named_year(words: Words, now: datetime) -> int | None:
    """The year that was matched, or None where the words only say which one of them all."""
    if words["year"]:
        return int(words["year"])
    years = YEARS.get(words["which"].replace(" ", ""))
    return None if years is None else now.year + years


def chosen(words: Words, of_year: OfYear, now: datetime) -> Stretch:
    """What there is in the year that was matched; the latest that has begun where there is no word for it."""
    year = named_year(words, now)
    return CHOICES.get(words["which"], choice.latest)(of_year, now) if year is None else of_year(year)
