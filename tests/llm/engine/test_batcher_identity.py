"""The identity in the batcher: computed in spare steps, swapped, restored from an earlier run, proven."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pytest

from llm.base import Finish, PromptTooLongError
from llm.batch import Batch
from llm.engine.batcher import FIRST_STEP, Batcher
from llm.engine.identity_file import Sample, StoredIdentity
from llm.engine.pins import Pin
from tests.llm.engine.fake_context import (
    IDENTITY,
    FakeContext,
    alone,
    ample,
    logits_after,
    make_batcher,
    make_job,
    make_pin,
    numbers,
    outcome,
    pinned,
    run,
    submit,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


def test_the_identity_is_computed_when_nobody_asks_and_told() -> None:
    told: list[int] = []
    context = ample()
    batcher = Batcher("echo", context, Batch(64), parallel=3, waiting=3, on_pinned=told.append)
    batcher.pin(make_pin(numbers(1, 150), 7))
    assert told == []
    run(batcher)
    assert told == [7]
    assert context.computed == [64, 64, 22]
    assert batcher.occupancy().cells_pinned == 150
    batcher.pin(make_pin(numbers(1, 150), 8))
    assert told == [7, 8]
    assert not batcher.step()


def test_while_nobody_is_answered_the_identity_s_steps_are_larger() -> None:
    context = ample(seconds=lambda tokens: 0.002 * tokens)
    batcher = make_batcher(context, size=512)
    batcher.pin(make_pin(numbers(1, 1100)))
    batcher.step()
    submit(batcher, make_job(numbers(2, 80), 1))
    batcher.step()
    batcher.step()
    run(batcher)
    assert context.computed[:4] == [4 * FIRST_STEP, FIRST_STEP, FIRST_STEP, 4 * FIRST_STEP]


def test_the_identity_takes_what_prompts_leave_of_a_step() -> None:
    context = ample()
    batcher = make_batcher(context, size=64)
    submit(batcher, make_job(numbers(2, 40), 10))
    batcher.pin(make_pin(numbers(1, 100)))
    batcher.step()
    assert batcher.cache.next_pin is not None
    assert batcher.cache.next_pin.computed == 24
    batcher.step()
    assert batcher.cache.next_pin.computed == 24 + 63
    run(batcher)


def test_a_request_on_the_coming_identity_awaits_it() -> None:
    context = ample()
    batcher = make_batcher(context)
    batcher.pin(make_pin(IDENTITY))
    jobs = [make_job([*IDENTITY, *numbers(number, 5)], 3) for number in range(3)]
    submit(batcher, *jobs)
    run(batcher)
    for job in jobs:
        come = outcome(job)
        assert come.said == alone(job.prompt, 3)
        assert come.usage.cached_tokens == 30
    assert sum(context.computed) == 30 + 3 * 5 + 3 * 2


def test_a_request_on_the_identity_in_force_does_not_await_the_next() -> None:
    batcher = make_batcher(ample())
    pinned(batcher)
    batcher.pin(make_pin([*IDENTITY, *numbers(9, 200)], 2))
    job = make_job([*IDENTITY, *numbers(9, 200), 1], 1)  # on both; the old one is there now
    submit(batcher, job)
    batcher.step()
    assert batcher.occupancy().running == 1
    run(batcher)
    assert outcome(job).said == alone(job.prompt, 1)


def test_requests_under_way_keep_the_old_identity_across_a_swap() -> None:
    context = ample()
    batcher = make_batcher(context)
    pinned(batcher)
    before = make_job([*IDENTITY, *numbers(2, 5)], 30, conversation="하나")
    submit(batcher, before)
    batcher.step()
    batcher.pin(make_pin(numbers(8, 40), 2))
    while batcher.cache.pin is None or batcher.cache.pin.version == 1:
        batcher.step()
    assert not outcome(before).over
    assert batcher.occupancy().cells_pinned == 70
    after = make_job([*numbers(8, 40), *numbers(3, 5)], 3)
    submit(batcher, after)
    texts: list[int] = alone(before.prompt, 30)
    run(batcher)
    assert outcome(after).usage.cached_tokens == 40
    assert before.answer.finish is Finish.LENGTH
    assert before.answer.said == texts  # type: ignore[attr-defined]
    assert batcher.occupancy().cells_used == context.used == 40


def test_an_identity_pinned_many_times_is_computed_once() -> None:
    context = ample()
    batcher = make_batcher(context)
    for version in range(20):
        batcher.pin(make_pin(numbers(1, 200), version))
        batcher.step()
    run(batcher)
    assert sum(context.computed) == 200
    assert batcher.cache.pin is not None
    assert batcher.cache.pin.version == 19


def test_the_last_of_many_identities_is_the_one_in_force() -> None:
    context = ample()
    batcher = make_batcher(context)
    for version in range(20):
        batcher.pin(make_pin(numbers(version, 200), version))
        batcher.step()
    run(batcher)
    assert batcher.cache.pin is not None
    assert context.tokens(batcher.cache.pin.sequence) == numbers(19, 200)
    assert batcher.occupancy().cells_used == context.used == 200


def test_an_identity_too_large_for_the_cache_is_refused_and_nobody_awaits_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    batcher = make_batcher(FakeContext(cells=100))
    pinned(batcher)
    batcher.pin(make_pin(numbers(2, 100), 2))
    assert "identity 2 has 100 tokens and the cache 100. Raise llm.cache_tokens." in caplog.text
    job = make_job([*numbers(2, 100), 1], 3)
    other = make_job([*IDENTITY, 1], 3)
    submit(batcher, job, other)
    run(batcher)
    assert isinstance(outcome(job).error, PromptTooLongError)
    assert outcome(other).usage.cached_tokens == 30


def test_an_identity_gets_cells_however_many_ask() -> None:
    """Those who come would take every cell that the others leave."""
    batcher = make_batcher(FakeContext(cells=130), waiting=1000)
    pinned(batcher)
    for number in range(100):
        submit(batcher, make_job([*IDENTITY, *numbers(number, 18)], 12))
        if number < 3:  # begun one after the other, so that they end one after the other
            for _ in range(4):
                batcher.step()
    batcher.pin(make_pin(numbers(2, 45), 2))  # more than one of them leaves
    while batcher.cache.pin is None or batcher.cache.pin.version == 1:
        batcher.step()
    assert batcher.occupancy().waiting > 90
    run(batcher)


def test_two_identities_that_do_not_fit_together_follow_each_other() -> None:
    context = FakeContext(cells=100)
    batcher = make_batcher(context)
    pinned(batcher, numbers(1, 60))
    job = make_job([*numbers(1, 60), 1], 10)
    submit(batcher, job)
    batcher.step()
    batcher.pin(make_pin(numbers(2, 60), 2))
    later = make_job([*numbers(2, 60), 1], 10)
    submit(batcher, later)
    run(batcher)
    assert outcome(job).finish is Finish.LENGTH
    assert outcome(later).usage.cached_tokens == 60


# -- the identity on disk


class Shelf:
    """What was given to be kept."""

    def __init__(self) -> None:
        self.kept: list[tuple[list[int], StoredIdentity]] = []

    def __call__(self, tokens: NDArray[np.int32], stored: StoredIdentity) -> None:
        self.kept.append((tokens.tolist(), stored))

    def batcher(self, context: FakeContext, told: list[int] | None = None) -> Batcher:
        told = [] if told is None else told
        return Batcher(
            "echo", context, Batch(64), parallel=3, waiting=3, on_pinned=told.append, on_computed=self
        )


def stored_pin(stored: StoredIdentity, tokens: list[int] = IDENTITY) -> Pin:
    return Pin(version=1, tokens=np.array(tokens, np.int32), stored=stored)


def test_what_was_computed_is_handed_over_and_serves_the_next_run() -> None:
    shelf = Shelf()
    first = shelf.batcher(ample())
    pinned(first)
    [(tokens, stored)] = shelf.kept
    assert tokens == IDENTITY
    told: list[int] = []
    context = ample()
    second = shelf.batcher(context, told)
    second.pin(stored_pin(stored))
    run(second)
    assert told == [1]
    assert context.computed == [1]  # the proof
    assert len(shelf.kept) == 1  # it need not be kept again
    job = make_job([*IDENTITY, 5], 4)
    submit(second, job)
    run(second)
    come = outcome(job)
    assert come.said == alone(job.prompt, 4)
    assert come.usage.cached_tokens == 30
    assert context.used == second.occupancy().cells_used == 30


def test_a_request_that_awaits_a_kept_identity_is_answered_without_another_knock() -> None:
    """The step that restores computes nothing else: it must not be taken for rest."""
    shelf = Shelf()
    pinned(shelf.batcher(ample()))
    batcher = shelf.batcher(ample())
    job = make_job([*IDENTITY, 5], 4)
    submit(batcher, job)
    batcher.pin(stored_pin(shelf.kept[0][1]))
    run(batcher)
    assert outcome(job).said == alone(job.prompt, 4)


@pytest.mark.parametrize("what", ["another state", "another sample", "too short", "torn"])
def test_what_does_not_prove_itself_is_computed(what: str, caplog: pytest.LogCaptureFixture) -> None:
    sample = Sample.of(logits_after(IDENTITY))
    states = {
        "another state": numbers(9, 30),
        "another sample": IDENTITY,
        "too short": IDENTITY[:-1],
        "torn": IDENTITY,
    }
    state = np.array(states[what], np.int32).tobytes()
    if what == "another sample":
        sample = Sample.of(logits_after([1]))
    if what == "torn":
        state = state[:-1]
    shelf = Shelf()
    context = ample()
    batcher = shelf.batcher(context)
    batcher.pin(stored_pin(StoredIdentity(sample, state)))
    with caplog.at_level(logging.WARNING):
        run(batcher)
    assert "is not the same; computing it" in caplog.text
    assert batcher.cache.pin is not None
    assert context.tokens(batcher.cache.pin.sequence) == IDENTITY
    assert [tokens for tokens, _ in shelf.kept] == [IDENTITY]
    assert context.used == batcher.occupancy().cells_used == 30


def test_the_proof_disturbs_nobody_and_leaves_nothing() -> None:
    shelf = Shelf()
    context = ample()
    batcher = shelf.batcher(context)
    jobs = [make_job(numbers(number, 9), 20) for number in range(3)]
    submit(batcher, *jobs)
    batcher.step()
    batcher.pin(make_pin(IDENTITY))
    run(batcher)
    assert len(shelf.kept) == 1
    for job in jobs:
        assert outcome(job).said == alone(job.prompt, 20)
    assert batcher.occupancy().stray == 0
    assert context.used == 30


def test_without_a_cell_to_prove_it_an_identity_is_not_kept() -> None:
    shelf = Shelf()
    context = FakeContext(cells=51, sequences=12)
    batcher = shelf.batcher(context)
    job = make_job(numbers(2, 10), 10)
    submit(batcher, job)
    batcher.step()
    batcher.pin(make_pin(numbers(1, 31)))
    run(batcher)
    assert shelf.kept == []
    assert batcher.cache.pin is not None
