"""The English feasts: before Christmas, New Year's Eve, two weeks after Easter, the Friday before Thanksgiving 2024."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memoryd.date_words.english_amounts import AMOUNT, english_amount
from memoryd.date_words.english_words import WEEKDAY, WEEKDAYS, WHICH, YEAR, chosen
from memoryd.date_words.feasts import (
    AFTER,
    AROUND,
    BEFORE,
    CHRISTMAS,
    CHUSEOK,
    DAY_AFTER,
    DAY_BEFORE,
    EASTER,
    HALLOWEEN,
    JUST_AFTER,
    JUST_BEFORE,
    NEW_YEARS_DAY,
    NEW_YEARS_EVE,
    SEOLLAL,
    THANKSGIVING,
    VALENTINES_DAY,
    Mention,
    fixed,
)
from memoryd.date_words.reading import any_of, no_date, reading

if TYPE_CHECKING:
    from datetime import datetime

    from memoryd.date_words.reading import Words
    from memoryd.date_words.stretches import Stretch

# Without apostrophes.
FEASTS = {
    "christmas": CHRISTMAS,
    "christmas day": CHRISTMAS,
    "xmas": CHRISTMAS,
    "new year": fixed(1, 1, before=1, after=2),
    "new years": fixed(1, 1, before=1, after=2),
    "new years day": NEW_YEARS_DAY,
    "new years eve": NEW_YEARS_EVE,
    "lunar new year": SEOLLAL,
    "chinese new year": SEOLLAL,
    "seollal": SEOLLAL,
    "chuseok": CHUSEOK,
    "thanksgiving": THANKSGIVING,
    "thanksgiving day": THANKSGIVING,
    "halloween": HALLOWEEN,
    "valentines": VALENTINES_DAY,
    "valentines day": VALENTINES_DAY,
    "easter": EASTER,
    "easter sunday": EASTER,
}
# How far "before" and "after" reach, by the words that lead them.
LEADS = {
    "": (BEFORE, AFTER),
    "just": (JUST_BEFORE, JUST_AFTER),
    "right": (JUST_BEFORE, JUST_AFTER),
    "shortly": (JUST_BEFORE, JUST_AFTER),
    "soon": (JUST_BEFORE, JUST_AFTER),
    "week": (JUST_BEFORE, JUST_AFTER),
    "day": (DAY_BEFORE, DAY_AFTER),
    "night": (DAY_BEFORE, DAY_AFTER),
}

_NAMES = any_of(
    name.replace("years", "year['’]?s").replace("valentines", "valentine['’]?s") for name in FEASTS
)
_SIDE = (
    rf"(?:(?:(?P<amount>{AMOUNT})|(?:the )?(?:{WEEKDAY}|\b(?P<lead>{any_of(lead for lead in LEADS if lead)}))) )?"
    r"\b(?P<side>before|after|around) (?:the )?"
)


def _feast(words: Words, now: datetime) -> Stretch:
    name = words["feast"].lower().replace("'", "").replace("’", "")
    before, after = LEADS[words["lead"].lower()]
    sides = {"before": before, "after": after, "around": AROUND}
    side = DAY_BEFORE if words["eve"] else sides.get(words["side"].lower())
    mention = Mention(
        feast=FEASTS[name],
        side=side,
        weekday=WEEKDAYS.index(words["weekday"].lower()) if words["weekday"] else None,
        amount=english_amount(words["amount"]) if words["amount"] else None,
    )
    return chosen(words, mention.of_year, now)


_HINTS = (
    "christmas",
    "xmas",
    "new year",
    "seollal",
    "chuseok",
    "thanksgiving",
    "halloween",
    "valentine",
    "easter",
)

ENGLISH_FEASTS = (
    reading(_HINTS, rf"\b(?:{_SIDE})?(?:{WHICH} )?\b(?P<feast>{_NAMES})(?P<eve> eve)?\b{YEAR}?", _feast),
    # Places, eggs and wishes.
    no_date(
        ("easter", "christmas", "new year"), r"\b(?:easter|christmas) (?:island|egg)s?\b|\bhappy new year\b"
    ),
)
