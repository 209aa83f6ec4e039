"""Steps: who is computed, how much at once, and that nobody notices the others."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm.base import DeadlineError, Finish, ModelError, ModelNotReadyError, PromptTooLongError, QueueFullError
from llm.engine.batcher import FIRST_STEP, SMALLEST_STEP
from tests.llm.engine.fake_context import (
    END,
    IDENTITY,
    FakeAnswer,
    FakeContext,
    alone,
    ample,
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
    from llm.base import Piece, Usage

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
        make_job([*IDENTITY, *numbers(number, length)], count, user=str(number % 6))
        for number, (length, count) in enumerate(lengths)
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


def test_a_short_question_does_not_wait_for_a_long_prompt() -> None:
    batcher = make_batcher(ample(), size=64)
    long, short = make_job(numbers(2, 600), 1), make_job(numbers(3, 20), 1)
    submit(batcher, long, short)
    batcher.step()
    assert outcome(short).said == alone(short.prompt, 1)
    assert not outcome(long).said
    run(batcher)


def test_short_questions_do_not_starve_a_long_prompt() -> None:
    context = ample()
    batcher = make_batcher(context, size=64, waiting=200)
    long = make_job(numbers(2, 320), 1)
    submit(batcher, long, *(make_job(numbers(number, 60), 1) for number in range(50)))
    for _ in range(10):
        batcher.step()
    assert outcome(long).said == alone(long.prompt, 1)
    assert set(context.computed) == {64}  # and nothing of a step is wasted


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
    context = ample(seconds=lambda _tokens: 0.1)
    batcher = make_batcher(context, size=512)
    submit(batcher, make_job(numbers(2, 640), 1))
    run(batcher)
    assert set(context.computed) == {FIRST_STEP}


def test_a_step_that_a_busy_minute_halved_grows_again() -> None:
    context = ample(seconds=lambda tokens: 0.01 * tokens)
    batcher = make_batcher(context, size=512)
    submit(batcher, make_job(numbers(2, 200), 1))
    run(batcher)
    assert context.computed[-2] == SMALLEST_STEP
    context.seconds = lambda tokens: 0.02 + 0.0035 * tokens
    context.computed.clear()
    submit(batcher, make_job(numbers(3, 112), 1))
    run(batcher)
    assert context.computed == [SMALLEST_STEP, 32, 32, 32]


def test_steps_of_one_token_do_not_make_the_next_prompt_s_larger() -> None:
    context = ample()
    batcher = make_batcher(context, size=512)
    submit(batcher, make_job(numbers(2, 5), 40))
    run(batcher)
    submit(batcher, make_job(numbers(3, 300), 1))
    context.computed.clear()
    run(batcher)
    assert context.computed[0] == FIRST_STEP


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


def test_an_answer_that_fails_at_its_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def last(_self: FakeAnswer, _usage: Usage) -> Piece:
        raise ValueError("held back for ever")

    monkeypatch.setattr(FakeAnswer, "last", last)
    context = ample()
    batcher = make_batcher(context)
    job = make_job(numbers(2, 10), 8)
    submit(batcher, job)
    run(batcher)
    with pytest.raises(ModelError, match=r"failed at its end: ValueError\('held back for ever'\)"):
        raise outcome(job).error or AssertionError
    assert context.used == 0


def test_an_answer_that_failed_is_not_gone_on_with() -> None:
    context = ample()
    batcher = make_batcher(context)
    submit(batcher, make_job(numbers(2, 10), 8, conversation="하나", fails_at=3))
    run(batcher)
    assert batcher.occupancy().kept == context.used == 0


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


def test_what_was_asked_before_wiping_is_not_kept_after_it() -> None:
    context = ample()
    batcher = make_batcher(context, parallel=1)
    jobs = [make_job(numbers(number, 10), 5, conversation=str(number)) for number in range(2)]
    submit(batcher, *jobs)
    batcher.step()
    batcher.wipe(lambda: None)
    run(batcher)
    assert outcome(jobs[1]).said == alone(jobs[1].prompt, 5)
    assert batcher.occupancy().kept == context.used == 0


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
