"""Whose turn it is."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.base import ModelError
from llm.engine.waiting import Waiting
from tests.llm.engine.fake_context import make_job

if TYPE_CHECKING:
    from llm.engine.job import Job


def served(queue: Waiting) -> list[Job]:
    order = []
    while (job := queue.first()) is not None:
        queue.begun(job)
        order.append(job)
    return order


def test_users_take_turns_and_keep_their_own_order() -> None:
    queue = Waiting(9)
    jobs = {name: make_job([1], user=name[0]) for name in ("a1", "a2", "a3", "b1", "b2", "c1")}
    for job in jobs.values():
        assert queue.add(job)
    assert len(queue) == 6
    assert served(queue) == [jobs[name] for name in ("a1", "b1", "c1", "a2", "b2", "a3")]
    assert not queue


def test_who_was_served_comes_last_even_with_a_new_request() -> None:
    queue = Waiting(9)
    first, other, second = make_job([1], user="a"), make_job([1], user="b"), make_job([1], user="a")
    queue.add(first)
    queue.begun(first)
    queue.add(other)
    queue.add(second)
    assert served(queue) == [other, second]


def test_as_many_wait_as_may() -> None:
    queue = Waiting(2)
    assert all(queue.add(make_job([1])) for _ in range(2))
    assert not queue.add(make_job([1]))
    assert queue.add(make_job([1]), free_places=1)
    assert not queue.add(make_job([1]), free_places=1)
    assert len(queue) == 3


def test_some_are_taken_out_and_the_turn_stays() -> None:
    queue = Waiting(9)
    jobs = [make_job([1], user=user) for user in "aabbc"]
    for job in jobs:
        queue.add(job)
    assert queue.take_if(lambda job: job in {jobs[0], jobs[3], jobs[4]}) == [jobs[0], jobs[3], jobs[4]]
    assert queue.take_if(lambda _job: False) == []
    assert served(queue) == [jobs[1], jobs[2]]


def test_after_closing_nobody_waits_and_nobody_is_let_in() -> None:
    queue = Waiting(9)
    jobs = [make_job([1], user=user) for user in "aab"]
    for job in jobs:
        queue.add(job)
    assert queue.close(ModelError("it is over")) == jobs
    assert queue.first() is None
    with pytest.raises(ModelError, match="it is over"):
        queue.add(make_job([1]))
    assert not queue


def test_a_job_is_either_let_in_and_handed_back_or_refused() -> None:
    """Adding while the model closes: none may be lost between the two."""
    for _ in range(50):
        queue = Waiting(1000)
        added: list[Job] = []
        refused: list[Job] = []

        def add(queue: Waiting = queue, added: list[Job] = added, refused: list[Job] = refused) -> None:
            for _ in range(20):
                job = make_job([1])
                try:
                    queue.add(job)
                except ModelError:
                    refused.append(job)
                else:
                    added.append(job)

        threads = [threading.Thread(target=add) for _ in range(3)]
        for thread in threads:
            thread.start()
        left = queue.close(ModelError("closed"))
        for thread in threads:
            thread.join()
        assert set(left) == set(added)
        assert len(added) + len(refused) == 60


@given(st.integers(0, 6), st.lists(st.tuples(st.sampled_from("aatsx"), st.sampled_from("기나다"))))
def test_it_behaves_like_lists_of_jobs(limit: int, steps: list[tuple[str, str]]) -> None:
    queue = Waiting(limit)
    model: OrderedDict[str, list[Job]] = OrderedDict()
    for what, user in steps:
        if what == "a":
            job = make_job([1], user=user)
            own = len(model.get(user, ()))
            fits = sum(map(len, model.values())) < limit and own <= limit // 2
            assert queue.add(job) == fits
            if fits:
                model.setdefault(user, []).append(job)
        elif what == "t":
            job_now = queue.first()
            assert job_now is (next(iter(model.values()))[0] if model else None)
            if job_now is not None:
                queue.begun(job_now)
                model[job_now.user].pop(0)
                model.move_to_end(job_now.user)
        elif what == "s":
            assert set(queue.take_if(lambda job, user=user: job.user == user)) == set(model.pop(user, []))  # type: ignore[misc]
        else:
            last = model[user][-1] if user in model else None
            assert queue.take_if(lambda job, last=last: job is last) == ([last] if last else [])  # type: ignore[misc]
            if last:
                model[user].pop()
        for name in [name for name, jobs in model.items() if not jobs]:
            del model[name]
        assert len(queue) == sum(map(len, model.values()))


def test_one_user_does_not_fill_the_queue() -> None:
    queue = Waiting(6)
    assert [queue.add(make_job([1], user="지훈")) for _ in range(6)] == [True] * 4 + [False] * 2
    assert queue.add(make_job([1], user="수아"))
