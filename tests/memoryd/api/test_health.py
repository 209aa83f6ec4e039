"""`/health` is alive at once; `/ready` says what is still missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm import ModelStatus, State

if TYPE_CHECKING:
    import pytest
    from fastapi.testclient import TestClient

    from tests.memoryd.api.stand_in import StandIn


def test_health_answers_while_everything_loads(stranger: TestClient, daemon: StandIn) -> None:
    daemon.loading = "nothing is open yet"
    response = stranger.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_ready_lists_parts_and_models(stranger: TestClient) -> None:
    response = stranger.get("/ready")
    assert response.status_code == 200
    body = response.json()
    assert body["ready"] is True
    assert body["parts"] == [{"name": "embedder", "state": "ready", "detail": ""}]
    assert [(model["name"], model["state"], model["default"]) for model in body["models"]] == [
        ("fake", "ready", True)
    ]


def test_ready_says_how_much_of_a_model_is_loaded_and_what_it_holds(
    stranger: TestClient, daemon: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = ModelStatus(name="fake", family="fake", state=State.LOADING, progress=0.37, identity=4)
    monkeypatch.setattr(daemon.generator, "status", lambda: status)
    model = stranger.get("/ready").json()["models"][0]
    assert (model["state"], model["progress"], model["identity_version"]) == ("loading", 0.37, 4)


def test_not_ready_is_503_with_the_same_body(stranger: TestClient, daemon: StandIn) -> None:
    daemon.loading = "the embedder is loading"
    response = stranger.get("/ready")
    assert response.status_code == 503
    body = response.json()
    assert body["ready"] is False
    assert body["parts"] == [{"name": "embedder", "state": "loading", "detail": "the embedder is loading"}]


def test_without_a_model_it_is_not_ready(stranger: TestClient, daemon: StandIn) -> None:
    daemon.generator.state = State.LOADING
    response = stranger.get("/ready")
    assert response.status_code == 503
    assert response.json()["models"][0]["state"] == "loading"
