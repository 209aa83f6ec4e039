"""The port answers before the app is there, refuses what is refused, and loses nobody who comes in between."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx
import pytest

from memoryd.api import port
from memoryd.config import load_config
from memoryd.daemon import Daemon
from memoryd.errors import AlreadyRunningError, ConfigError
from memoryd_client import Client, NotReadyError
from memoryd_client.models import NewTurn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT_S = 10.0
PIECE = 2**16


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(LIMIT_S)
        yield made


def url_of(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def connected(listener: socket.socket) -> socket.socket:
    return socket.create_connection(listener.getsockname(), timeout=LIMIT_S)


def begun(before: set[threading.Thread]) -> list[threading.Thread]:
    """The threads that answer early, but those of another test that are about to end."""
    return [each for each in set(threading.enumerate()) - before if each.name == "early answers"]


def test_what_opens_the_port_does_not_bring_in_the_app() -> None:
    heavy = ["fastapi", "uvicorn", "memoryd.daemon", "memoryd.ledger", "memoryd_client", "llm"]
    code = f"import sys, memoryd.api.port; print(sorted(set({heavy}) & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_before_the_app_is_there_it_is_alive_and_not_ready(listener: socket.socket) -> None:
    with port._early_answers(listener), Client(url_of(listener), token="any") as client:
        assert client.health()
        ready = client.ready()
        assert not ready.ready
        assert [(part.name, part.state) for part in ready.parts] == [("daemon", "loading")]


@pytest.mark.parametrize("turn", ["x", "보리" * 200_000])
def test_what_needs_the_app_is_told_to_come_back(listener: socket.socket, turn: str) -> None:
    with port._early_answers(listener), Client(url_of(listener), token="any") as client:
        for call in (client.status, lambda: client.search("보리"), lambda: client.erase_conversation("c")):
            with pytest.raises(NotReadyError, match="coming up") as caught:
                call()
            assert caught.value.retry_after == port.RETRY_AFTER_S
        with pytest.raises(NotReadyError, match="coming up"):
            client.add_conversation([NewTurn(role="user", text=turn)])


def test_a_body_that_is_waited_for_or_never_comes_is_not_needed_for_an_answer(
    listener: socket.socket,
) -> None:
    with port._early_answers(listener), connected(listener) as asking:
        asking.sendall(b"POST /api/ask HTTP/1.1\r\nContent-Length: 9999\r\nExpect: 100-continue\r\n\r\n")
        assert asking.recv(PIECE).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")


def test_what_comes_behind_the_answer_does_not_take_it_back(listener: socket.socket) -> None:
    """A connection that is closed on unread bytes is reset, and an answer that was not read yet is lost with it."""
    with port._early_answers(listener), connected(listener) as asking:
        asking.sendall(b"POST /api/ask HTTP/1.1\r\n\r\n")
        for _ in range(200):
            asking.sendall(b"x" * PIECE)
        asking.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := asking.recv(PIECE):
            answer += piece
    assert b'"code": "not_ready"' in answer


def test_one_that_says_nothing_holds_up_nobody_and_is_let_go(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port, "LASTS_S", 2 * LIMIT_S)
    with port._early_answers(listener), connected(listener):
        assert httpx.get(f"{url_of(listener)}/health", timeout=LIMIT_S).status_code == httpx.codes.OK
    monkeypatch.setattr(port, "LASTS_S", 0.01)
    with port._early_answers(listener), connected(listener) as silent:
        assert silent.recv(PIECE) == b""


@pytest.mark.parametrize("request_", [b"\x00\r\n\r\n", b"\r\n\r\n", b"GET\r\n\r\n", b"a b c d\r\n\r\n"])
def test_what_is_no_request_is_told_to_come_back_too(listener: socket.socket, request_: bytes) -> None:
    with port._early_answers(listener), connected(listener) as asking:
        asking.sendall(request_)
        assert asking.recv(PIECE).startswith(b"HTTP/1.1 503")


def test_a_header_without_an_end_is_let_go(listener: socket.socket) -> None:
    with port._early_answers(listener), connected(listener) as asking, suppress(ConnectionError):
        asking.sendall(b"x" * 4 * port.PIECE_BYTES)
        assert asking.recv(PIECE) == b""


def test_who_comes_later_is_left_for_the_app(listener: socket.socket) -> None:
    with port._early_answers(listener):
        httpx.get(f"{url_of(listener)}/health", timeout=LIMIT_S)
    for number in range(20):
        with connected(listener) as late:
            late.sendall(b"GET /health HTTP/1.1\r\n\r\n")
            with listener.accept()[0] as taken:
                taken.sendall(b"the app %d" % number)
            assert late.recv(PIECE) == b"the app %d" % number


def test_the_thread_answers_who_came_in_time_and_ends(listener: socket.socket) -> None:
    before = set(threading.enumerate())
    with port._early_answers(listener):
        (thread,) = begun(before)
        asking = connected(listener)
        asking.sendall(b"GET /health HTTP/1.1\r\n")
        # Connections are taken in turn: once this one is answered, that one is inside.
        httpx.get(f"{url_of(listener)}/health", timeout=LIMIT_S)
    with asking:
        asking.sendall(b"\r\n")
        assert asking.recv(PIECE).startswith(b"HTTP/1.1 200 OK\r\n")
    thread.join(LIMIT_S)
    assert not thread.is_alive()


def test_it_ends_when_the_app_can_not_be_made(listener: socket.socket) -> None:
    def fail() -> None:
        threads.extend(begun(before))
        raise ValueError("no app")

    before, threads = set(threading.enumerate()), list[threading.Thread]()
    with pytest.raises(ValueError, match="no app"), port._early_answers(listener):
        fail()
    (thread,) = threads
    thread.join(LIMIT_S)
    assert not thread.is_alive()


def test_a_taken_port_is_an_error_that_names_the_key_and_the_remedy(
    bare_config: Path, monkeypatch: pytest.MonkeyPatch, listener: socket.socket
) -> None:
    taken = listener.getsockname()[1]
    monkeypatch.setenv("MEMORYD_SERVER__PORT", str(taken))
    with pytest.raises(ConfigError) as caught:
        port.run(bare_config)
    message = str(caught.value)
    assert f"server.port: 127.0.0.1:{taken}" in message
    assert "Address already in use" in message
    assert "MEMORYD_SERVER__PORT" in message


def test_a_second_daemon_on_one_state_folder_is_refused(bare_config: Path) -> None:
    first = Daemon(load_config(bare_config).config)
    try:
        with pytest.raises(AlreadyRunningError, match=r"Another memoryd owns .*state"):
            port.run(bare_config)
    finally:
        first.stop()
