"""Who waits for a place: users take turns, and each user's own requests keep their order."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm.base import ModelError
    from llm.engine.job import Job


class Waiting:
    """A bounded queue; any thread may add, the engine's takes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._users: OrderedDict[str, deque[Job]] = OrderedDict()
        self._closed: ModelError | None = None

    def __len__(self) -> int:
        with self._lock:
            return self._count()

    def add(self, job: Job, *, free_places: int = 0) -> bool:
        """Puts a job at its user's end; False where as many wait as may, those that can start at once aside.

        One user's may be half of them, and one more: whoever asks a hundred questions keeps nobody else out.

        Raises:
            ModelError: nobody will come any more; see `close`.
        """
        with self._lock:
            if self._closed is not None:
                raise self._closed.with_traceback(None)
            own = len(self._users.get(job.user, ()))
            if self._count() >= self._limit + free_places or own >= self._limit // 2 + 1 + free_places:
                return False
            self._users.setdefault(job.user, deque()).append(job)
            return True

    def first(self) -> Job | None:
        """Whose turn it is; it stays in the queue."""
        with self._lock:
            return next(iter(self._users.values()))[0] if self._users else None

    def begun(self, job: Job) -> None:
        """Takes a job out; its user comes last now."""
        with self._lock:
            self._remove(job)
            if job.user in self._users:
                self._users.move_to_end(job.user)

    def take_if(self, wanted: Callable[[Job], bool]) -> list[Job]:
        """Every job of which this holds."""
        with self._lock:
            taken = [job for job in self._all() if wanted(job)]
            for job in taken:
                self._remove(job)
            return taken

    def jobs(self) -> list[Job]:
        """Every job, user by user."""
        with self._lock:
            return self._all()

    def close(self, error: ModelError) -> list[Job]:
        """Takes every job out; later ones are refused with this error."""
        with self._lock:
            self._closed = error
            left = self._all()
            self._users.clear()
            return left

    def _all(self) -> list[Job]:
        return [job for jobs in self._users.values() for job in jobs]

    def _remove(self, job: Job) -> None:
        jobs = self._users[job.user]
        jobs.remove(job)
        if not jobs:
            del self._users[job.user]

    def _count(self) -> int:
        return sum(map(len, self._users.values()))
