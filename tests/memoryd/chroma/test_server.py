"""The Chroma child: started, started again when it dies, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest

from memoryd.chroma import ChromaIndex, ChromaServer, RemoteChroma
from memoryd.chroma import server as server_module
from memoryd.errors import IndexUnavailableError
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
PATIENCE_S = 60.0
PARENT = """
import sys
from pathlib import Path
from memoryd.chroma import ChromaServer

server = ChromaServer(max_file_bytes=2**30)
server.start(Path(sys.argv[1]))
server.url(60)
print(server._process.pid, flush=True)
sys.stdin.read()
"""


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet buried does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def pid_of(server: ChromaServer) -> int:
    assert server._process is not None
    return server._process.pid


@pytest.fixture
def server() -> Iterator[ChromaServer]:
    """Not started; stopped at the end whatever happened."""
    made = ChromaServer(max_file_bytes=2**30)
    yield made
    made.stop()


def test_a_killed_child_is_started_again_and_the_index_answers(server: ChromaServer, tmp_path: Path) -> None:
    server.start(tmp_path / "g0001")
    assert httpx.get(f"{server.url(PATIENCE_S)}/api/v2/heartbeat").is_success
    index = ChromaIndex(
        server, instance="test", embedder="fake", dimension=4, generation=1, sync_threshold=1000
    )
    vectors = np.eye(4, dtype=np.float32)
    index.upsert("", ["a", "b", "c", "d"], vectors)
    first = pid_of(server)

    os.kill(first, signal.SIGKILL)
    until(lambda: not alive(first), PATIENCE_S)
    with pytest.raises(IndexUnavailableError):
        index.count("")

    until(lambda: pid_of(server) != first, PATIENCE_S)
    server.url(PATIENCE_S)
    assert index.count("") == 4
    assert index.query([""], vectors[2], 1)[0][0] == "c"
    assert server.failed_starts == 0
    assert server.starts == 2


def test_stopping_ends_the_child_and_the_thread(server: ChromaServer, tmp_path: Path) -> None:
    server.start(tmp_path / "g0001")
    server.url(PATIENCE_S)
    child, thread = pid_of(server), server._thread
    assert thread is not None
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < server_module.STOP_LIMIT_S
    assert not alive(child)
    assert not thread.is_alive()
    with pytest.raises(IndexUnavailableError, match=r"does not answer yet\. Recall goes on from the ledger"):
        server.url(0)
    server.stop()


def test_ctrl_c_does_not_reach_the_child(server: ChromaServer, tmp_path: Path) -> None:
    server.start(tmp_path)
    server.url(PATIENCE_S)
    assert os.getpgid(pid_of(server)) != os.getpgid(0)


def test_stopping_right_after_the_start_leaves_no_child_behind(server: ChromaServer, tmp_path: Path) -> None:
    """Found here: the child that was being started then was never ended."""
    server.start(tmp_path / "g0001")
    thread = server._thread
    assert thread is not None
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < server_module.STOP_LIMIT_S
    assert not thread.is_alive()
    assert server._process is None or not alive(server._process.pid)


def test_another_folder_is_served_by_another_child_and_the_first_is_ended(
    server: ChromaServer, tmp_path: Path
) -> None:
    server.start(tmp_path / "g0001")
    server.url(PATIENCE_S)
    first = pid_of(server)
    server.start(tmp_path / "g0002")
    server.url(PATIENCE_S)
    assert not alive(first)
    assert alive(pid_of(server))
    assert (tmp_path / "g0002" / "chroma.sqlite3").is_file()


def test_the_child_dies_with_a_daemon_that_is_killed_outright(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "g0001")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
    until(lambda: not alive(child), PATIENCE_S)


def test_a_child_that_ends_before_it_answers_is_counted(
    server: ChromaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "FIRST_PAUSE_S", 0.01)
    (tmp_path / "g0001").write_text("a file in the way")
    server.start(tmp_path / "g0001")
    until(lambda: server.failed_starts >= 2, PATIENCE_S)
    with pytest.raises(IndexUnavailableError):
        server.url(0)


def test_the_pause_before_each_new_start_grows(
    server: ChromaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server_module, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(server_module, "LONGEST_PAUSE_S", 0.02)
    (tmp_path / "g0001").write_text("a file in the way")
    server.start(tmp_path / "g0001")
    until(lambda: server.failed_starts >= 3, PATIENCE_S)
    server.stop()
    pauses = [message.split("again in ")[1] for message in caplog.messages if "again in" in message]
    assert pauses[:3] == ["0.01 s", "0.02 s", "0.02 s"]


def test_a_child_that_hangs_is_killed_and_another_one_answers(
    server: ChromaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found here: only a child's end was noticed, never its silence."""
    server.start(tmp_path / "g0001")
    server.url(PATIENCE_S)
    assert server.answers
    first, starts = pid_of(server), server.starts
    monkeypatch.setattr(server_module, "HEARTBEAT_TIMEOUT_S", 0.2)
    monkeypatch.setattr(server_module, "SILENCE_LIMIT_S", 0.2)
    os.kill(first, signal.SIGSTOP)
    until(lambda: not alive(first), PATIENCE_S)
    until(lambda: server.starts == starts + 1, PATIENCE_S)
    assert httpx.get(f"{server.url(PATIENCE_S)}/api/v2/heartbeat").is_success
    # Torn files can have it hang over the first questions; one that had answered for a minute would not count.
    assert server.failed_starts == 1


