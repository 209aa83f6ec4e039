"""Steps: who is computed, how much at once, and that nobody notices the others."""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm.base import DeadlineError, Finish, ModelError, ModelNotReadyError, PromptTooLongError, QueueFullError
from llm.batch import Batch
from llm.engine.batcher import FIRST_STEP, SMALLEST_STEP, Batcher
from llm.engine.identity_file import Sample, StoredIdentity
from llm.engine.pins import Pin
from tests.llm.engine.fake_context import (
    END,
    FakeContext,
    alone,
    ample,
    logits_after,
    make_batcher,
    make_job,
    make_pin,
    numbers,
    outcome,
    run,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llm.engine.job import Job

IDENTITY = numbers(1, 30)


def pinned(batcher: Batcher, tokens: list[int] = IDENTITY, version: int = 1) -> None:
    batcher.pin(make_pin(tokens, version))
    run(batcher)
    assert batcher.cache.pin is not None
    assert batcher.cache.pin.version == version


def submit(batcher: Batcher, *jobs: Job) -> None:
    for job in jobs:
        assert batcher.submit(job)


# -- answers


def test_an_answer_comes_token_by_token_and_ends_with_its_usage() -> None:
    batcher = make_batcher(ample())
    prompt = numbers(2, 20)
    job = make_job(prompt, 4)
    submit(batcher, job)
    batcher.step()
    assert outcome(job).said == alone(prompt, 4)[:1]
    run(batcher)
    come = outcome(job)
    assert come.said == alone(prompt, 4)[1:]
    assert come.over
    assert come.finish is Finish.LENGTH
    assert (come.usage.prompt_tokens, come.usage.cached_tokens, come.usage.completion_tokens) == (20, 0, 4)


def test_an_answer_that_ends_by_itself_is_not_gone_on_with() -> None:
    batcher = make_batcher(ample())
    job = make_job([END, *numbers(2, 20)], 100)
    submit(batcher, job)
    run(batcher)
    come = outcome(job)
    assert come.finish is Finish.STOP
    assert come.said == alone(job.prompt, 100)
    assert come.said[-1] == END
    assert batcher.occupancy().cells_used == 0


def test_an_idle_batcher_has_nothing_to_do() -> None:
    batcher = make_batcher(ample())
    assert not batcher.step()
    assert not batcher.step()


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(1, 60), st.integers(1, 12)), min_size=1, max_size=12),
    st.integers(1, 5),
    st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_whoever_joins_or_leaves_each_gets_what_it_would_get_alone(
    plan: list[tuple[int, int, int]], parallel: int, with_identity: bool
) -> None:
    batcher = make_batcher(ample(parallel), parallel=parallel, size=32)
    begin = IDENTITY if with_identity else [END]
    if with_identity:
        pinned(batcher)
    jobs = []
    for step in range(13):
        for number, (when, length, count) in enumerate(plan):
            if when == step:
                job = make_job([*begin, *numbers(number, length)], count)
                submit(batcher, job)
                jobs.append(job)
        batcher.step()
    run(batcher)
    assert len(jobs) == len(plan)
    for job in jobs:
        assert outcome(job).said == alone(job.prompt, job.room)


def test_a_hundred_requests_of_six_users() -> None:
    batcher = make_batcher(ample(6), parallel=6, waiting=100)
    pinned(batcher)
    lengths = np.random.default_rng(1).integers(1, 40, (100, 2)).tolist()
    jobs = [
        make_job(
            [*IDENTITY, *numbers(number, chance.randint(1, 40))], chance.randint(1, 20), user=str(number % 6)
        )
        for number in range(100)
    ]
    submit(batcher, *jobs)
    run(batcher)
    for job in jobs:
        come = outcome(job)
        assert come.said == alone(job.prompt, job.room)
        assert come.usage.cached_tokens == 30


def test_only_so_many_are_answered_at_once_and_so_many_wait() -> None:
    batcher = make_batcher(ample(2), parallel=2, waiting=1)
    jobs = [make_job(numbers(number, 5), 3) for number in range(4)]
    assert [batcher.submit(job) for job in jobs] == [True, True, True, False]
    batcher.step()
    assert (batcher.occupancy().running, batcher.occupancy().waiting) == (2, 1)
    assert not batcher.submit(jobs[3])
    run(batcher)
    assert batcher.submit(jobs[3])
    run(batcher)
    assert all(outcome(job).said for job in jobs)


