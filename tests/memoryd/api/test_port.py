"""The port answers before the app is there, refuses what is refused, and loses nobody who comes in between."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
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


@pytest.fixture
def config(tmp_path: Path) -> Path:
    for name in ("memory", "manifest"):
        (tmp_path / name).mkdir()
    file = tmp_path / "config.toml"
    file.write_text("[llm]\nenabled = false\n")
    return file


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(LIMIT_S)
        yield made


def url_of(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def connected(listener: socket.socket) -> socket.socket:
    return socket.create_connection(listener.getsockname(), timeout=LIMIT_S)


def test_what_opens_the_port_does_not_bring_in_the_app() -> None:
    heavy = ["fastapi", "uvicorn", "asyncio", "memoryd.daemon", "memoryd.ledger", "memoryd_client", "llm"]
    code = f"import sys, memoryd.api.port; print(sorted(set({heavy}) & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_before_the_app_is_there_it_is_alive_and_not_ready(listener: socket.socket) -> None:
    with port._doorkeeper(listener), Client(url_of(listener), token="any") as client:
        assert client.health()
        ready = client.ready()
        assert not ready.ready
        assert [(part.name, part.state) for part in ready.parts] == [("daemon", "loading")]


@pytest.mark.parametrize("turn", ["x", "보리" * 200_000])
def test_what_needs_the_app_is_told_to_come_back(listener: socket.socket, turn: str) -> None:
    with port._doorkeeper(listener), Client(url_of(listener), token="any") as client:
        for call in (
            client.status,
            lambda: client.search(turn[:100]),
            lambda: client.erase_conversation("c"),
        ):
            with pytest.raises(NotReadyError, match="coming up") as caught:
                call()
            assert caught.value.retry_after == 1
        with pytest.raises(NotReadyError, match="coming up"):
            client.add_conversation([NewTurn(role="user", text=turn)])


def test_one_that_says_nothing_holds_up_nobody(listener: socket.socket) -> None:
    with port._doorkeeper(listener), connected(listener):
        assert httpx.get(f"{url_of(listener)}/health", timeout=LIMIT_S).status_code == httpx.codes.OK


def test_who_comes_after_the_doorkeeper_is_left_for_the_app(listener: socket.socket) -> None:
    with port._doorkeeper(listener):
        httpx.get(f"{url_of(listener)}/health", timeout=LIMIT_S)
    with connected(listener) as late:
        late.sendall(b"GET /api/status HTTP/1.1\r\n\r\n")
        with listener.accept()[0] as taken:
            taken.sendall(b"the app")
        assert late.recv(100) == b"the app"


def test_the_doorkeeper_leaves_when_the_app_can_not_be_made(listener: socket.socket) -> None:
    with pytest.raises(ValueError, match="no app"), port._doorkeeper(listener):
        raise ValueError("no app")
    with connected(listener), listener.accept()[0]:
        pass


def test_a_taken_port_is_an_error_that_names_the_key_and_the_remedy(
    config: Path, monkeypatch: pytest.MonkeyPatch, listener: socket.socket
) -> None:
    taken = listener.getsockname()[1]
    monkeypatch.setenv("MEMORYD_SERVER__PORT", str(taken))
    with pytest.raises(ConfigError) as caught:
        port.run(config)
    message = str(caught.value)
    assert f"server.port: 127.0.0.1:{taken}" in message
    assert "Address already in use" in message
    assert "MEMORYD_SERVER__PORT" in message


def test_a_second_daemon_on_one_state_folder_is_refused(config: Path) -> None:
    first = Daemon(load_config(config).config)
    try:
        with pytest.raises(AlreadyRunningError, match=r"Another memoryd owns .*state"):
            port.run(config)
    finally:
        first.stop()


def test_a_stop_before_the_app_is_there_is_no_failure(config: Path) -> None:
    """The import of the app is where most of a short life goes."""
    code = (
        "import os, pathlib, signal, sys\n"
        "class Stopped:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'memoryd.api.server': os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.meta_path.insert(0, Stopped())\n"
        "from memoryd.api.port import run\n"
        "sys.exit(run(pathlib.Path(sys.argv[1])))\n"
    )
    environment = os.environ | {"MEMORYD_SERVER__PORT": "0"}
    ran = subprocess.run(
        [sys.executable, "-c", code, str(config)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
