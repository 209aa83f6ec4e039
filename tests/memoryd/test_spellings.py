"""Folded spelling: variants of a word become one, different words stay different."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memoryd.spellings import FOLDED, LOANWORDS, fold


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("리펙토링", "리팩토링"),
        ("리팩터링", "리팩토링"),
        ("켈린더", "캘린더"),
        ("되요", "돼요"),
        ("웬지", "왠지"),
        ("됬다", "됐다"),
        ("않돼", "안되"),
        ("얘기", "예기"),
        ("쥬스", "주스"),
        ("챠트", "차트"),
        ("쇼파", "소파"),
        ("까페", "카페"),
        ("싸이트", "사이트"),
        ("데이타", "데이터"),
        ("컨텐츠", "콘텐츠"),
        ("메세지", "메시지"),
        ("리더쉽", "리더십"),
        ("텔레비젼", "텔레비전"),
        ("악세사리", "액세서리"),
    ],
)
def test_variants_of_a_word_are_spelled_alike(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("달", "탈"), ("감사", "검사"), ("바다", "바닥"), ("사과", "사고"), ("고기", "거기"), ("우리", "오리")],
)
def test_different_words_stay_different(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@given(st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3) | st.sampled_from(" aZ7ㅋ")))
def test_a_folded_syllable_is_a_syllable_and_folding_again_changes_none(text: str) -> None:
    once = text.translate(FOLDED)
    assert len(once) == len(text)
    assert once.translate(FOLDED) == once
    assert [a == b for a, b in zip(text, once, strict=True) if not "가" <= a <= "힣"].count(False) == 0


def test_the_loanwords_lead_nowhere_but_to_their_form() -> None:
    assert all(fold(written) == fold(written) != "" for written in LOANWORDS)
    assert all(variant != form for variant, form in LOANWORDS.items())
    assert LOANWORDS.keys().isdisjoint(LOANWORDS.values())