def test_a_child_that_hung_after_a_steady_life_is_no_failed_start(
    server: ChromaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "STEADY_S", 0.0)
    monkeypatch.setattr(server_module, "HEARTBEAT_TIMEOUT_S", 0.2)
    monkeypatch.setattr(server_module, "SILENCE_LIMIT_S", 0.2)
    monkeypatch.setattr(server_module, "LIVENESS_EVERY_S", 0.1)
    server.start(tmp_path / "g0001")
    server.url(PATIENCE_S)
    os.kill(pid_of(server), signal.SIGSTOP)
    until(lambda: server.starts == 2, PATIENCE_S)
    assert server.failed_starts == 0


def test_a_child_that_hangs_at_its_start_counts_although_the_supervisor_had_to_kill_it(
    server: ChromaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by a review: any SIGKILL set the count back, so that a folder on which Chroma hangs was kept for ever."""
    monkeypatch.setattr(server_module, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(server_module, "START_LIMIT_S", 0.3)
    monkeypatch.setattr(server_module, "STOP_LIMIT_S", 0.3)

    def deaf(_folder: Path, _port: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["/bin/sh", "-c", "trap '' TERM; exec sleep 60"])

    monkeypatch.setattr(server, "_spawn", deaf)
    server.start(tmp_path / "g0001")
    until(lambda: server.failed_starts >= 2, PATIENCE_S)


def test_no_file_of_chromas_grows_past_the_limit(tmp_path: Path) -> None:
    """One grew to 45 GB in a trial: a loop in Chroma must not fill the disk."""
    limit = 600_000
    server = ChromaServer(max_file_bytes=limit)
    try:
        server.start(tmp_path / "g0001")
        index = ChromaIndex(
            server, instance="test", embedder="fake", dimension=64, generation=1, sync_threshold=10
        )
        server.url(PATIENCE_S)
        rows = np.random.default_rng(1).normal(size=(100, 64)).astype(np.float32)

        def fill() -> None:
            for batch in range(60):
                index.upsert("", [f"p_{batch}_{place}" for place in range(100)], rows)

        with pytest.raises(IndexUnavailableError):
            fill()
        assert max(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) <= limit
    finally:
        server.stop()


def test_a_server_elsewhere_is_neither_started_nor_stopped(tmp_path: Path) -> None:
    remote = RemoteChroma("http://chroma:8000")
    remote.start(tmp_path)
    assert remote.url(0) == "http://chroma:8000"
    remote.stop()
    assert list(tmp_path.iterdir()) == []
