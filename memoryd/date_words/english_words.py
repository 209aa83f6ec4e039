"""What the English readings share: weekdays, months and the verbs they look like, and which year is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memoryd.date_words import choice
from memoryd.date_words.reading import any_of
from memoryd.date_words.stretches import Part, Stretch

if TYPE_CHECKING:
    from datetime import datetime

    from memoryd.date_words.choice import OfYear
    from memoryd.date_words.reading import Words

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
WEEKDAY = rf"\b(?P<weekday>{any_of(WEEKDAYS)})\b"

MONTHS = {
    "january": 1,
    "february": 2,
    "march": 3,
    "april": 4,
    "may": 5,
    "june": 6,
    "july": 7,
    "august": 8,
    "september": 9,
    "october": 10,
    "november": 11,
    "december": 12,
}
# Names that are nothing but a month, wherever they stand.
CLEAR_MONTHS = ("january", "february", "july", "september", "october", "november", "december")
# Names that are women, men and adjectives too: with a preposition, a day or a year.
_NAMES_OF_PEOPLE = ("april", "june", "august")
_SHORT = ("jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec")
# Names that are verbs in small letters, unless a word for a time stands before them.
_BEFORE_A_VERB = ("in", "on", "of", "during", "early", "mid", "mid-", "late")
_VERBS = "(?-i:May|March|MAY|MARCH)|(?:{})(?:may|march)".format(
    "|".join(rf"(?<=\b{word if word.endswith('-') else word + ' '})" for word in _BEFORE_A_VERB)
)
MONTH = rf"\b(?P<month>{any_of((*CLEAR_MONTHS, *_NAMES_OF_PEOPLE))}|{_VERBS}|{any_of(_SHORT)}\b\.?)(?![\w'’])"

PARTS = {
    "early": Part.EARLY,
    "earlier": Part.EARLY,
    "beginning": Part.EARLY,
    "start": Part.EARLY,
    "mid": Part.MIDDLE,
    "middle": Part.MIDDLE,
    "late": Part.LATE,
    "later": Part.LATE,
    "end": Part.LATE,
}
_ADJECTIVES = any_of(("early", "earlier", "mid", "late", "later"))
_NOUNS = any_of(("beginning", "start", "middle", "end"))
# Up to what it is a part of: "early ", "mid-", "late in ", "the end of ".
PART = rf"\b(?:the )?(?P<part>{_ADJECTIVES}|{_NOUNS}(?= of))(?: of| in)?[ -](?:the )?"

# A part of a day: its first hour and the one after its last; what is told of a night is told until the morning.
HOURS = {"morning": (4, 12), "afternoon": (12, 18), "evening": (16, 30), "night": (18, 30)}
HOUR = rf"(?P<hours>{any_of(HOURS)})\b"

# Weeks, months or years from this one.
SHIFTS = {"last": -1, "previous": -1, "this": 0, "next": 1}
SHIFT = rf"\b(?P<shift>{any_of(SHIFTS)})"

YEARS = {"last year": -1, "this year": 0, "next year": 1}
CHOICES = {
    "last": choice.over,
    "past": choice.over,
    "this past": choice.over,
    "this": choice.this,
    "next": choice.coming,
}
WHICH = rf"\b(?P<which>{any_of(CHOICES)})"
# After what it is the year of: March 2023, summer of last year.
YEAR = rf"(?:,? (?:of |in )?(?:(?P<year>(?:19|20)\d\d)|(?P<named_year>{any_of(YEARS)}))\b)"


def month_of(words: Words) -> int:
    """The month that was matched, by its first three letters."""
    return next(number for name, number in MONTHS.items() if name[:3] == words["month"][:3].lower())


def named_year(words: Words, now: datetime) -> int | None:
    """The year that was matched, or None."""
    if words["year"]:
        return int(words["year"])
    years = YEARS.get(words["named_year"].lower())
    return None if years is None else now.year + years


def chosen(words: Words, of_year: OfYear, now: datetime) -> Stretch:
    """What there is in the year that was matched; the latest that has begun where there is no word for it."""
    year = named_year(words, now)
    if year is not None:
        return of_year(year)
    return CHOICES.get(words["which"].lower(), choice.latest)(of_year, now)
