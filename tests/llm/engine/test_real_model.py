"""What only a real cache can prove: what is shared, swapped or restored gives the logits of a prompt computed alone.

A small file of full precision tells a single wrong token; Gemma's coarse weights differ by how a prompt was cut.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pytest

from llm.base import Finish, Piece, Usage
from llm.batch import Batch
from llm.context import Context
from llm.engine.batcher import Batcher
from llm.engine.identity_file import IdentityFiles, StoredIdentity
from llm.engine.job import Job
from llm.engine.pins import Pin
from llm.engine.sizes import sequences
from llm.weights import Weights
from tests.llm.engine.fake_context import outcome, pinned, run, submit
from tests.llm.tiny_gguf import LLAMA, write_tiny

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from llm.base import KvType

SOME_TEXT = (
    "에코는 사람들의 이야기를 기억한다. 지훈은 봄에 제주도로 여행을 갔고, 서연은 고양이 두 마리와 산다. "
    "On Sundays they walk along the river and talk about the books that they have read. "
)
ROUNDING = 0.05
"""Of the small file's logits; 0.01 was seen, and one other token far back makes 0.1 to 0.4."""


@dataclass(slots=True)
class Dictated:
    """An answer whose tokens are given, so that the logits after them can be compared."""

    tokens: list[int]
    finish: Finish | None = None
    computed: int = 0
    logits: list[NDArray[np.float32]] = field(default_factory=list)

    def draw(self, logits: NDArray[np.float32]) -> tuple[int, Piece | None]:
        self.logits.append(logits.copy())
        token = self.tokens[self.computed]
        self.computed += 1
        if self.computed == len(self.tokens):
            self.finish = Finish.LENGTH
        return token, None

    def last(self, usage: Usage) -> Piece:
        return Piece(text="", finish=self.finish, usage=usage)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("exact") / "exact.gguf", LLAMA, mix="F32")


@pytest.fixture(scope="module")
def weights(small: Path) -> Weights:
    return Weights(small, gpu_layers=0, template=None)


@pytest.fixture(scope="module")
def text(weights: Weights) -> list[int]:
    """To cut prompts from."""
    return weights.prompt_tokens(SOME_TEXT * 4, control=False)


class Room:
    """Makes batchers over one model's weights, and frees them."""

    def __init__(self, weights: Weights, *, kv_type: KvType = "f32") -> None:
        self.weights = weights
        self.kv_type = kv_type
        self.made: list[Batcher] = []

    def batcher(self, cells: int = 1024, files: IdentityFiles | None = None) -> Batcher:
        def keep(tokens: NDArray[np.int32], stored: StoredIdentity) -> None:
            assert files is not None
            files.save(tokens, stored, removals=files.removals)

        context = Context(
            self.weights,
            cells=cells,
            sequences=sequences(4),
            batch_tokens=128,
            threads=1,
            kv_type=self.kv_type,
        )
        kept = keep if files else None
        # Time stands still, so that the size of a step, and with it rounding, does not follow the machine's speed.
        batcher = Batcher(
            "real", context, Batch(128), parallel=4, waiting=9, on_computed=kept, clock=lambda: 0.0
        )
        self.made.append(batcher)
        return batcher

    def alone(self, prompt: list[int], said: list[int]) -> Dictated:
        """Computed in a cache of its own."""
        batcher = self.batcher()
        job, answer = dictated(prompt, said)
        submit(batcher, job)
        run(batcher)
        assert outcome(job).usage.cached_tokens == 0
        return answer

    def close(self) -> None:
        for batcher in self.made:
            batcher.close()


@pytest.fixture
def room(weights: Weights) -> Iterator[Room]:
    room = Room(weights)
    yield room
    room.close()


def dictated(prompt: list[int], said: list[int], *, conversation: str = "") -> tuple[Job, Dictated]:
    answer = Dictated(said)
    job = Job(prompt=np.array(prompt, np.int32), answer=answer, room=len(said), conversation=conversation)
    return job, answer


def assert_same(answer: Dictated, alone: Dictated) -> None:
    assert len(answer.logits) == len(alone.logits) > 0
    for one, other in zip(answer.logits, alone.logits, strict=True):
        assert np.abs(one - other).max() < ROUNDING


def test_answers_together_on_an_identity_have_the_logits_of_each_alone(room: Room, text: list[int]) -> None:
    identity = text[:150]
    tails = [text[200 : 200 + length] for length in (3, 30, 17, 60, 9)]
    said = text[300:306]
    alone = [room.alone([*identity, *tail], said) for tail in tails]
    batcher = room.batcher()
    pinned(batcher, identity)
    asked = [
        dictated([*identity, *tail], said, conversation=str(number)) for number, tail in enumerate(tails)
    ]
    for job, _ in asked:
        submit(batcher, job)
        batcher.step()
    run(batcher)
    for (job, answer), one in zip(asked, alone, strict=True):
        assert outcome(job).usage.cached_tokens == 150
        assert_same(answer, one)
    again = [*identity, *tails[1], *said[:3], *text[400:420]]  # the conversation went on otherwise
    job, answer = dictated(again, said, conversation="1")
    submit(batcher, job)
    run(batcher)
    assert outcome(job).usage.cached_tokens == 150 + 30 + 3
    assert_same(answer, room.alone(again, said))
    assert batcher.occupancy().stray == 0


