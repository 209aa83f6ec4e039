from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import pytest

from memoryd.errors import ReplayError
from memoryd.manifest_watch import ManifestWatch

if TYPE_CHECKING:
    from pathlib import Path


class Being:
    """A manifest folder and a watch over it; `replays` counts."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "echo_identity.txt"
        self.write("나는 에코다.", at=1)
        self.replays = 0
        self.fault: Exception | None = None
        self.watch = ManifestWatch(folder, self._replay)

    def write(self, text: str, *, at: int) -> None:
        """Writes the file, last changed so many seconds after the epoch."""
        self.file.write_text(text, encoding="utf-8")
        os.utime(self.file, (at, at))

    def look(self, times: int) -> int:
        """Looks so often; how many replays there have been."""
        for _ in range(times):
            self.watch.step()
        return self.replays

    def _replay(self) -> None:
        self.replays += 1
        if self.fault:
            raise self.fault


@pytest.fixture
def being(tmp_path: Path) -> Being:
    return Being(tmp_path)


def test_manifests_that_stay_as_they_are_bring_no_replay(being: Being) -> None:
    assert being.look(5) == 0


def test_a_change_brings_one_replay_once_it_has_settled(being: Being) -> None:
    being.write("나는 메아리다.", at=2)
    assert being.look(1) == 0
    assert being.look(1) == 1
    assert being.look(5) == 1


def test_a_file_that_is_still_being_written_is_waited_for(being: Being) -> None:
    for second in range(2, 6):
        being.write("나는 메아리다." * second, at=second)
        assert being.look(1) == 0
    assert being.look(1) == 1


def test_a_new_file_and_one_that_is_gone_are_changes_too(being: Being, tmp_path: Path) -> None:
    (tmp_path / "origin_id.txt").write_text("jihun", encoding="utf-8")
    assert being.look(3) == 1
    being.file.unlink()
    assert being.look(3) == 2


def test_other_files_in_the_folder_are_nobodys_business(being: Being, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("…", encoding="utf-8")
    assert being.look(3) == 0


def test_a_failing_replay_does_not_end_the_watch(being: Being, caplog: pytest.LogCaptureFixture) -> None:
    being.fault = ReplayError("the disk is full")
    being.write("나는 메아리다.", at=2)
    with caplog.at_level(logging.ERROR):
        assert being.look(4) == 1
    assert "the disk is full" in caplog.text
    being.fault = None
    being.write("나는 에코다, 다시.", at=3)
    assert being.look(2) == 2


def test_the_watch_stops_at_once(being: Being) -> None:
    being.watch.start()
    being.watch.stop()
    being.watch.stop()
    assert being.replays == 0
