from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent, InotifyFD, WatchDescriptor

from memoryd.file_events import WatchdogEvents

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_S = 20.0


def test_inotify_tells_of_files_that_are_written_and_not_of_reading(tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("두부", encoding="utf-8")
    noticed: list[tuple[Path, bool]] = []
    written, foldered = threading.Event(), threading.Event()

    def notice(path: Path, is_folder: bool) -> None:
        noticed.append((path, is_folder))
        if path == tmp_path / "day0315/a.txt":
            written.set()
        if path == tmp_path / "day0315" and is_folder:
            foldered.set()

    events = WatchdogEvents()
    events.start(tmp_path, notice)
    try:
        assert (tmp_path / "old.txt").read_text(encoding="utf-8") == "두부"
        (tmp_path / "day0315").mkdir()
        assert foldered.wait(LIMIT_S)
        (tmp_path / "day0315/a.txt").write_text("두부", encoding="utf-8")
        assert written.wait(LIMIT_S)
    finally:
        events.stop()
    assert (tmp_path / "old.txt", False) not in noticed
    assert not events._observer.is_alive()


def test_inotify_that_never_started_can_be_stopped() -> None:
    WatchdogEvents().stop()


def test_notices_that_the_kernel_dropped_bring_a_scan(tmp_path: Path) -> None:
    noticed: list[tuple[Path, bool]] = []
    events = WatchdogEvents()
    events.start(tmp_path, lambda path, is_folder: noticed.append((path, is_folder)))
    try:
        # Just what watchdog does where the kernel says that its queue was full.
        overflow = InotifyEvent(WatchDescriptor(-1), InotifyConstants.IN_Q_OVERFLOW, 0, b"")
        InotifyFD.get_instance().handle_event(overflow)
    finally:
        events.stop()
    assert (tmp_path, True) in noticed
    assert not logging.getLogger(InotifyFD.__module__).handlers
