from __future__ import annotations

import os
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from memoryd.clock import SystemClock
from memoryd.errors import StoreError
from memoryd.ingest import StoppingError, UnsettledError
from memoryd.ledger import FileState, Signature
from memoryd.testing import FakeClock, FakeFileEvents
from memoryd.watch import (
    BLIND_RESCAN_SECONDS,
    LONGEST_WAIT_S,
    Watcher,
    ignored,
)
from tests.memoryd.parts import Home
from tests.memoryd.watch_scene import RESCAN, SETTLE, Scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from memoryd.clock import Clock
    from memoryd.file_events import FileEvents
    from memoryd.watch import Read

LIMIT_S = 20.0


def test_the_first_step_reads_what_is_there_in_the_order_of_its_days(scene: Scene) -> None:
    scene.put("day0316/b.txt")
    scene.put("day0315/a.txt")
    assert scene.steps() == ["day0315/a.txt", "day0316/b.txt"]


def test_a_file_is_read_once_it_has_stayed_the_same(scene: Scene) -> None:
    scene.steps()
    scene.events.happen(scene.put("day0315/a.txt"))
    assert scene.steps() == []
    assert scene.steps(SETTLE - 0.1) == []
    assert scene.watcher.waiting() == 1
    assert scene.steps(0.1) == ["day0315/a.txt"]
    assert scene.watcher.waiting() == 0


def test_what_memoryd_wrote_itself_what_is_gone_and_what_failed_are_not_unread(scene: Scene) -> None:
    scene.steps()
    scene.events.happen(scene.put("day0315/a.txt"))
    scene.put("day0315/ours.jsonl")
    scene.watcher.note("day0315/ours.jsonl", settled=True)
    scene.events.happen(scene.root / "day0315/ours.jsonl")
    scene.watcher.note("day0315/gone.txt")
    assert scene.watcher.unread() == {"day0315/a.txt"}
    scene.fails["day0315/a.txt"] = OSError("no")
    scene.steps(SETTLE)
    assert "day0315/a.txt" in scene.watcher.pending()
    assert scene.watcher.unread() == set()


def test_a_growing_file_waits_until_it_stops(scene: Scene) -> None:
    scene.steps()
    for words in ("하나.", "하나. 둘.", "하나. 둘. 셋."):
        scene.events.happen(scene.put("day0315/a.txt", words))
        assert scene.steps(SETTLE / 2) == []
    assert scene.steps(SETTLE / 2) == ["day0315/a.txt"]


def test_a_file_that_grew_without_a_notice_waits_again(scene: Scene) -> None:
    scene.steps()
    scene.events.happen(scene.put("day0315/a.txt", "하나."))
    scene.put("day0315/a.txt", "하나. 둘.")
    assert scene.steps(SETTLE) == []
    assert scene.steps(SETTLE) == ["day0315/a.txt"]


def test_a_file_that_was_written_a_moment_before_the_start_waits(scene: Scene) -> None:
    scene.put("day0315/a.txt", age_s=0.5)
    assert scene.steps() == []
    assert scene.steps(SETTLE) == ["day0315/a.txt"]


def test_a_file_of_the_future_waits_once_and_is_read(scene: Scene) -> None:
    scene.put("day0315/a.txt", age_s=-3600.0)
    assert scene.steps() == []
    assert scene.steps(SETTLE) == ["day0315/a.txt"]


def test_a_file_that_its_writer_calls_whole_is_read_at_once(scene: Scene) -> None:
    scene.steps()
    scene.put("day0315/a.txt", age_s=0.0)
    scene.watcher.note("day0315/a.txt", settled=True)
    assert scene.steps() == ["day0315/a.txt"]


def test_a_step_says_how_long_to_wait(scene: Scene) -> None:
    assert scene.watcher.step() == RESCAN
    scene.events.happen(scene.put("day0315/a.txt"))
    scene.clock.pass_seconds(0.5)
    assert scene.watcher.step() == SETTLE - 0.5


