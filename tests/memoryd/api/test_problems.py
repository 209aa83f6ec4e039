"""Every refusal is a problem document that names the thing and the remedy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from memoryd.errors import StoreError

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient
    from httpx2 import Response  # what starlette's test client is made of

    from tests.memoryd.api.stand_in import StandIn

OPEN = {"/health", "/ready"}


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """Every (method, path) of the app, with a number for each path parameter."""
    paths: dict[str, dict[str, Any]] = app.openapi()["paths"]
    return [
        (method.upper(), re.sub(r"\{.*?\}", "1", path)) for path, item in paths.items() for method in item
    ]


def problem(response: Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert set(document) == {"type", "title", "status", "detail", "code"}
    assert document["status"] == response.status_code
    assert document["detail"].endswith(".")
    return document


@pytest.mark.parametrize("authorization", ["", "Bearer ", "Bearer wrong", "Basic b3JpZ2luOng=", "wrong"])
def test_every_route_but_health_and_ready_asks_for_a_token(
    app: FastAPI, stranger: TestClient, authorization: str
) -> None:
    guarded = [(method, path) for method, path in routes(app) if path not in OPEN]
    assert len(guarded) >= 10
    for method, path in guarded:
        response = stranger.request(method, path, headers={"Authorization": authorization}, json={})
        assert response.status_code == 401, f"{method} {path}"
        assert response.headers["WWW-Authenticate"] == "Bearer"
        document = problem(response)
        assert document["code"] == "unauthorized"
        assert "origin.token" in document["detail"]


def test_health_and_ready_need_no_token(app: FastAPI, stranger: TestClient) -> None:
    assert {path for _, path in routes(app)} >= OPEN
    for path in OPEN:
        assert stranger.get(path).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/ask", {}, "question"),
        ("/api/ask", {"question": ""}, "question"),
        ("/api/ask", {"question": "뭐였지?", "max_tokens": 0}, "max_tokens"),
        ("/api/ask", {"question": "뭐였지?", "deadline_s": 0}, "deadline_s"),
        ("/api/ask", {"question": "뭐였지?", "deadline_s": 3601}, "deadline_s"),
        ("/api/ask", {"question": "뭐였지?", "conversation_id": "../../etc"}, "conversation_id"),
        ("/api/ask", {"question": "뭐였지?", "user": "someone"}, "user"),
        ("/api/search", {"query": "열쇠", "k": 0}, "k"),
        ("/api/search", {"query": "열쇠", "since": "soon"}, "since"),
        ("/api/conversations", {"turns": []}, "turns"),
        ("/api/conversations", {"turns": [{"text": "hi", "role": "king"}]}, "turns.0.role"),
        ("/api/replay", {"wait": "perhaps"}, "wait"),
    ],
)
def test_a_body_that_does_not_fit_names_the_field(
    client: TestClient, path: str, body: dict[str, Any], field: str
) -> None:
    response = client.post(path, json=body)
    assert response.status_code == 422
    document = problem(response)
    assert document["code"] == "invalid_request"
    assert document["detail"].startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("path", "field"), [("/api/identity/first", "path.version"), ("/api/files?state=lost", "query.state")]
)
def test_a_parameter_that_does_not_fit_is_named_too(client: TestClient, path: str, field: str) -> None:
    response = client.get(path)
    assert response.status_code == 422
    assert problem(response)["detail"].startswith(f"{field}: ")


def test_a_body_that_is_no_json_is_a_problem(client: TestClient) -> None:
    response = client.post("/api/ask", content=b"{question", headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    assert problem(response)["code"] == "invalid_request"


def test_an_unknown_route_is_a_problem_too(client: TestClient) -> None:
    response = client.get("/api/nowhere")
    assert response.status_code == 404
    document = problem(response)
    assert document["code"] == "not_found"
    assert "/api/nowhere" in document["detail"]


def test_a_method_that_a_route_does_not_have_is_a_problem(client: TestClient) -> None:
    response = client.get("/api/ask")
    assert response.status_code == 405
    assert problem(response)["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    ("path", "body"), [("/api/ask", {"question": "열쇠 어딨지?"}), ("/api/search", {"query": "열쇠"})]
)
def test_while_the_memory_is_loading_a_call_says_what_is_missing_and_when_to_come_back(
    client: TestClient, daemon: StandIn, path: str, body: dict[str, str]
) -> None:
    daemon.loading = "The memory is being opened (embedder: loading). Try again in a moment."
    response = client.post(path, json=body)
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    document = problem(response)
    assert document["code"] == "not_ready"
    assert "embedder" in document["detail"]


def test_an_error_of_the_tree_has_its_status_and_code(
    client: TestClient, daemon: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreError("The conversation could not be written: the disk is full.")

    monkeypatch.setattr(daemon.journal, "append", full)
    response = client.post("/api/conversations", json={"turns": [{"text": "안녕"}]})
    assert response.status_code == 500
    document = problem(response)
    assert document["code"] == "store"
    assert "disk is full" in document["detail"]


def test_a_bug_is_a_problem_that_gives_nothing_away(
    client: TestClient, daemon: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(daemon.loop, "identity", broken)
    response = client.get("/api/identity")
    assert response.status_code == 500
    document = problem(response)
    assert document["code"] == "internal"
    assert "secret" not in response.text
    assert "ZeroDivisionError: secret" in (daemon.config.paths.state / "logs" / "memoryd.log").read_text()
