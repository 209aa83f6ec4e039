"""llama.cpp's arithmetic over sequences that share cells, on the built-in model and small ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import llama_cpp
import numpy as np
import pytest

from llm import ModelError
from llm.batch import Batch
from llm.context import Context

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from llm.base import KvType
    from llm.weights import Weights

NOISE = 0.05
"""How far logits lie apart that were computed in other portions (f16 cache, other order of sums)."""
QUANTISED_NOISE = 2.5
"""The same where activations are rounded to 8 bits; after other words they lie 10 apart and more."""


class Computer:
    """A context with its batch."""

    def __init__(self, weights: Weights, *, cells: int = 256, kv_type: KvType = "f16") -> None:
        self.batch = Batch(128)
        self.noise = NOISE if weights.vocab_size < 100_000 else QUANTISED_NOISE
        self.context = Context(
            weights, cells=cells, sequences=4, batch_tokens=128, threads=1, kv_type=kv_type
        )

    def logits(self, tokens: Sequence[int], *, start: int = 0, sequence: int = 0) -> NDArray[np.float32]:
        """After tokens whose first has the position `start`."""
        self.batch.clear()
        row = self.batch.add(tokens, start, sequence, wanted=True)
        assert self.context.decode(self.batch)
        return self.context.logits(row).copy()


@pytest.fixture(params=["gemma", "llama", "mixtral"])
def computer(request: pytest.FixtureRequest) -> Iterator[Computer]:
    names = {"gemma": "weights", "llama": "tiny", "mixtral": "tiny_spm"}
    computer = Computer(request.getfixturevalue(names[request.param]))
    yield computer
    computer.context.close()


@pytest.fixture
def small(tiny: Weights) -> Iterator[Computer]:
    computer = Computer(tiny)
    yield computer
    computer.context.close()


def some(computer: Computer, text: str = "나는 너의 이름을 기억해. What did you say?") -> list[int]:
    return computer.context.weights.prompt_tokens(text, control=False)


def test_a_prompt_in_portions_is_the_prompt(computer: Computer) -> None:
    tokens = some(computer)
    whole = computer.logits(tokens)
    for at, portion in ((0, tokens[:5]), (5, tokens[5:9]), (9, tokens[9:])):
        last = computer.logits(portion, start=at, sequence=1)
    assert np.abs(last - whole).max() < computer.noise
    assert computer.context.length(0) == computer.context.length(1) == len(tokens)


@pytest.mark.parametrize("count", [3, 20, 100])
def test_rows_together_are_the_rows_one_by_one(computer: Computer, count: int) -> None:
    # Together they go through another kernel (scripts/llama_cpp.patch): tiles of the heads that share keys.
    tokens = (some(computer) * count)[:count]
    whole = computer.logits(tokens)
    for at, token in enumerate(tokens):
        last = computer.logits([token], start=at, sequence=1)
    assert np.abs(last - whole).max() < computer.noise


def test_a_copied_beginning_goes_on_as_if_it_were_its_own(computer: Computer) -> None:
    tokens = some(computer)
    whole = computer.logits(tokens)
    computer.context.copy(0, 2, 6)
    assert computer.context.length(2) == 6
    assert np.abs(computer.logits(tokens[6:], start=6, sequence=2) - whole).max() < computer.noise
    computer.context.cut(0)
    assert computer.context.length(0) == 0
    assert computer.context.length(2) == len(tokens)
    assert (
        np.abs(computer.logits(tokens[-1:], start=len(tokens) - 1, sequence=3) - whole).max() > computer.noise
    )


def test_what_is_cut_off_is_gone(computer: Computer) -> None:
    tokens = some(computer)
    whole = computer.logits(tokens)
    computer.logits(some(computer, "전혀 다른 말")[1:], start=len(tokens))
    assert computer.context.cut(0, len(tokens) - 1)
    assert computer.context.length(0) == len(tokens) - 1
    assert np.abs(computer.logits(tokens[-1:], start=len(tokens) - 1) - whole).max() < computer.noise


def test_several_sequences_in_one_batch_do_not_see_each_other(computer: Computer) -> None:
    one, other = some(computer), some(computer, "오늘 뭐 했어?")
    alone = computer.logits(one), computer.logits(other, sequence=1)
    computer.context.clear()
    computer.batch.clear()
    rows = [computer.batch.add(tokens, 0, at, wanted=True) for at, tokens in enumerate((one, other))]
    assert computer.context.decode(computer.batch)
    for row, expected in zip(rows, alone, strict=True):
        assert np.abs(computer.context.logits(row) - expected).max() < computer.noise


def test_a_state_is_put_back_into_another_context(computer: Computer) -> None:
    tokens = some(computer)
    whole = computer.logits(tokens)
    state = bytes(computer.context.state(0))
    again = Computer(computer.context.weights)
    assert again.context.restore(1, state)
    assert again.context.length(1) == len(tokens)
    again.context.cut(1, len(tokens) - 1)
    assert np.abs(again.logits(tokens[-1:], start=len(tokens) - 1, sequence=1) - whole).max() < computer.noise
    again.context.close()


@pytest.mark.parametrize("keep", [0, 3, 4, 100, -1])
def test_a_state_that_is_cut_off_does_not_fit(small: Computer, keep: int) -> None:
    small.logits(some(small))
    assert not small.context.restore(2, bytes(small.context.state(0))[:keep])


def test_a_state_of_another_kind_does_not_fit(tiny: Weights, small: Computer) -> None:
    small.logits(some(small))
    exact = Computer(tiny, kv_type="f32")
    assert not exact.context.restore(0, bytes(small.context.state(0)))
    exact.context.close()


@pytest.mark.parametrize("kv_type", ["f32", "f16", "q8_0"])
def test_every_way_of_keeping_the_cache_computes_the_same(tiny: Weights, kv_type: KvType) -> None:
    computer, exact = Computer(tiny, kv_type=kv_type), Computer(tiny, kv_type="f32")
    tokens = some(computer)
    assert np.abs(computer.logits(tokens) - exact.logits(tokens)).max() < 0.5
    computer.context.close()
    exact.context.close()


def test_where_there_is_no_room_nothing_is_changed(small: Computer) -> None:
    token = some(small)[:1]
    small.logits(token * 128)
    small.logits(token * 120, sequence=1)
    small.batch.clear()
    small.batch.add(token * 9, 128, 0, wanted=True)
    assert not small.context.decode(small.batch)
    assert (small.context.length(0), small.context.length(1)) == (128, 120)
    small.context.cut(1)
    assert small.context.decode(small.batch)
    assert small.context.length(0) == 137


def test_a_copy_takes_no_room(small: Computer) -> None:
    token = some(small)[:1]
    small.logits(token * 128)
    small.context.copy(0, 1, 128)
    small.context.copy(0, 2, 128)
    small.logits(token * 100, start=128, sequence=1)
    assert small.context.length(1) == 228


def long(computer: Computer, tokens: Sequence[int], *, start: int = 0, sequence: int = 0) -> None:
    for at in range(0, len(tokens), 128):
        computer.logits(tokens[at : at + 128], start=start + at, sequence=sequence)


@pytest.fixture
def sliding(weights: Weights) -> Iterator[Computer]:
    assert weights.window == 512
    computer = Computer(weights, cells=2304)
    yield computer
    computer.context.close()


def test_a_window_that_lacks_something_is_told(sliding: Computer) -> None:
    context = sliding.context
    tokens = (some(sliding) * 100)[:1100]
    long(sliding, tokens[:20], sequence=1)
    long(sliding, tokens)  # of these, what has left the window stands behind the place that is freed now
    context.cut(1, 10)
    long(sliding, tokens[:570], start=10, sequence=1)
    assert context.whole(0, 1100)
    context.cut(0, 540)
    whole = context.whole(0, 540)
    got = sliding.logits(tokens[:5], start=540)
    context.clear()
    long(sliding, tokens[:20], sequence=1)
    long(sliding, tokens[:540])
    assert context.whole(0, 540)
    same = np.abs(sliding.logits(tokens[:5], start=540) - got).max() < NOISE
    assert same == whole  # both with scripts/llama_cpp.patch, neither without it


def test_what_was_restored_is_whole_at_its_end(sliding: Computer) -> None:
    context = sliding.context
    long(sliding, (some(sliding) * 50)[:700])
    assert context.whole(0, 700)
    assert context.whole(0, 600)
    assert context.restore(2, bytes(context.state(0)))
    assert context.whole(2, 700)
    assert not context.whole(2, 600)
    assert not context.whole(3, 1)


def test_what_llama_cpp_refuses_is_an_error_with_its_reason(small: Computer) -> None:
    small.batch.clear()
    small.batch.add([10**9], 0, 0, wanted=True)
    with pytest.raises(ModelError, match=r"llama\.cpp failed with code -1\. .*invalid token"):
        small.context.decode(small.batch)


def test_no_memory_for_the_cache_is_an_error_in_numbers(
    tiny: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llama_cpp, "llama_init_from_model", lambda *_: None)
    with pytest.raises(ModelError, match=f"can't make a cache of 256 tokens for {tiny.path}"):
        Computer(tiny)


def test_closing_twice_is_closing(tiny: Weights) -> None:
    computer = Computer(tiny)
    computer.context.close()
    computer.context.close()
