"""`POST /api/search`: passages with where they stand, filtered only as asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memoryd.recall import weights
from tests.memoryd.api.stand_in import LAKE

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

    from tests.memoryd.api.stand_in import StandIn


@pytest.fixture(autouse=True)
def lake(daemon: StandIn) -> None:
    daemon.drop_lake()


def test_a_hit_names_file_day_conversation_and_turns(client: TestClient) -> None:
    body = client.post("/api/search", json={"query": "오두막 열쇠"}).json()
    assert body["degraded"] is None
    hit = body["hits"][0]
    assert (hit["path"], hit["day"], hit["conversation_id"]) == (LAKE, "day0402", "lake")
    assert "우체통 밑" in hit["text"]
    assert hit["score"] > 0
    assert [(turn["id"], turn["role"], turn["speaker"]) for turn in hit["turns"]] == [
        ("l1", "user", "소연"),
        ("l2", "assistant", "에코"),
        ("l3", "user", "소연"),
    ]
    assert hit["turns"][0]["time"] == "2026-04-02T08:30:00+09:00"


def test_k_bounds_the_hits(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "HIT_TOKENS", 0)
    assert len(client.post("/api/search", json={"query": "열쇠 canoe"}).json()["hits"]) == 2
    assert len(client.post("/api/search", json={"query": "열쇠 canoe", "k": 1}).json()["hits"]) == 1


@pytest.mark.parametrize(
    ("only", "first_turns"),
    [
        ({"since": "2026-04-02T08:35:00+09:00"}, {"l3"}),
        ({"until": "2026-04-02T08:35:00+09:00"}, {"l1"}),
        ({"since": "2026-04-01T23:35:00Z"}, {"l3"}),
        ({"speaker": "에코"}, {"l1"}),
        ({"speaker": "소연"}, {"l1", "l3"}),
        ({"since": "2026-05-01"}, set()),
    ],
)
def test_times_and_speaker_filter(client: TestClient, only: dict[str, str], first_turns: set[str]) -> None:
    hits = client.post("/api/search", json={"query": "열쇠 canoe", **only}).json()["hits"]
    assert {hit["turns"][0]["id"] for hit in hits} == first_turns


def test_a_search_says_what_it_took_and_which_dates_it_heard(client: TestClient) -> None:
    body = client.post(
        "/api/search", json={"query": "4월 2일 열쇠", "now": "2026-04-20T09:00:00+09:00"}
    ).json()
    assert body["dates"] == ["4월 2일"]
    took = body["timings"]
    # The question's vector is made and looked for while its words are.
    apart = max(took["embed_ms"] + took["vectors_ms"], took["words_ms"])
    assert took["total_ms"] >= apart + took["rank_ms"] + took["pack_ms"] - 0.1
    assert min(took["embed_ms"], took["vectors_ms"], took["words_ms"]) > 0
    assert body["hits"][0]["why"] is None


def test_an_explained_search_says_why_each_hit_is_where_it_is(client: TestClient) -> None:
    body = client.post(
        "/api/search", json={"query": "어제 오두막 열쇠", "now": "2026-04-03T09:00:00+09:00", "explain": True}
    ).json()
    why = body["hits"][0]["why"]
    assert why["time"] == 1.0
    assert why["words"] > 0
    assert (why["meaning_rank"], why["words_rank"], why["reranked"], why["newer"]) == (1, 1, None, False)


def test_a_degraded_index_is_said(client: TestClient, daemon: StandIn) -> None:
    daemon.degraded = "the vector index is being made anew (1 of 2 passages)"
    body = client.post("/api/search", json={"query": "오두막 열쇠"}).json()
    assert body["degraded"] == daemon.degraded
    assert body["hits"][0]["turns"][0]["id"] == "l1"


def test_files_that_are_yet_to_be_read_are_counted_where_the_caller_may_see_them(
    client: TestClient, daemon: StandIn
) -> None:
    told = {name: {"Authorization": f"Bearer {daemon.member(name)}"} for name in ("sora", "minho")}
    for path in ("day0403/new.txt", "day0403/sora/hers.txt"):
        daemon.drop_unread(path)
    seen = {
        name: client.post("/api/search", json={"query": "오두막 열쇠"}, headers=headers).json()[
            "unread_files"
        ]
        for name, headers in told.items()
    }
    assert seen == {"sora": 2, "minho": 1}


def test_a_search_is_not_remembered(client: TestClient, daemon: StandIn) -> None:
    client.post("/api/search", json={"query": "오두막 열쇠"})
    assert daemon.kept() == []
