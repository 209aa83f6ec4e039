"""English feasts: the fixed and the moving ones, and the days before and after them."""

from __future__ import annotations

import pytest

from tests.memoryd.date_words.asked import stretches


@pytest.mark.parametrize(
    ("question", "stretch"),
    [
        ("What did we do at Christmas?", "2025-12-25 2025-12-26"),
        ("on Christmas Eve", "2025-12-24 2025-12-25"),
        ("Christmas 2023", "2023-12-25 2023-12-26"),
        ("last Christmas", "2025-12-25 2025-12-26"),
        ("this Christmas", "2026-12-25 2026-12-26"),
        ("before Christmas", "2025-12-04 2025-12-25"),
        ("before last Christmas", "2025-12-04 2025-12-25"),
        ("right before Christmas", "2025-12-18 2025-12-25"),
        ("the week before Christmas", "2025-12-18 2025-12-25"),
        ("the day after Christmas", "2025-12-26 2025-12-27"),
        ("two weeks before Christmas", "2025-12-07 2025-12-16"),
        ("over New Year", "2025-12-31 2026-01-04"),
        ("New Year's Day", "2026-01-01 2026-01-02"),
        ("New Year’s Eve", "2025-12-31 2026-01-01"),
        ("at Thanksgiving", "2025-11-27 2025-11-28"),
        ("the Friday before Thanksgiving 2024", "2024-11-22 2024-11-23"),
        ("three days after Thanksgiving", "2025-11-30 2025-12-01"),
        ("Halloween", "2025-10-31 2025-11-01"),
        ("Valentine's Day", "2026-02-14 2026-02-15"),
        ("around Easter", "2025-04-13 2025-04-28"),
        ("after Easter last year", "2025-04-21 2025-05-12"),
        ("lunar new year", "2026-02-16 2026-02-19"),
        ("Chuseok", "2025-10-05 2025-10-08"),
    ],
)
def test_a_feast_is_the_latest_one_that_has_begun(question: str, stretch: str) -> None:
    assert stretches(question) == [stretch]


def test_this_christmas_is_still_the_last_one_in_january() -> None:
    assert stretches("this Christmas", "2026-01-05 12:00") == ["2025-12-25 2025-12-26"]


@pytest.mark.parametrize(
    "question", ["Easter Island", "the easter egg hunt", "Happy New Year!", "before the meeting"]
)
def test_words_that_only_look_like_feasts_name_nothing(question: str) -> None:
    assert stretches(question) == []
