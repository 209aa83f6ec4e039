"""Nothing of a stranger's body is read, and no more of anybody's than the limit."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from memoryd.config import Server

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fastapi import FastAPI
    from fastapi.testclient import TestClient
    from starlette.types import Message

    from tests.memoryd.api.stand_in import StandIn

LIMIT = 2**16


@pytest.fixture(autouse=True)
def limited(daemon: StandIn) -> None:
    server = Server(max_body_bytes=LIMIT)
    daemon.config = daemon.config.model_copy(update={"server": server})


def posted(
    app: FastAPI, daemon: StandIn, path: str, parts: Iterable[bytes], headers: dict[str, str]
) -> tuple[int, dict[str, Any], int]:
    """A call as a server makes it: status, document, and how many parts of the body were asked for."""
    app.state.daemon = daemon
    sent: list[Message] = []
    left, asked = list(parts), 0

    async def receive() -> Message:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "query_string": b"",
    }
    asyncio.run(app(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], json.loads(body), asked


@pytest.mark.parametrize("path", ["/api/conversations", "/api/nowhere"])
def test_a_strangers_body_is_not_read(app: FastAPI, daemon: StandIn, path: str) -> None:
    """Found by a review: FastAPI reads the body first, and held whatever a stranger sent."""
    status, document, asked = posted(app, daemon, path, [b"x" * 1000] * 1000, {"Authorization": "Bearer no"})
    assert (status, document["code"], asked) == (401, "unauthorized", 0)


def test_a_body_that_says_that_it_is_too_large_is_not_read(app: FastAPI, daemon: StandIn) -> None:
    headers = {"Authorization": f"Bearer {daemon.token}", "Content-Length": str(LIMIT + 1)}
    status, document, asked = posted(app, daemon, "/api/ask", [b"x"] * (LIMIT + 1), headers)
    assert (status, document["code"], asked) == (413, "too_large", 0)
    assert f"server.max_body_bytes ({LIMIT})" in document["detail"]


@pytest.mark.parametrize("announced", [{}, {"Content-Length": "12"}, {"Content-Length": "many"}])
def test_a_body_that_turns_out_too_large_is_read_no_further(
    app: FastAPI, daemon: StandIn, announced: dict[str, str]
) -> None:
    headers = {"Authorization": f"Bearer {daemon.token}", **announced}
    status, document, asked = posted(app, daemon, "/api/ask", [b"x" * 2**14] * 100, headers)
    assert (status, document["code"], asked) == (413, "too_large", 5)


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_an_open_route_reads_no_body_at_all(app: FastAPI, daemon: StandIn, path: str) -> None:
    status, _, asked = posted(app, daemon, path, [b"x" * 2**14] * 100, {})
    assert (status, asked) == (405, 0)


def test_a_body_in_parts_reaches_the_route_whole(client: TestClient, daemon: StandIn) -> None:
    text = "가" * 20_000

    def parts() -> Iterator[bytes]:
        data = json.dumps({"turns": [{"text": text}]}, ensure_ascii=False).encode()
        assert LIMIT - 6000 < len(data) <= LIMIT
        for at in range(0, len(data), 1000):
            yield data[at : at + 1000]

    response = client.post(
        "/api/conversations", content=parts(), headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 201
    (file,) = daemon.config.paths.memory.rglob("*.jsonl")
    assert json.loads(file.read_text("utf-8"))["text"] == text
