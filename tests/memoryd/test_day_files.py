from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from loaders import Conversation, Role, Turn
from memoryd.day_files import DayFiles, LeftAloneError, file_name, is_numbered
from memoryd.errors import StoreError
from memoryd.watch import ignored

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATH = "day0315/chatgpt_c1.jsonl"


def _turn(text: str) -> Turn:
    return Turn(id=text, index=0, role=Role.USER, speaker="지훈", text=text)


def _conversation() -> Conversation:
    return Conversation(id="c1", turns=(_turn("one"), _turn("two")), title="숫자")


def _files(memory: Path, *, max_file_bytes: int = 10**6, dry_run: bool = False) -> DayFiles:
    return DayFiles(memory, max_file_bytes=max_file_bytes, dry_run=dry_run)


def _write(memory: Path) -> Path:
    _files(memory).add(PATH, _conversation(), before=(), after=(_turn("one"), _turn("two")))
    return memory / PATH


def test_a_new_file_holds_its_turns_and_its_title_once(tmp_path: Path) -> None:
    assert _write(tmp_path).read_text("utf-8") == (
        '{"id": "one", "conversation": "c1", "role": "user", "speaker": "지훈", "text": "one", "title": "숫자"}\n'
        '{"id": "two", "conversation": "c1", "role": "user", "speaker": "지훈", "text": "two"}\n'
    )
    assert [file.name for file in (tmp_path / "day0315").iterdir()] == ["chatgpt_c1.jsonl"]
    (part,) = _files(tmp_path).parts("chatgpt", "c1")
    assert (part.day, [turn.text for turn in part.turns]) == ("day0315", ["one", "two"])


def test_lines_that_are_there_stay_as_they_are_and_so_does_the_mode(tmp_path: Path) -> None:
    file = _write(tmp_path)
    mine = file.read_text("utf-8").replace('"id": "one"', '"mood":   "good", "id":"one"').rstrip("\n")
    file.write_text(mine, "utf-8")
    file.chmod(0o640)
    _files(tmp_path).add(PATH, _conversation(), before=[_turn("zero")], after=[_turn("three")])
    lines = file.read_text("utf-8").splitlines()
    assert "\n".join(lines[1:3]) == mine
    assert '"id": "zero"' in lines[0]
    assert '"id": "three"' in lines[3]
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_file_that_somebody_moved_is_found_again(tmp_path: Path) -> None:
    file = _write(tmp_path)
    (tmp_path / "day0316" / "old").mkdir(parents=True)
    file.rename(tmp_path / "day0316" / "old" / file.name)
    (part,) = _files(tmp_path).parts("chatgpt", "c1")
    assert part.path == "day0316/old/chatgpt_c1.jsonl"


def _damage(file: Path) -> None:
    file.write_text("{broken\n" + file.read_text("utf-8"), "utf-8")


def _tear(file: Path) -> None:
    file.write_text(file.read_text("utf-8") + '{"text": "ha', "utf-8")


def _rename_conversation(file: Path) -> None:
    file.write_text(file.read_text("utf-8").replace('"c1"', '"c2"'), "utf-8")


def _link(file: Path) -> None:
    file.rename(file.with_suffix(".kept"))
    file.symlink_to(file.with_suffix(".kept"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_damage, "is damaged .line 1"),
        (_tear, "no whole JSON Lines"),
        (_rename_conversation, "holds nothing of this conversation"),
        (_link, "no ordinary file"),
    ],
)
def test_a_file_that_is_no_longer_ours_is_left_alone(
    tmp_path: Path, change: Callable[[Path], None], reason: str
) -> None:
    file = _write(tmp_path)
    change(file)
    kept = file.read_bytes()
    with pytest.raises(LeftAloneError, match=reason):
        _files(tmp_path).parts("chatgpt", "c1")
    assert file.read_bytes() == kept


def test_a_file_that_the_daemon_would_skip_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(LeftAloneError, match="max_file_bytes"):
        _files(tmp_path, max_file_bytes=100).add(PATH, _conversation(), before=(), after=[_turn("a" * 100)])
    assert not (tmp_path / PATH).exists()


def test_a_file_in_utf_16_is_not_added_to(tmp_path: Path) -> None:
    file = _write(tmp_path)
    file.write_text(file.read_text("utf-8"), "utf-16")
    kept = file.read_bytes()
    with pytest.raises(LeftAloneError, match=r"chatgpt_c1\.jsonl"):
        _files(tmp_path).add(PATH, _conversation(), before=(), after=[_turn("three")])
    assert file.read_bytes() == kept


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "memory" / "day0315").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LeftAloneError, match="day0315 is a link"):
        _files(tmp_path / "memory").add(PATH, _conversation(), before=(), after=[_turn("one")])
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_dry_run_writes_nothing_and_remembers_what_it_would_have(tmp_path: Path) -> None:
    files = _files(tmp_path, dry_run=True)
    files.add(PATH, _conversation(), before=(), after=[_turn("one")])
    files.add(PATH, _conversation(), before=(), after=[_turn("two")])
    (part,) = files.parts("chatgpt", "c1")
    assert [turn.text for turn in part.turns] == ["one", "two"]
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _write(tmp_path)
    kept = file.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        _files(tmp_path).add(PATH, _conversation(), before=(), after=[_turn("three")])
    assert list(file.parent.iterdir()) == [file]
    assert file.read_bytes() == kept


def test_a_file_that_changes_while_it_is_added_to_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _write(tmp_path)
    sync = os.fsync

    def meanwhile(handle: int) -> None:
        file.write_text(file.read_text("utf-8") + '{"text": "mine", "conversation": "c1"}\n', "utf-8")
        sync(handle)

    monkeypatch.setattr(os, "fsync", meanwhile)
    with pytest.raises(LeftAloneError, match="changed meanwhile"):
        _files(tmp_path).add(PATH, _conversation(), before=(), after=[_turn("three")])
    assert '"mine"' in file.read_text("utf-8")


def test_names_say_where_it_came_from_and_no_two_ids_share_one() -> None:
    assert file_name("chatgpt", "6523-ab") == "chatgpt_6523-ab.jsonl"
    names = {
        file_name("whatsapp", each) for each in ("a/b", "a b", "a_b", "가" * 300, "가" * 301, "..", "a\n")
    }
    assert len(names) == 7
    assert all(len(name.encode()) < 255 and "/" not in name and not ignored(name) for name in names)


def test_a_turn_is_numbered_where_its_id_is_only_its_place() -> None:
    assert is_numbered(_turn("c1:12"), "c1")
    assert not any(is_numbered(_turn(each), "c1") for each in ("c1:", "c1:x", "c12:1", "c1:1:2", "12"))
