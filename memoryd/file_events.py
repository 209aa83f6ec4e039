"""Where notices of changed files come from: inotify through watchdog, or nowhere on network mounts."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

if TYPE_CHECKING:
    from collections.abc import Callable

WATCHDOG_LOG = logging.getLogger("watchdog.observers.inotify_c")
OVERFLOWED = "queue overflowed"
STOP_LIMIT_S = 10.0


class FileEvents(Protocol):
    """Where notices of changes come from; `memoryd.testing.FakeFileEvents` is its fake."""

    def start(self, root: Path, notice: Callable[[Path, bool], None]) -> None:
        """Begins; `notice(path, is_folder)` is called from any thread."""
        ...

    def stop(self) -> None:
        """Ends; no notice comes after it."""
        ...


class WatchdogEvents:
    """inotify through watchdog, all folders below the root."""

    def __init__(self) -> None:
        self._observer = Observer()
        self._overflow: _Overflow | None = None

    def start(self, root: Path, notice: Callable[[Path, bool], None]) -> None:
        """Begins to listen."""
        self._overflow = _Overflow(lambda: notice(root, True))
        WATCHDOG_LOG.addHandler(self._overflow)
        self._observer.schedule(_Handler(notice), str(root), recursive=True)
        self._observer.start()

    def stop(self) -> None:
        """Ends in a bounded time."""
        if self._overflow:
            WATCHDOG_LOG.removeHandler(self._overflow)
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join(STOP_LIMIT_S)


class NoEvents:
    """For network mounts, where no notice comes: only the scans at intervals."""

    def start(self, root: Path, notice: Callable[[Path, bool], None]) -> None:
        """Nothing to listen to."""

    def stop(self) -> None:
        """Nothing to end."""


class _Overflow(logging.Handler):
    """The kernel drops notices when its queue is full; watchdog (7.1) says so in its log and nowhere else."""

    def __init__(self, lost: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._lost = lost

    def emit(self, record: logging.LogRecord) -> None:
        if OVERFLOWED in record.getMessage():
            self._lost()


class _Handler(FileSystemEventHandler):
    def __init__(self, notice: Callable[[Path, bool], None]) -> None:
        self._notice = notice

    def on_any_event(self, event: FileSystemEvent) -> None:
        # Opening and reading a file change nothing; noticing them would make our own reading a change.
        if event.event_type in {"opened", "closed_no_write"}:
            return
        # A folder counts as modified whenever a file in it comes or goes, and that brings a notice of its own.
        if event.is_directory and event.event_type == "modified":
            return
        for path in (event.src_path, event.dest_path):
            if path:
                self._notice(Path(os.fsdecode(path)), event.is_directory)
