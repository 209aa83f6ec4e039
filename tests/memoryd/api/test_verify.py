"""`/api/verify` compares; `/api/rebuild` makes again; both are the origin's."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

    from tests.memoryd.api.stand_in import StandIn


def test_a_memory_in_step_differs_in_nothing(client: TestClient, daemon: StandIn) -> None:
    daemon.drop_lake()
    seen = client.post("/api/verify", json={"full": True}).json()
    assert seen["differences"] == []
    assert (seen["full"], seen["files"], seen["turns"], seen["words"], seen["more"]) == (True, 1, 3, 2, 0)
    assert seen["waiting"] == ["2 passages wait for Chroma"]


def test_a_difference_comes_with_its_file_and_remedy(client: TestClient, daemon: StandIn) -> None:
    daemon.drop_lake()
    with daemon.ledger._database.write() as connection:
        connection.execute("UPDATE turns SET text = 'else' WHERE turn_id = 'l1'")
    (difference,) = client.post("/api/verify").json()["differences"]
    assert difference == {
        "kind": "turns",
        "path": "day0402/lake.jsonl",
        "detail": "the ledger has other words for the turns l1",
        "remedy": "memoryd rebuild",
    }


def test_a_rebuild_embeds_again_only_when_asked(client: TestClient, daemon: StandIn) -> None:
    daemon.drop_lake()
    for body, embedded in ((None, 2), ({"embed": False}, 2), ({"embed": True}, 4)):
        assert client.post("/api/rebuild", json=body).json() == {"files": 1, "passages": 2, "generation": 2}
        counts = client.get("/api/status").json()["counts"]
        assert (counts["vectors"], counts["embedded_texts"]) == (2, embedded)


def test_both_are_the_origins_alone(client: TestClient, stranger: TestClient, daemon: StandIn) -> None:
    token = {"Authorization": f"Bearer {daemon.member('mia')}"}
    for what in ("verify", "rebuild"):
        response = client.post(f"/api/{what}", headers=token)
        assert response.status_code == 403
        assert f"Only the origin may {what}" in response.json()["detail"]
    del stranger.headers["Authorization"]
    assert stranger.post("/api/verify").status_code == 401
