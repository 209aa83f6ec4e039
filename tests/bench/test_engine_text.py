"""Texts of an exact number of tokens, whatever the tokenizer."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.engine_text import exactly, question, sample_lines, varied

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def by_letters(text: str) -> int:
    """One token for three letters, one for a start token."""
    return 1 + (len(text) + 2) // 3


def by_bytes(text: str) -> int:
    """A Hangul syllable is three tokens."""
    return len(text.encode())


def by_words(text: str) -> int:
    return len(text.split())


@settings(max_examples=20)
@given(wanted=st.integers(20, 900), count=st.sampled_from([by_letters, by_bytes, by_words]))
def test_a_text_has_exactly_as_many_tokens_as_wanted(wanted: int, count: Callable[[str], int]) -> None:
    text = exactly(varied(sample_lines()), wanted, count)
    assert count(text) == wanted
    assert text == text.rstrip()  # a chat template would strip it


def test_a_length_that_the_tokenizer_never_gives_is_an_error() -> None:
    with pytest.raises(ValueError, match="21 tokens"):
        exactly(varied(sample_lines()), 21, lambda text: 2 * len(text))


def test_the_samples_are_the_manifest_and_what_was_said() -> None:
    lines = sample_lines()
    assert any("나중에 한 말을 따르되" in line for line in lines)
    assert any("예방접종" in line for line in lines)


def test_a_text_by_path_is_taken_instead(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("하나\n\n둘\n", encoding="utf-8")
    assert sample_lines(tmp_path / "a.txt") == ["하나", "둘"]


def test_lines_come_again_in_another_form() -> None:
    lines = [f"{number}번째 줄" for number in range(20)]
    once, again, same = (list(islice(varied(lines, seed=seed), 60)) for seed in (1, 2, 1))
    assert once[:20] == lines
    assert len(set(once)) == 60
    assert once == same != again


def test_no_two_questions_are_alike() -> None:
    assert len({question(number) for number in range(100)}) == 100