def test_a_conversation_finds_what_its_last_answer_left() -> None:
    batcher = make_batcher(ample())
    pinned(batcher)
    first = make_job([*IDENTITY, *numbers(2, 20)], 5, conversation="하나")
    submit(batcher, first)
    run(batcher)
    prompt = [*first.prompt.tolist(), *outcome(first).said, *numbers(3, 10)]
    second = make_job(prompt, 5, conversation="하나")
    submit(batcher, second)
    run(batcher)
    come = outcome(second)
    assert come.said == alone(prompt, 5)
    assert come.usage.cached_tokens == 54  # the last token that was said was never computed


# -- how much at once


def test_prompts_are_computed_in_pieces_and_answers_go_on_meanwhile() -> None:
    context = ample()
    batcher = make_batcher(context, size=64)
    talking = make_job(numbers(2, 5), 40)
    submit(batcher, talking)
    batcher.step()
    long = make_job(numbers(3, 300), 3)
    submit(batcher, long)
    context.computed.clear()
    said = 0
    while not outcome(long).said:
        batcher.step()
        said += 1
    assert context.computed[:-1] == [64] * (said - 1)  # 63 of the prompt and one of the answer
    assert len(outcome(talking).said) == said + 1
    run(batcher)


def test_a_step_grows_while_it_is_quick_and_shrinks_where_it_is_slow() -> None:
    context = ample(seconds=lambda tokens: 0.0001 * tokens)
    batcher = make_batcher(context, size=512)
    submit(batcher, make_job(numbers(2, 2000), 1))
    run(batcher)
    assert context.computed[:4] == [64, 128, 256, 512]
    context.seconds = lambda tokens: 0.01 * tokens
    context.computed.clear()
    submit(batcher, make_job(numbers(3, 1500), 1))
    run(batcher)
    assert context.computed[:7] == [512, 256, 128, 64, 32, SMALLEST_STEP, SMALLEST_STEP]
    assert context.computed[-2] == SMALLEST_STEP  # at 0.16 s the least that there is


def test_a_step_between_quick_and_slow_stays() -> None:
    context = ample(seconds=lambda _tokens: 0.08)
    batcher = make_batcher(context, size=512)
    submit(batcher, make_job(numbers(2, 640), 1))
    run(batcher)
    assert set(context.computed) == {FIRST_STEP}


def test_steps_of_one_token_do_not_make_the_next_prompt_s_larger() -> None:
    context = ample()
    batcher = make_batcher(context, size=512)
    submit(batcher, make_job(numbers(2, 5), 40))
    run(batcher)
    submit(batcher, make_job(numbers(3, 300), 1))
    context.computed.clear()
    run(batcher)
    assert context.computed[0] == FIRST_STEP


# -- the identity


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
    batcher = make_batcher(FakeContext(cells=130))
    pinned(batcher)
    batcher.pin(make_pin(numbers(2, 40), 2))
    jobs = [make_job([*IDENTITY, *numbers(number, 20)], 10) for number in range(6)]
    submit(batcher, *jobs[:3])
    batcher.step()
    for number in range(300):
        if number % 4 == 0:
            jobs.append(make_job([*IDENTITY, *numbers(number, 20)], 10))
            batcher.submit(jobs[-1])
        batcher.step()
        if batcher.cache.pin is not None and batcher.cache.pin.version == 2:
            break
    else:
        raise AssertionError("it never came into force")
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


# -- who ends before the end


def test_a_request_given_up_is_gone_by_the_next_step_and_so_are_its_cells() -> None:
    context = ample()
    batcher = make_batcher(context)
    event = threading.Event()
    running = make_job(numbers(2, 20), 50, cancelled=event)
    staying = make_job(numbers(3, 20), 50)
    submit(batcher, running, staying)
    batcher.step()
    batcher.step()
    event.set()
    batcher.step()
    come = outcome(running)
    assert come.over
    assert come.finish is Finish.CANCELLED
    assert come.said == alone(running.prompt, 2)
    assert come.usage.completion_tokens == 2
    assert batcher.occupancy().cells_used == 70
    run(batcher)
    assert outcome(staying).said == alone(staying.prompt, 50)


def test_a_request_given_up_in_the_middle_of_its_prompt_leaves_what_was_computed() -> None:
    context = ample()
    batcher = make_batcher(context, size=16)
    job = make_job(numbers(2, 100), 5, conversation="하나")
    submit(batcher, job)
    batcher.step()
    job.abandoned = True
    run(batcher)
    assert outcome(job).finish is Finish.CANCELLED
    assert batcher.occupancy().cells_used == context.used == 16
    again = make_job(numbers(2, 100), 5, conversation="하나")
    submit(batcher, again)
    run(batcher)
    assert outcome(again).usage.cached_tokens == 16
    assert outcome(again).said == []


