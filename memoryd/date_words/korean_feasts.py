"""The Korean feasts: 설 전에, 추석 연휴, 작년 크리스마스 이브, 설날 직전 금요일, 어린이날 사흘 전."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from memoryd.date_words.feasts import (
    AFTER,
    AROUND,
    BEFORE,
    BUDDHAS_BIRTHDAY,
    CHRISTMAS,
    CHUSEOK,
    DAY_AFTER,
    DAY_BEFORE,
    EASTER,
    HALLOWEEN,
    JUST_AFTER,
    JUST_BEFORE,
    NEW_YEARS_DAY,
    SEOLLAL,
    THANKSGIVING,
    VALENTINES_DAY,
    Mention,
    fixed,
)
from memoryd.date_words.korean_amounts import AMOUNT, korean_amount
from memoryd.date_words.korean_words import (
    BEGIN,
    END,
    WEEKDAY,
    YEAR_OR_WHICH,
    chosen,
    weekday_of,
)
from memoryd.date_words.reading import any_of, no_date, reading

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from memoryd.date_words.reading import Words
    from memoryd.date_words.stretches import Stretch

# The blanks in a name, and in the words for a side, may be left out.
FEASTS = {
    "설날": SEOLLAL,
    "설": SEOLLAL,
    "구정": SEOLLAL,
    "추석": CHUSEOK,
    "한가위": CHUSEOK,
    "부처님 오신 날": BUDDHAS_BIRTHDAY,
    "석가탄신일": BUDDHAS_BIRTHDAY,
    "초파일": BUDDHAS_BIRTHDAY,
    "크리스마스": CHRISTMAS,
    "성탄절": CHRISTMAS,
    "부활절": EASTER,
    "추수감사절": THANKSGIVING,
    "핼러윈": HALLOWEEN,
    "할로윈": HALLOWEEN,
    "발렌타인데이": VALENTINES_DAY,
    "밸런타인데이": VALENTINES_DAY,
    "화이트데이": fixed(3, 14),
    "빼빼로데이": fixed(11, 11),
    "신정": NEW_YEARS_DAY,
    "새해": fixed(1, 1, after=6),
    "연초": fixed(1, 1, after=14),
    "연말": fixed(12, 31, before=11),
    "삼일절": fixed(3, 1),
    "3.1절": fixed(3, 1),
    "3·1절": fixed(3, 1),
    "어린이날": fixed(5, 5),
    "어버이날": fixed(5, 8),
    "스승의 날": fixed(5, 15),
    "현충일": fixed(6, 6),
    "제헌절": fixed(7, 17),
    "광복절": fixed(8, 15),
    "개천절": fixed(10, 3),
    "한글날": fixed(10, 9),
}
SIDES = {
    "이전": BEFORE,
    "전": BEFORE,
    "직전": JUST_BEFORE,
    "바로 전": JUST_BEFORE,
    "전 주": JUST_BEFORE,
    "전날": DAY_BEFORE,
    "전야": DAY_BEFORE,
    "이브": DAY_BEFORE,
    "이후": AFTER,
    "후": AFTER,
    "뒤": AFTER,
    "지나고": AFTER,
    "지나서": AFTER,
    "끝나고": AFTER,
    "쇠고": AFTER,
    "직후": JUST_AFTER,
    "다음 주": JUST_AFTER,
    "다음 날": DAY_AFTER,
    "무렵": AROUND,
    "즈음": AROUND,
    "쯤": AROUND,
}


def _loose(words: Iterable[str]) -> str:
    """A pattern for any of the words, their blanks left out or not."""
    return any_of(re.escape(each).replace(r"\ ", " ?") for each in words)


_NAMES = f"(?P<feast>{_loose(name for name in FEASTS if name != '설')})"
_BESIDE = (
    rf"(?P<off> ?연휴)?"
    rf"(?: ?(?:(?P<amount>{AMOUNT}) ?)?(?P<side>{_loose(SIDES)})(?: (?:첫 )?{WEEKDAY})?)?"
)
# 설 alone is also the stem of "to stand" (설 자리, 설 수 있다) and a rumour (그 설에): so only before what goes with
# a feast.
_OF_A_FEAST = any_of(
    (_loose(("연휴", "명절", "당일", "차례", "세배", "선물", "때", *SIDES)), rf"{AMOUNT} ?전")
)
_LONE_SEOL = rf"(?<!그 )(?<!이 )(?<!저 )(?<!는 )(?P<feast>설)(?= ?{_OF_A_FEAST}{END}|에|엔|을 쇠)"


def _feast(words: Words, now: datetime) -> Stretch:
    mention = Mention(
        feast=_BARE_FEASTS[words["feast"].replace(" ", "")],
        days_off=bool(words["off"]),
        side=_BARE_SIDES.get(words["side"].replace(" ", "")),
        weekday=weekday_of(words),
        amount=korean_amount(words["amount"]) if words["amount"] else None,
    )
    return chosen(words, mention.of_year, now)


_BARE_FEASTS = {name.replace(" ", ""): feast for name, feast in FEASTS.items()}
_BARE_SIDES = {words.replace(" ", ""): side for words, side in SIDES.items()}
_HINTS = [name.split()[0] for name in FEASTS if name != "설"]

KOREAN_FEASTS = (
    reading(_HINTS, rf"{BEGIN}(?:{YEAR_OR_WHICH} ?)?{_NAMES}{_BESIDE}{END}", _feast),
    reading(("설",), rf"{BEGIN}{YEAR_OR_WHICH} ?(?P<feast>설){_BESIDE}{END}", _feast),
    reading(("설",), rf"{BEGIN}{_LONE_SEOL}{_BESIDE}{END}", _feast),
    no_date(("새해",), rf"{BEGIN}새해 ?복"),
)
