"""Short files go before long ones, whichever came first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memoryd.watch import LONGEST_WAIT_S, SHORT_BYTES, TOGETHER
from tests.memoryd.watch_scene import SETTLE, Scene

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

LONG = "두부는 회색 고양이야.\n" * (SHORT_BYTES // 10)


class Coming(Scene):
    """Files come, and settle, while a long one is read; `begun` has what each read was given."""

    coming: list[list[str]]
    begun: list[list[str]]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.coming, self.begun = [], []

    def _read(self, paths: Sequence[str], between: Callable[[], None]) -> dict[str, Exception]:
        self.begun.append(list(paths))
        if self.coming:
            for path in self.coming.pop(0):
                self.events.happen(self.put(path))
            self.clock.pass_seconds(SETTLE)
        return super()._read(paths, between)


def test_short_files_are_read_before_long_ones(scene: Scene) -> None:
    scene.put("day0314/export.txt", LONG)
    scene.put("day0315/a.txt")
    scene.put("day0316/b.txt")
    assert scene.steps() == ["day0315/a.txt", "day0316/b.txt", "day0314/export.txt"]


def test_a_short_file_that_comes_while_a_long_one_is_read_goes_between(tmp_path: Path) -> None:
    scene = Coming(tmp_path / "memory")
    scene.put("day0314/export.txt", LONG)
    scene.coming = [["day0315/a.txt"]]
    assert scene.steps() == ["day0315/a.txt", "day0314/export.txt"]
    assert scene.watcher.waiting() == 0


def test_a_long_file_that_comes_meanwhile_waits_and_so_does_a_changed_one_in_hand(tmp_path: Path) -> None:
    class Long(Coming):
        def put(self, path: str, text: str = LONG, *, age_s: float = 3600.0) -> Path:
            return super().put(path, text, age_s=age_s)

    scene = Long(tmp_path / "memory")
    scene.put("day0314/export.txt")
    scene.coming = [["day0314/export.txt", "day0315/second.txt"]]
    assert scene.steps() == ["day0314/export.txt"]
    assert scene.steps() == ["day0314/export.txt", "day0315/second.txt"]


def test_files_that_keep_coming_go_between_a_group_at_a_time_and_never_within_one_another(
    tmp_path: Path,
) -> None:
    scene = Coming(tmp_path / "memory")
    scene.put("day0314/export.txt", LONG)
    first = [f"day0315/{number:03d}.txt" for number in range(TOGETHER + 1)]
    scene.coming = [first, ["day0316/later.txt"]]
    scene.steps()
    assert scene.begun == [["day0314/export.txt"], first[:TOGETHER]]
    scene.steps()
    assert scene.begun[2:] == [[first[-1], "day0316/later.txt"]]


def test_a_long_file_under_a_new_name_is_read_before_its_old_name_is_taken_out(scene: Scene) -> None:
    old = scene.put("day0314/old.txt", LONG)
    scene.steps()
    new = old.rename(old.with_name("new.txt"))
    # As inotify tells it: the old name first.
    scene.events.happen(old)
    scene.events.happen(new)
    assert scene.steps(SETTLE) == ["day0314/new.txt", "day0314/old.txt"]


def test_a_file_that_never_rests_is_read_every_two_minutes(scene: Scene) -> None:
    """Each notice comes before the one before it has settled."""
    scene.steps()
    read: list[str] = []
    every = SETTLE / 4
    for number in range(round(2 * LONGEST_WAIT_S / every) + 2):
        scene.events.happen(scene.put("day0315/log.txt", "가" * (number + 1), age_s=0.0))
        read += scene.steps(every)
    assert read == ["day0315/log.txt"] * 2
