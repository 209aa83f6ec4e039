"""Dates in digits, and numbers that are none."""

from __future__ import annotations

import pytest

from tests.memoryd.date_words.asked import stretches


@pytest.mark.parametrize(
    "question",
    [
        "2025-03-05",
        "2025-03-05에 뭐 했지",
        "2025.3.5",
        "2025. 3. 5.",
        "on 2025/03/05",
        "2025-03-05T10:00",
        "2025-3-5?",
    ],
)
def test_a_date_with_the_year_first_is_a_day(question: str) -> None:
    assert stretches(question) == ["2025-03-05 2025-03-06"]


@pytest.mark.parametrize(
    "question",
    [
        "2025-13-05",
        "2025-02-30",
        "v2025.3.5",
        "version 2025.3.5.1",
        "010-2025-3-5",
        "2025-10-1234",
        "12025-03-05",
        "2025-03/05",
        "3/5",
        "10.0.0.1",
    ],
)
def test_other_numbers_name_nothing(question: str) -> None:
    assert stretches(question) == []
