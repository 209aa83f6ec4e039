from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from memoryd.recall import weights
from memoryd.recall.newer import DEPTH, asks_for_latest, newer_first
from tests.memoryd.recall.hits import ranked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memoryd.recall.ranking import Ranked

SAME = {row: np.array([1.0, 0.0], np.float32) for row in range(100)}
APART = {1: np.array([1.0, 0.0], np.float32), 2: np.array([0.0, 1.0], np.float32)}


def test_the_newer_of_two_on_one_subject_stands_first() -> None:
    found = newer_first([ranked(1, 0.8), ranked(2, 0.75, hours=5)], SAME, latest=False)
    assert [each.place.row for each in found] == [2, 1]
    assert [each.why.newer for each in found] == [True, False]


@pytest.mark.parametrize(
    ("candidates", "vectors"),
    [
        ([ranked(1, 0.8, hours=5), ranked(2, 0.75)], SAME),  # older already behind
        ([ranked(1, 0.8), ranked(2, 0.75)], SAME),  # said at once
        ([ranked(1, 0.8), ranked(2, 0.79 - weights.NEWER_WITHIN, hours=5)], SAME),  # fits far worse
        ([ranked(1, 0.8), ranked(2, 0.75, hours=5)], APART),  # another subject
        ([ranked(1, 0.8), ranked(2, 0.75, hours=5)], {}),  # nothing is known of them
    ],
)
def test_else_the_order_stays(candidates: list[Ranked], vectors: dict[int, NDArray[np.float32]]) -> None:
    assert newer_first(candidates, vectors, latest=False) == candidates


def test_it_moves_before_the_first_that_it_may_have_changed_and_no_further() -> None:
    vectors = {
        1: np.array([0.0, 1.0], np.float32),
        2: np.array([1.0, 0.0], np.float32),
        3: np.array([1.0, 0.0], np.float32),
    }
    found = newer_first([ranked(1, 0.9), ranked(2, 0.85), ranked(3, 0.84, hours=9)], vectors, latest=False)
    assert [each.place.row for each in found] == [1, 3, 2]


def test_who_asks_for_the_latest_gets_the_newer_of_less_alike_ones_first() -> None:
    vectors = {1: np.array([1.0, 0.0], np.float32), 2: np.array([0.7, 0.714], np.float32)}
    candidates = [ranked(1, 0.8), ranked(2, 0.65, hours=5)]
    assert newer_first(candidates, vectors, latest=False) == candidates
    assert [each.place.row for each in newer_first(candidates, vectors, latest=True)] == [2, 1]


@pytest.mark.parametrize(
    ("question", "latest"),
    [
        ("스터디에 지금 몇 명 있어?", True),
        ("이삿날이 결국 언제로 바뀌었지?", True),
        ("Which pod are we on these days?", True),
        ("What did it finally cost?", True),
        ("이삿날이 언제였지?", False),
        ("What do you know about snow?", False),
    ],
)
def test_some_questions_ask_for_the_latest(question: str, latest: bool) -> None:
    assert asks_for_latest(question) is latest


def test_only_the_first_hits_are_looked_at() -> None:
    candidates = [ranked(row, 1.0) for row in range(DEPTH)] + [ranked(90, 0.99, hours=5)]
    assert newer_first(candidates, SAME, latest=True) == candidates


def test_nothing_in_nothing_out() -> None:
    assert newer_first([], {}, latest=True) == []
