from __future__ import annotations

import ctypes

import numpy as np

from llm.batch import Batch


def test_tokens_of_several_sequences_lie_one_after_another() -> None:
    batch = Batch(8)
    assert batch.add([7, 8, 9], 0, 2, wanted=True) == 2
    assert batch.add(np.array([5], np.int32), 40, 1, wanted=False) == 3
    assert (batch.length, batch.room) == (4, 4)
    assert batch.tokens[:4].tolist() == [7, 8, 9, 5]
    assert batch.positions[:4].tolist() == [0, 1, 2, 40]
    assert batch.sequences[:4].tolist() == [2, 2, 2, 1]
    assert batch.wanted[:4].tolist() == [0, 0, 1, 0]
    assert batch.counts.tolist() == [1] * 8


def test_what_was_cleared_is_overwritten() -> None:
    batch = Batch(4)
    batch.add([1, 2, 3, 4], 0, 0, wanted=True)
    batch.clear()
    assert batch.room == 4
    assert batch.add([5, 6], 9, 3, wanted=False) == 1
    assert batch.wanted[:2].tolist() == [0, 0]
    assert batch.positions[:2].tolist() == [9, 10]


def test_each_place_points_at_its_sequence() -> None:
    batch = Batch(3)
    batch.add([1], 0, 4, wanted=False)
    batch.add([1, 1], 0, 6, wanted=False)
    pointed = [ctypes.c_int32.from_address(int(place)).value for place in batch.sequence_places]
    assert pointed == [4, 6, 6]
