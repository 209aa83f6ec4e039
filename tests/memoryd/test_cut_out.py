"""A conversation leaves its file; the others stay, byte for byte where the format allows, else word for word."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

import loaders
from memoryd.cut_out import Action, Cut, carry_out, plan_cut, unreadable
from memoryd.errors import BadRequestError, StoreError
from memoryd.ingest import printable
from tests.memoryd.parts import line

if TYPE_CHECKING:
    from pathlib import Path

PATH = "day0315/talk.jsonl"
EXPORT = "day0315/conversations.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "day0315").mkdir()
    return tmp_path


def erase(root: Path, path: str, data: bytes | str, conversation: str) -> Cut:
    """Puts a file there, cuts it, and says what was planned."""
    file = root / path
    file.write_bytes(data.encode() if isinstance(data, str) else data)
    cut = plan_cut(root, path, conversation)
    carry_out(root, cut, conversation)
    return cut


def entry(name: str | None, *texts: str, title: str = "") -> dict[str, object]:
    """A conversation as ChatGPT exports it."""
    mapping: dict[str, object] = {}
    for number, text in enumerate(texts):
        mapping[f"n{number}"] = {
            "id": f"n{number}",
            "parent": f"n{number - 1}" if number else None,
            "message": {
                "id": f"{name}-m{number}",
                "author": {"role": "user"},
                "create_time": 1773576000.5 + number,
                "content": {"content_type": "text", "parts": [text]},
            },
        }
    made: dict[str, object] = {"title": title, "mapping": mapping, "current_node": f"n{len(texts) - 1}"}
    return made | ({"conversation_id": name} if name else {})


def read(root: Path, path: str) -> list[tuple[str, str, list[str]]]:
    loaded = loaders.load(path, (root / path).read_bytes())
    return [(each.id, each.title, [turn.text for turn in each.turns]) for each in loaded.conversations]


# One conversation


@pytest.mark.parametrize(
    ("path", "data", "conversation"),
    [
        (PATH, line("하나", conversation="c1") + line("둘", conversation="c1"), "c1"),
        ("day0315/note.md", "# 일기\n비가 왔다.\n", "day0315/note.md"),
        (EXPORT, json.dumps([entry("c1", "하나")]), "c1"),
    ],
)
def test_a_file_that_holds_nothing_else_is_removed(
    root: Path, path: str, data: str, conversation: str
) -> None:
    cut = erase(root, path, data, conversation)
    assert cut.action is Action.REMOVED
    assert list((root / "day0315").iterdir()) == []


def test_a_file_that_is_gone_is_as_good_as_removed(root: Path) -> None:
    cut = plan_cut(root, PATH, "c1")
    assert (cut.action, cut.file) == (Action.REMOVED, None)
    carry_out(root, cut, "c1")


def test_a_file_without_the_conversation_is_left_alone(root: Path) -> None:
    data = line("하나", conversation="c2")
    assert erase(root, PATH, data, "c1").action is Action.UNCHANGED
    assert (root / PATH).read_text("utf-8") == data


def test_a_name_that_is_no_utf8_is_found_as_the_ledger_spells_it(root: Path) -> None:
    file = root / "day0315" / os.fsdecode(b"\xc0\xcf\xb1\xe2.txt")
    file.write_text("오늘은 비가 왔다.", encoding="utf-8")
    path = printable(file.relative_to(root).as_posix())
    assert r"\xc0" in path
    carry_out(root, plan_cut(root, path, path), path)
    assert not file.exists()


def test_of_two_names_that_look_alike_the_one_that_is_meant_is_found(root: Path) -> None:
    torn = root / "day0315" / os.fsdecode(b"talk\xff.jsonl")
    spelt = root / "day0315" / r"talk\xff.jsonl"
    for file in (torn, spelt):
        file.write_text(line("지울 말", conversation="c1"), encoding="utf-8")
    for file, other in ((torn, spelt), (spelt, torn)):
        found = plan_cut(root, printable(file.relative_to(root).as_posix()), "c1").file
        assert found == file != other


def test_a_file_that_cannot_be_read_stops_it_before_anything_is_done(root: Path) -> None:
    (root / PATH).write_text(line("하나", conversation="c1") + "{broken\n" + line("둘"), encoding="utf-8")
    with pytest.raises(BadRequestError, match=r"talk\.jsonl can't be read now .*Nothing was erased"):
        plan_cut(root, PATH, "c1")


# JSON Lines


def test_the_other_lines_keep_their_bytes(root: Path) -> None:
    kept = [
        b'{"text":"a",   "conversation":"c2"}\r\n',
        b"\n",
        '{"conversation": "c2", "text": "\\uac00 \u2028 \u00e9"}\n'.encode(),
    ]
    gone = line("지울 것", conversation="c1").encode()
    cut = erase(root, PATH, gone + kept[0] + gone + kept[1] + kept[2], "c1")
    assert cut.action is Action.REWRITTEN
    assert [turn.text for turn in cut.turns] == ["지울 것", "지울 것"]
    assert (root / PATH).read_bytes() == b"".join(kept)


def test_a_line_that_names_no_conversation_is_the_files_own(root: Path) -> None:
    other = line("다른 말", conversation="c2")
    erase(root, PATH, line("이름 없는 말") + other, PATH)
    assert (root / PATH).read_text("utf-8") == other


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "cp949"])
def test_other_encodings_are_kept(root: Path, encoding: str) -> None:
    kept = line("남을 말 \N{MIDDLE DOT}", conversation="c2")
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    erase(root, PATH, (mark + line("지울 말", conversation="c1") + kept).encode(encoding), "c1")
    assert (root / PATH).read_bytes() == (mark + kept).encode(encoding)


@pytest.mark.parametrize(
    ("torn", "stays"),
    [
        ('{"conversation": "c2", "text": "반', True),
        ('{"conversation": "c1", "text": "반', False),
        ('{"te', False),
    ],
)
def test_half_a_line_stays_only_where_it_names_another(root: Path, torn: str, *, stays: bool) -> None:
    kept = line("남을 말", conversation="c2")
    erase(root, PATH, line("지울 말", conversation="c1") + kept + torn, "c1")
    assert (root / PATH).read_text("utf-8") == kept + torn * stays


def test_half_a_line_of_another_stays_where_nothing_else_does(root: Path) -> None:
    torn = '{"conversation": "c2", "text": "반'
    cut = erase(root, PATH, line("지울 말", conversation="c1") + torn, "c1")
    assert (cut.action, [turn.text for turn in cut.turns]) == (Action.REWRITTEN, ["지울 말"])
    assert (root / PATH).read_text("utf-8") == torn
    assert plan_cut(root, PATH, "c1").action is Action.UNCHANGED


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_mark_and_empty_lines_are_nothing_that_stays(root: Path, encoding: str) -> None:
    cut = erase(root, PATH, ("\n" + line("지울 말", conversation="c1") + " \r\n").encode(encoding), "c1")
    assert cut.action is Action.REMOVED
    assert not (root / PATH).exists()


def test_an_unreadable_file_that_names_the_conversation_is_told_and_left(root: Path) -> None:
    damaged = line("지울 말", conversation="c1") + "{broken\n" + line("더", conversation="c1")
    (root / PATH).write_text(damaged, encoding="utf-8")
    cut = unreadable(root, PATH, "c1")
    assert cut is not None
    assert cut.action is Action.UNREADABLE
    carry_out(root, cut, "c1")
    assert (root / PATH).read_text("utf-8") == damaged
    assert unreadable(root, PATH, "c") is None
    (root / PATH).write_text('{"conversation": "\\uae30\\ub85d", "te', encoding="utf-8")
    assert unreadable(root, PATH, "기록") is not None


def test_half_lines_that_were_set_aside_go_too(root: Path) -> None:
    aside = root / "day0315" / ".talk.jsonl.torn"
    kept = '{"id": "t9", "conversation": "c2", "text": "반쪽\n'
    aside.write_text('{"id": "t8", "conversation": "c1", "text": "반쪽\n' + kept, encoding="utf-8")
    both = line("지울 말", conversation="c1") + line("남을 말", conversation="c2")
    erase(root, PATH, both, "c1")
    assert aside.read_text("utf-8") == kept
    erase(root, PATH, line("남을 말", conversation="c2"), "c2")
    assert not aside.exists()


def test_times_and_mode_stay_because_they_date_turns_without_time(root: Path) -> None:
    file = root / PATH
    file.write_text(line("지울 말", conversation="c1") + line("남을 말", conversation="c2"), encoding="utf-8")
    file.chmod(0o640)
    os.utime(file, ns=(5_000_000_007, 6_000_000_009))
    carry_out(root, plan_cut(root, PATH, "c1"), "c1")
    assert (file.stat().st_mtime_ns, file.stat().st_mode & 0o777) == (6_000_000_009, 0o640)
    assert [each.name for each in file.parent.iterdir()] == ["talk.jsonl"]


# JSON lists


def test_the_other_entries_of_an_export_keep_their_bytes(root: Path) -> None:
    one, two, three = (
        json.dumps(entry(name, f"{name}의 말"), ensure_ascii=False, indent=1) for name in ("c1", "c2", "c3")
    )
    for gone, rest in (("c1", f"[\n {two} ,\n{three}\n]\n"), ("c3", f"[ {one},\n {two} \n]\n")):
        cut = erase(root, EXPORT, f"[ {one},\n {two} ,\n{three}\n]\n", gone)
        assert cut.action is Action.REWRITTEN
        assert (root / EXPORT).read_text("utf-8").replace(" ", "") == rest.replace(" ", "")
        assert "c2의 말" in (root / EXPORT).read_text("utf-8")
        assert f"{gone}의 말" not in (root / EXPORT).read_text("utf-8")


def test_where_the_others_would_get_other_names_the_file_is_replaced(root: Path) -> None:
    data = json.dumps([entry(None, "첫째"), entry(None, "둘째 말", title="둘째"), entry("c3", "셋째")])
    cut = erase(root, EXPORT, data, f"{EXPORT}-1")
    assert (cut.action, cut.target) == (Action.REPLACED, f"{EXPORT}.jsonl")
    assert not (root / EXPORT).exists()
    assert read(root, cut.target) == [(f"{EXPORT}-2", "둘째", ["둘째 말"]), ("c3", "", ["셋째"])]


def test_of_two_conversations_with_one_name_the_second_keeps_its_own(root: Path) -> None:
    cut = erase(root, EXPORT, json.dumps([entry("c1", "첫째"), entry("c1", "둘째")]), "c1")
    assert cut.action is Action.REPLACED
    assert read(root, cut.target) == [("c1#2", "", ["둘째"])]


def test_a_replacement_never_covers_another_file_and_is_the_same_when_repeated(root: Path) -> None:
    data = json.dumps([entry(None, "첫째"), entry("c2", "둘째")])
    (root / f"{EXPORT}.jsonl").write_text("somebody's", encoding="utf-8")
    first = erase(root, EXPORT, data, f"{EXPORT}-1")
    second = erase(root, EXPORT, data, f"{EXPORT}-1")
    assert first.target == second.target == f"{EXPORT}-2.jsonl"
    assert (root / f"{EXPORT}.jsonl").read_text("utf-8") == "somebody's"


@pytest.mark.parametrize("others", [line("남는 말.", conversation="c2"), ""])
def test_what_another_program_added_meanwhile_is_not_overwritten(root: Path, others: str) -> None:
    file = root / PATH
    file.write_text(line("지울 말.", conversation="c1") + others, encoding="utf-8")
    cut = plan_cut(root, PATH, "c1")
    with file.open("a", encoding="utf-8") as out:
        out.write(line("그사이에 온 말.", conversation="c3"))
    before = file.read_bytes()
    with pytest.raises(StoreError, match="Erase again"):
        carry_out(root, cut, "c1")
    assert file.read_bytes() == before
    carry_out(root, plan_cut(root, PATH, "c1"), "c1")
    assert "그사이에 온 말." in file.read_text(encoding="utf-8")
    assert "지울 말." not in file.read_text(encoding="utf-8")
