"""The Chroma child, supervised: started, asked for its heartbeat, started again with a growing pause.

start(folder) ──▶ child ──heartbeat──▶ url
                    └─ ends ─▶ wait 0.5 s, 1 s, … 30 s ─▶ child
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
START_LIMIT_S = 60.0
# A child that lives so long was not at fault from the start.
STEADY_S = 60.0
STOP_LIMIT_S = 10.0


class RemoteChroma:
    """A Chroma server that somebody else runs (`store.chroma_url`)."""

    failed_starts = 0
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
        failed_starts: children in a row that ended before they answered: what a torn folder makes of them.
    """

    elsewhere = False

    def __init__(self, *, max_file_bytes: int) -> None:
        self.failed_starts = 0
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
        while not self._stopping.is_set():
            port = _free_port()
            self._process = self._spawn(folder, port)
            url = f"http://127.0.0.1:{port}"
            if self._await_heartbeat(self._process, url):
                self._url = url
                self._up.set()
                log.info("chroma serves %s", folder.name)
            else:
                _end(self._process)
            answered = time.monotonic()
            code = self._process.wait()
            self._up.clear()
            if time.monotonic() - answered > STEADY_S or code == -signal.SIGKILL:
                self.failed_starts = 0
                pause = FIRST_PAUSE_S
            else:
                # It did not start, or fell over the first questions: torn files do either.
                self.failed_starts += 1
            if not self._stopping.is_set():
                log.warning("chroma ended with code %s; it starts again in %g s", code, pause)
                self._stopping.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE_S)

    def _spawn(self, folder: Path, port: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "memoryd.chroma.child", str(folder), str(port), str(os.getpid())]
        return subprocess.Popen(
            [*command, str(self._max_file_bytes)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "ANONYMIZED_TELEMETRY": "False", "RUST_LOG": "error"},
        )

    def _await_heartbeat(self, process: subprocess.Popen[bytes], url: str) -> bool:
        for _ in range(int(START_LIMIT_S / HEARTBEAT_EVERY_S)):
            if self._stopping.wait(HEARTBEAT_EVERY_S) or process.poll() is not None:
                return False
            try:
                if httpx.get(f"{url}/api/v2/heartbeat", timeout=5).is_success:
                    return True
            except httpx.HTTPError:
                continue
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
