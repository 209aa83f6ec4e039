"""A real daemon in a scratch folder on a free loopback port, for benches and the demo.

with Daemon(scratch) as daemon:  start ──▶ /health ──▶ /ready ──▶ client() … ──▶ stop, whatever happened
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from memoryd_client import Client, ClientError, NotReadyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from memoryd_client.models import Counts

REPOSITORY = Path(__file__).resolve().parents[1]
MODELS = REPOSITORY / "models"
# What the repository's memory holds before anybody has said anything.
SAMPLE = (
    "day0310/evening_talk.jsonl",
    "day0312/sourdough_call.jsonl",
    "day0312/강릉_여행.txt",
    "daylast/cello_practice.md",
)
HOST = "127.0.0.1"
HEALTH_SECONDS = 60.0
READY_SECONDS = 600.0
STALL_SECONDS = 600.0  # without a step forward, indexing is given up
STOP_SECONDS = 30.0
POLL_SECONDS = 0.1
LOG_TAIL_LINES = 30


class DaemonError(Exception):
    """The daemon ended or did not get there; the message carries the end of its log."""


class Started(Protocol):
    """A started process: what `subprocess.Popen` is."""

    @property
    def pid(self) -> int:
        """Its process id."""
        ...

    def terminate(self) -> None:
        """Asks it to end."""
        ...

    def kill(self) -> None:
        """Ends it."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code; `subprocess.TimeoutExpired` where it runs longer than so many seconds."""
        ...


