"""The identity in force, its versions, and replays on request."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from memoryd.errors import StoreError
from memoryd.testing import FakeGenerator
from memoryd.users import User

if TYPE_CHECKING:
    import pytest
    from fastapi.testclient import TestClient

    from memoryd.ledger import ReplayRow
    from tests.memoryd.api.stand_in import StandIn


def test_before_the_first_replay_there_is_none_yet(client: TestClient) -> None:
    response = client.get("/api/identity")
    assert response.status_code == 503
    assert response.json()["code"] == "not_ready"
    assert response.headers["Retry-After"]


def test_the_identity_holds_the_manifests_and_its_digest(client: TestClient, daemon: StandIn) -> None:
    daemon.drop_lake()
    replayed = client.post("/api/replay").json()
    seen = client.get("/api/identity").json()
    assert seen["version"] == 1
    assert seen["digest"] == replayed["digest"]
    assert "나는 에코다." in seen["text"]
    assert "canoe" in seen["text"]
    assert seen["missing"] == []
    assert seen["models"] == {"fake": 1}


def test_a_missing_manifest_is_named(client: TestClient, daemon: StandIn) -> None:
    (daemon.config.paths.manifest / "fillin_manifest.txt").unlink()
    client.post("/api/replay")
    assert client.get("/api/identity").json()["missing"] == ["fillin_manifest.txt"]


def test_an_earlier_version_stays_as_it_was(client: TestClient, daemon: StandIn) -> None:
    client.post("/api/replay")
    first = client.get("/api/identity").json()
    (daemon.config.paths.manifest / "echo_identity.txt").write_text("나는 메아리다.", encoding="utf-8")
    changed = client.post("/api/replay").json()
    assert (changed["changed"], changed["identity_version"]) == (True, 2)
    assert first.pop("models") == {"fake": 1}
    again = client.get("/api/identity/1").json()
    assert again.pop("models") == {"fake": 2}
    assert again == first
    assert client.get("/api/identity/2").json() == client.get("/api/identity").json()


def test_a_model_that_holds_no_identity_yet_says_so(client: TestClient, daemon: StandIn) -> None:
    client.post("/api/replay")
    daemon.generators["slow"] = FakeGenerator("slow")
    assert client.get("/api/identity").json()["models"] == {"fake": 1, "slow": None}


def test_an_unknown_version_is_404_and_the_newest_is_named(client: TestClient) -> None:
    client.post("/api/replay")
    response = client.get("/api/identity/7")
    assert response.status_code == 404
    assert response.json()["detail"] == "There is no identity 7; the newest is 1."


def test_a_second_replay_without_a_change_keeps_version_and_digest(
    client: TestClient, daemon: StandIn
) -> None:
    daemon.drop_lake()
    first, second = (client.post("/api/replay", json={"wait": True}).json() for _ in range(2))
    assert (first["state"], first["trigger"], first["turns"]) == ("done", "request", 3)
    assert (first["changed"], second["changed"]) == (True, False)
    assert (second["digest"], second["identity_version"]) == (first["digest"], 1)


def test_without_waiting_it_answers_while_the_replay_runs(
    client: TestClient, daemon: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, done = threading.Event(), threading.Event()
    real = daemon.loop.replay

    def gated(trigger: str) -> ReplayRow:
        assert go.wait(10)
        row = real(trigger)
        done.set()
        return row

    monkeypatch.setattr(daemon.loop, "replay", gated)
    begun = client.post("/api/replay", json={"wait": False}).json()
    assert (begun["state"], begun["identity_version"]) == ("running", None)
    assert client.get("/api/identity").status_code == 503
    go.set()
    assert done.wait(10)
    assert client.get("/api/identity").json()["version"] == 1


def test_replays_are_listed_newest_first(client: TestClient, daemon: StandIn) -> None:
    assert client.get("/api/replays").json() == {"replays": []}
    daemon.loop.replay("boot")
    client.post("/api/replay")
    seen = client.get("/api/replays").json()["replays"]
    assert [(each["trigger"], each["state"], each["changed"]) for each in seen] == [
        ("request", "done", False),
        ("boot", "done", True),
    ]


def test_a_failed_replay_is_a_problem_and_is_listed_with_its_reason(
    client: TestClient, daemon: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise StoreError("the disk is gone.")

    monkeypatch.setattr(daemon.ledger.gists, "missing", broken)
    response = client.post("/api/replay")
    assert response.status_code == 500
    assert response.json()["code"] == "replay"
    assert "the disk is gone." in response.json()["detail"]
    (listed,) = client.get("/api/replays").json()["replays"]
    assert (listed["state"], listed["error"]) == ("failed", "the disk is gone.")


def test_the_difference_is_that_of_the_newest_and_the_one_before(client: TestClient, daemon: StandIn) -> None:
    assert client.get("/api/identity/diff").status_code == 503
    client.post("/api/replay")
    first = client.get("/api/identity/diff")
    assert (first.status_code, first.json()["detail"]) == (
        404,
        "Identity 1 is the first; there is none before it.",
    )
    daemon.drop_lake()
    client.post("/api/replay")
    seen = client.get("/api/identity/diff").json()
    assert (seen["before"], seen["now"]) == (1, 2)
    assert any("canoe" in each["text"] for each in seen["learned"])
    assert client.get("/api/identity/diff", params={"from": 1, "to": 2}).json() == seen
    back = client.get("/api/identity/diff", params={"from": 2, "to": 1}).json()
    assert back["no_longer_told"] == seen["learned"]
    assert client.get("/api/identity/diff", params={"from": 7}).json()["detail"] == (
        "There is no identity 7; the newest is 2."
    )


def test_a_version_is_restored_and_says_what_becomes_of_it(client: TestClient, daemon: StandIn) -> None:
    client.post("/api/replay")
    first = client.get("/api/identity").json()
    daemon.drop_lake()
    client.post("/api/replay")
    restored = client.post("/api/identity/1/restore").json()
    assert restored["note"] == (
        "Identity 3 tells what identity 1 told. A replay of unchanged memories leaves it in force; the next new "
        "memory, or a changed manifest, makes a new identity."
    )
    seen = client.get("/api/identity").json()
    assert restored["identity"] == seen
    assert (seen["text"], seen["restores"], seen["models"]) == (first["text"], 1, {"fake": 3})
    assert (seen["manifests"], seen["memories"]) == (first["manifests"], first["memories"])
    assert client.post("/api/replay").json()["changed"] is False
    listed = client.get("/api/identities").json()["identities"]
    assert [(each["version"], each["restores"]) for each in listed] == [(3, 1), (2, None), (1, None)]


def test_what_an_erasure_took_out_of_a_version_stays_out_when_it_is_restored(
    client: TestClient, daemon: StandIn
) -> None:
    daemon.drop_lake()
    client.post("/api/replay")
    daemon.drop(
        "day0403/b.jsonl", '{"conversation": "b", "speaker": "소연", "text": "감자를 심었다, 두 이랑."}\n'
    )
    client.post("/api/replay")
    assert client.delete("/api/conversations/lake").status_code == 200
    restored = client.post("/api/identity/1/restore").json()
    assert restored["note"].endswith("2 lines that an erasure took out of it stay out.")
    assert "canoe" not in restored["identity"]["text"]
    assert "erased" not in restored["identity"]["text"]


def test_only_the_origin_restores(
    client: TestClient, daemon: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/api/replay")
    monkeypatch.setattr(daemon.users, "of_token", lambda _token: User(id="sumin"))
    response = client.post("/api/identity/1/restore")
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")