def test_a_scan_finds_what_changed_and_what_is_gone_and_leaves_the_rest(scene: Scene) -> None:
    scene.put("day0315/same.txt")
    scene.put("day0315/changed.txt")
    gone = scene.put("day0315/gone.txt")
    scene.steps()
    scene.put("day0315/changed.txt", "바뀌었다.")
    gone.unlink()
    scene.put("day0315/new.txt")
    assert scene.steps(RESCAN - 1) == []
    assert scene.steps(1) == ["day0315/changed.txt", "day0315/new.txt", "day0315/gone.txt"]
    assert scene.steps(RESCAN) == []


def test_a_rescan_can_be_asked_for(scene: Scene) -> None:
    scene.steps()
    scene.put("day0315/a.txt")
    assert scene.steps() == []
    scene.watcher.rescan()
    assert scene.steps() == ["day0315/a.txt"]


def test_no_rescan_comes_where_it_is_switched_off(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "memory", rescan_seconds=0)
    assert scene.watcher.step() == float("inf")
    scene.put("day0315/a.txt")
    assert scene.steps(10 * RESCAN) == []


def test_a_deleted_file_is_taken_out_when_it_settles(scene: Scene) -> None:
    file = scene.put("day0315/a.txt")
    scene.steps()
    file.unlink()
    scene.events.happen(file)
    assert scene.steps(SETTLE) == ["day0315/a.txt"]
    assert scene.known == {}


def test_a_folder_that_moves_in_is_scanned_once_it_has_settled(scene: Scene) -> None:
    scene.steps()
    scene.put("day0315/a.txt")
    scene.put("day0315/jihun/b.txt")
    scene.events.happen(scene.root / "day0315", is_folder=True)
    assert scene.steps() == []
    assert scene.steps(SETTLE) == ["day0315/a.txt", "day0315/jihun/b.txt"]


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        "day0315/.a.txt.swp",
        "day0315/.hidden/a.txt",
        "day0315/a.txt~",
        "day0315/a.TMP",
        "day0315/a.jsonl.part",
        "day0315/a.txt.crdownload",
    ],
)
def test_hidden_and_temporary_files_are_left_alone(scene: Scene, path: str) -> None:
    assert ignored(path)
    file = scene.put(path)
    assert scene.steps() == []
    scene.events.happen(file)
    assert scene.steps(SETTLE) == []


@pytest.mark.parametrize("path", ["day0315/a.txt", "day0315/tmp.txt", "day0315/a.b.c", "day0315/기록"])
def test_other_files_are_not_ignored(path: str) -> None:
    assert not ignored(path)


def test_a_notice_from_elsewhere_is_ignored(scene: Scene, tmp_path: Path) -> None:
    scene.steps()
    scene.events.happen(tmp_path / "elsewhere.txt")
    assert scene.watcher.waiting() == 0


def test_a_file_that_changed_while_it_was_read_is_read_again(scene: Scene) -> None:
    scene.put("day0315/a.txt")
    scene.fails["day0315/a.txt"] = UnsettledError("day0315/a.txt")
    assert scene.steps() == ["day0315/a.txt"]
    assert scene.watcher.fault == ""
    scene.fails.clear()
    assert scene.steps() == []
    assert scene.steps(SETTLE) == ["day0315/a.txt"]


def test_a_change_while_a_file_is_read_is_not_lost(tmp_path: Path) -> None:
    class Busy(Scene):
        def _read(self, paths: Sequence[str], between: Callable[[], None]) -> dict[str, Exception]:
            if not self.read:
                self.events.happen(self.put(paths[0], "두부는 회색 고양이야."))
            return super()._read(paths, between)

    scene = Busy(tmp_path / "memory")
    scene.put("day0315/a.txt")
    assert scene.steps() == ["day0315/a.txt"]
    assert scene.watcher.waiting() == 1
    assert scene.steps(SETTLE) == ["day0315/a.txt"]


