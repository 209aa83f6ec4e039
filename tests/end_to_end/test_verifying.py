"""`memoryd verify` and `memoryd rebuild` against a real daemon, its real Chroma and a ledger that was tampered with."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

from tests.end_to_end.conversation import DROPPED, QUESTIONS, TURNS

if TYPE_CHECKING:
    from tests.end_to_end.running import Running


def verified(daemon: Running, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = daemon.command("verify", "--json", *arguments)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def made(daemon: Running) -> dict[str, list[tuple[Any, ...]]]:
    """Every passage id and every vector."""
    with sqlite3.connect(daemon.state / "ledger.sqlite3") as ledger:
        statements = {
            "ids": "SELECT passage_id, owner, text FROM passages ORDER BY passage_id",
            "vectors": "SELECT * FROM vectors ORDER BY key",
            "identities": "SELECT * FROM identities",
        }
        return {name: ledger.execute(statement).fetchall() for name, statement in statements.items()}


def test_what_differs_is_found_and_a_rebuild_mends_it_with_the_same_ids_and_vectors(
    searching: Running,
) -> None:
    searching.drop(DROPPED, TURNS)
    searching.drop("day0422/origin/own.jsonl", TURNS[:2])
    searching.start_ready()
    code, seen = verified(searching, "--full")
    assert (code, seen["differences"], seen["waiting"]) == (0, [], [])
    assert seen["files"] == 2
    assert seen["turns"] == len(TURNS) + 2
    assert (
        seen["passages"] == seen["words"] == seen["vectors"] == seen["index_ids"] == seen["index_vectors"] > 0
    )

    before, counts = made(searching), searching.counts()
    searching.stop()
    with sqlite3.connect(searching.state / "ledger.sqlite3") as ledger:
        ledger.execute("UPDATE turns SET text = 'else' WHERE turn_id = 'e1'")
        ledger.execute("DELETE FROM lexical WHERE rowid = 1")
        ledger.execute("UPDATE passages SET text = 'else' WHERE id = 2")
    searching.start_ready()
    code, seen = verified(searching)
    assert code == 12
    assert {each["kind"] for each in seen["differences"]} == {"turns", "words", "passages"}
    assert {each["path"] for each in seen["differences"]} == {DROPPED}

    assert searching.command("rebuild").returncode == 0
    searching.wait_read()
    code, seen = verified(searching, "--full")
    assert (code, seen["differences"]) == (0, [])
    after = made(searching)
    assert (after["ids"], after["vectors"]) == (before["ids"], before["vectors"])
    # Another word in the ledger made another identity meanwhile; those that there were are kept.
    assert after["identities"][: len(before["identities"])] == before["identities"]
    assert searching.counts().embedded_texts == counts.embedded_texts
    for question, turn in QUESTIONS:
        assert turn in searching.found(question)

    assert searching.command("rebuild", "--embed").returncode == 0
    searching.wait_read()
    assert searching.counts().embedded_texts == counts.embedded_texts + counts.vectors
    assert verified(searching, "--full")[0] == 0
    assert [row[:2] for row in made(searching)["ids"]] == [row[:2] for row in before["ids"]]