class Daemon:
    """One scratch folder and the daemon that runs on it.

    Args:
        scratch: an empty folder; memory, manifest, state and log go below it.
        embedder: the value of `embedding.model`.
        language_models: whether any is loaded; search does without.
        sample: whether it begins with the sample conversations, those that are still there.
        settings: `section__key` → value, of the configuration besides.
    """

    def __init__(
        self,
        scratch: Path,
        *,
        embedder: str = "bundled",
        language_models: bool = True,
        sample: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.memory = scratch / "memory"
        self.state = scratch / "state"
        self.log = scratch / "daemon.log"
        self.port = _free_port()
        self._scratch = scratch
        self._process: Started | None = None
        self._groups: list[int] = []
        manifest = scratch / "manifest"
        shutil.copytree(REPOSITORY / "manifest", manifest)
        self.memory.mkdir()
        for name in SAMPLE if sample else ():
            (self.memory / name).parent.mkdir(exist_ok=True)
            with suppress(FileNotFoundError):
                shutil.copy2(REPOSITORY / "memory" / name, self.memory / name)
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("MEMORYD_")
        } | {
            "MEMORYD_PATHS__MEMORY": str(self.memory),
            "MEMORYD_PATHS__MANIFEST": str(manifest),
            "MEMORYD_PATHS__STATE": str(self.state),
            "MEMORYD_PATHS__MODELS": str(MODELS),
            "MEMORYD_SERVER__HOST": HOST,
            "MEMORYD_SERVER__PORT": str(self.port),
            "MEMORYD_EMBEDDING__MODEL": embedder,
            "MEMORYD_LLM__DEFAULT": "bundled",
            "MEMORYD_LLM__ENABLED": str(language_models).lower(),
        }
        self._environment |= {f"MEMORYD_{key.upper()}": value for key, value in (settings or {}).items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def is_running(self) -> bool:
        """Whether it was started, and neither stopped nor killed since."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """The running daemon's process id."""
        return self._running().pid

    def start(self) -> None:
        """Starts the process; it is not waited for."""
        self._process = self._launch()
        self._groups.append(self._process.pid)

    def stop(self) -> None:
        """Asks the daemon to stop, kills it where it doesn't, and ends what any start left behind."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        while self._groups:
            with suppress(ProcessLookupError):
                os.killpg(self._groups.pop(), signal.SIGKILL)

    def kill(self) -> None:
        """`kill -9`, of the daemon alone: what it started is left to it."""
        process = self._running()
        process.kill()
        process.wait()
        self._process = None

    def client(self, *, timeout: float = 600.0) -> Client:
        """A client with the origin's token."""
        token = (self.state / "origin.token").read_text(encoding="utf-8").strip()
        return Client(f"http://{HOST}:{self.port}", token=token, timeout=timeout)

    def wait_healthy(self, *, poll: float = POLL_SECONDS) -> None:
        """Waits for the first 200 of `/health`."""
        self._wait(lambda: self._answers("/health"), "answer /health", HEALTH_SECONDS, poll)

    def wait_app(self, *, poll: float = POLL_SECONDS) -> None:
        """Waits until the whole interface answers: somebody without a token is asked for one."""
        self._wait(
            lambda: self._answers("/api/status", HTTPStatus.UNAUTHORIZED),
            "ask for a token",
            HEALTH_SECONDS,
            poll,
        )

    def wait_ready(self, *, poll: float = POLL_SECONDS) -> None:
        """Waits for the first 200 of `/ready`: a question can be answered."""
        self._wait(lambda: self._answers("/ready"), "get ready", READY_SECONDS, poll)

    def wait_indexed(self, files: int, progress: Callable[[Counts], None]) -> Counts:
        """Waits until `files` files are indexed and every vector has reached the index.

        Raises:
            DaemonError: a file was skipped or quarantined, the daemon ended, or nothing moves any more.
        """
        moved, last = time.monotonic(), (-1, -1, -1)
        with self.client() as client:
            while True:
                self._check_alive(1.0)
                try:
                    counts = client.status().counts
                except NotReadyError:
                    continue
                progress(counts)
                if counts.files_skipped or counts.files_quarantined:
                    refused = [f"{file.path}: {file.reason}" for file in client.files().files if file.reason]
                    raise DaemonError("The daemon did not take every file:\n" + "\n".join(refused[:10]))
                if counts.files_indexed >= files and not counts.waiting_files and not counts.outbox:
                    return counts
                now = (counts.files_indexed, counts.vectors, counts.outbox)
                if now != last:
                    moved, last = time.monotonic(), now
                elif time.monotonic() - moved > STALL_SECONDS:
                    raise DaemonError(f"Indexing stands still at {counts}.\n{self.log_tail()}")

    def wait_file(self, path: str) -> None:
        """Waits until a file (its path below `memory/`) is listed as indexed."""
        with self.client() as client:

            def indexed() -> bool:
                try:
                    return any(file.path == path for file in client.files("indexed").files)
                except ClientError:
                    return False

            self._wait(indexed, f"index {path}", READY_SECONDS, POLL_SECONDS)

    def wait_reading(self) -> None:
        """Waits until the daemon has noticed files that it has yet to read."""
        with self.client() as client:
            self._wait(
                lambda: client.status().counts.waiting_files > 0,
                "notice new files",
                HEALTH_SECONDS,
                POLL_SECONDS,
            )

    def log_tail(self) -> str:
        """The last lines of the daemon's log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(["The end of the daemon's log:", *lines[-LOG_TAIL_LINES:]])

    def _launch(self) -> Started:
        command = [str(Path(sys.executable).with_name("memoryd")), "run"]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self._scratch,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _wait(self, reached: Callable[[], bool], what: str, seconds: float, poll: float) -> None:
        deadline = time.monotonic() + seconds
        while not reached():
            if time.monotonic() > deadline:
                raise DaemonError(f"The daemon did not {what} within {seconds:.0f} s.\n{self.log_tail()}")
            self._check_alive(poll)

    def _check_alive(self, seconds: float) -> None:
        """Lets some time pass, and notices at once if the daemon ends in it."""
        try:
            code = self._running().wait(seconds)
        except subprocess.TimeoutExpired:
            return
        raise DaemonError(f"The daemon ended with exit code {code}.\n{self.log_tail()}")

    def _answers(self, path: str, status: HTTPStatus = HTTPStatus.OK) -> bool:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == status
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _running(self) -> Started:
        if self._process is None:
            raise DaemonError("The daemon is not running; start it first.")
        return self._process


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
