"""The launcher's decisions, with daemons and a clock that only pretend."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from deploy.runpod_launcher import DEFAULTS, Launcher, environment_with_defaults, prepare_folders

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class FakePod:
    """Daemons that end as told, and a clock that they move.

    Args:
        runs: exit code and seconds of each run; the last ends the test if the launcher wants another.
    """

    def __init__(self, *runs: tuple[int, float]) -> None:
        self.runs = list(runs)
        self.now = 0.0
        self.starts = 0
        self.pauses: list[float] = []
        self.signals: list[int] = []
        self.lines: list[str] = []
        self.woken = False
        self.during_run: Callable[[], None] = lambda: None
        self.during_spawn: Callable[[], None] = lambda: None
        self.during_pause: Callable[[], None] = lambda: None
        self.launcher = Launcher(
            spawn=self.spawn,
            clock=lambda: self.now,
            pause=self.pause,
            wake=self.wake,
            log=self.lines.append,
        )

    def spawn(self) -> FakePod:
        self.starts += 1
        self.during_spawn()
        return self

    def wait(self) -> int:
        self.during_run()
        code, seconds = self.runs.pop(0)
        self.now += seconds
        return code

    def send_signal(self, number: int) -> None:
        self.signals.append(number)

    def pause(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        self.during_pause()
        return self.woken

    def wake(self) -> None:
        self.woken = True


def test_a_clean_exit_ends_the_launcher() -> None:
    pod = FakePod((0, 5))
    assert pod.launcher.run() == 0
    assert pod.starts == 1
    assert pod.pauses == []


def test_a_crashing_daemon_is_started_again_after_ever_longer_pauses() -> None:
    pod = FakePod(*[(1, 2)] * 8, (0, 1))
    assert pod.launcher.run() == 0
    assert pod.pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_ten_healthy_minutes_start_the_pauses_anew() -> None:
    pod = FakePod((1, 2), (1, 2), (-9, 600), (1, 2), (0, 1))
    pod.launcher.run()
    assert pod.pauses == [1, 2, 1, 2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on_and_no_daemon_follows(number: signal.Signals) -> None:
    pod = FakePod((-int(number), 3))
    pod.during_run = lambda: pod.launcher.stop(number)
    assert pod.launcher.run() == 0
    assert pod.signals == [number]
    assert pod.starts == 1


def test_a_signal_while_the_daemon_is_being_started_still_reaches_it() -> None:
    pod = FakePod((0, 3))
    pod.during_spawn = lambda: pod.launcher.stop(signal.SIGTERM)
    pod.launcher.run()
    assert pod.signals == [signal.SIGTERM]


def test_a_signal_ends_a_pause_without_another_start() -> None:
    pod = FakePod((1, 2))
    pod.during_pause = lambda: pod.launcher.stop(signal.SIGTERM)
    assert pod.launcher.run() == 0
    assert pod.starts == 1
    assert pod.signals == []


def test_a_daemon_that_fails_while_stopping_is_reported() -> None:
    pod = FakePod((9, 3))
    pod.during_run = lambda: pod.launcher.stop(signal.SIGTERM)
    assert pod.launcher.run() == 9


def test_every_event_is_one_line() -> None:
    pod = FakePod((3, 2), (0, 1))
    pod.launcher.run()
    assert pod.lines == [
        "memoryd ended with exit code 3 after 2 s",
        "starting again in 1 s",
        "memoryd ended with exit code 0 after 1 s",
    ]


def test_the_pods_own_variables_win_over_the_defaults() -> None:
    environment = environment_with_defaults({"MEMORYD_PATHS__STATE": "/elsewhere", "HOME": "/root"})
    assert environment["MEMORYD_PATHS__STATE"] == "/elsewhere"
    assert environment["MEMORYD_PATHS__MEMORY"] == DEFAULTS["MEMORYD_PATHS__MEMORY"]
    assert environment["HOME"] == "/root"


def folders(tmp_path: Path) -> dict[str, str]:
    return {
        f"MEMORYD_PATHS__{name}": str(tmp_path / name.lower()) for name in ("MEMORY", "MANIFEST", "STATE")
    }


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "origin_id.txt").write_text("origin\n", encoding="utf-8")
    return folder


def test_missing_folders_are_made_and_an_empty_manifest_is_filled(tmp_path: Path, source: Path) -> None:
    done = prepare_folders(folders(tmp_path), source)
    assert (tmp_path / "memory").is_dir()
    assert (tmp_path / "state").is_dir()
    assert (tmp_path / "manifest/origin_id.txt").read_text(encoding="utf-8") == "origin\n"
    assert len(done) == 4


def test_a_manifest_that_is_there_is_left_as_it_is(tmp_path: Path, source: Path) -> None:
    (tmp_path / "manifest").mkdir()
    (tmp_path / "manifest/origin_id.txt").write_text("mine\n", encoding="utf-8")
    prepare_folders(folders(tmp_path), source)
    assert prepare_folders(folders(tmp_path), source) == []
    assert (tmp_path / "manifest/origin_id.txt").read_text(encoding="utf-8") == "mine\n"


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path, source: Path) -> None:
    (tmp_path / "memory").write_text("a file in the way", encoding="utf-8")
    with pytest.raises(OSError, match="memory"):
        prepare_folders(folders(tmp_path), source)
