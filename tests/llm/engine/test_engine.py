"""The engine's thread: turns, orders, failures, ends."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from typing import TYPE_CHECKING, cast

import pytest

from llm.base import Finish, ModelError, ModelNotReadyError
from llm.engine import Engine
from llm.engine.job import Pieces
from tests.llm.engine.fake_context import (
    FakeContext,
    alone,
    ample,
    make_batcher,
    make_job,
    make_pin,
    numbers,
)
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm.base import Piece
    from llm.engine.batcher import Batcher
    from llm.engine.job import Job

ENDLESS = 100_000


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


class Deaths:
    """Which models were let go, and why."""

    def __init__(self) -> None:
        self.told: list[ModelError] = []
        self.threads: list[str] = []

    def __call__(self, error: ModelError) -> None:
        self.told.append(error)
        self.threads.append(threading.current_thread().name)


def attached(engine: Engine, context: FakeContext | None = None, deaths: Deaths | None = None) -> Batcher:
    batcher = make_batcher(context or ample())
    engine.attach(batcher, deaths or Deaths())
    return batcher


def context_of(batcher: Batcher) -> FakeContext:
    return cast("FakeContext", batcher._context)


def ask(engine: Engine, batcher: Batcher, job: Job) -> Pieces:
    assert batcher.submit(job)
    pieces = Pieces(job, engine.wake)
    engine.wake()
    return pieces


def endless() -> Job:
    """Nobody waits for its end."""
    return make_job(numbers(2, 5), ENDLESS)


def roomy() -> FakeContext:
    return FakeContext(cells=10 * ENDLESS, sequences=30)


def said(pieces: Iterator[Piece]) -> list[int]:
    return [int(word) for piece in pieces for word in piece.text.split()]


def test_an_answer_comes_through_the_thread(engine: Engine) -> None:
    batcher = attached(engine)
    job = make_job(numbers(2, 20), 10)
    assert said(ask(engine, batcher, job)) == alone(job.prompt, 10)


def test_many_threads_ask_several_models_at_once(engine: Engine) -> None:
    batchers = [attached(engine, ample(6)) for _ in range(3)]
    engine.order(lambda: batchers[0].pin(make_pin(numbers(1, 30))))
    wrong: list[object] = []

    def user(number: int) -> None:
        for turn in range(10):
            job = make_job([*numbers(1, 30), *numbers(number * 100 + turn, 10)], 8, user=str(number))
            got = said(ask(engine, batchers[(number + turn) % 3], job))
            if got != alone(job.prompt, 8):
                wrong.append((number, turn, got))

    threads = [threading.Thread(target=user, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
    for batcher in batchers:
        until(lambda batcher=batcher: engine.ask(batcher.occupancy).running == 0)  # type: ignore[misc]


def test_every_model_gets_its_turn(engine: Engine) -> None:
    busy = attached(engine, roomy())
    other = attached(engine)
    pieces = ask(engine, busy, endless())
    next(pieces)
    job = make_job(numbers(3, 20), 10)
    assert said(ask(engine, other, job)) == alone(job.prompt, 10)
    next(pieces)
    pieces.close()


def test_a_request_is_begun_at_once_though_the_engine_sleeps(engine: Engine) -> None:
    batcher = attached(engine)
    took = []
    for number in range(20):
        began = time.perf_counter()
        next(ask(engine, batcher, make_job(numbers(number, 5), 1)))
        took.append(time.perf_counter() - began)
    assert sorted(took)[10] < 0.1


def test_an_idle_engine_takes_no_steps(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    batcher = attached(engine)
    steps: list[bool] = []
    step = batcher.step
    monkeypatch.setattr(batcher, "step", lambda: steps.append(True) or step())  # type: ignore[func-returns-value]
    list(ask(engine, batcher, make_job(numbers(2, 5), 3)))
    until(lambda: engine.ask(batcher.occupancy).running == 0)
    engine.ask(lambda: None)
    before = len(steps)
    assert not threading.Event().wait(0.05)
    assert len(steps) <= before + 1
    assert before < 12


# -- orders


def test_orders_are_carried_out_in_turn_in_the_engine_s_thread(engine: Engine) -> None:
    attached(engine)
    done: list[tuple[int, str]] = []
    for number in range(5):
        engine.order(
            lambda number=number: done.append((number, threading.current_thread().name))  # type: ignore[misc]
        )
    assert engine.ask(lambda: threading.current_thread().name) == "engine"
    assert done == [(number, "engine") for number in range(5)]


def test_an_order_that_fails_stops_nothing(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    batcher = attached(engine)

    def fail() -> None:
        raise ValueError("an order's defect")

    engine.order(fail)
    assert said(ask(engine, batcher, make_job(numbers(2, 5), 3))) == alone(numbers(2, 5), 3)
    assert "an order's defect" in caplog.text


def test_a_question_s_error_is_raised_where_it_was_asked(engine: Engine) -> None:
    attached(engine)

    def fail() -> None:
        raise KeyError("who asks")

    with pytest.raises(KeyError, match="who asks"):
        engine.ask(fail)
    assert engine.ask(lambda: engine.ask(lambda: 7)) == 7  # from its own thread, too


def test_orders_are_carried_out_while_answers_go_on(engine: Engine) -> None:
    batcher = attached(engine, roomy())
    pieces = ask(engine, batcher, endless())
    next(pieces)
    assert engine.ask(batcher.occupancy).running == 1
    pieces.close()


# -- giving up


def test_closing_the_pieces_ends_the_request(engine: Engine) -> None:
    batcher = attached(engine, roomy())
    pieces = ask(engine, batcher, endless())
    next(pieces)
    pieces.close()
    until(lambda: engine.ask(batcher.occupancy).cells_used == 0)


def test_dropping_the_pieces_ends_the_request(engine: Engine) -> None:
    batcher = attached(engine, roomy())
    pieces = ask(engine, batcher, endless())
    next(pieces)
    del pieces
    gc.collect()
    until(lambda: engine.ask(batcher.occupancy).cells_used == 0)


def test_closing_from_another_thread_lets_the_reader_go(engine: Engine) -> None:
    batcher = attached(engine, roomy())
    job = endless()
    pieces = ask(engine, batcher, job)
    reader = threading.Thread(target=lambda: list(pieces))
    reader.start()
    pieces.close()
    reader.join(20)
    assert not reader.is_alive()
    until(lambda: job.answer.finish is Finish.CANCELLED)


def test_the_caller_s_event_ends_an_answer_under_way(engine: Engine) -> None:
    batcher = attached(engine, roomy())
    event = threading.Event()
    pieces = ask(engine, batcher, make_job(numbers(2, 5), ENDLESS, cancelled=event))
    next(pieces)
    event.set()
    *_, last = pieces
    assert last.finish is Finish.CANCELLED


# -- failures


def test_a_model_that_fails_is_let_go_and_the_other_goes_on(engine: Engine) -> None:
    deaths, others = Deaths(), Deaths()
    failing = attached(engine, roomy(), deaths)
    other = attached(engine, roomy(), others)
    going_on = ask(engine, other, endless())
    pieces = [ask(engine, failing, endless()) for _ in range(5)]
    next(pieces[0])
    context = context_of(failing)
    context.failure = ModelError("llama.cpp failed with code -3.")
    for each in pieces:
        with pytest.raises(ModelError, match="code -3"):
            list(each)
    until(lambda: deaths.told)
    assert [str(error) for error in deaths.told] == ["llama.cpp failed with code -3."]
    assert deaths.threads == ["engine"]
    assert context.closed
    with pytest.raises(ModelError, match="code -3"):
        failing.submit(endless())
    engine.detach(failing)  # once more does no harm
    next(going_on)
    going_on.close()
    assert not others.told


def test_an_unforeseen_failure_is_a_model_s_error(engine: Engine) -> None:
    deaths = Deaths()
    batcher = attached(engine, ample(), deaths)
    context_of(batcher).failure = ValueError("a defect")
    with pytest.raises(ModelError, match=r"ValueError\('a defect'\)"):
        list(ask(engine, batcher, make_job([1], 3)))
    until(lambda: deaths.told)


def test_who_is_told_of_a_failure_may_fail_too(engine: Engine) -> None:
    def on_dead(_error: ModelError) -> None:
        raise ValueError("a defect")

    failing, other = make_batcher(ample()), attached(engine)
    engine.attach(failing, on_dead)
    context_of(failing).failure = ModelError("broken")
    with pytest.raises(ModelError, match="broken"):
        list(ask(engine, failing, make_job([1], 3)))
    assert said(ask(engine, other, make_job([1], 3))) == alone([1], 3)


# -- ends


def test_detaching_ends_answers_and_frees_the_context(engine: Engine) -> None:
    batcher = attached(engine, roomy())
    pieces = [ask(engine, batcher, endless()) for _ in range(5)]
    next(pieces[0])
    engine.detach(batcher)
    assert context_of(batcher).closed
    for each in pieces:
        with pytest.raises(ModelNotReadyError, match="The model echo was closed while it answered"):
            list(each)
    engine.detach(batcher)
    with pytest.raises(ModelNotReadyError):
        engine.ask(batcher.occupancy)


def test_a_sleeping_engine_holds_no_model_that_was_detached(engine: Engine) -> None:
    batcher = attached(engine)
    list(ask(engine, batcher, make_job([1], 3)))
    gone = weakref.ref(batcher)
    engine.detach(batcher)
    del batcher
    until(lambda: gc.collect() >= 0 and gone() is None)


def test_closing_ends_everything(engine: Engine) -> None:
    batchers = [attached(engine, roomy()) for _ in range(2)]
    pieces = [ask(engine, batcher, endless()) for batcher in batchers for _ in range(5)]
    next(pieces[0])
    engine.close()
    for each in pieces:
        with pytest.raises(ModelNotReadyError):
            list(each)
    assert all(context_of(batcher).closed for batcher in batchers)
    assert engine._thread not in threading.enumerate()
    engine.close()


def test_a_closed_engine_takes_no_model_but_still_answers() -> None:
    engine = Engine()
    batcher = attached(engine)
    engine.close()
    with pytest.raises(ModelNotReadyError, match="The engine was closed"):
        engine.attach(make_batcher(ample()), Deaths())
    assert engine.ask(lambda: 7) == 7
    done = threading.Event()
    engine.order(lambda: batcher.wipe(done.set))
    assert done.is_set()
    engine.detach(batcher)
    engine.wake()


def test_an_engine_that_never_ran_is_closed_at_once() -> None:
    engine = Engine()
    done = threading.Event()
    engine.order(done.set)
    engine.close()
    assert done.is_set()
    assert engine.ask(lambda: 7) == 7
    with pytest.raises(ModelNotReadyError):
        engine.attach(make_batcher(ample()), Deaths())


def test_a_model_attached_while_the_engine_closes_is_let_go_too() -> None:
    """The order to take it in may be the last thing that the engine hears."""
    for _ in range(30):
        engine = Engine()
        attached(engine)
        batcher = make_batcher(roomy())
        job = endless()
        assert batcher.submit(job)
        refused: list[bool] = []

        def attach(
            engine: Engine = engine, batcher: Batcher = batcher, refused: list[bool] = refused
        ) -> None:
            try:
                engine.attach(batcher, Deaths())
            except ModelNotReadyError:
                refused.append(True)

        thread = threading.Thread(target=attach)
        thread.start()
        engine.close()
        thread.join(20)
        if not refused:
            with pytest.raises(ModelNotReadyError):
                list(Pieces(job, engine.wake))
            assert context_of(batcher).closed


def test_asking_while_the_engine_closes_gets_an_answer() -> None:
    for _ in range(30):
        engine = Engine()
        attached(engine)
        got: list[int] = []

        def ask_many(engine: Engine = engine, got: list[int] = got) -> None:
            got.extend(engine.ask(lambda: 7) for _ in range(20))

        thread = threading.Thread(target=ask_many)
        thread.start()
        engine.close()
        thread.join(20)
        assert got == [7] * 20
