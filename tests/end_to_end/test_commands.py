"""The command line against a daemon that runs, and one that doesn't."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.end_to_end.conversation import ASKED_EN, ASKED_KO, DROPPED, QUESTIONS, TURNS

if TYPE_CHECKING:
    from tests.end_to_end.running import Running


def as_json(daemon: Running, *arguments: str) -> dict[str, Any]:
    done = daemon.command(*arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def page(daemon: Running, *arguments: str) -> str:
    done = daemon.command(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_ask_prints_the_answer_then_its_memories_with_day_and_speaker(shared: Running) -> None:
    question, _, words = ASKED_KO
    answer, rest = page(shared, "ask", question).split("\n\n", 1)
    assert words in answer
    assert "\n" not in answer
    assert rest.startswith("Memories\n")
    assert "day0421 · 하람, 에코" in rest
    assert DROPPED in rest
    assert "built-in model" in rest


def test_ask_as_json_is_one_document(shared: Running) -> None:
    question, turn, words = ASKED_EN
    document = as_json(shared, "ask", question)
    assert words in document["answer"]
    assert turn in {each["id"] for found in document["citations"] for each in found["turns"]}


def test_search_prints_passages(shared: Running) -> None:
    question, turn = QUESTIONS[0]
    assert "동서울 터미널" in page(shared, "search", question, "-k", "3")
    hits = as_json(shared, "search", question, "-k", "3")["hits"]
    assert turn in {each["id"] for hit in hits for each in hit["turns"]}


def test_status_prints_parts_models_and_counts(shared: Running) -> None:
    printed = page(shared, "status")
    assert shared.url in printed
    for word in ("ledger", "watcher", "bundled (default)", "absent", "texts embedded"):
        assert word in printed
    document = as_json(shared, "status")
    assert document["counts"]["turns"] >= len(TURNS)
    assert {model["name"]: model["state"] for model in document["ready"]["models"]} == {
        "bundled": "ready",
        "mixtral": "absent",
        "llama": "absent",
        "deepseek": "absent",
    }


def test_files_prints_what_became_of_each(shared: Running) -> None:
    shared.drop("day0425/empty.txt", "")
    shared.wait_file("day0425/empty.txt")
    printed = page(shared, "files")
    assert DROPPED in printed
    assert "the file is empty" in printed
    skipped = as_json(shared, "files", "--state", "skipped")["files"]
    assert "day0425/empty.txt" in {file["path"] for file in skipped}
    assert DROPPED not in {file["path"] for file in skipped}


@pytest.mark.parametrize("command", ["replay-now", "identity"])
def test_replay_and_identity_agree(shared: Running, command: str) -> None:
    shared.wait_read()
    digest = as_json(shared, "replay-now")["digest"]
    assert digest in page(shared, command)
    assert as_json(shared, command)["digest"] == digest


def test_config_prints_where_each_value_comes_from(shared: Running) -> None:
    keys = as_json(shared, "config")["keys"]
    assert keys["server.port"] == {"value": shared.port, "from": "MEMORYD_SERVER__PORT"}
    assert keys["replay.cron"]["from"] == "default"
    assert "MEMORYD_PATHS__STATE" in page(shared, "config")


def test_a_refusal_is_a_sentence_and_an_exit_code(shared: Running) -> None:
    done = shared.command("ask", "뭐였지?", "--model", "gpt")
    assert (done.returncode, done.stdout.strip()) == (6, "")
    assert 'There is no model "gpt".' in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_daemon_it_says_how_to_start_one(searching: Running) -> None:
    done = searching.command("status")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"memoryd is not running at {searching.url}. Start it with `make run` (or `memoryd run`).\n"
    )
