"""The Chroma child, supervised: started, asked for its heartbeat, started again with a growing pause.

start(folder) ──▶ child ──heartbeat──▶ url
                    ├─ ends ─▶ wait 0.5 s, 1 s, … 30 s ─▶ child
                    └─ is silent for 30 s ─▶ killed ─▶ the same
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import httpx

from memoryd.errors import IndexUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
HEARTBEAT_EVERY_S = 0.05
HEARTBEAT_TIMEOUT_S = 5.0
START_LIMIT_S = 60.0
# A child that hangs holds every call up; one that writes its index may be slow for a while.
LIVENESS_EVERY_S = 5.0
SILENCE_LIMIT_S = 30.0
# A child that lives so long was not at fault from the start.
STEADY_S = 60.0
STOP_LIMIT_S = 10.0


class RemoteChroma:
    """A Chroma server that somebody else runs (`store.chroma_url`)."""

    failed_starts = 0
    starts = 0
    answers = True
    elsewhere = True

    def __init__(self, url: str) -> None:
        self._url = url

    def start(self, folder: Path) -> None:
        """Nothing to start; a generation is a collection name there."""

    def url(self, timeout_s: float) -> str:  # noqa: ARG002  (the child's door, which can wait)
        """The address."""
        return self._url

    def stop(self) -> None:
        """Nothing to stop."""


class ChromaServer:
    """`chroma run` as a child on a free loopback port.

    The child's parent-death signal follows the thread that forked it, so that one thread lives as long as this.

    Attributes:
        failed_starts: children in a row that ended or hung at the start or over the first questions: what a torn
            folder makes of them.
        starts: children that have answered; each may hold something else than the one before it.
    """

    elsewhere = False

    def __init__(self, *, max_file_bytes: int) -> None:
        self.failed_starts = 0
        self.starts = 0
        self._max_file_bytes = max_file_bytes
        self._up = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._url = ""

    def start(self, folder: Path) -> None:
        """Serves a folder; a child on another folder is stopped first."""
        self.stop()
        self.failed_starts = 0
        self._stopping.clear()
        self._thread = threading.Thread(target=self._supervise, args=(folder,), name="chroma", daemon=True)
        self._thread.start()

    def url(self, timeout_s: float) -> str:
        """The child's address, waiting for it at most so long.

        Raises:
            IndexUnavailableError: it did not answer in time.
        """
        if not self._up.wait(timeout_s):
            raise IndexUnavailableError(
                "The Chroma child does not answer yet. Recall goes on from the ledger."
            )
        return self._url

    @property
    def pid(self) -> int | None:
        """The child's process id, where there is one."""
        return self._process.pid if self._process else None

    @property
    def answers(self) -> bool:
        """Whether there is a child that has answered."""
        return self._up.is_set()

    def stop(self) -> None:
        """Ends the child: asks, waits ten seconds, kills."""
        self._stopping.set()
        if self._process is not None:
            _end(self._process)
        if self._thread is not None:
            # It ends a child that it was starting meanwhile.
            self._thread.join(2 * STOP_LIMIT_S)
            self._thread = None

    def _supervise(self, folder: Path) -> None:
        pause = FIRST_PAUSE_S
        # One client, without certificates and proxies: httpx reads the machine's certificates for each new one, a
        # tenth of a second of work, and the daemon's first questions had to wait for that.
        with httpx.Client(verify=False, trust_env=False, timeout=HEARTBEAT_TIMEOUT_S) as client:  # noqa: S501
            while not self._stopping.is_set():
                code, well = self._one_child(folder, client)
                if well:
                    self.failed_starts = 0
                    pause = FIRST_PAUSE_S
                else:
                    self.failed_starts += 1
                if not self._stopping.is_set():
                    log.warning("chroma ended with code %s; it starts again in %g s", code, pause)
                    self._stopping.wait(pause)
                    pause = min(pause * 2, LONGEST_PAUSE_S)

    def _one_child(self, folder: Path, client: httpx.Client) -> tuple[int, bool]:
        """Starts a child and stays with it; returns its exit code, and whether its folder is beyond suspicion.

        Torn files keep a child from starting, or have it fall or hang over the first questions. One that answered for
        a while, or that somebody else killed, was not at fault.
        """
        port = _free_port()
        process = self._process = self._spawn(folder, port)
        heartbeat = f"http://127.0.0.1:{port}/api/v2/heartbeat"
        answered = self._await_heartbeat(process, client, heartbeat)
        if answered:
            self._url = f"http://127.0.0.1:{port}"
            self.starts += 1
            self._up.set()
            log.info("chroma serves %s", folder.name)
        else:
            _end(process)
        since = time.monotonic()
        code, hung = self._watch_over(process, client, heartbeat)
        self._up.clear()
        steady = time.monotonic() - since > STEADY_S
        return code, answered and (steady or (code == -signal.SIGKILL and not hung))

    def _spawn(self, folder: Path, port: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "memoryd.chroma.child", str(folder), str(port), str(os.getpid())]
        return subprocess.Popen(
            [*command, str(self._max_file_bytes)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "ANONYMIZED_TELEMETRY": "False", "RUST_LOG": "error"},
            process_group=0,  # Ctrl-C is the daemon's, which ends its child when nothing asks it any more
        )

    def _await_heartbeat(
        self, process: subprocess.Popen[bytes], client: httpx.Client, heartbeat: str
    ) -> bool:
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            if self._stopping.wait(HEARTBEAT_EVERY_S) or process.poll() is not None:
                return False
            if _beats(client, heartbeat):
                return True
        return False

    def _watch_over(
        self, process: subprocess.Popen[bytes], client: httpx.Client, heartbeat: str
    ) -> tuple[int, bool]:
        """Waits for a child's end, and ends one that says nothing for too long.

        Returns:
            Its exit code, and whether it was ended so.
        """
        heard = time.monotonic()
        hung = False
        while True:
            try:
                return process.wait(LIVENESS_EVERY_S), hung
            except subprocess.TimeoutExpired:
                pass
            if self._stopping.is_set() or _beats(client, heartbeat):
                heard = time.monotonic()
            elif time.monotonic() - heard > SILENCE_LIMIT_S:
                log.warning("chroma has said nothing for %g s and is killed", SILENCE_LIMIT_S)
                hung = True
                process.kill()


def _beats(client: httpx.Client, heartbeat: str) -> bool:
    try:
        return client.get(heartbeat).is_success
    except httpx.HTTPError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Asks a child to end, waits, kills."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            log.warning("chroma did not stop in %g s and is killed", STOP_LIMIT_S)
            process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
