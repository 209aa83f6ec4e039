"""Waiting for what another thread or process is about to do."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 20.0


def until(condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Looks again every few milliseconds, for a bounded time."""
    pause = threading.Event()
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        pause.wait(0.005)
