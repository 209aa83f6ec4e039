"""An event loop in a thread of its own, for callers that are not asynchronous.

run(coroutine) ──▶ its result          iterate(async iterator) ──▶ iterator that can be left at any time
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
    from concurrent.futures import Future
    from typing import Any

Result = TypeVar("Result")

# How often a caller who waits looks whether it still should.
LOOK_S = 0.05
STOP_LIMIT_S = 3.0


class LoopThread:
    """Starts its thread when first used; `close()` cancels what runs and ends it, the next use starts another.

    Args:
        at_end: runs last in the loop, when everything else has ended.
    """

    def __init__(self, name: str, *, at_end: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._name = name
        self._at_end = at_end
        self._lock = threading.Lock()
        self._running: _Running | None = None

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of a coroutine.

        Raises:
            concurrent.futures.CancelledError: closed meanwhile.
        """
        return self.spawn(work).result()

    def spawn(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Starts a coroutine; cancelling the future cancels it."""
        with self._lock:
            if self._running is None:
                self._running = _Running(self._name, self._at_end)
            return asyncio.run_coroutine_threadsafe(work, self._running.loop)

    def iterate(self, items: AsyncGenerator[Result], still_wanted: Callable[[], None]) -> Generator[Result]:
        """The items as they come; closing the iterator ends the one behind it, without waiting for that.

        Args:
            still_wanted: called before each item and every 50 ms while none comes; what it raises ends it all.

        Raises:
            concurrent.futures.CancelledError: closed meanwhile.
        """
        came: SimpleQueue[Result | _End] = SimpleQueue()

        async def pump() -> None:
            async with contextlib.aclosing(items):
                async for item in items:
                    came.put(item)

        future = self.spawn(pump())
        future.add_done_callback(lambda _: came.put(_End()))
        try:
            while True:
                still_wanted()
                try:
                    item = came.get(timeout=LOOK_S)
                except Empty:
                    continue
                if isinstance(item, _End):
                    future.result()
                    return
                yield item
        finally:
            future.cancel()

    def close(self) -> None:
        """Cancels everything and ends the thread, in a bounded time."""
        with self._lock:
            running, self._running = self._running, None
            if running is not None:
                running.loop.call_soon_threadsafe(running.stop.set)
        if running is not None:
            running.thread.join(STOP_LIMIT_S)


class _End:
    """No more items."""


class _Running:
    """A thread whose loop runs until `stop` is set, and then ends every task that is left."""

    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event

    def __init__(self, name: str, at_end: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._at_end = at_end
        self._begun = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._main()), name=name, daemon=True)
        self.thread.start()
        self._begun.wait()

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.stop = asyncio.Event()
        self._begun.set()
        await self.stop.wait()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._at_end()
