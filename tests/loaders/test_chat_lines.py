from __future__ import annotations

import re

import pytest

from loaders.chat_lines import CLOCK, NO_TEXT, Opening, is_log_source, time_at, utterances


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("21:04", 21),
        ("21:04:05", 21),
        ("21.04", 21),
        ("9:04 PM", 21),
        ("9:04\u202fpm", 21),
        ("9:04 p. m.", 21),
        ("9:04 a.m.", 9),
        ("오후 9:04", 21),
        ("PM 9:04", 21),
        ("오전 12:04", 0),
        ("12:04 PM", 12),
        ("00:04 a. m.", 0),
        ("15:04 PM", 15),
    ],
)
def test_every_way_to_write_a_time_of_day_is_read(text: str, hour: int) -> None:
    match = re.fullmatch(CLOCK, text)
    assert match is not None
    time = time_at((2024, 3, 15), match)
    assert time is not None
    assert (time.hour, time.minute) == (hour, 4)
    assert time.tzinfo is not None


@pytest.mark.parametrize("day", [None, (2024, 2, 30), (0, 1, 1), (10**9, 1, 1)])
def test_a_day_that_does_not_exist_has_no_time(day: tuple[int, int, int] | None) -> None:
    match = re.fullmatch(CLOCK, "21:04")
    assert match is not None
    assert time_at(day, match) is None


def test_an_hour_that_does_not_exist_has_no_time() -> None:
    match = re.fullmatch(CLOCK, "77:99")
    assert match is not None
    assert time_at((2024, 3, 15), match) is None


def test_a_message_goes_down_to_the_next_and_one_without_words_says_so() -> None:
    openings = [
        Opening(line=0, text="하나", speaker="지훈"),
        Opening(line=3, text="", speaker="수민"),
        Opening(line=4, text="", speaker="지훈"),
    ]
    lines = ["", "  둘", "", "", "", "셋"]
    assert [(one.speaker, one.text) for one in utterances(lines, openings)] == [
        ("지훈", "하나\n  둘"),
        ("수민", NO_TEXT),
        ("지훈", "셋"),
    ]
    assert list(utterances(lines, [])) == []


@pytest.mark.parametrize("name", ["ERROR", "[main] INFO", "production.WARNING", "error", "Warning"])
def test_a_level_is_a_logs_source(name: str) -> None:
    assert is_log_source(name)


@pytest.mark.parametrize("name", ["지훈", "Jane Doe", "Info desk", "+82 10 1234 5678", "🤓", "Terror"])
def test_a_person_is_no_logs_source(name: str) -> None:
    assert not is_log_source(name)
