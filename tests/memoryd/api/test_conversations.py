"""Conversations written over HTTP land in the files; files say what became of them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

    from tests.memoryd.api.stand_in import StandIn


def test_a_new_conversation_is_in_the_file_that_the_answer_names(client: TestClient, daemon: StandIn) -> None:
    turns = [
        {"text": "귤 두 상자 주문했어.", "time": "2026-04-02T10:00:00+09:00"},
        {"role": "assistant", "speaker": "에코", "text": "언제 오나요?", "time": "2026-04-02T10:01:00+09:00"},
    ]
    response = client.post("/api/conversations", json={"id": "tangerines", "turns": turns})
    assert response.status_code == 201
    saved = response.json()
    assert saved == {
        "id": "tangerines",
        "path": "day0402/origin/2026-04-02_tangerines.jsonl",
        "turns": 2,
    }
    lines = (daemon.config.paths.memory / saved["path"]).read_text("utf-8").splitlines()
    written = [json.loads(line) for line in lines]
    assert [(turn["role"], turn["speaker"], turn["text"], turn["time"]) for turn in written] == [
        ("user", "origin", "귤 두 상자 주문했어.", "2026-04-02T10:00:00+09:00"),
        ("assistant", "에코", "언제 오나요?", "2026-04-02T10:01:00+09:00"),
    ]
    assert len({turn["id"] for turn in written}) == 2


def test_without_id_and_time_it_gets_a_fresh_id_and_the_present(client: TestClient, daemon: StandIn) -> None:
    first, second = (
        client.post("/api/conversations", json={"turns": [{"text": text}]}).json() for text in ("하나", "둘")
    )
    assert first["id"] != second["id"]
    moment = datetime.fromisoformat(daemon.kept()[0]["time"])
    assert moment == daemon.clock.now()


def test_a_time_without_a_zone_is_the_machines(client: TestClient, daemon: StandIn) -> None:
    client.post("/api/conversations", json={"turns": [{"text": "정오", "time": "2026-04-02T12:00:00"}]})
    moment = datetime.fromisoformat(daemon.kept()[0]["time"])
    assert moment.tzinfo is not None
    assert moment == datetime(2026, 4, 2, 12).astimezone()


def test_turns_are_added_to_a_conversation_that_is_there(client: TestClient) -> None:
    for text in ("한 상자가 왔어.", "또 한 상자가 왔어."):
        client.post("/api/conversations", json={"id": "boxes", "turns": [{"text": text}]})
    seen = client.get("/api/conversations/boxes").json()
    assert [turn["text"] for turn in seen["turns"]] == ["한 상자가 왔어.", "또 한 상자가 왔어."]
    assert len(seen["paths"]) == 1


def test_a_conversation_is_shown_whole_and_in_order(client: TestClient, daemon: StandIn) -> None:
    daemon.drop_lake()
    seen = client.get("/api/conversations/lake").json()
    assert seen["id"] == "lake"
    assert seen["paths"] == ["day0402/lake.jsonl"]
    assert [turn["id"] for turn in seen["turns"]] == ["l1", "l2", "l3"]
    assert seen["turns"][2]["text"] == "The canoe paddles hang in Bram's garage."


def test_a_line_feed_in_an_id_is_part_of_it(client: TestClient, daemon: StandIn) -> None:
    """A file's path is its conversation's id, and a name may hold one."""
    daemon.drop("day0402/line\nbreak.txt", "두부는 고양이야.")
    url = "/api/conversations/day0402%2Fline%0Abreak.txt"
    assert client.get(url).json()["id"] == "day0402/line\nbreak.txt"
    assert client.delete(url).status_code == 200
    assert client.get(url).status_code == 404


def test_an_unknown_conversation_is_404(client: TestClient) -> None:
    response = client.get("/api/conversations/nobody-said-this")
    assert response.status_code == 404
    assert response.json()["code"] == "not_found"
    assert '"nobody-said-this"' in response.json()["detail"]


def test_a_conversation_of_someone_else_is_404_like_one_that_is_not_there(
    client: TestClient, daemon: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon.users, "owner_of", lambda _path: "somebody-else")
    daemon.drop_lake()
    response = client.get("/api/conversations/lake")
    assert response.status_code == 404
    assert "소연" not in response.text


def test_a_conversation_is_erased_with_a_report(client: TestClient, daemon: StandIn) -> None:
    daemon.drop_lake()
    response = client.delete("/api/conversations/lake")
    assert response.status_code == 200
    report = response.json()
    assert report["files"] == [
        {"path": "day0402/lake.jsonl", "action": "removed", "note": "it held nothing else", "target": ""}
    ]
    assert (report["turns"], report["generation"], report["identity_version"]) == (3, 2, 1)
    proof = report["proof"]
    assert (proof["found"], proof["words_left"], proof["unread"]) == ([], 0, [])
    assert proof["fragments"] > 0
    assert client.get("/api/conversations/lake").status_code == 404


def test_an_unknown_conversation_can_not_be_erased(client: TestClient) -> None:
    response = client.delete("/api/conversations/nobody")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


@pytest.fixture
def three_files(daemon: StandIn) -> None:
    daemon.drop_lake()
    daemon.drop("day0402/empty.txt", "")
    daemon.drop("day0402/torn.json", '{"mapping": ')


@pytest.mark.usefixtures("three_files")
@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ("", ["day0402/empty.txt", "day0402/lake.jsonl", "day0402/torn.json"]),
        ("?state=indexed", ["day0402/lake.jsonl"]),
        ("?state=skipped", ["day0402/empty.txt"]),
        ("?state=quarantined", ["day0402/torn.json"]),
    ],
)
def test_files_are_listed_by_state(client: TestClient, query: str, paths: list[str]) -> None:
    assert [file["path"] for file in client.get(f"/api/files{query}").json()["files"]] == paths


@pytest.mark.usefixtures("three_files")
def test_a_file_carries_its_counts_or_its_reason(client: TestClient) -> None:
    files: dict[str, dict[str, Any]] = {
        file["path"]: file for file in client.get("/api/files").json()["files"]
    }
    lake, empty, torn = (files[f"day0402/{name}"] for name in ("lake.jsonl", "empty.txt", "torn.json"))
    assert (lake["format"], lake["turns"], lake["passages"], lake["reason"]) == ("native", 3, 2, None)
    assert empty["reason"] == "the file is empty"
    assert (torn["line"], torn["turns"]) == (1, 0)
    assert torn["reason"]