def test_a_waiting_request_given_up_is_never_computed() -> None:
    context = ample()
    batcher = make_batcher(context, parallel=1)
    first, second, third = (make_job(numbers(number, 10), 10, user=str(number)) for number in range(3))
    submit(batcher, first, second, third)
    batcher.step()
    second.abandoned = True
    batcher.step()
    come = outcome(second)
    assert come.over
    assert come.finish is Finish.CANCELLED
    assert come.usage.completion_tokens == 0
    run(batcher)
    assert outcome(third).said == alone(third.prompt, 10)


def test_a_deadline_ends_an_answer_under_way_and_one_that_waits() -> None:
    context = ample()
    batcher = make_batcher(context, parallel=1)
    running, waiting = make_job(numbers(2, 10), 50), make_job(numbers(3, 10), 50)
    submit(batcher, running, waiting)
    batcher.step()
    batcher.step()
    running.deadline = waiting.deadline = time.monotonic()
    assert not batcher.step()
    with pytest.raises(DeadlineError, match="had 2 tokens of the answer when its time was over"):
        raise outcome(running).error or AssertionError
    with pytest.raises(DeadlineError, match="had 0 tokens"):
        raise outcome(waiting).error or AssertionError
    assert batcher.occupancy().cells_used == context.used == 0


def test_a_deadline_that_is_far_away_changes_nothing() -> None:
    batcher = make_batcher(ample())
    job = make_job(numbers(2, 10), 5, deadline=time.monotonic() + 600)
    submit(batcher, job)
    run(batcher)
    assert outcome(job).said == alone(job.prompt, 5)


# -- room


def test_a_request_that_can_never_fit_is_refused_in_numbers_and_the_next_goes_on() -> None:
    batcher = make_batcher(FakeContext(cells=100))
    pinned(batcher)
    job, other = make_job(numbers(2, 60), 11), make_job([*IDENTITY, *numbers(3, 60)], 10)
    submit(batcher, job, other)
    run(batcher)
    words = (
        r"^The prompt has 60 tokens and the answer needs room for 11; the cache of the model echo has room for 70 "
        r"beside the identity\. Raise llm\.cache_tokens\.$"
    )
    with pytest.raises(PromptTooLongError, match=words):
        raise outcome(job).error or AssertionError
    assert outcome(other).said == alone(other.prompt, 10)  # as many, but it shares the identity's


def test_a_large_request_gets_its_room_however_many_small_ones_come() -> None:
    batcher = make_batcher(FakeContext(cells=200), parallel=3, waiting=1000)
    submit(batcher, *(make_job(numbers(number, 10), 30) for number in range(2)))
    batcher.step()
    large = make_job(numbers(9, 150), 30, user="large")
    submit(batcher, large)
    for number in range(100):
        submit(batcher, make_job(numbers(number, 10), 30, user=f"small {number}"))
        batcher.step()
    assert outcome(large).said == alone(large.prompt, 30)
    run(batcher)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_decode_that_finds_no_room_is_tried_again_smaller(times: int) -> None:
    context = ample()
    batcher = make_batcher(context)
    kept = make_job(numbers(5, 10), 3, conversation="하나")
    submit(batcher, kept)
    run(batcher)
    jobs = [make_job(numbers(2, 10), 10), make_job(numbers(3, 50), 10)]
    submit(batcher, *jobs)
    context.no_room = times
    run(batcher)
    for job in jobs:
        assert outcome(job).said == alone(job.prompt, 10)
    assert batcher.occupancy().kept == 0  # it went first
    assert context.used == 0


def test_without_room_for_a_single_token_the_youngest_answer_goes_and_the_others_go_on() -> None:
    context = ample()
    batcher = make_batcher(context)
    jobs = [make_job(numbers(number, 10), 10) for number in range(3)]
    submit(batcher, *jobs)
    batcher.step()
    context.no_room = 1
    run(batcher)
    assert outcome(jobs[0]).said == alone(jobs[0].prompt, 10)
    assert outcome(jobs[1]).said == alone(jobs[1].prompt, 10)
    with pytest.raises(ModelError, match="ran out of cells"):
        raise outcome(jobs[2]).error or AssertionError
    assert context.used == 0


def test_an_identity_without_room_for_a_single_token_is_a_failure() -> None:
    context = ample()
    batcher = make_batcher(context)
    batcher.pin(make_pin(IDENTITY))
    context.no_room = 100
    with pytest.raises(ModelError, match="no room for its identity"):
        run(batcher)


