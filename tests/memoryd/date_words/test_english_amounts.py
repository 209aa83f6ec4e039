"""English amounts of time: digits, words, ranges, and halves."""

from __future__ import annotations

import re

import pytest

from memoryd.date_words.amounts import Amount, Unit
from memoryd.date_words.english_amounts import AMOUNT, english_amount


@pytest.mark.parametrize(
    ("words", "few", "many", "unit"),
    [
        ("3 days", 3, 3, Unit.DAY),
        ("1 day", 1, 1, Unit.DAY),
        ("a day", 1, 1, Unit.DAY),
        ("an hour", 1, 1, Unit.HOUR),
        ("Twelve weeks", 12, 12, Unit.WEEK),
        ("2-3 days", 2, 3, Unit.DAY),
        ("3 to 4 months", 3, 4, Unit.MONTH),
        ("two or three months", 2, 3, Unit.MONTH),
        ("a couple of weeks", 2, 3, Unit.WEEK),
        ("a few years", 2, 5, Unit.YEAR),
        ("several days", 3, 7, Unit.DAY),
        ("half a year", 6, 6, Unit.MONTH),
        ("a fortnight", 2, 2, Unit.WEEK),
        ("a year and a half", 18, 18, Unit.MONTH),
        ("two and a half years", 30, 30, Unit.MONTH),
    ],
)
def test_words_are_an_amount(words: str, few: int, many: int, unit: Unit) -> None:
    assert re.fullmatch(AMOUNT, words, re.IGNORECASE)
    assert english_amount(words) == Amount(few, many, unit)


@pytest.mark.parametrize("words", ["second", "a second", "days", "the week", "2025 years", "May"])
def test_words_that_count_no_time_do_not_match(words: str) -> None:
    assert not re.fullmatch(AMOUNT, words, re.IGNORECASE)


def test_what_is_no_amount_is_refused() -> None:
    with pytest.raises(ValueError, match="a cat"):
        english_amount("a cat")
