"""Files that are appended, renamed, replaced and deleted, also in the midst of being read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from memoryd.errors import StoreError
from memoryd.ingest import UnsettledError, read_file
from memoryd.ledger import AGAIN, FileState, Signature
from tests.memoryd.parts import Home, line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import IO


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.ledger.close()


def test_an_appended_file_embeds_only_what_is_new(home: Home) -> None:
    first = line("두부는 고양이야.", speaker="지훈") + line("응.", speaker="수민")
    home.remember("day0315/a.jsonl", first)
    home.embedder.embedded.clear()
    home.remember("day0315/a.jsonl", first + line("수영을 시작했어.", speaker="지훈"))
    assert home.embedder.embedded == ["지훈: 수영을 시작했어."]
    assert home.said() == ["두부는 고양이야.", "응.", "수영을 시작했어."]


def test_a_renamed_file_keeps_its_vectors(home: Home) -> None:
    home.remember("day0315/a.jsonl", line("두부는 고양이야."))
    home.embedder.embedded.clear()
    (home.root / "day0315/a.jsonl").rename(home.root / "day0315/b.jsonl")
    home.read("day0315/a.jsonl")
    home.read("day0315/b.jsonl")
    assert home.embedder.embedded == []
    assert [row.path for row in home.ledger.files.list()] == ["day0315/b.jsonl"]
    assert home.find("두부") == ["user: 두부는 고양이야."]


def test_a_renamed_file_is_found_under_its_new_name_before_it_goes_under_the_old_one(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.remember("day0315/a.txt", "두부는 고양이야.")
    (home.root / "day0315/a.txt").rename(home.root / "day0315/b.txt")
    listed: list[list[str]] = []
    remove = home.ledger.files.remove

    def noted(path: str) -> bool:
        listed.append([row.path for row in home.ledger.files.list()])
        return remove(path)

    monkeypatch.setattr(home.ledger.files, "remove", noted)
    home.read("day0315/a.txt", "day0315/b.txt")
    assert listed == [["day0315/a.txt", "day0315/b.txt"]]
    assert home.find("두부") == ["note: 두부는 고양이야."]


def test_a_file_that_comes_back_while_others_are_read_is_not_taken_out(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.remember("day0315/a.txt", "두부는 고양이야.")
    (home.root / "day0315/a.txt").unlink()
    home.put("day0315/b.txt", "수영을 했다.")
    _while_it_is_read(monkeypatch, lambda: home.put("day0315/a.txt", "두부는 회색이야."))
    failed = home.ingest.read(["day0315/a.txt", "day0315/b.txt"])
    assert {path: type(error) for path, error in failed.items()} == {"day0315/a.txt": UnsettledError}
    assert home.find("두부")[0].endswith("두부는 고양이야.")
    home.read("day0315/a.txt")
    assert home.find("두부")[0].endswith("두부는 회색이야.")


def test_a_deleted_file_is_found_no_more(home: Home) -> None:
    home.remember("day0315/a.txt", "두부는 고양이야.")
    home.feed()
    (home.root / "day0315/a.txt").unlink()
    home.read("day0315/a.txt")
    assert home.find("두부") == []
    home.feed()
    assert home.index.count("") == 0


def test_a_file_goes_when_its_folder_becomes_a_file(home: Home) -> None:
    home.remember("day0315/a.txt", "두부는 고양이야.")
    (home.root / "day0315/a.txt").unlink()
    (home.root / "day0315").rmdir()
    (home.root / "day0315").touch()
    home.read("day0315/a.txt")
    assert home.ledger.files.list() == []


def test_reading_a_file_again_changes_nothing(home: Home) -> None:
    home.remember("day0315/a.txt", "두부는 고양이야.")
    home.feed()
    before = home.turns()
    home.read("day0315/a.txt")
    assert home.turns() == before
    assert home.ledger.outbox.count() == 0
    assert home.ledger.vectors.embedded_texts() == 1


def _while_it_is_read(monkeypatch: pytest.MonkeyPatch, happen: Callable[[], object]) -> None:
    """Lets something happen once, after the file is opened and before its bytes are taken."""
    fdopen = os.fdopen

    def open_and_happen(descriptor: int, mode: str) -> IO[bytes]:
        monkeypatch.setattr(os, "fdopen", fdopen)
        opened = fdopen(descriptor, mode)
        happen()
        return opened

    monkeypatch.setattr(os, "fdopen", open_and_happen)


def test_a_file_that_grows_while_it_is_read_is_read_as_it_was_and_then_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = home.put("day0315/a.jsonl", line("하나."))
    grown = line("하나.") + line("둘.")
    with monkeypatch.context() as patch:
        _while_it_is_read(patch, lambda: file.write_text(grown, encoding="utf-8"))
        with pytest.raises(UnsettledError):
            home.read("day0315/a.jsonl")
    home.read("day0315/a.jsonl")
    assert home.said() == ["하나.", "둘."]


@pytest.mark.parametrize("other", ["둘..", "."])
def test_a_file_that_is_rewritten_while_it_is_read_is_left_for_later(
    home: Home, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    file = home.put("day0315/a.txt", "하나.")
    with monkeypatch.context() as patch:
        _while_it_is_read(patch, lambda: file.write_text(other, encoding="utf-8"))
        with pytest.raises(UnsettledError):
            home.read("day0315/a.txt")
    assert home.ledger.files.list() == []
    home.read("day0315/a.txt")
    assert home.said() == [other]


def test_a_file_that_could_not_be_brought_in_says_so_and_keeps_what_it_had(home: Home) -> None:
    home.remember("day0315/a.txt", "하나.")
    home.ingest.give_up("day0315/a.txt", "the embedder choked on it")
    (listed,) = home.ledger.files.list()
    assert (listed.state, listed.reason) == (FileState.QUARANTINED, "the embedder choked on it")
    assert listed.signature.mtime_ns == AGAIN
    assert home.said() == ["하나."]
    home.read("day0315/a.txt")
    (listed,) = home.ledger.files.list()
    assert (listed.state, listed.reason) == (FileState.INDEXED, None)


def test_a_file_that_is_gone_by_now_is_not_listed(home: Home) -> None:
    home.ingest.give_up("day0315/a.txt", "the embedder choked on it")
    assert home.ledger.files.list() == []


def test_no_file_is_blamed_for_a_memory_folder_that_is_gone(home: Home) -> None:
    home.put("day0315/a.txt", "하나.")
    home.root.rename(home.folder / "away")
    with pytest.raises(StoreError, match="memory folder"):
        home.ingest.give_up("day0315/a.txt", "the embedder choked on it")


def test_a_link_put_in_a_files_place_is_not_followed(home: Home, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("비밀이야.", encoding="utf-8")
    file = home.put("day0315/a.txt", "하나.")
    before = Signature.of(file.lstat())
    file.unlink()
    file.symlink_to(tmp_path / "secret.txt")
    with pytest.raises(OSError, match="symbolic"):
        read_file(file, before)


def test_an_edit_that_keeps_size_and_time_is_seen(home: Home) -> None:
    home.remember("day0315/a.txt", "두부는 고양이야.")
    home.remember("day0315/a.txt", "두부는 강아지야.")
    assert home.said() == ["두부는 강아지야."]


def test_a_file_in_another_files_place_with_the_same_size_and_time_is_seen(home: Home) -> None:
    home.remember("day0315/a.txt", "두부는 고양이야.")
    other = home.put("day0315/.a.txt.new", "두부는 강아지야.")
    other.replace(home.root / "day0315/a.txt")
    home.read("day0315/a.txt")
    assert home.said() == ["두부는 강아지야."]
