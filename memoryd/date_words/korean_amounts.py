"""Korean amounts of time: 3일, 두세 달, 이십 년, 몇 주, 사흘, 보름, 1년 반."""

from __future__ import annotations

import re

from memoryd.date_words.amounts import Amount, Unit, half_more
from memoryd.date_words.reading import any_of

Range = tuple[int, int]

NATIVE: dict[str, Range] = {
    "한": (1, 1),
    "한두": (1, 2),
    "두": (2, 2),
    "두세": (2, 3),
    "두서너": (2, 4),
    "세": (3, 3),
    "석": (3, 3),
    "서너": (3, 4),
    "네": (4, 4),
    "넉": (4, 4),
    "너댓": (4, 5),
    "네댓": (4, 5),
    "네다섯": (4, 5),
    "다섯": (5, 5),
    "대여섯": (5, 6),
    "여섯": (6, 6),
    "예닐곱": (6, 7),
    "일곱": (7, 7),
    "여덟": (8, 8),
    "아홉": (9, 9),
    "열": (10, 10),
    "열한": (11, 11),
    "열두": (12, 12),
    "스무": (20, 20),
}
VAGUE: dict[str, Range] = {"몇": (2, 5), "수": (3, 7), "여러": (3, 7)}
SINO_DIGITS = "일이삼사오육칠팔구"
# Two neighbours in a row are a range: 이삼 일, 삼사 년.
SINO_RANGES: dict[str, Range] = {
    "일이": (1, 2),
    "이삼": (2, 3),
    "삼사": (3, 4),
    "사오": (4, 5),
    "오륙": (5, 6),
}
# Words that are a whole amount.
WHOLE = {
    "하루": Amount(1, 1, Unit.DAY),
    "하루이틀": Amount(1, 2, Unit.DAY),
    "이틀": Amount(2, 2, Unit.DAY),
    "이삼일": Amount(2, 3, Unit.DAY),
    "사흘": Amount(3, 3, Unit.DAY),
    "사나흘": Amount(3, 4, Unit.DAY),
    "나흘": Amount(4, 4, Unit.DAY),
    "닷새": Amount(5, 5, Unit.DAY),
    "엿새": Amount(6, 6, Unit.DAY),
    "이레": Amount(7, 7, Unit.DAY),
    "여드레": Amount(8, 8, Unit.DAY),
    "아흐레": Amount(9, 9, Unit.DAY),
    "열흘": Amount(10, 10, Unit.DAY),
    "보름": Amount(15, 15, Unit.DAY),
    "며칠": Amount(2, 6, Unit.DAY),
    "몇일": Amount(2, 6, Unit.DAY),
    "몇 일": Amount(2, 6, Unit.DAY),
    "반년": Amount(6, 6, Unit.MONTH),
    "반 년": Amount(6, 6, Unit.MONTH),
}
UNITS = {
    "시간": Unit.HOUR,
    "일": Unit.DAY,
    "주": Unit.WEEK,
    "주일": Unit.WEEK,
    "달": Unit.MONTH,
    "개월": Unit.MONTH,
    "년": Unit.YEAR,
    "해": Unit.YEAR,
}

_DIGITS = r"\d{1,3}(?: ?[~-] ?\d{1,3})?"
_NATIVE = any_of(NATIVE)
_TENS = f"[{SINO_DIGITS}]?십[{SINO_DIGITS}]?"
_SINO = any_of((_TENS, *SINO_RANGES, f"[{SINO_DIGITS}]"))
# Which numerals count which unit. 이 일 is "this matter", 한 일 "what was done", 세계 일주 and 사주 no weeks.
_COUNTED = (
    f"(?:{_DIGITS}|{_NATIVE}|몇) ?시간",
    f"(?:{_DIGITS}|수|{_TENS}|{any_of(SINO_RANGES)}|[삼사오육칠팔구]) ?일",
    "이일",
    f"(?:{_DIGITS}|{_NATIVE}|몇|수|{_TENS}|[이삼]) ?주",
    f"(?:{_DIGITS}|{_NATIVE}|{_SINO}) ?주일",
    f"(?:{_DIGITS}|{_NATIVE}|몇|여러) ?달",
    f"(?:{_DIGITS}|{_NATIVE}|{_SINO}|몇|수) ?개월",
    f"(?:{_DIGITS}|{_SINO}|몇|수|여러) ?년",
    f"(?:{_NATIVE}|몇|여러) ?해",
)
# A pattern without groups, for others to be built with.
AMOUNT = rf"(?:{any_of(WHOLE)}|{any_of(_COUNTED)}(?: ?반)?)"
_PARTS = re.compile(rf"(?P<count>.+?) ?(?P<unit>{any_of(UNITS)})(?P<half> ?반)?")


def korean_amount(words: str) -> Amount:
    """The amount that words matched by `AMOUNT` say.

    Raises:
        ValueError: they say none.
    """
    if words in WHOLE:
        return WHOLE[words]
    parts = _PARTS.fullmatch(words)
    if not parts:
        raise ValueError(f"no amount of time: {words}")
    amount = Amount(*_range(parts["count"]), UNITS[parts["unit"]])
    return half_more(amount) if parts["half"] else amount


def _range(numeral: str) -> Range:
    for table in (NATIVE, VAGUE, SINO_RANGES):
        if numeral in table:
            return table[numeral]
    if numeral[0].isdigit():
        few, *many = re.split(r" ?[~-] ?", numeral)
        return int(few), int(many[0] if many else few)
    return (_sino(numeral),) * 2


def _sino(numeral: str) -> int:
    """1 to 99: 오, 십, 십이, 이십, 삼십오."""
    tens, ten, ones = numeral.rpartition("십")
    digit = {word: number for number, word in enumerate(SINO_DIGITS, start=1)}
    return (digit.get(tens, 1) * 10 if ten else 0) + digit.get(ones, 0)
