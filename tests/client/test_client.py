from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from unittest import mock

import httpx
import pytest

from memoryd_client import (
    AskAnswer,
    AsyncClient,
    Client,
    ConnectFailedError,
    ConnectionLostError,
    Erased,
    ErasedFile,
    ErasureProof,
    InvalidRequestError,
    NewTurn,
    NotFoundError,
    NotReadyError,
    PartView,
    Problem,
    Ready,
    Rebuilt,
    Recalled,
    ReplayView,
    SavedConversation,
    SearchAnswer,
    Token,
    UnexpectedAnswerError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic import BaseModel

    from memoryd_client.testing import FakeDaemon

Event = tuple[str, "BaseModel | dict[str, object]"]


@pytest.fixture
def client(daemon: FakeDaemon) -> Iterator[Client]:
    with Client(daemon.url, token="secret") as made:
        yield made


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def events_of(answer: AskAnswer) -> list[Event]:
    return [
        ("recall", {"degraded": None, "citations": [c.model_dump(mode="json") for c in answer.citations]}),
        ("token", {"text": "모델 "}),
        ("done", answer),
    ]


def test_ask_sends_the_question_and_reads_the_answer(
    daemon: FakeDaemon, client: Client, answer: AskAnswer
) -> None:
    daemon.answer("POST /api/ask", answer)

    assert client.ask("모델 파일은 어디?", model="bundled", max_tokens=9, deadline_s=2.5) == answer
    assert daemon.requests[0].token == "secret"
    assert daemon.requests[0].body == {
        "question": "모델 파일은 어디?",
        "model": "bundled",
        "max_tokens": 9,
        "deadline_s": 2.5,
        "explain": False,
        "stream": False,
    }


def test_ask_stream_yields_each_event_as_soon_as_it_is_sent(
    daemon: FakeDaemon, client: Client, answer: AskAnswer
) -> None:
    token_seen = threading.Event()

    def script() -> Iterator[Event]:
        *first, last = events_of(answer)
        yield from first
        assert token_seen.wait(10)
        yield last

    daemon.stream("POST /api/ask", script())
    events = client.ask_stream("모델 파일은 어디?")

    assert next(events) == Recalled(degraded=None, citations=answer.citations)
    assert next(events) == Token(text="모델 ")
    token_seen.set()
    assert list(events) == [answer]
    assert daemon.requests[0].body == {"question": "모델 파일은 어디?", "explain": False, "stream": True}


def test_ask_stream_before_a_model_is_ready_raises_what_the_daemon_says(
    daemon: FakeDaemon, client: Client, loading: Problem
) -> None:
    daemon.problem("POST /api/ask", loading, retry_after=7)

    with pytest.raises(NotReadyError, match=r"mixtral is loading\.") as caught:
        next(client.ask_stream("?"))

    assert caught.value.problem == loading
    assert caught.value.retry_after == 7


def test_a_stream_that_breaks_off_raises_after_what_came(
    daemon: FakeDaemon, client: Client, answer: AskAnswer
) -> None:
    daemon.stream("POST /api/ask", events_of(answer)[:-1])
    events = client.ask_stream("?")

    assert isinstance(next(events), Recalled)
    assert isinstance(next(events), Token)
    with pytest.raises(ConnectionLostError):
        next(events)


def test_search_sends_only_what_was_given(daemon: FakeDaemon, client: Client, answer: AskAnswer) -> None:
    found = SearchAnswer(degraded=None, hits=answer.citations)
    daemon.answer("POST /api/search", found)

    assert client.search("폴더", k=3, since=datetime(2026, 3, 1, tzinfo=UTC)) == found
    assert daemon.requests[0].body == {
        "query": "폴더",
        "k": 3,
        "since": "2026-03-01T00:00:00Z",
        "explain": False,
    }


def erased() -> Erased:
    proof = ErasureProof(
        files=3,
        bytes=9,
        fragments=4,
        found=[],
        unread=[],
        words=2,
        words_left=0,
        shared=0,
        elsewhere=[],
        seconds=0.1,
    )
    return Erased(
        files=[ErasedFile(path="day0315/a.jsonl", action="removed", note="it held nothing else")],
        turns=2,
        passages=1,
        vectors=1,
        identities=1,
        identity_version=3,
        log_lines=0,
        copies=[],
        generation=2,
        proof=proof,
        seconds=0.5,
    )


def test_a_conversation_is_added_and_read_back_under_its_quoted_id(
    daemon: FakeDaemon, client: Client
) -> None:
    daemon.answer("POST /api/conversations", SavedConversation(id="c1", path="p", turns=1), status=201)
    daemon.answer("GET /api/conversations/a%2Fb%3F", {"id": "a/b?", "title": "", "paths": [], "turns": []})

    assert client.add_conversation([NewTurn(speaker="지훈", text="안녕")], id="c1").turns == 1
    assert client.conversation("a/b?").id == "a/b?"
    daemon.answer("DELETE /api/conversations/a%2Fb%3F", erased())
    assert client.erase_conversation("a/b?") == erased()
    assert daemon.requests[0].body == {
        "id": "c1",
        "turns": [{"role": "user", "speaker": "지훈", "text": "안녕"}],
    }


@pytest.mark.parametrize(
    ("call", "path", "query", "body"),
    [
        (lambda c: c.identity(), "/api/identity", "", None),
        (lambda c: c.identity(4), "/api/identity/4", "", None),
        (lambda c: c.identities(), "/api/identities", "", None),
        (lambda c: c.identity_diff(), "/api/identity/diff", "", None),
        (lambda c: c.identity_diff(2, 5), "/api/identity/diff", "from=2&to=5", None),
        (lambda c: c.restore_identity(3), "/api/identity/3/restore", "", None),
        (lambda c: c.files(), "/api/files", "", None),
        (lambda c: c.files("quarantined"), "/api/files", "state=quarantined", None),
        (lambda c: c.replays(), "/api/replays", "", None),
        (lambda c: c.status(), "/api/status", "", None),
        (lambda c: c.replay(wait=False), "/api/replay", "", {"wait": False}),
    ],
)
def test_each_call_goes_to_its_path(
    daemon: FakeDaemon, client: Client, call: Callable[[Client], object], path: str, query: str, body: object
) -> None:
    with pytest.raises(NotFoundError):  # nothing is scripted: only the request matters here
        call(client)

    seen = daemon.requests[0]
    assert (seen.path, seen.query, seen.body) == (path, query, body)


def test_replay_and_rebuild_answer_with_what_they_did(daemon: FakeDaemon, client: Client) -> None:
    replayed = ReplayView(
        state="done",
        trigger="request",
        started_at=datetime(2026, 3, 15, tzinfo=UTC),
        seconds=1.5,
        turns=10,
        kept=4,
        changed=True,
        identity_version=2,
        digest="d",
    )
    daemon.answer("POST /api/replay", replayed)
    daemon.answer("POST /api/rebuild", Rebuilt(files=1, passages=2, generation=3))

    assert client.replay() == replayed
    assert client.rebuild().generation == 3


@pytest.mark.parametrize("status", [200, 503])
def test_ready_reads_its_parts_whether_ready_or_not(daemon: FakeDaemon, client: Client, status: int) -> None:
    said = Ready(ready=status == 200, parts=[PartView(name="chroma", state="loading")], models=[])
    daemon.answer("GET /ready", said, status=status)

    assert client.ready() == said


def test_ready_refused_is_an_error_and_not_an_answer(
    daemon: FakeDaemon, client: Client, loading: Problem
) -> None:
    daemon.problem("GET /ready", loading)

    with pytest.raises(NotReadyError):
        client.ready()


def test_health_is_whether_a_daemon_is_alive(daemon: FakeDaemon, client: Client) -> None:
    assert not client.health()
    daemon.answer("GET /health", {"status": "ok"})
    assert client.health()
    with Client(closed_port()) as nobody:
        assert not nobody.health()


def test_an_address_where_nothing_listens_is_named() -> None:
    url = closed_port()

    with Client(url) as client, pytest.raises(ConnectFailedError, match=url) as caught:
        client.status()

    assert caught.value.url == url


@pytest.mark.parametrize("status", [200, 404, 502])
def test_another_program_at_the_address_is_noticed(daemon: FakeDaemon, client: Client, status: int) -> None:
    daemon.raw("GET /api/status", [b"<html>hello</html>"], content_type="text/html", status=status)

    with pytest.raises(UnexpectedAnswerError, match="hello"):
        client.status()


def test_a_problem_without_its_fields_is_not_taken_for_one(daemon: FakeDaemon, client: Client) -> None:
    daemon.raw("GET /api/status", [b"{}"], content_type="application/problem+json", status=500)

    with pytest.raises(UnexpectedAnswerError):
        client.status()


def test_an_answer_cut_short_is_a_lost_connection(daemon: FakeDaemon, client: Client) -> None:
    daemon.raw("GET /api/status", [b"{"], content_type="application/json", headers={"Content-Length": "100"})

    with pytest.raises(ConnectionLostError):
        client.status()


def test_silence_longer_than_the_timeout_is_a_lost_connection(daemon: FakeDaemon) -> None:
    given_up = threading.Event()

    def silence() -> Iterator[bytes]:
        given_up.wait(10)
        yield b"{}"

    daemon.raw("GET /api/status", silence(), content_type="application/json")

    with Client(daemon.url, timeout=0.05) as client, pytest.raises(ConnectionLostError, match="silent"):
        client.status()
    given_up.set()


def test_a_replay_may_take_longer_than_the_timeout() -> None:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"files": 1, "passages": 1, "generation": 1})

    with Client(timeout=1.0, transport=httpx.MockTransport(handle)) as client:
        client.rebuild()

    assert seen[0].extensions["timeout"] == {"connect": 5.0, "read": None, "write": None, "pool": None}


