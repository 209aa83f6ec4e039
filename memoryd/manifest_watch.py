"""A replay when a manifest changes: looks at the three files every two seconds; a change counts once it has settled.

Looked at, not listened to: there are three files, and on a network mount nobody tells of changes.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from memoryd.errors import MemorydError
from memoryd.manifests import MANIFESTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    # Of each file its size, its times in nanoseconds and its inode; None where it can't be looked at.
    Look = tuple[tuple[int, int, int, int] | None, ...]

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
STOP_LIMIT_S = 1.0


class ManifestWatch:
    """Calls `replay` once after each change of the manifests, when two looks in a row have seen the same."""

    def __init__(self, folder: Path, replay: Callable[[], object]) -> None:
        self._folder = folder
        self._replay = replay
        self._seen = self._replayed = _look(folder)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="manifests", daemon=True)

    def start(self) -> None:
        """Starts the thread that looks. What has changed since the watch was made counts."""
        self._thread.start()

    def step(self) -> None:
        """Looks once, and replays if that is due."""
        before, self._seen = self._seen, _look(self._folder)
        if self._seen != before or self._seen == self._replayed:
            return
        self._replayed = self._seen
        log.info("the manifests have changed")
        try:
            self._replay()
        except MemorydError:
            log.exception(
                "the replay after a change of the manifests failed; the identity before it stays in force"
            )

    def stop(self) -> None:
        """Ends the watch. A replay that is under way writes its version in one commit, or none."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_LIMIT_S)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self.step()
            except Exception:  # the thread's boundary: one bad moment must not end the watch
                log.exception("the watch over the manifests stumbled and goes on")


def _look(folder: Path) -> Look:
    return tuple(_signature(folder / name) for name in MANIFESTS)


def _signature(file: Path) -> tuple[int, int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
