"""A file that can't be brought in: shown, tried again, and waited for by nobody but where the ledger refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memoryd.errors import StoreError
from memoryd.ingest import UnsettledError
from memoryd.watch import LONGEST_WAIT_S, RETRY_SECONDS
from tests.memoryd.watch_scene import SETTLE

if TYPE_CHECKING:
    from tests.memoryd.watch_scene import Scene


def test_a_store_that_fails_is_shown_and_tried_again(scene: Scene) -> None:
    scene.put("day0315/a.txt")
    scene.fails["day0315/a.txt"] = StoreError("the disk is full")
    assert scene.steps() == ["day0315/a.txt"]
    assert "the disk is full" in scene.watcher.fault
    assert not scene.watcher.idle.is_set()
    scene.fails.clear()
    assert scene.steps(RETRY_SECONDS - 0.1) == []
    assert scene.steps(0.1) == ["day0315/a.txt"]
    assert scene.watcher.fault == ""
    assert scene.watcher.idle.is_set()


@pytest.mark.parametrize("error", [StoreError("no"), PermissionError("no"), ValueError("no")])
def test_a_file_that_fails_keeps_no_other_from_being_read(scene: Scene, error: Exception) -> None:
    scene.put("day0315/a.txt")
    scene.put("day0315/b.txt")
    scene.fails["day0315/a.txt"] = error
    assert scene.steps() == ["day0315/a.txt", "day0315/b.txt"]
    assert scene.watcher.fault == "day0315/a.txt: no"
    assert scene.watcher.waiting() == 1


def test_a_file_that_always_fails_is_listed_and_nobody_waits_for_it(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """Found by a review: one such file kept the replay waiting, and the index being made anew, for ever."""
    scene.put("day0315/a.txt")
    scene.fails["day0315/a.txt"] = ValueError("no such thing")
    assert scene.watcher.catching_up()
    assert scene.steps() == ["day0315/a.txt"]
    assert scene.listed == {"day0315/a.txt": "it can't be brought in (no such thing); it is tried again"}
    assert not scene.watcher.catching_up()
    assert scene.watcher.idle.is_set()
    assert scene.steps(RETRY_SECONDS) == ["day0315/a.txt"]
    assert scene.watcher.fault == "day0315/a.txt: no such thing"
    assert len(caplog.records) == 1
    scene.fails.clear()
    assert scene.steps(RETRY_SECONDS) == ["day0315/a.txt"]
    assert scene.watcher.fault == ""


def test_what_the_ledger_refuses_is_waited_for(scene: Scene) -> None:
    scene.put("day0315/a.txt")
    scene.fails["day0315/a.txt"] = StoreError("the disk is full")
    scene.steps()
    assert scene.watcher.catching_up()
    assert scene.listed == {}
    scene.fails.clear()
    scene.steps(RETRY_SECONDS)
    assert not scene.watcher.catching_up()


def test_a_file_that_always_changes_while_it_is_read_is_listed_after_a_while(scene: Scene) -> None:
    scene.put("day0315/a.txt")
    scene.fails["day0315/a.txt"] = UnsettledError("it changes all the time")
    for _ in range(round(LONGEST_WAIT_S / SETTLE)):
        scene.steps(SETTLE)
    assert scene.watcher.catching_up()
    scene.steps(SETTLE)
    assert "it changes all the time" in scene.listed["day0315/a.txt"]
    assert not scene.watcher.catching_up()
