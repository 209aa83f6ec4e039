"""What holds for every test."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """A build that runs in the background may ignore Ctrl-C, and every process started by a test would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
