"""BM25 by hand, and the passages that both baselines share."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.baselines import Bm25, _exchanges
from bench.datasets import Conversation, Turn


def test_bm25_is_okapis_formula() -> None:
    index = Bm25(["red apple", "green pear green"])
    rarity = math.log(1 + (2 - 1 + 0.5) / (1 + 0.5))
    norm = 1.5 * (1 - 0.75 + 0.75 * 3 / 2.5)
    assert index.scores("green")[1] == pytest.approx(rarity * 2 * 2.5 / (2 + norm))


def test_a_passage_that_shares_no_word_does_not_count() -> None:
    scores = Bm25(["red apple", "green pear"]).scores("Apple, please")
    assert np.isfinite(scores).tolist() == [True, False]


def test_a_rare_word_weighs_more_than_a_common_one() -> None:
    scores = Bm25(["the cello", "the cat", "the sea"]).scores("the cello")
    assert int(scores.argmax()) == 0
    assert scores[0] > scores[1] == scores[2]


def test_a_shorter_passage_wins_where_the_words_are_the_same() -> None:
    short, long = Bm25(["첼로 연습", "첼로 이야기 말고 다른 여러 가지 이야기"]).scores("첼로")
    assert short > long


def test_an_exchange_ends_when_its_opener_speaks_again_after_an_answer() -> None:
    said = [("ann", "1"), ("ann", "2"), ("bob", "3"), ("ann", "4"), ("bob", "5"), ("cat", "6"), ("ann", "7")]
    turns = tuple(Turn(id=text, role="user", speaker=speaker, text=text) for speaker, text in said)
    passages = list(_exchanges(Conversation(id="c", day="day0101", turns=turns)))
    assert [hit.turns for hit, _ in passages] == [("1", "2", "3"), ("4", "5", "6"), ("7",)]
    assert passages[0][1] == "ann: 1\nann: 2\nbob: 3"
