"""The replay's schedule: APScheduler's cron, one run at a time, a missed one caught up once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from memoryd.config import cron_trigger
from memoryd.errors import MemorydError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from apscheduler.schedulers.background import BackgroundScheduler

log = logging.getLogger(__name__)


class Schedule:
    """Calls `replay` on a cron.

    Args:
        cron: five fields; an empty string for never.
        timezone: an IANA name; an empty string for the machine's own.
    """

    def __init__(self, *, cron: str, timezone: str, replay: Callable[[], object]) -> None:
        self._cron = cron
        self._timezone = timezone or None
        self._replay = replay
        self._scheduler: BackgroundScheduler | None = None

    def start(self) -> None:
        """Starts the scheduler's thread, if there is anything to schedule."""
        if not self._cron:
            return
        from apscheduler.schedulers.background import BackgroundScheduler

        self._scheduler = BackgroundScheduler()
        self._scheduler.add_job(
            self._run,
            cron_trigger(self._cron, self._timezone),
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )
        self._scheduler.start()

    def next_run(self) -> datetime | None:
        """When the next replay is due, or None."""
        jobs = self._scheduler.get_jobs() if self._scheduler else []
        due: datetime | None = jobs[0].next_run_time if jobs else None
        return due

    def stop(self) -> None:
        """Ends the schedule. A replay that is under way writes its version in one commit, or none."""
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)

    def _run(self) -> None:
        try:
            self._replay()
        except MemorydError:
            log.exception("the scheduled replay failed; the identity before it stays in force")