def test_answers_across_a_swap_keep_the_identity_that_they_began_with(room: Room, text: list[int]) -> None:
    old, new = text[:150], [*text[:40], *text[200:320]]
    batcher = room.batcher()
    pinned(batcher, old)
    before, answer_before = dictated([*old, *text[400:405]], text[410:425])
    submit(batcher, before)
    batcher.step()
    batcher.pin(Pin(version=2, tokens=np.array(new, np.int32)))
    after, answer_after = dictated([*new, *text[400:405]], text[410:415])
    submit(batcher, after)
    while not batcher.cache.pin or batcher.cache.pin.version == 1:
        batcher.step()
    assert not outcome(before).over
    run(batcher)
    assert outcome(after).usage.cached_tokens == len(new)
    assert_same(answer_before, room.alone(before.prompt.tolist(), text[410:425]))
    assert_same(answer_after, room.alone(after.prompt.tolist(), text[410:415]))
    assert batcher.occupancy().cells_used == len(new)


def test_cells_that_are_shared_are_there_once(room: Room, text: list[int]) -> None:
    """Four answers fill the cache to the last cell; unshared they would need twice as many."""
    batcher = room.batcher(cells=512)
    pinned(batcher, text[:256])
    asked = [dictated([*text[:256], *text[300 + each : 340 + each]], text[400:424]) for each in range(4)]
    submit(batcher, *(job for job, _ in asked))
    batcher.step()
    assert batcher.occupancy().cells_used == 512
    run(batcher)
    assert [outcome(job).finish for job, _ in asked] == [Finish.LENGTH] * 4


def test_an_identity_kept_on_disk_serves_the_next_run(
    room: Room,
    text: list[int],
    small: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    identity = text[:150]
    files = IdentityFiles(tmp_path, small, kv_type="f32")
    pinned(room.batcher(files=files), identity)
    stored = files.load(identity)
    assert stored is not None
    batcher = room.batcher()
    with caplog.at_level(logging.INFO):
        batcher.pin(Pin(version=1, tokens=np.array(identity, np.int32), stored=stored))
        batcher.step()
    assert "identity 1 was kept on disk" in caplog.text
    job, answer = dictated([*identity, *text[200:220]], text[300:306])
    submit(batcher, job)
    run(batcher)
    assert outcome(job).usage.cached_tokens == 150
    assert_same(answer, room.alone(job.prompt.tolist(), text[300:306]))


def test_another_identity_s_state_is_found_out(
    room: Room,
    text: list[int],
    small: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    files = IdentityFiles(tmp_path, small, kv_type="f32")
    pinned(room.batcher(files=files), text[:150])
    pinned(room.batcher(files=files), text[1:151])
    one, other = files.load(text[:150]), files.load(text[1:151])
    assert one is not None
    assert other is not None
    half = other.state[: len(other.state) // 2]
    for state in (other.state, half, b"", b"\0" * 64):
        caplog.clear()
        batcher = room.batcher()
        batcher.pin(
            Pin(version=1, tokens=np.array(text[:150], np.int32), stored=StoredIdentity(one.sample, state))
        )
        run(batcher)
        assert "is not the same; computing it" in caplog.text
        assert batcher.occupancy().cells_pinned == 150
        job, answer = dictated([*text[:150], 7], [8])
        submit(batcher, job)
        run(batcher)
        assert_same(answer, room.alone([*text[:150], 7], [8]))


def test_gemma_s_sliding_window_is_copied_and_restored_with_the_rest(gguf: Path, tmp_path: Path) -> None:
    """The identity is longer than the window of 512 tokens."""
    weights = Weights(gguf, gpu_layers=0, template=None)
    text = weights.prompt_tokens(SOME_TEXT * 14, control=False)
    identity, tail, said = text[:560], text[600:620], text[640:644]
    room = Room(weights, kv_type="f16")
    files = IdentityFiles(tmp_path, gguf, kv_type="f16")
    first = room.batcher(files=files)
    pinned(first, identity)
    stored = files.load(identity)
    assert stored is not None
    second = room.batcher()
    second.pin(Pin(version=1, tokens=np.array(identity, np.int32), stored=stored))
    answers = [room.alone([*identity, *tail], said)]
    for batcher in (first, second):
        job, answer = dictated([*identity, *tail], said)
        submit(batcher, job)
        run(batcher)
        assert outcome(job).usage.cached_tokens == 560
        answers.append(answer)
    assert second.cache.pin is not None
    assert second.cache.pin.stored is None
    assert second.cache.pin.restored
    room.close()
    alone, shared, restored = answers
    for one, two, three in zip(alone.logits, shared.logits, restored.logits, strict=True):
        # The same to 0.997, another identity's 0.95. What is restored lies in other cells, added up in other tiles.
        assert np.corrcoef(one, two)[0, 1] > 0.995
        assert np.corrcoef(two, three)[0, 1] > 0.995
        assert np.abs(two - three).max() < 1.0  # as much as rounding does; after other words it is 10
