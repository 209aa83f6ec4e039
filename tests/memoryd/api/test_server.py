"""The process around the app: what it starts and stops, and what it tells systemd and the user."""

from __future__ import annotations

import errno
import io
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from memoryd.api import server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memoryd.daemon import Daemon
    from tests.memoryd.api.stand_in import StandIn


def test_the_app_brings_in_nothing_that_takes_long() -> None:
    """Numpy came in once with a mood's words, which stood beside what computes moods."""
    heavy = ["numpy", "torch", "httpx", "onnxruntime", "llama_cpp", "chromadb", "kiwipiepy", "loaders"]
    code = f"import sys, memoryd.daemon, memoryd.api.server; print(sorted(set({heavy}) & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_daemon_starts_behind_the_open_port_and_stops_with_the_app(daemon: StandIn) -> None:
    with TestClient(server.create_app(cast("Daemon", daemon))) as client:
        assert client.get("/health").status_code == 200
        assert daemon.started.wait(10)
        assert not daemon.stopped.is_set()
    assert daemon.stopped.is_set()


def test_an_app_that_ends_before_the_daemon_has_started_stops_all_the_same(daemon: StandIn) -> None:
    with TestClient(server.create_app(cast("Daemon", daemon))):
        pass
    assert daemon.stopped.is_set()


def test_uvicorn_finds_an_app_in_the_module() -> None:
    assert isinstance(server.app, FastAPI)


def test_other_names_are_not_in_the_module() -> None:
    with pytest.raises(AttributeError, match="application"):
        server.__getattr__("application")


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A socket's path holds 108 bytes at most, so not pytest's own folder."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(short_folder: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    name = f"@memoryd-test-{os.getpid()}" if abstract else str(short_folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(10)
        systemd.bind("\0" + name[1:] if abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        server.notify_systemd("READY=1")
        assert systemd.recv(100) == b"READY=1"


def test_without_systemd_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    server.notify_systemd("READY=1")


class Full(io.StringIO):
    """A file on a full disk."""

    asked = False

    def write(self, _text: str) -> int:
        self.asked = True
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_greeting_that_a_full_disk_refuses_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by `bench.faults`: the daemon ended at its start because its output could not be written."""
    full = Full()
    monkeypatch.setattr(sys, "stdout", full)
    server._greet(("127.0.0.1", 7777))
    assert full.asked
