"""Readings: the longest words win, words that name nothing keep their place, and hints hide no match."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.date_words import READINGS
from memoryd.date_words.reading import any_of, compiled, named, no_date, reading
from memoryd.date_words.stretches import Stretch, days

if TYPE_CHECKING:
    from memoryd.date_words.reading import Words

NOW = datetime.fromisoformat("2026-03-12 15:00")
TODAY = days(NOW.date())
# Words of the readings' own, and some of none.
WORDS = st.sampled_from(
    [
        "지난",
        "주",
        "지난주",
        "화요일",
        "3월",
        "5일",
        "초",
        "말",
        "전",
        "설",
        "설날",
        "연휴",
        "직전",
        "작년",
        "여름",
        "두",
        "달",
        "최근",
        "며칠",
        "동안",
        "매주",
        "14일에",
        "보리",
        "last",
        "week",
        "the",
        "Tuesday",
        "of",
        "May",
        "march",
        "5th",
        "2023",
        "before",
        "after",
        "Christmas",
        "Eve",
        "two",
        "days",
        "ago",
        "in",
        "on",
        "early",
        "fall",
        "past",
        "2025-03-05",
        "year",
        "before",
        "yesterday",
        "morning",
        "cat",
    ]
)


def today(_words: Words, _now: datetime) -> Stretch:
    return TODAY


def words_of(text: str, *patterns: str) -> list[str]:
    return [words for words, _ in named(text, [reading([""], pattern, today) for pattern in patterns], NOW)]


def test_the_longest_words_win_whatever_the_order() -> None:
    assert words_of("the day before yesterday", "yesterday", "the day before yesterday") == [
        "the day before yesterday"
    ]
    assert words_of("the day before yesterday", "the day before yesterday", "yesterday") == [
        "the day before yesterday"
    ]


def test_of_equally_long_words_the_first_in_the_text_win() -> None:
    assert words_of("ab bc", "b bc", "ab b") == ["ab b"]


def test_words_come_in_the_order_of_the_text() -> None:
    assert words_of("one twelve one", "twelve", "one") == ["one", "twelve", "one"]


def test_words_that_name_nothing_keep_their_place() -> None:
    def impossible(_words: Words, _now: datetime) -> Stretch:
        raise ValueError("no such day")

    may = reading([""], "may", today)
    assert named("may 32", [may, reading([""], r"may \d+", impossible)], NOW) == []
    assert named("may be", [may, no_date([""], "may be")], NOW) == []


def test_a_group_that_matched_nothing_or_is_not_there_is_empty() -> None:
    seen: list[tuple[str, str]] = []

    def look(words: Words, _now: datetime) -> None:
        seen.append((words["part"], words["elsewhere"]))

    assert named("march", [reading([""], "(?P<part>early )?march", look)], NOW) == []
    assert seen == [("", "")]


def test_a_pattern_whose_hints_are_missing_is_not_tried() -> None:
    assert named("march", [reading(["april"], "march", today)], NOW) == []
    assert named("MARCH", [reading(["march"], "march", today)], NOW) == [("MARCH", TODAY)]


@settings(deadline=None)  # the first text compiles every pattern
@given(st.lists(WORDS, max_size=8).map(" ".join))
def test_hints_hide_no_match(text: str) -> None:
    for each in READINGS:
        if compiled(each.pattern).search(text):
            assert any(hint in text.lower() for hint in each.hints), each.pattern


@pytest.mark.parametrize(("text", "matched"), [("초순", "초순"), ("초", "초"), ("중순", None)])
def test_any_of_takes_the_longest_word(text: str, matched: str | None) -> None:
    found = re.match(any_of(["초", "초순"]), text)
    assert (found and found[0]) == matched
