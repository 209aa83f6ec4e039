"""A real daemon in a scratch folder: started, watched, stopped or killed by its own process id.

with Running(folder, models) as daemon:  drop() ─▶ start() ─▶ wait_ready() ─▶ client() … ─▶ stop() or kill()
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx

from memoryd_client import Client, ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from memoryd_client.identity_models import IdentityView
    from memoryd_client.models import Citation, Counts, FileView

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS = Path(sys.executable).parent
HOST = "127.0.0.1"
START_LIMIT_S = 120.0
STOP_LIMIT_S = 20.0
POLL_S = 0.05


class Running:
    """One scratch folder and the daemon on it.

    Args:
        folder: an empty one; memory, manifest and state go below it.
        models: where the built-in models are.
        settings: `section__key` in lower case → value; each becomes an environment variable.
    """

    def __init__(self, folder: Path, models: Path, **settings: str) -> None:
        self.memory = folder / "memory"
        self.manifest = folder / "manifest"
        self.state = folder / "state"
        self.port = _free_port()
        self._folder = folder
        self._log = folder / "daemon.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._settings = {
            "paths__memory": str(self.memory),
            "paths__manifest": str(self.manifest),
            "paths__state": str(self.state),
            "paths__models": str(models),
            "server__port": str(self.port),
            "watch__settle_seconds": "0.2",
            "llm__threads": "1",
        } | settings
        self.memory.mkdir(parents=True)
        shutil.copytree(REPOSITORY / "manifest", self.manifest)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        return self._running().pid

    @property
    def log(self) -> str:
        """What it has said so far."""
        return self._log.read_text("utf-8", "replace")

    def environment(self, **settings: str) -> dict[str, str]:
        """This process's environment, with this daemon's settings in place of any others."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("MEMORYD_")}
        chosen = self._settings | settings
        # One thread for short texts: threads that wait for each other crawl where another process has a core.
        own |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        return own | {f"MEMORYD_{key.upper()}": value for key, value in chosen.items()}

    def drop(self, path: str, data: bytes | str | Sequence[dict[str, str]]) -> None:
        """Puts a file into `memory/` in one step: bytes, text, or turns in the native format."""
        file = self.memory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(data, bytes | str):
            data = "".join(json.dumps(turn, ensure_ascii=False) + "\n" for turn in data)
        partial = file.with_name(f".{file.name}.partial")
        partial.write_bytes(data.encode() if isinstance(data, str) else data)
        partial.rename(file)

    def start(self, *command: str, **settings: str) -> None:
        """Starts `memoryd run` (or another command); settings stay for later starts."""
        self._settings |= settings
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command or [str(SCRIPTS / "memoryd"), "run"],
                cwd=self._folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def start_ready(self, **settings: str) -> None:
        """Starts, and waits until a question can be answered and every file is read."""
        self.start(**settings)
        self.wait_ready()
        self.wait_read()

    def wait_listening(self) -> None:
        """Waits for `/health`."""
        self.wait_until(lambda: self._get("/health") == httpx.codes.OK, "/health")

    def wait_ready(self) -> None:
        """Waits until a question can be answered."""
        self.wait_until(lambda: self._get("/ready") == httpx.codes.OK, "/ready")

    def wait_read(self) -> None:
        """Waits until every file is read and every vector is in Chroma, which is trusted."""

        def through() -> bool:
            with self.client() as client:
                counts = client.status().counts
                if counts.waiting_files or counts.outbox:
                    return False
                return client.search("?").degraded is None

        self.wait_until(through, "reading every file")

    def wait_file(self, path: str) -> FileView:
        """Waits until a file is listed, and returns what became of it."""
        self.wait_until(lambda: path in self.files(), f"listing {path}")
        return self.files()[path]

    def wait_until(self, reached: Callable[[], bool], what: str) -> None:
        """Asks again and again until the answer is yes; a daemon that ends meanwhile fails at once."""
        deadline = time.monotonic() + START_LIMIT_S
        while True:
            code = self._running().poll()
            assert code is None, f"the daemon ended with exit code {code}:\n{self.log}"
            try:
                if reached():
                    return
            except ClientError:
                pass  # not there yet; the deadline decides
            assert time.monotonic() < deadline, f"{what} took more than {START_LIMIT_S:g} s:\n{self.log}"
            threading.Event().wait(POLL_S)

    def stop(self) -> int:
        """Asks it to stop as systemd does; returns the exit code.

        Raises:
            subprocess.TimeoutExpired: it takes more than 20 seconds.
        """
        process = self._running()
        process.terminate()
        code = process.wait(STOP_LIMIT_S)
        self._process = None
        return code

    def kill(self) -> None:
        """`kill -9`, of the daemon alone: its child sees to itself."""
        process = self._running()
        process.kill()
        process.wait()
        self._process = None

    def children(self) -> list[int]:
        """Process ids of the daemon's children: Kiwi's, and Chroma's, while there is one."""
        found = []
        for tasks in Path(f"/proc/{self.pid}/task").glob("*/children"):
            found += [int(child) for child in tasks.read_text().split()]
        return found

    def chroma(self) -> list[int]:
        """Process id of the Chroma child, while there is one."""
        return [child for child in self.children() if "memoryd.chroma.child" in _command(child)]

    def kill_chroma(self) -> None:
        """`kill -9` of the Chroma child."""
        (child,) = self.chroma()
        os.kill(child, signal.SIGKILL)

    def client(self) -> Client:
        """A client with the origin's token."""
        return Client(self.url, token=(self.state / "origin.token").read_text().strip(), timeout=60)

    def command(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Runs `memoryd` with these arguments against this daemon."""
        return subprocess.run(
            [str(SCRIPTS / "memoryd"), *arguments],
            cwd=self._folder,
            env=self.environment(**settings),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def files(self) -> dict[str, FileView]:
        """Every listed file by its path."""
        with self.client() as client:
            return {file.path: file for file in client.files().files}

    def counts(self) -> Counts:
        """What the ledger holds."""
        with self.client() as client:
            return client.status().counts

    def identity(self) -> IdentityView:
        """The identity in force."""
        with self.client() as client:
            return client.identity()

    def search(self, query: str, *, k: int = 3) -> list[Citation]:
        """The first k passages."""
        with self.client() as client:
            return client.search(query, k=k).hits

    def found(self, query: str, *, k: int = 3) -> list[str]:
        """The ids of the turns in the first k passages, in order."""
        return [turn.id for hit in self.search(query, k=k) for turn in hit.turns]

    def exchanges(self) -> list[dict[str, Any]]:
        """Every turn that the daemon itself has written into `memory/`."""
        files = sorted(self.memory.glob("day*/origin/*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]

    def _get(self, path: str) -> int:
        try:
            return httpx.get(f"{self.url}{path}", timeout=5, trust_env=False).status_code
        except httpx.HTTPError:
            return 0

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the daemon is not running"
        return self._process


def _command(pid: int) -> list[str]:
    """A process's command line; empty for one that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8").split("\0")
    except OSError:
        return []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
