from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from loaders import UnreadableError
from memoryd import sources
from memoryd.sources import NamedFile, read, walk

if TYPE_CHECKING:
    from pathlib import Path

SAID = '{"text": "보리는 강아지야."}\n'


def _named(path: Path) -> NamedFile:
    return NamedFile(path=path, name=path.name)


def test_a_file_is_known_by_its_own_name_and_one_in_a_folder_with_the_folders(tmp_path: Path) -> None:
    folder = tmp_path / "WhatsApp Chat - 민수"
    (folder / "media").mkdir(parents=True)
    for name in ("_chat.txt", ".hidden", "half.part", "media/note.md"):
        (folder / name).write_text(SAID)
    names = [file.name for file in walk([folder / "_chat.txt", folder])]
    assert names == ["_chat.txt", "WhatsApp Chat - 민수/_chat.txt", "WhatsApp Chat - 민수/media/note.md"]


def test_links_in_a_folder_are_refused_and_one_that_is_named_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there.jsonl").write_text(SAID)
    (tmp_path / "export").mkdir()
    link = tmp_path / "export" / "link.jsonl"
    link.symlink_to(tmp_path / "there.jsonl")
    (found,) = walk([tmp_path / "export"])
    with pytest.raises(UnreadableError, match="it is a link"):
        read(found)
    (named,) = walk([link])
    assert read(named).loaded.format == "native"


def test_a_folder_that_can_not_be_listed_is_said(unprivileged: Path) -> None:
    (unprivileged / "closed").mkdir(mode=0)
    (found,) = walk([unprivileged])
    with pytest.raises(UnreadableError, match="can't be listed"):
        read(found)


def test_a_pipe_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnreadableError, match="no ordinary file"):
        read(_named(tmp_path / "pipe"))
    with pytest.raises(UnreadableError, match="No such file"):
        read(_named(tmp_path / "gone"))


def test_a_film_is_refused_by_its_first_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"\0\0\0\x20ftypisom" + b"\xff" * 100)
    monkeypatch.setattr(sources, "LARGE", 10)
    with pytest.raises(UnreadableError, match="binary"):
        read(_named(film))


def test_reading_says_size_and_when_the_file_was_written(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(SAID)
    os.utime(file, (1_700_000_000, 1_700_000_000))
    opened = read(_named(file))
    assert (opened.size, opened.modified.timestamp()) == (len(SAID.encode()), 1_700_000_000)
    assert opened.modified.tzinfo is not None
