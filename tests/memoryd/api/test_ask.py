"""`POST /api/ask`: whole or streamed; the exchange is kept whatever happens to the answer."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from llm import State
from tests.memoryd.api.stand_in import LAKE, EndlessGenerator, FailingGenerator, events

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient
    from starlette.types import Message

    from tests.memoryd.api.stand_in import StandIn

QUESTION = "오두막 열쇠는 어디에 뒀지?"


@pytest.fixture(autouse=True)
def lake(daemon: StandIn) -> None:
    daemon.drop_lake()


def test_an_answer_comes_with_its_memories_and_how_it_was_made(client: TestClient, daemon: StandIn) -> None:
    daemon.loop.replay("boot")
    body = client.post("/api/ask", json={"question": QUESTION}).json()
    assert body["answer"] == daemon.generator.answer
    assert body["model"] == "fake"
    assert body["identity_version"] == 1
    assert body["degraded"] is None
    assert body["note"] is None
    assert body["saved"] is True
    assert (body["citations"][0]["path"], body["citations"][0]["turns"][0]["id"]) == (LAKE, "l1")
    assert body["timings"]["prompt_tokens"] == 10
    assert body["timings"]["cached_tokens"] == 5
    assert 0 <= body["timings"]["first_token_ms"] <= body["timings"]["total_ms"]


def test_the_exchange_is_on_disk_and_in_the_memory_when_the_answer_comes(
    client: TestClient, daemon: StandIn
) -> None:
    body = client.post("/api/ask", json={"question": QUESTION}).json()
    asked, answered = daemon.kept()
    assert (asked["role"], asked["speaker"], asked["text"]) == ("user", "origin", QUESTION)
    assert (answered["role"], answered["speaker"]) == ("assistant", "에코")
    assert answered["text"] == body["answer"]
    assert answered["citations"] == [each["passage_id"] for each in body["citations"]]
    assert asked["conversation"] == answered["conversation"] == body["conversation_id"]
    turns = client.get(f"/api/conversations/{body['conversation_id']}").json()["turns"]
    assert [turn["text"] for turn in turns] == [QUESTION, body["answer"]]


def test_a_conversation_goes_on_with_what_was_said_in_it(client: TestClient, daemon: StandIn) -> None:
    for question in (QUESTION, "고마워!"):
        response = client.post("/api/ask", json={"question": question, "conversation_id": "c1"})
        assert response.json()["conversation_id"] == "c1"
    said = [message.text for message in daemon.generator.requests[-1].messages[1:]]
    assert said == [QUESTION, daemon.generator.answer, "고마워!"]


def test_max_tokens_reaches_the_model(client: TestClient, daemon: StandIn) -> None:
    client.post("/api/ask", json={"question": QUESTION, "max_tokens": 7})
    assert daemon.generator.requests[0].max_tokens == 7


def test_a_stream_brings_memories_then_words_then_the_whole(client: TestClient, daemon: StandIn) -> None:
    response = client.post("/api/ask", json={"question": QUESTION, "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache"
    stream = events(response.text)
    assert [name for name, _ in stream] == ["recall", "token", "token", "done"]
    recalled, done = stream[0][1], stream[-1][1]
    assert recalled["degraded"] is None
    assert recalled["citations"] == done["citations"]
    words = "".join(data["text"] for name, data in stream if name == "token")
    assert words == done["answer"] == daemon.generator.answer
    assert [turn["text"] for turn in daemon.kept()] == [QUESTION, words]


@pytest.mark.parametrize("stream", [False, True])
def test_before_the_first_word_a_refusal_is_a_plain_problem(
    client: TestClient, daemon: StandIn, stream: bool
) -> None:
    daemon.generator.state = State.LOADING
    response = client.post("/api/ask", json={"question": QUESTION, "stream": stream})
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["Retry-After"]
    assert response.json()["code"] == "no_model"
    assert "fake is loading" in response.json()["detail"]


@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_model_is_404_and_the_known_ones_are_named(client: TestClient, stream: bool) -> None:
    response = client.post("/api/ask", json={"question": QUESTION, "model": "gpt", "stream": stream})
    assert response.status_code == 404
    assert '"gpt"' in response.json()["detail"]
    assert "fake" in response.json()["detail"]


def test_a_model_that_fails_midway_ends_the_stream_with_a_problem(
    client: TestClient, daemon: StandIn
) -> None:
    daemon.generators["fake"] = FailingGenerator()
    response = client.post("/api/ask", json={"question": QUESTION, "stream": True})
    assert response.status_code == 200
    stream = events(response.text)
    assert [name for name, _ in stream] == ["recall", "token", "error"]
    problem = stream[-1][1]
    assert (problem["status"], problem["code"]) == (503, "no_model")
    assert "smaller context" in problem["detail"]
    assert [turn["text"] for turn in daemon.kept()] == [QUESTION, "그건"]


def test_a_model_that_fails_midway_is_a_problem_for_a_whole_answer(
    client: TestClient, daemon: StandIn
) -> None:
    daemon.generators["fake"] = FailingGenerator()
    response = client.post("/api/ask", json={"question": QUESTION})
    assert response.status_code == 503
    assert response.json()["code"] == "no_model"
    assert daemon.kept()[0]["text"] == QUESTION


def test_a_client_that_goes_away_stops_the_model_and_the_question_is_kept(
    app: FastAPI, daemon: StandIn
) -> None:
    endless = EndlessGenerator()
    daemon.generators["fake"] = endless

    async def hang_up_at_the_first_word() -> bool:
        gone = asyncio.Event()
        body = json.dumps({"question": QUESTION, "stream": True}).encode()
        requests: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if requests:
                return requests.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if b"event: token" in message.get("body", b""):
                gone.set()
            await asyncio.sleep(0)  # lets the hang-up be heard

        async with app.router.lifespan_context(app):
            await app(_scope(daemon.token, len(body)), receive, send)
            return await asyncio.to_thread(endless.closed.wait, 10)

    assert asyncio.run(hang_up_at_the_first_word())
    asked, answered = daemon.kept()
    assert asked["text"] == QUESTION
    assert answered["text"].startswith("음")


def _scope(token: str, length: int) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/api/ask",
        "raw_path": b"/api/ask",
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"authorization", f"Bearer {token}".encode()),
            (b"content-type", b"application/json"),
            (b"content-length", str(length).encode()),
        ],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
