from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memoryd.errors import StoreError
from memoryd.journal import Journal, Utterance
from memoryd.memory_folder import MemoryFolder
from memoryd.testing import FakeClock

if TYPE_CHECKING:
    from pathlib import Path


def test_the_folder_that_it_started_on_is_the_one(tmp_path: Path) -> None:
    MemoryFolder(tmp_path).check()


def test_a_folder_that_was_moved_away_and_back_is_the_one_again(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    folder = MemoryFolder(tmp_path / "memory")
    (tmp_path / "memory").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="Mount or move that one back"):
        folder.check()
    (tmp_path / "elsewhere").rename(tmp_path / "memory")
    folder.check()


def test_nothing_is_written_into_another_folder_of_the_same_name(tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    memory.mkdir()
    journal = Journal(memory)
    memory.rename(tmp_path / "elsewhere")
    said = Utterance(role="user", speaker="origin", text="안녕", time=FakeClock().now())
    for _ in range(2):
        with pytest.raises(StoreError):
            journal.append("origin", "c1", [said])
        assert not list(tmp_path.glob("memory/**/*.jsonl"))
        memory.mkdir(exist_ok=True)
