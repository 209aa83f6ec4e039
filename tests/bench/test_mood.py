"""The bench of moods: its figures, and the two ways that it compares with."""

from __future__ import annotations

import pytest

from bench.mood import by_words, macro_f1, scores, table


def test_words_name_an_emotion_or_none() -> None:
    assert by_words("정말 무서워") == "fear"
    assert by_words("I am furious") == "anger"
    assert by_words("버스는 아홉 시에 와") == "neutral"


def test_macro_f1_is_the_mean_over_the_emotions_that_are_wanted() -> None:
    pairs = [("joy", "joy"), ("joy", "fear"), ("fear", "fear")]
    assert macro_f1(pairs) == pytest.approx(100 * (2 / 3 + 2 / 3) / 2)


def test_languages_stand_apart() -> None:
    figures = {"ours": scores(["joy", "fear", "joy"], ["joy", "joy", "joy"], ["ko", "ko", "en"])}
    assert figures["ours"]["all"]["accuracy"] == 66.7
    assert figures["ours"]["en"] == {"accuracy": 100.0, "macro_f1": 100.0}
    assert "mixed" not in figures["ours"]
    assert "| ours | 66.7 / 40.0 |" in table(figures)
