"""One request in the engine, and the pieces of its answer on their way to the thread that asked."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from llm.answer import Answer
    from llm.base import ModelError, Piece


@dataclass(slots=True, eq=False, kw_only=True)
class Job:
    """A request.

    Attributes:
        prompt: its tokens, (n,) int32.
        answer: what draws the tokens that follow.
        room: how many tokens the answer may take.
        user: whose turn it takes.
        conversation: under which its cells are kept afterwards; "" not to keep them.
        deadline: `time.monotonic()` by which it must be done; None for no limit.
        cancelled: set from outside to end it.
    """

    prompt: NDArray[np.int32]
    answer: Answer
    room: int
    user: str = ""
    conversation: str = ""
    deadline: float | None = None
    cancelled: threading.Event | None = None
    abandoned: bool = False
    out: SimpleQueue[Piece | ModelError | None] = field(default_factory=SimpleQueue)

    @property
    def given_up(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.abandoned or (self.cancelled is not None and self.cancelled.is_set())

    @property
    def overdue(self) -> bool:
        """Whether its deadline has passed."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def put(self, piece: Piece) -> None:
        """Hands a piece on."""
        self.out.put(piece)

    def end(self, error: ModelError | None = None) -> None:
        """Nothing more comes; `error` is raised where the pieces are read."""
        if error is not None:
            self.out.put(error)
        self.out.put(None)


class Pieces:
    """The pieces of a job, as they come. Closing, or dropping, gives the job up."""

    def __init__(self, job: Job, wake: Callable[[], None]) -> None:
        self._job = job
        self._wake = wake
        self._over = False

    def __iter__(self) -> Pieces:
        return self

    def __next__(self) -> Piece:
        """Waits for the next piece."""
        if self._over:
            raise StopIteration
        item = self._job.out.get()
        if item is None:
            self._over = True
            raise StopIteration
        if isinstance(item, Exception):
            self._over = True
            raise item.with_traceback(None)  # several requests may get the same error
        return item

    def close(self) -> None:
        """Ends the request within one step; nothing where it is over."""
        if not self._over:
            self._over = self._job.abandoned = True
            self._wake()

    def __del__(self) -> None:
        self.close()
