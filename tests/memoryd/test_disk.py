from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memoryd.disk import UNSAFE, same_one, sync_folder, write_whole

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


def test_a_file_is_written_whole_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    file, aside = tmp_path / "a", tmp_path / ".a.partial"
    file.write_bytes(b"before")
    aside.write_bytes(b"left by a kill, and longer than what comes")

    def ready() -> None:
        assert (file.read_bytes(), aside.read_bytes()) == (b"before", b"after")

    write_whole(file, b"after", aside=aside, ready=ready)
    assert file.read_bytes() == b"after"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_is_not_ready_stays_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"before")

    def refuse() -> None:
        raise PermissionError

    with pytest.raises(PermissionError):
        write_whole(file, b"after", aside=tmp_path / ".a.partial", ready=refuse)
    assert file.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [file]


def test_a_secret_is_nobody_elses_from_its_first_byte(tmp_path: Path) -> None:
    file, aside = tmp_path / "a", tmp_path / ".a.partial"
    modes: list[int] = []
    write_whole(file, b"x", aside=aside, mode=0o600, ready=lambda: modes.append(aside.stat().st_mode & 0o777))
    assert [*modes, file.stat().st_mode & 0o777] == [0o600, 0o600]
