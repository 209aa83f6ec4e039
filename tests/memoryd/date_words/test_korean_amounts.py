"""Korean amounts of time: native numerals, Sino-Korean ones, digits, ranges and words of their own."""

from __future__ import annotations

import re

import pytest

from memoryd.date_words.amounts import Amount, Unit
from memoryd.date_words.korean_amounts import AMOUNT, korean_amount


@pytest.mark.parametrize(
    ("words", "few", "many", "unit"),
    [
        ("3일", 3, 3, Unit.DAY),
        ("3 일", 3, 3, Unit.DAY),
        ("2~3일", 2, 3, Unit.DAY),
        ("2 - 3주", 2, 3, Unit.WEEK),
        ("삼일", 3, 3, Unit.DAY),
        ("이삼일", 2, 3, Unit.DAY),
        ("십오일", 15, 15, Unit.DAY),
        ("이십 일", 20, 20, Unit.DAY),
        ("하루", 1, 1, Unit.DAY),
        ("나흘", 4, 4, Unit.DAY),
        ("보름", 15, 15, Unit.DAY),
        ("며칠", 2, 6, Unit.DAY),
        ("일주일", 1, 1, Unit.WEEK),
        ("두 주", 2, 2, Unit.WEEK),
        ("이 주일", 2, 2, Unit.WEEK),
        ("한 달", 1, 1, Unit.MONTH),
        ("석달", 3, 3, Unit.MONTH),
        ("두세 달", 2, 3, Unit.MONTH),
        ("열두 달", 12, 12, Unit.MONTH),
        ("몇 달", 2, 5, Unit.MONTH),
        ("육 개월", 6, 6, Unit.MONTH),
        ("6개월", 6, 6, Unit.MONTH),
        ("두 달 반", 75, 75, Unit.DAY),
        ("반년", 6, 6, Unit.MONTH),
        ("일 년", 1, 1, Unit.YEAR),
        ("십이 년", 12, 12, Unit.YEAR),
        ("이십삼 년", 23, 23, Unit.YEAR),
        ("삼사 년", 3, 4, Unit.YEAR),
        ("수년", 3, 7, Unit.YEAR),
        ("1년 반", 18, 18, Unit.MONTH),
        ("여러 해", 3, 7, Unit.YEAR),
        ("세 시간", 3, 3, Unit.HOUR),
    ],
)
def test_words_are_an_amount(words: str, few: int, many: int, unit: Unit) -> None:
    assert re.fullmatch(AMOUNT, words)
    assert korean_amount(words) == Amount(few, many, unit)


@pytest.mark.parametrize(
    "words", ["이 일", "한 일", "일주", "사주", "이 달", "수", "일", "한", "3", "3월", "2025년"]
)
def test_words_that_count_no_time_do_not_match(words: str) -> None:
    assert not re.fullmatch(AMOUNT, words)


def test_what_is_no_amount_is_refused() -> None:
    with pytest.raises(ValueError, match="보리"):
        korean_amount("보리")
