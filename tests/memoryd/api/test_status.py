"""`/api/status` counts what is there; `/api/rebuild` makes it again."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

from memoryd import __version__

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

    from tests.memoryd.api.stand_in import StandIn


def test_an_empty_memory_counts_nothing(client: TestClient) -> None:
    seen = client.get("/api/status").json()
    assert seen["version"] == __version__
    assert seen["user"] == "origin"
    assert seen["identity_version"] == 0
    assert seen["last_day"] is None
    assert seen["counts"]["turns"] == 0


def test_everything_at_a_glance(client: TestClient, daemon: StandIn) -> None:
    daemon.drop_lake()
    daemon.drop("day0402/empty.txt", " \n")
    daemon.drop("day0402/torn.json", "[")
    daemon.loop.replay("boot")
    daemon.clock.pass_seconds(90)
    seen = client.get("/api/status").json()
    assert seen["uptime_s"] == 90.0
    assert seen["identity_version"] == 1
    assert seen["embedder"] == "fake"
    assert seen["memory"] == str(daemon.config.paths.memory)
    assert seen["last_day"] == "2026-04-02"
    assert seen["counts"] == {
        "files_indexed": 1,
        "files_skipped": 1,
        "files_quarantined": 1,
        "conversations": 1,
        "turns": 3,
        "passages": 2,
        "vectors": 2,
        "embedded_texts": 2,
        "outbox": 2,
        "waiting_files": 0,
    }
    assert seen["ready"] == client.get("/ready").json()


def test_while_the_memory_loads_the_status_answers_and_files_are_waiting(
    client: TestClient, daemon: StandIn
) -> None:
    daemon.drop_lake()
    daemon.loading = "the embedder is loading"
    seen = client.get("/api/status").json()
    assert seen["embedder"] == ""
    assert seen["counts"]["turns"] == 3
    assert seen["counts"]["waiting_files"] == 1
    assert seen["ready"]["ready"] is False


def test_a_rebuild_reads_every_file_again_and_embeds_nothing_twice(
    client: TestClient, daemon: StandIn
) -> None:
    daemon.drop_lake()
    before = client.post("/api/search", json={"query": "오두막 열쇠"}).json()["hits"]
    assert client.post("/api/rebuild").json() == {"files": 1, "passages": 2, "generation": 2}
    counts = client.get("/api/status").json()["counts"]
    assert (counts["turns"], counts["vectors"], counts["embedded_texts"]) == (3, 2, 2)
    assert client.post("/api/search", json={"query": "오두막 열쇠"}).json()["hits"] == before


def test_moods_are_told_with_how_sure_they_are(client: TestClient, daemon: StandIn) -> None:
    assert client.get("/api/status").json()["moods"] == []
    daemon.memory.moods.learn()
    time = daemon.clock.now().isoformat()
    said = [
        {
            "role": "user",
            "speaker": "origin",
            "time": time,
            "text": "너무 슬퍼서 눈물만 나. 할머니가 돌아가셨어 ㅠㅠ",
        },
        {
            "role": "assistant",
            "speaker": "에코",
            "time": time,
            "text": "내가 옆에 있을게. 많이 아끼고 사랑해.",
        },
    ]
    lines = "".join(json.dumps(turn, ensure_ascii=False) + "\n" for turn in said)
    daemon.drop("day0316/origin/talk.jsonl", lines)
    being, person = client.get("/api/status").json()["moods"]
    assert (being["who"], being["being"], being["turns"]) == ("에코", True, 2)
    assert (person["who"], person["being"], person["emotion"]) == ("origin", False, "sadness")
    assert person["sure"] == person["emotions"]["sadness"] > 0.3
    assert person["valence"] < 0 < being["valence"]
    assert datetime.fromisoformat(person["last_said"]) == daemon.clock.now()


def test_a_member_is_told_no_mood_from_turns_that_they_may_not_see(
    client: TestClient, daemon: StandIn
) -> None:
    daemon.memory.moods.learn()
    member = {"Authorization": f"Bearer {daemon.member('minji')}"}
    client.post("/api/conversations", json={"turns": [{"text": "너무 화가 나서 손이 떨려!"}]})
    assert [each["who"] for each in client.get("/api/status").json()["moods"]] == ["origin"]
    assert client.get("/api/status", headers=member).json()["moods"] == []
    client.post("/api/conversations", json={"turns": [{"text": "오늘 정말 신난다!"}]}, headers=member)
    assert [each["who"] for each in client.get("/api/status", headers=member).json()["moods"]] == ["minji"]
    assert [each["who"] for each in client.get("/api/status").json()["moods"]] == ["origin", "minji"]
