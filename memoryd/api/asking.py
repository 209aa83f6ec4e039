"""A question under way: one thread draws its events, the loop passes them on, an ear hears the client go away.

thread ── Event, Event, … ──▶ loop ──▶ client
   ▲                                      │ goes away
   └──────────── cancelled ◀── ear ◀──────┘
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from anyio import CapacityLimiter, to_thread

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from starlette.types import Receive

    from memoryd.config import Config
    from memoryd.echo_brain import Event

# Questions whose memories are being sought, beside those that a model has taken.
SEEKING = 32


def ask_threads(config: Config) -> CapacityLimiter:
    """The threads that the questions of one app share; they are not the threads of the other routes.

    A question holds its thread while it waits for a model. So there are more than all models answer and let wait:
    what refuses is a model's queue, which says when to come back.
    """
    taken = (len(config.models) + 1) * (config.llm.parallel + config.llm.waiting)
    return CapacityLimiter(taken + SEEKING)


class Asking:
    """Begins at once; an asynchronous iterator over the events, to be ended with `end`.

    Args:
        ask: begins the answer; called in the thread.
        cancelled: set as soon as the client is gone, or nobody listens any more.
        receive: the call's own, its body read already, so that only the client's going is left to come.
    """

    def __init__(
        self,
        ask: Callable[[], Iterator[Event]],
        *,
        cancelled: threading.Event,
        receive: Receive,
        threads: CapacityLimiter,
    ) -> None:
        self._ask = ask
        self._cancelled = cancelled
        self._loop = asyncio.get_running_loop()
        self._come: asyncio.Queue[Event | Exception | None] = asyncio.Queue()
        self._done = False
        self._ear = asyncio.create_task(self._hear(receive))
        self._work = asyncio.create_task(to_thread.run_sync(self._draw, limiter=threads))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._done:
            raise StopAsyncIteration
        come = await self._come.get()
        if come is None or isinstance(come, Exception):
            self._done = True
            raise come or StopAsyncIteration
        return come

    async def end(self) -> None:
        """Stops what is under way, and waits until what was said is kept."""
        if not self._done:
            self._cancelled.set()
        self._ear.cancel()
        await asyncio.shield(self._work)

    async def _hear(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._cancelled.set()

    def _draw(self) -> None:
        try:
            for event in self._ask():
                self._pass_on(event)
        except Exception as error:  # noqa: BLE001  (the thread's boundary: raised again where the events are read)
            self._pass_on(error)
        else:
            self._pass_on(None)

    def _pass_on(self, come: Event | Exception | None) -> None:
        self._loop.call_soon_threadsafe(self._come.put_nowait, come)