def test_the_token_comes_from_the_environment_unless_it_is_given(daemon: FakeDaemon) -> None:
    with mock.patch.dict("os.environ", {"MEMORYD_TOKEN": "from-env"}):
        for token in (None, "given", ""):
            with Client(daemon.url, token=token) as client:
                client.health()

    assert [seen.token for seen in daemon.requests] == ["from-env", "given", ""]


def test_a_proxy_of_the_environment_does_not_come_between(daemon: FakeDaemon) -> None:
    daemon.answer("GET /health", {"status": "ok"})

    with mock.patch.dict("os.environ", {"HTTP_PROXY": closed_port()}), Client(daemon.url) as client:
        assert client.health()


@pytest.mark.parametrize("url", ["", "memory:7777", "ftp://x", "http://", "http://x:port"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequestError, match="is not an address"):
        Client(url)


@pytest.mark.parametrize("token", ["토큰", "two\nlines"])
def test_a_token_that_can_not_be_sent_is_refused(token: str) -> None:
    with pytest.raises(InvalidRequestError, match="token"):
        Client(token=token)


def test_a_request_that_can_not_be_right_is_not_sent(daemon: FakeDaemon, client: Client) -> None:
    with pytest.raises(InvalidRequestError, match="question"):
        client.ask("")
    with pytest.raises(InvalidRequestError, match="deadline_s"):
        client.ask("?", deadline_s=0)
    with pytest.raises(InvalidRequestError, match="k: "):
        client.search("x", k=0)
    with pytest.raises(InvalidRequestError, match="turns"):
        client.add_conversation([])

    assert daemon.requests == []


def test_the_asynchronous_client_asks_streams_and_fails_alike(daemon: FakeDaemon, answer: AskAnswer) -> None:
    async def use() -> None:
        async with AsyncClient(daemon.url, token="secret") as client:
            daemon.answer("POST /api/ask", answer)
            assert await client.ask("?") == answer
            daemon.stream("POST /api/ask", events_of(answer))
            async with aclosing(client.ask_stream("?")) as events:
                assert [event async for event in events][1:] == [Token(text="모델 "), answer]
            with pytest.raises(NotFoundError):
                await client.status()
            assert not await client.health()
        async with AsyncClient(closed_port()) as client:
            with pytest.raises(ConnectFailedError):
                await client.ready()

    asyncio.run(use())


def test_the_asynchronous_client_makes_the_same_requests(daemon: FakeDaemon) -> None:
    calls: list[Callable[[Client], object]] = [
        lambda c: c.search("q", k=2),
        lambda c: c.add_conversation([NewTurn(text="안녕")]),
        lambda c: c.conversation("c1"),
        lambda c: c.erase_conversation("c1"),
        lambda c: c.identity(1),
        lambda c: c.identities(),
        lambda c: c.identity_diff(1),
        lambda c: c.restore_identity(1),
        lambda c: c.replay(),
        lambda c: c.replays(),
        lambda c: c.files("skipped"),
        lambda c: c.rebuild(embed=True),
        lambda c: c.verify(full=True),
        lambda c: c.status(),
        lambda c: c.ready(),
    ]

    async def use() -> None:
        async with AsyncClient(daemon.url) as client:
            for call in calls:
                with pytest.raises(NotFoundError):
                    await call(client)  # type: ignore[arg-type,misc]  # the two have the same methods

    with Client(daemon.url) as client:
        for call in calls:
            with pytest.raises(NotFoundError):
                call(client)
    alike = daemon.requests.copy()
    asyncio.run(use())

    assert daemon.requests[len(alike) :] == alike
