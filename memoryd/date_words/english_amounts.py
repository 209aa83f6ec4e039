"""English amounts of time: 3 days, a couple of weeks, two or three months, half a year, a year and a half."""

from __future__ import annotations

import re

from memoryd.date_words.amounts import Amount, Unit, half_more
from memoryd.date_words.reading import any_of

Range = tuple[int, int]

_WORDS = "one two three four five six seven eight nine ten eleven twelve"
NUMBERS: dict[str, Range] = {word: (n, n) for n, word in enumerate(_WORDS.split(), start=1)} | {
    "fifteen": (15, 15),
    "twenty": (20, 20),
    "thirty": (30, 30),
}
ONE: dict[str, Range] = {"a": (1, 1), "an": (1, 1)}
VAGUE: dict[str, Range] = {
    "couple": (2, 3),
    "couple of": (2, 3),
    "a couple": (2, 3),
    "a couple of": (2, 3),
    "few": (2, 5),
    "a few": (2, 5),
    "several": (3, 7),
}
UNITS = {"hour": Unit.HOUR, "day": Unit.DAY, "week": Unit.WEEK, "month": Unit.MONTH, "year": Unit.YEAR}
WHOLE = {
    "half a year": Amount(6, 6, Unit.MONTH),
    "a half year": Amount(6, 6, Unit.MONTH),
    "a fortnight": Amount(2, 2, Unit.WEEK),
}

_NUMBER = rf"(?:\d{{1,3}}|{any_of(NUMBERS)})"
_TO = "(?: ?[-~] ?| or | to )"
_RANGE = rf"{_NUMBER}(?:{_TO}{_NUMBER})?"
_UNIT = rf"{any_of(UNITS)}s?"
_HALF = "(?: and a half)?"
# Patterns without groups, for others to be built with. The second is for "the last …", which "a" does not follow.
AMOUNT = rf"\b(?:{any_of(WHOLE)}|(?:{_RANGE}|{any_of((*VAGUE, *ONE))}){_HALF} {_UNIT}{_HALF})\b"
PLURAL_AMOUNT = rf"\b(?:{_RANGE}|couple(?: of)?|few|several){_HALF} {_UNIT}\b"
_PARTS = re.compile(
    rf"(?P<few>.+?)(?:{_TO}(?P<many>.+?))?(?P<half> and a half)? "
    rf"(?P<unit>{any_of(UNITS)})s?(?P<half_after> and a half)?"
)


def english_amount(words: str) -> Amount:
    """The amount that words matched by `AMOUNT` or `PLURAL_AMOUNT` say, in any case.

    Raises:
        ValueError: they say none.
    """
    words = words.lower()
    if words in WHOLE:
        return WHOLE[words]
    parts = _PARTS.fullmatch(words)
    if not parts:
        raise ValueError(f"no amount of time: {words}")
    few, many = _range(parts["few"]), _range(parts["many"] or parts["few"])
    amount = Amount(few[0], many[1], UNITS[parts["unit"]])
    return half_more(amount) if parts["half"] or parts["half_after"] else amount


def _range(numeral: str) -> Range:
    return (int(numeral),) * 2 if numeral.isdigit() else (NUMBERS | ONE | VAGUE)[numeral]