def test_a_file_that_keeps_growing_is_waited_for_once(scene: Scene) -> None:
    scene.events.happen(scene.put("day0315/log.txt", age_s=0.0))
    scene.steps(SETTLE)
    scene.steps(SETTLE)
    scene.events.happen(scene.put("day0315/log.txt", "그리고 또.", age_s=0.0))
    scene.steps()
    assert scene.watcher.waiting() == 1
    assert not scene.watcher.catching_up()


def test_idle_is_set_when_everything_is_read(scene: Scene) -> None:
    scene.put("day0315/a.txt", age_s=0.0)
    scene.steps()
    assert not scene.watcher.idle.is_set()
    scene.steps(SETTLE)
    assert scene.watcher.idle.is_set()


# With the real reader.


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.ledger.close()


def _watch(home: Home, clock: FakeClock) -> Watcher:
    return Watcher(
        root=home.root,
        events=FakeFileEvents(),
        read=home.ingest.read,
        give_up=home.ingest.give_up,
        known=home.ledger.files.known,
        clock=clock,
        settle_seconds=0.0,
        rescan_seconds=0.0,
    )


def test_a_folder_that_cannot_be_looked_into_is_listed_until_it_can(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.put("day0601/a.txt", "두부는 고양이야.")
    closed, access = home.root / "day0601", os.access
    (home.root / "lost+found").mkdir()

    def refuse(path: str | Path, mode: int) -> bool:
        return Path(path).name not in {closed.name, "lost+found"} and access(path, mode)

    watcher = _watch(home, FakeClock())
    with monkeypatch.context() as patched:
        patched.setattr(os, "access", refuse)
        watcher.step()
    (row,) = home.ledger.files.list()
    assert (row.path, row.state) == ("day0601", FileState.SKIPPED)
    assert "can't be looked into" in (row.reason or "")
    assert "chmod" in (row.reason or "")

    watcher.rescan()
    watcher.step()
    watcher.step()
    assert [row.path for row in home.ledger.files.list()] == ["day0601/a.txt"]


def test_every_file_is_listed_once_and_read_once(home: Home) -> None:
    home.put("day0315/a.txt", "두부는 고양이야.")
    home.put("day0315/empty.txt", "")
    home.put("day0315/damaged.jsonl", '{"text"\n{"text": "둘."}\n')
    home.put("outside.txt", "밖이다.")
    home.put("day0315/" + os.fsdecode("기록.txt".encode("cp949")), "수영을 했다.")
    home.put(r"day0315/\xb1\xe2\xb7\xcf.txt", "그 이름을 글자로 쓴 파일이다.")
    (home.root / "day0315/link.txt").symlink_to(home.root / "outside.txt")
    (home.root / "day0316").symlink_to(home.root / "day0315")
    os.mkfifo(home.root / "day0315/pipe")
    watcher = _watch(home, FakeClock())
    watcher.step()
    assert {row.path: row.state.value for row in home.ledger.files.list()} == {
        "day0315/a.txt": FileState.INDEXED,
        r"day0315/\xb1\xe2\xb7\xcf.txt": FileState.INDEXED,
        r"day0315/\\xb1\\xe2\\xb7\\xcf.txt": FileState.INDEXED,
        "day0315/damaged.jsonl": FileState.QUARANTINED,
        "day0315/empty.txt": FileState.SKIPPED,
        "day0315/link.txt": FileState.SKIPPED,
        "day0315/pipe": FileState.SKIPPED,
        "day0316": FileState.SKIPPED,
        "outside.txt": FileState.SKIPPED,
    }
    before = home.ledger.files.list()
    _watch(home, FakeClock()).step()
    assert home.ledger.files.list() == before
    assert len(home.embedder.embedded) == 3


# With threads.


def _no_read(paths: Sequence[str], between: Callable[[], None]) -> dict[str, Exception]:
    assert not list(paths)
    between()
    return {}


def _no_fault(path: str, reason: str) -> None:
    raise AssertionError(f"{path}: {reason}")


def _watcher(
    root: Path,
    read: Read,
    *,
    events: FileEvents | None = None,
    known: Callable[[], dict[str, Signature]] = dict,
    clock: Clock | None = None,
    settle_seconds: float = 0.0,
    rescan_seconds: float = 0.0,
) -> Watcher:
    return Watcher(
        root=root,
        events=events or FakeFileEvents(),
        read=read,
        give_up=_no_fault,
        known=known,
        clock=clock or FakeClock(),
        settle_seconds=settle_seconds,
        rescan_seconds=rescan_seconds,
    )


def test_the_watchers_thread_reads_and_ends(tmp_path: Path) -> None:
    (tmp_path / "day0315").mkdir()
    (tmp_path / "day0315/a.txt").write_text("두부", encoding="utf-8")
    events = FakeFileEvents()
    read: list[str] = []

    def take(paths: Sequence[str], between: Callable[[], None]) -> dict[str, Exception]:
        read.extend(paths)
        return {}

    watcher = _watcher(tmp_path, take, events=events, clock=SystemClock())
    watcher.start()
    assert watcher.idle.wait(LIMIT_S)
    watcher.stop()
    assert not watcher._thread.is_alive()
    assert read == ["day0315/a.txt"]


def test_stopping_ends_the_reading_between_two_batches(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("두부", encoding="utf-8")
    begun, stopping = threading.Event(), threading.Event()
    read: list[str] = []

    class Events(FakeFileEvents):
        def stop(self) -> None:
            stopping.set()
            super().stop()

    def slow(paths: Sequence[str], between: Callable[[], None]) -> dict[str, Exception]:
        for path in paths:
            try:
                between()
            except StoppingError as error:
                return {path: error}
            begun.set()
            assert stopping.wait(LIMIT_S)
            read.append(path)
        return {}

    watcher = _watcher(tmp_path, slow, events=Events(), clock=SystemClock())
    watcher.start()
    assert begun.wait(LIMIT_S)
    watcher.stop()
    assert not watcher._thread.is_alive()
    assert read == ["a.txt"]
    assert watcher.fault == ""


def test_the_watch_outlives_a_scan_that_fails(tmp_path: Path) -> None:
    events = FakeFileEvents()
    failed = threading.Event()

    def known() -> dict[str, Signature]:
        failed.set()
        raise StoreError("the ledger is locked")

    watcher = _watcher(tmp_path, _no_read, events=events, known=known, clock=SystemClock())
    watcher.start()
    assert failed.wait(LIMIT_S)
    alive = watcher._thread.is_alive()
    watcher.stop()
    assert alive
    assert watcher.fault == "the ledger is locked"


def test_a_watcher_that_never_started_can_be_stopped(tmp_path: Path) -> None:
    _watcher(tmp_path, _no_read, events=FakeFileEvents(), clock=SystemClock()).stop()


def test_a_file_that_never_rests_is_read_as_it_stands_after_a_while(scene: Scene) -> None:
    scene.steps()
    read: list[str] = []
    for second in range(round(LONGEST_WAIT_S / SETTLE) + 2):
        scene.events.happen(scene.put("day0315/log.txt", "가" * (second + 1)))
        read += scene.steps(SETTLE / 2)
        scene.put("day0315/log.txt", "가" * (second + 1) + "나")
        read += scene.steps(SETTLE / 2)
    assert read == ["day0315/log.txt"]


@pytest.mark.parametrize("left", ["nothing", "an empty mount point"])
def test_a_memory_folder_that_is_not_mounted_is_no_deletion(tmp_path: Path, left: str) -> None:
    root = tmp_path / "unmounted"
    if left == "an empty mount point":
        root.mkdir()
    watcher = _watcher(
        root,
        _no_read,
        known=lambda: {"day0315/talk.txt": Signature(10, 1, 1)},
        settle_seconds=1.0,
        rescan_seconds=3600.0,
    )
    with pytest.raises(StoreError, match="What was remembered is kept"):
        watcher.step()


def test_without_notices_the_folder_is_compared_often(tmp_path: Path) -> None:
    class NoNotices(FakeFileEvents):
        def start(self, root: Path, notice: Callable[[Path, bool], None]) -> None:
            super().start(root, notice)
            raise OSError(28, "inotify watch limit reached")

    (tmp_path / "day0315").mkdir()
    watcher = _watcher(tmp_path, _no_read, events=NoNotices(), rescan_seconds=3600.0)
    watcher.start()
    watcher.stop()
    assert "inotify watch limit reached" in watcher.fault
    assert watcher.step() <= BLIND_RESCAN_SECONDS


def test_what_was_just_said_does_not_wait_behind_an_import(tmp_path: Path) -> None:
    (tmp_path / "day0315").mkdir()
    for name in ("a", "b", "c", "said"):
        (tmp_path / "day0315" / f"{name}.txt").write_text("안녕", encoding="utf-8")
    read: list[str] = []

    def take(paths: Sequence[str], between: Callable[[], None]) -> dict[str, Exception]:
        for path in paths:
            if path == "day0315/a.txt":
                watcher.note("day0315/said.txt", settled=True)
            between()
            read.append(path)
        return {}

    watcher = _watcher(tmp_path, take)
    for name in ("a", "b", "c"):
        watcher.note(f"day0315/{name}.txt")
    watcher._next_scan = float("inf")
    watcher.step()
    assert read == [f"day0315/{name}.txt" for name in ("said", "a", "b", "c")]


@pytest.mark.parametrize("years", [-20, 20])
def test_a_clock_that_is_set_by_years_delays_nothing(scene: Scene, years: int) -> None:
    scene.steps()
    scene.events.happen(scene.put("day0315/a.txt"))
    assert scene.steps(SETTLE / 2) == []
    scene.clock.jump(timedelta(days=365 * years))
    assert scene.steps(SETTLE / 2) == ["day0315/a.txt"]
    # The hourly comparison comes when it is due, and what was read before the jump is not read again.
    scene.put("day0316/b.txt", age_s=0.0)
    assert scene.steps(RESCAN) == ["day0316/b.txt"]


def test_a_read_within_a_read_leaves_the_files_of_both_alone(tmp_path: Path) -> None:
    (tmp_path / "day0315").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "day0315" / f"{name}.txt").write_text("안녕", encoding="utf-8")
    begun: list[list[str]] = []

    def take(paths: Sequence[str], between: Callable[[], None]) -> dict[str, Exception]:
        begun.append(list(paths))
        if len(begun) == 1:
            # Said while a and c are read already and wait for their vectors.
            watcher.note("day0315/a.txt", settled=True)
            watcher.note("day0315/b.txt", settled=True)
        between()
        return {}

    watcher = _watcher(tmp_path, take)
    for name in ("a", "c"):
        watcher.note(f"day0315/{name}.txt")
    watcher._next_scan = float("inf")
    watcher.step()
    assert begun == [["day0315/a.txt", "day0315/c.txt"], ["day0315/b.txt"]]
    assert watcher.waiting() == 1
    watcher.step()
    assert begun[-1] == ["day0315/a.txt"]


def test_a_scan_asked_for_during_a_scan_comes_after_it(scene: Scene) -> None:
    scene.put("day0315/a.txt")
    known = scene.watcher._known
    asked: list[bool] = []

    def ask_once() -> dict[str, Signature]:
        if not asked:
            asked.append(True)
            scene.watcher.rescan()
        return known()

    scene.watcher._known = ask_once
    assert scene.steps() == ["day0315/a.txt"]
    assert not scene.watcher.scanned
    scene.put("day0315/b.txt")
    assert scene.steps() == ["day0315/b.txt"]
    assert scene.watcher.scanned
