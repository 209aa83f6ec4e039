"""The time, behind a protocol, so that tests can set it."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Where the present comes from; `memoryd.testing.FakeClock` is its fake."""

    def now(self) -> datetime:
        """The wall clock's time, aware, in the machine's zone."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The wall clock's time, aware, in the machine's zone."""
        return datetime.now().astimezone()

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return time.monotonic()
