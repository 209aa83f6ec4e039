"""A request, and the pieces of its answer."""

from __future__ import annotations

import gc
import threading
import time

import pytest

from llm.base import DeadlineError, Finish, Piece
from llm.engine.job import Job, Pieces
from tests.llm.engine.fake_context import make_job


class Bell:
    def __init__(self) -> None:
        self.rung = 0

    def __call__(self) -> None:
        self.rung += 1


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
def job() -> Job:
    return make_job([1, 2])


def test_pieces_come_in_order_and_end(job: Job, bell: Bell) -> None:
    said = [Piece(text="에"), Piece(text="코", finish=Finish.STOP)]
    for piece in said:
        job.put(piece)
    job.end()
    pieces = Pieces(job, bell)
    assert list(pieces) == said
    assert list(pieces) == []
    pieces.close()
    assert not job.given_up
    assert not bell.rung


def test_an_error_is_raised_after_what_was_said_and_once(job: Job, bell: Bell) -> None:
    job.put(Piece(text="에"))
    job.end(DeadlineError("late"))
    pieces = Pieces(job, bell)
    assert next(pieces).text == "에"
    with pytest.raises(DeadlineError, match="late"):
        next(pieces)
    assert list(pieces) == []


def test_an_error_that_several_requests_get_keeps_none_of_their_frames(bell: Bell) -> None:
    error = DeadlineError("late")
    lengths = []
    for _ in range(3):
        job = make_job([1])
        job.end(error)
        with pytest.raises(DeadlineError) as raised:
            next(Pieces(job, bell))
        lengths.append(len(raised.traceback))
    assert len(set(lengths)) == 1


def test_closing_gives_the_job_up_once(job: Job, bell: Bell) -> None:
    pieces = Pieces(job, bell)
    pieces.close()
    pieces.close()
    assert job.given_up
    assert bell.rung == 1
    assert list(pieces) == []


def test_dropping_gives_the_job_up(job: Job, bell: Bell) -> None:
    pieces = Pieces(job, bell)
    assert bell.rung == 0
    del pieces
    gc.collect()
    assert job.given_up
    assert bell.rung == 1


def test_a_reader_in_another_thread_is_let_go(job: Job, bell: Bell) -> None:
    pieces = Pieces(job, bell)
    read: list[Piece] = []
    reader = threading.Thread(target=lambda: read.extend(pieces))
    reader.start()
    pieces.close()
    job.put(Piece(text="", finish=Finish.CANCELLED))
    job.end()
    reader.join(10)
    assert not reader.is_alive()


def test_the_caller_s_event_gives_the_job_up() -> None:
    event = threading.Event()
    job = make_job([1], cancelled=event)
    assert not job.given_up
    event.set()
    assert job.given_up


def test_a_job_is_overdue_from_its_deadline_on() -> None:
    assert not make_job([1]).overdue
    assert not make_job([1], deadline=time.monotonic() + 60).overdue
    assert make_job([1], deadline=time.monotonic()).overdue
