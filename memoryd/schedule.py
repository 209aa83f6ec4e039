"""The replay's schedule: cron, one run at a time, a missed one caught up once, whatever the machine's clock does.

The clock is looked at every half minute, for no timer knows that it was set: after a jump forwards what was missed
runs once, after a jump back the next run is reckoned anew from the time that it is now.
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

from memoryd.config import cron_trigger
from memoryd.errors import MemorydError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from apscheduler.triggers.cron import CronTrigger

    from memoryd.clock import Clock

log = logging.getLogger(__name__)

LOOK_SECONDS = 30.0
STOP_LIMIT_S = 1.0


class Schedule:
    """Calls `replay` on a cron.

    Args:
        cron: five fields; an empty string for never.
        timezone: an IANA name; an empty string for the machine's own.
    """

    def __init__(self, *, cron: str, timezone: str, replay: Callable[[], object], clock: Clock) -> None:
        self._cron = cron
        self._timezone = timezone or None
        self._replay = replay
        self._clock = clock
        self._trigger: CronTrigger | None = None
        self._due: datetime | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="schedule", daemon=True)

    def start(self) -> None:
        """Starts the schedule's thread, if there is anything to schedule."""
        if not self._cron:
            return
        self._trigger = cron_trigger(self._cron, self._timezone)
        self._due = self._after(self._clock.now())
        self._thread.start()

    def next_run(self) -> datetime | None:
        """When the next replay is due, or None."""
        return self._due

    def step(self) -> float:
        """Replays if that is due; returns the seconds until the clock should be looked at again."""
        now = self._clock.now()
        if self._due is not None and now >= self._due:
            self._replay_once()
            now = self._clock.now()
        # The same as before where nothing was due, unless the clock was set back.
        self._due = self._after(now)
        left = (self._due - now).total_seconds() if self._due else LOOK_SECONDS
        return max(0.0, min(LOOK_SECONDS, left))

    def stop(self) -> None:
        """Ends the schedule. A replay that is under way writes its version in one commit, or none."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_LIMIT_S)

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            try:
                pause = self.step()
            except Exception:  # the thread's boundary: one bad moment must not end the schedule
                log.exception("the schedule stumbled and goes on")
                pause = LOOK_SECONDS

    def _after(self, now: datetime) -> datetime | None:
        if self._trigger is None:
            return None
        # A run that is due this very moment has just been made.
        due: datetime | None = self._trigger.get_next_fire_time(None, now + timedelta(microseconds=1))
        return due

    def _replay_once(self) -> None:
        try:
            self._replay()
        except MemorydError:
            log.exception("the scheduled replay failed; the identity before it stays in force")
