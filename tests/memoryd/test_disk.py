from __future__ import annotations

from typing import TYPE_CHECKING

from memoryd.disk import UNSAFE, same_one, sync_folder

if TYPE_CHECKING:
    from pathlib import Path


def test_a_name_keeps_hangul_and_loses_what_could_leave_the_folder() -> None:
    assert UNSAFE.sub("_", "두부 이야기/../a:b.txt") == "두부_이야기_.._a_b.txt"


def test_a_file_is_the_same_one_after_a_rename_and_another_after_a_replacement(tmp_path: Path) -> None:
    file, other = tmp_path / "a", tmp_path / "b"
    file.touch()
    other.touch()
    before = same_one(file)
    assert before is not None
    assert same_one(tmp_path / "gone") is None
    file.rename(tmp_path / "c")
    assert same_one(tmp_path / "c") == before
    other.rename(tmp_path / "c")
    assert same_one(tmp_path / "c") != before


def test_a_folder_can_be_synced(tmp_path: Path) -> None:
    sync_folder(tmp_path)
