from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from llm.loop_thread import LoopThread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator


class Numbers:
    """Counts up to `end`, then waits for ever; knows when it was left."""

    def __init__(self, end: int) -> None:
        self.end = end
        self.left = threading.Event()

    async def __call__(self) -> AsyncGenerator[int]:
        try:
            for number in range(self.end):
                yield number
            await asyncio.Event().wait()
        finally:
            self.left.set()


@pytest.fixture
def ended() -> list[str]:
    return []


@pytest.fixture
def loop(ended: list[str]) -> Iterator[LoopThread]:
    async def at_end() -> None:
        ended.append(threading.current_thread().name)

    thread = LoopThread("loop", at_end=at_end)
    yield thread
    thread.close()


def wanted() -> None:
    """For ever."""


async def double(number: int) -> int:
    await asyncio.sleep(0)
    if number < 0:
        raise ValueError("negative")
    return 2 * number


def test_a_coroutines_result_or_error_comes_back(loop: LoopThread) -> None:
    assert loop.run(double(4)) == 8
    with pytest.raises(ValueError, match="negative"):
        loop.run(double(-1))


def test_items_come_one_by_one_to_the_end(loop: LoopThread) -> None:
    async def few() -> AsyncGenerator[int]:
        for number in range(3):
            yield await double(number)

    assert list(loop.iterate(few(), wanted)) == [0, 2, 4]


def test_an_error_comes_after_the_items_before_it(loop: LoopThread) -> None:
    async def broken() -> AsyncGenerator[int]:
        yield 1
        yield await double(-1)

    items = loop.iterate(broken(), wanted)
    assert next(items) == 1
    with pytest.raises(ValueError, match="negative"):
        next(items)


def test_who_stops_early_ends_what_is_behind(loop: LoopThread) -> None:
    numbers = Numbers(5)
    with closing(loop.iterate(numbers(), wanted)) as items:
        assert next(items) == 0
    assert numbers.left.wait(5)


def test_who_no_longer_wants_it_is_heard_while_nothing_comes(loop: LoopThread) -> None:
    numbers, enough = Numbers(1), threading.Event()

    def still_wanted() -> None:
        if enough.is_set():
            raise TimeoutError

    items = loop.iterate(numbers(), still_wanted)
    assert next(items) == 0
    threading.Timer(0.02, enough.set).start()
    with pytest.raises(TimeoutError):
        next(items)
    assert numbers.left.wait(5)


def test_closing_ends_everything_and_the_thread(loop: LoopThread, ended: list[str]) -> None:
    numbers = Numbers(1)
    items = loop.iterate(numbers(), wanted)
    next(items)
    loop.close()
    assert numbers.left.is_set()
    assert ended == ["loop"]
    assert "loop" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(CancelledError):
        next(items)


def test_it_starts_again_after_it_was_closed(loop: LoopThread) -> None:
    loop.run(double(1))
    loop.close()
    loop.close()
    assert loop.run(double(2)) == 4


def test_unused_it_has_no_thread(loop: LoopThread, ended: list[str]) -> None:
    assert "loop" not in {thread.name for thread in threading.enumerate()}
    loop.close()
    assert ended == []
