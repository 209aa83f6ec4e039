"""An export that is imported beside a running daemon is found, and importing it again costs nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.running import Running

FIRST = 1_772_000_000.25  # 25 February 2026
DAY_S = 86_400
SAID = [
    ("user", "첼로 활털은 어디서 갈았더라?"),
    ("assistant", "낙원상가 이 층 현악기 공방에서 갈았다고 하셨어요."),
    ("user", "맞다. 다음에는 송진도 사야지."),
    ("assistant", "송진은 어두운 색으로 고르세요."),
]


def _export(file: Path, turns: int) -> None:
    """ChatGPT's shape: a chain of messages, a day apart every two."""
    mapping: dict[str, Any] = {"n0": {"parent": None, "message": None}}
    for number, (role, text) in enumerate(SAID[:turns], start=1):
        mapping[f"n{number}"] = {
            "parent": f"n{number - 1}",
            "message": {
                "id": f"m{number}",
                "author": {"role": role},
                "create_time": FIRST + (number - 1) // 2 * DAY_S + number,
                "content": {"content_type": "text", "parts": [text]},
            },
        }
    talk = {"conversation_id": "cello", "title": "첼로", "current_node": f"n{turns}", "mapping": mapping}
    file.write_text(json.dumps([talk]), "utf-8")


def test_an_import_is_found_and_a_second_one_adds_only_what_is_new(
    searching: Running, tmp_path: Path
) -> None:
    export = tmp_path / "conversations.json"
    _export(export, turns=2)
    imported = searching.command("import", str(export))  # the daemon is not there yet
    assert (imported.returncode, imported.stderr) == (0, "")
    searching.start_ready()
    assert searching.found("활털을 간 곳", k=1) == ["m1", "m2"]
    before = searching.counts()
    files = searching.files()

    again = searching.command("import", str(export))
    assert "nothing new; 2 turns there already" in again.stdout
    _export(export, turns=4)
    newer = json.loads(searching.command("import", str(export), "--json").stdout)
    assert (newer["new_turns"], newer["known_turns"]) == (2, 2)
    ((written,),) = (each["written"] for each in newer["files"][0]["conversations"])
    searching.wait_file(written["path"])
    searching.wait_read()

    with searching.client() as client:
        talk = client.conversation("cello")
    assert [(turn.id, turn.text) for turn in talk.turns] == [
        (f"m{number}", text) for number, (_, text) in enumerate(SAID, start=1)
    ]
    assert (talk.title, talk.turns[0].time.timestamp()) == ("첼로", FIRST + 1)
    assert searching.counts().embedded_texts == before.embedded_texts + 1
    grown = searching.files()
    assert grown.keys() - files.keys() == {written["path"]}

    last = searching.command("import", str(export))
    assert "nothing new; 4 turns there already" in last.stdout
    searching.wait_read()
    assert searching.counts().embedded_texts == before.embedded_texts + 1
    assert searching.counts().turns == len(SAID)
