"""Over a real server: words come as they are said, and a client that goes away frees the model at once."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx
import pytest
import uvicorn

from tests.memoryd.api.stand_in import PatientGenerator
from tests.waiting import PATIENCE_S, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from fastapi import FastAPI

    from memoryd.echo_brain import Event, Question
    from memoryd.recall import Found
    from tests.memoryd.api.stand_in import StandIn

QUESTION = "오두막 열쇠는 어디에 뒀지?"
# From a client's going to the end of its answer, in seconds.
LIMIT_S = 0.2
# More than the threads that the synchronous routes share.
CROWD = 45


class Served:
    """The app behind a port of this machine."""

    def __init__(self, server: uvicorn.Server, port: int, token: str) -> None:
        self.server = server
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._token = token

    def call(self, *, stream: bool) -> socket.socket:
        """Asks, and leaves the answer to whoever reads it."""
        body = json.dumps({"question": QUESTION, "stream": stream}).encode()
        head = (
            f"POST /api/ask HTTP/1.1\r\nHost: memoryd\r\nAuthorization: Bearer {self._token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        caller = socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE_S)
        caller.sendall(head.encode() + body)
        return caller


@pytest.fixture
def served(app: FastAPI, daemon: StandIn) -> Iterator[Served]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = uvicorn.Config(app, log_config=None, access_log=False, lifespan="on")
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="server")
        thread.start()
        until(lambda: server.started)
        yield Served(server, listener.getsockname()[1], daemon.token)
        server.should_exit = True
        thread.join(PATIENCE_S)


@pytest.fixture
def patient(daemon: StandIn) -> PatientGenerator:
    generator = PatientGenerator()
    daemon.generators["fake"] = generator
    return generator


def _read_until(caller: socket.socket, mark: bytes) -> bytes:
    seen = b""
    while mark not in seen:
        chunk = caller.recv(4096)
        assert chunk, "the answer ended"
        seen += chunk
    return seen


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_frees_the_model_at_once_and_what_was_said_is_kept(
    served: Served, daemon: StandIn, patient: PatientGenerator, stream: bool
) -> None:
    with served.call(stream=stream) as caller:
        assert patient.waiting.wait(PATIENCE_S)
        if stream:
            # The model has not ended: the word was sent when it was said.
            assert '{"text": "음"}'.encode() in _read_until(caller, b"event: token\n")
        assert patient.cancelled_at == 0.0
        gone_at = time.perf_counter()
    assert patient.ended.wait(PATIENCE_S)
    assert patient.cancelled_at - gone_at < LIMIT_S
    until(lambda: len(daemon.kept()) == 2)
    assert [turn["text"] for turn in daemon.kept()] == [QUESTION, "음"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_while_its_memories_are_sought_is_heard_too(
    served: Served, daemon: StandIn, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    asked: list[Question] = []
    seeking, found = threading.Event(), threading.Event()
    ask, memories = daemon.memory.brain.ask, daemon.memory.recall.memories

    def heard(question: Question) -> Iterator[Event]:
        asked.append(question)
        return ask(question)

    def slowly(question: str, *, owners: tuple[str, ...], count: int, now: datetime) -> Found:
        seeking.set()
        assert found.wait(PATIENCE_S)
        return memories(question, owners=owners, count=count, now=now)

    monkeypatch.setattr(daemon.memory.brain, "ask", heard)
    monkeypatch.setattr(daemon.memory.recall, "memories", slowly)
    with served.call(stream=stream):
        assert seeking.wait(PATIENCE_S)
        gone_at = time.perf_counter()
    cancelled = asked[0].cancelled
    assert cancelled is not None
    assert cancelled.wait(PATIENCE_S)
    assert time.perf_counter() - gone_at < LIMIT_S
    found.set()
    until(lambda: len(daemon.kept()) == 1)
    assert [turn["text"] for turn in daemon.kept()] == [QUESTION]


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_that_stops_ends_its_answers_and_what_was_said_is_kept(
    served: Served, daemon: StandIn, patient: PatientGenerator, stream: bool
) -> None:
    with served.call(stream=stream):
        assert patient.waiting.wait(PATIENCE_S)
        served.server.config.timeout_graceful_shutdown = 0
        served.server.should_exit = True
        assert patient.ended.wait(PATIENCE_S)
        assert daemon.stopped.wait(PATIENCE_S)
    until(lambda: len(daemon.kept()) == 2)
    assert [turn["text"] for turn in daemon.kept()] == [QUESTION, "음"]


def test_questions_that_wait_keep_nobody_else_waiting(
    served: Served, daemon: StandIn, patient: PatientGenerator
) -> None:
    with ExitStack() as crowd:
        for _ in range(CROWD):
            crowd.enter_context(served.call(stream=False))
        until(lambda: len(patient.requests) == CROWD)
        with httpx.Client(base_url=served.url, timeout=PATIENCE_S, trust_env=False) as client:
            token = {"Authorization": f"Bearer {daemon.token}"}
            answers = [client.get(path, headers=token) for path in ("/health", "/ready", "/api/status")]
        assert [answer.status_code for answer in answers] == [200, 200, 200]
        assert not patient.ended.is_set()
    until(lambda: len(daemon.kept()) == 2 * CROWD)


def test_an_answer_that_nobody_leaves_is_not_cancelled(served: Served, daemon: StandIn) -> None:
    with served.call(stream=True) as caller:
        _read_until(caller, b"event: done")
        cancelled = daemon.generator.requests[0].cancelled
        assert cancelled is not None
        assert not cancelled.is_set()