# -- failures


@pytest.mark.parametrize("at", [0, 3])
def test_a_sampler_that_fails_ends_its_own_request_only(at: int) -> None:
    context = ample()
    batcher = make_batcher(context)
    jobs = [
        make_job(numbers(2, 10), 8),
        make_job(numbers(3, 10), 8, fails_at=at),
        make_job(numbers(4, 10), 8),
    ]
    submit(batcher, *jobs)
    run(batcher)
    come = outcome(jobs[1])
    assert come.said == alone(jobs[1].prompt, at)
    with pytest.raises(
        ModelError, match=r"failed in the middle of an answer: ValueError\(\"a sampler's defect"
    ):
        raise come.error or AssertionError
    for job in (jobs[0], jobs[2]):
        assert outcome(job).said == alone(job.prompt, 8)
    assert context.used == 0


def test_failing_ends_everybody_and_lets_nobody_in() -> None:
    context = ample()
    batcher = make_batcher(context, parallel=1)
    jobs = [make_job(numbers(number, 10), 8) for number in range(3)]
    submit(batcher, *jobs)
    batcher.step()
    wiped = threading.Event()
    batcher.wipe(wiped.set)
    batcher.fail(ModelNotReadyError("closed"))
    batcher.close()
    assert wiped.is_set()
    for job in jobs:
        come = outcome(job)
        assert come.over
        assert isinstance(come.error, ModelNotReadyError)
    with pytest.raises(ModelNotReadyError, match="closed"):
        batcher.submit(make_job([1]))


def test_what_is_ordered_after_the_end_touches_no_freed_context() -> None:
    context = ample()
    batcher = make_batcher(context)
    batcher.pin(make_pin(IDENTITY))
    batcher.step()
    batcher.fail(ModelNotReadyError("closed"))
    batcher.close()
    batcher.pin(make_pin(numbers(2, 20), 2))
    wiped = threading.Event()
    batcher.wipe(wiped.set)
    assert wiped.is_set()
    with pytest.raises(ModelNotReadyError, match="The model echo was closed"):
        batcher.occupancy()


# -- wiping


def test_wiping_waits_for_answers_under_way_and_lets_nobody_in_before() -> None:
    context = ample()
    batcher = make_batcher(context)
    pinned(batcher)
    before = make_job([*IDENTITY, 1], 10, conversation="하나")
    submit(batcher, before)
    batcher.step()
    wiped = threading.Event()
    batcher.wipe(wiped.set)
    after = make_job([*IDENTITY, 1], 3)
    submit(batcher, after)
    batcher.step()
    assert (batcher.occupancy().running, batcher.occupancy().waiting) == (1, 1)
    assert not wiped.is_set()
    while not outcome(after).said:
        batcher.step()
    assert wiped.is_set()
    assert before.answer.finish is Finish.LENGTH
    run(batcher)
    assert after.answer.said == alone(after.prompt, 3)  # type: ignore[attr-defined]
    assert context.used == batcher.occupancy().cells_used == 0


def test_wiping_an_idle_model_is_done_with_the_next_step() -> None:
    context = ample()
    batcher = make_batcher(context)
    pinned(batcher)
    wiped = threading.Event()
    batcher.wipe(wiped.set)
    batcher.wipe(wiped.set)
    batcher.step()
    assert wiped.is_set()
    assert context.used == 0


def test_an_identity_pinned_after_wiping_was_asked_for_stays() -> None:
    context = ample()
    batcher = make_batcher(context)
    pinned(batcher)
    submit(batcher, make_job([*IDENTITY, 1], 10))
    batcher.step()
    batcher.wipe(lambda: None)
    batcher.pin(make_pin(numbers(2, 20), 2))
    run(batcher)
    assert batcher.cache.pin is not None
    assert batcher.cache.pin.version == 2
    assert context.used == 20


def test_an_identity_pinned_before_a_second_wipe_goes() -> None:
    context = ample()
    batcher = make_batcher(context)
    submit(batcher, make_job(numbers(1, 5), 10))
    batcher.step()
    batcher.wipe(lambda: None)
    batcher.pin(make_pin(numbers(2, 20), 2))
    batcher.wipe(lambda: None)
    run(batcher)
    assert batcher.cache.pin is None
    assert context.used == 0


def test_a_full_queue_is_told_apart_from_an_error() -> None:
    assert issubclass(QueueFullError, ModelError)
    batcher = make_batcher(ample(), parallel=1, waiting=0)
    assert batcher.submit(make_job([1]))
    assert not batcher.submit(make_job([1]))
