"""`memoryd inspect` and `memoryd import` on files of several formats; no daemon is there."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from typer.testing import CliRunner

from memoryd.cli.importing import app
from memoryd.errors import BadRequestError, ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

CHAT = [
    {
        "id": "c1",
        "title": "보리 [bold]예방접종[/bold]",
        "current_node": "n3",
        "mapping": {
            "n1": {"parent": None, "message": None},
            "n2": {
                "parent": "n1",
                "message": {
                    "id": "m1",
                    "author": {"role": "user"},
                    "create_time": 1773576240,
                    "content": {"parts": ["보리 예방접종은 언제야?\n\n달력 좀 봐 줘."]},
                },
            },
            "n3": {
                "parent": "n2",
                "message": {
                    "id": "m2",
                    "author": {"role": "assistant"},
                    "create_time": 1773576300,
                    "content": {"parts": ["4월 3일이에요. \x1b[31m"]},
                },
            },
        },
    }
]


class Memoryd(Protocol):
    """Runs `memoryd` with these arguments."""

    def __call__(self, *arguments: object) -> Result: ...


@pytest.fixture
def memoryd(tmp_path: Path) -> Memoryd:
    (tmp_path / "memory").mkdir()
    (tmp_path / "manifest").mkdir()
    (tmp_path / "manifest" / "origin_id.txt").write_text("jihoon")
    settings: dict[str, str | None] = {name: None for name in os.environ if name.startswith("MEMORYD_")}
    settings |= {"MEMORYD_PATHS__MEMORY": str(tmp_path / "memory")}
    settings |= {"MEMORYD_PATHS__MANIFEST": str(tmp_path / "manifest"), "TZ": "UTC"}

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(each) for each in arguments], env=settings)

    return invoke


@pytest.fixture
def export(tmp_path: Path) -> Path:
    file = tmp_path / "export" / "conversations.json"
    file.parent.mkdir()
    file.write_text(json.dumps(CHAT), "utf-8")
    return file


def _document(result: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(result.stdout)
    return document


# inspect


def test_inspect_shows_what_a_loader_makes_of_a_file(memoryd: Memoryd, export: Path) -> None:
    result = memoryd("inspect", export)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"conversations.json: chatgpt, 1 conversation, 2 turns, {export.stat().st_size:,} bytes",
        "  c1  보리 [bold]예방접종[/bold]",
        "    2 turns: user (user) 1, assistant (assistant) 1",
        "    2026-03-15T12:04:00+00:00 to 2026-03-15T12:05:00+00:00",
        "    first  보리 예방접종은 언제야? 달력 좀 봐 줘.",
        "    last   4월 3일이에요. �[31m",
        "",
    ]


def test_inspect_prints_turns_in_full_where_asked(memoryd: Memoryd, export: Path) -> None:
    lines = memoryd("inspect", export, "--turns", 1).stdout.splitlines()
    at = lines.index("    m1 · 2026-03-15T12:04:00+00:00 · user (user)")
    assert lines[at + 1 : at + 4] == ["    보리 예방접종은 언제야?", "    ", "    달력 좀 봐 줘."]
    assert not any("m2" in line for line in lines)


def test_inspect_says_how_many_turns_have_no_time(memoryd: Memoryd, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a", "time": "2026-03-15T21:04:00+09:00"}\n{"text": "b"}\n')
    (tmp_path / "b.md").write_text("장보기\n")
    printed = memoryd("inspect", tmp_path / "a.jsonl", tmp_path / "b.md").stdout
    assert "    2026-03-15T21:04:00+09:00 to 2026-03-15T21:04:00+09:00; 1 turn without a time\n" in printed
    assert "    no turn has a time; the day folder's date stands in\n" in printed


def test_a_refusal_has_its_reason_and_the_other_files_are_shown(
    memoryd: Memoryd, export: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.jsonl").write_text('{"text": "a"}\n{"text"\n{"text": "b"}\n')
    result = memoryd("inspect", tmp_path / "broken.jsonl", tmp_path / "gone.txt", export)
    assert result.exit_code == 1
    assert "broken.jsonl: refused: line 2: not valid JSON" in result.stdout
    assert "gone.txt: refused: it can't be read: No such file or directory" in result.stdout
    assert "conversations.json: chatgpt, 1 conversation, 2 turns" in result.stdout


def test_inspect_as_json_is_one_document(memoryd: Memoryd, export: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jsonl").write_text('{"text": "a"}\n{"text"\n{"text": "b"}\n')
    result = memoryd("inspect", export, tmp_path / "broken.jsonl", "--turns", 1, "--json")
    assert result.exit_code == 1
    whole, broken = _document(result)["files"]
    assert broken["refused"]["line"] == 2
    (conversation,) = whole["conversations"]
    assert conversation["speakers"] == [
        {"speaker": "user", "role": "user", "turns": 1},
        {"speaker": "assistant", "role": "assistant", "turns": 1},
    ]
    assert [turn["text"] for turn in conversation["said"]] == ["보리 예방접종은 언제야?\n\n달력 좀 봐 줘."]
    assert (conversation["without_time"], conversation["remarks"]) == (0, [])


# import


def test_import_says_what_it_wrote_and_the_second_time_that_nothing_is_new(
    memoryd: Memoryd, export: Path, tmp_path: Path
) -> None:
    first = memoryd("import", export.parent)
    assert first.exit_code == 0
    assert "  wrote day0315/chatgpt_c1.jsonl  2 turns  보리 [bold]예방접종[/bold]\n" in first.stdout
    assert (
        f"1 conversation in 1 file: 2 new turns went into 1 file below {tmp_path / 'memory'}." in first.stdout
    )
    assert "`memoryd files`" in first.stdout
    second = memoryd("import", export.parent)
    assert second.exit_code == 0
    assert second.stdout.endswith("1 conversation in 1 file: nothing new; 2 turns there already.\n")


def test_a_dry_run_prints_the_same_and_writes_nothing(memoryd: Memoryd, export: Path, tmp_path: Path) -> None:
    result = memoryd("import", export, export, "--dry-run")
    assert "  would write day0315/chatgpt_c1.jsonl  2 turns" in result.stdout
    assert "2 new turns would go into 1 file" in result.stdout
    assert "2 there already" in result.stdout
    assert list((tmp_path / "memory").iterdir()) == []


def test_import_as_json_is_one_document(memoryd: Memoryd, export: Path, tmp_path: Path) -> None:
    document = _document(memoryd("import", export, tmp_path / "gone", "--for", "jihoon", "--json"))
    whole, gone = document["files"]
    assert whole["conversations"][0]["written"] == [
        {"path": "day0315/jihoon/chatgpt_c1.jsonl", "turns": 2, "new": True}
    ]
    assert gone["refused"]["reason"].endswith("No such file or directory")
    assert (document["new_turns"], document["known_turns"], document["refused"]) == (2, 0, 1)


def test_notes_without_times_go_to_the_day_that_is_named(memoryd: Memoryd, tmp_path: Path) -> None:
    (tmp_path / "list.md").write_text("장보기\n")
    assert memoryd("import", tmp_path / "list.md", "--day", "0402").exit_code == 0
    assert (tmp_path / "memory" / "day0402" / "notes_list.md.jsonl").is_file()


def test_what_can_not_be_meant_is_refused_before_anything_is_written(
    memoryd: Memoryd, export: Path, tmp_path: Path
) -> None:
    inside = tmp_path / "memory" / "day0315" / "talk.jsonl"
    inside.parent.mkdir()
    inside.write_text('{"text": "a"}\n')
    (tmp_path / "empty").mkdir()
    for arguments, reason in (
        ([export, inside], "is read already"),
        ([tmp_path], "is read already"),
        ([export, "--for", "someone"], "no user 'someone'"),
        ([export, "--day", "0230"], "no day folder"),
        ([tmp_path / "empty"], "There is no file in"),
    ):
        result = memoryd("import", *arguments)
        assert (result.exit_code, result.stdout) == (BadRequestError.exit_code, "")
        assert reason in result.stderr
    assert [path.name for path in (tmp_path / "memory").rglob("*")] == ["day0315", "talk.jsonl"]


def test_a_memory_folder_that_is_not_there_is_not_made(
    memoryd: Memoryd, export: Path, tmp_path: Path
) -> None:
    (tmp_path / "memory").rmdir()
    result = memoryd("import", export)
    assert result.exit_code == ConfigError.exit_code
    assert "there is no folder" in result.stderr
