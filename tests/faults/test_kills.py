"""A handful of the kills and of the damage that `bench.faults` deals out by the hundred."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.faults.__main__ import run, run_replays

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that wait for each other crawl where another process has a core."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_kills_lose_double_and_falsify_nothing(tmp_path: Path) -> None:
    result = run(tmp_path, 3, seed=7, files=8)
    assert result["passed"], result
    # A round can hold two kills.
    assert result["kills"] in {3, 4}
    figures = (
        "lost",
        "duplicated",
        "unopenable",
        "wrong_after_recovery",
        "acknowledged_not_on_disk",
        "embedded_twice",
    )
    assert {name: result[name] for name in figures} == dict.fromkeys(figures, 0)


def test_torn_vector_files_are_noticed_and_made_anew(tmp_path: Path) -> None:
    result = run(tmp_path, 1, seed=7, damage=True, files=8)
    assert result["passed"], result


def test_a_killed_replay_leaves_the_old_identity_or_the_new_one_whole(tmp_path: Path) -> None:
    result = run_replays(tmp_path, 2, seed=7, files=8)
    assert result["passed"], result
    assert {name: result[name] for name in ("mixed", "unopenable")} == {"mixed": 0, "unopenable": 0}
    assert (result["old"], result["new"]) in {(2, 0), (1, 1), (0, 2)}
