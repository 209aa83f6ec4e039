"""Kiwi, the Korean morpheme analyser, in a child process: loading it holds an interpreter for seconds.

    start() ──▶ child (memoryd.kiwi_child) loads beside whatever this process does
    morphemes(text) ──▶ child ──▶ [(form, tag), …]
                          └─ ended, or silent for two minutes ─▶ a new child, the same text once more ─▶ KiwiError

`memoryd run` starts it before anything else is imported, so this imports nothing heavy.
"""

from __future__ import annotations

import atexit
import logging
import os
import socket
import subprocess
import sys
import threading
import time

from memoryd.errors import KiwiError
from memoryd.kiwi_child import receive, send

log = logging.getLogger(__name__)

# A child that says nothing for so long, while it loads or over one text, is given up.
SILENCE_LIMIT_S = 120.0
TRIES = 2
# A text that ended the child each time is not tried again for so long: the child takes seconds to come back, and
# a file that can't be read in is tried again every few seconds.
REFUSED_S = 600.0


class KiwiProcess:
    """The child, started at first use or before, and started again after its end. Threads take turns, text by text."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._changing = threading.Lock()
        self._child: _Child | None = None
        self._stops = 0
        self._refused: dict[int, float] = {}

    @property
    def pid(self) -> int | None:
        """The child's process id, where there is one."""
        child = self._child
        return child.pid if child else None

    def start(self) -> None:
        """Has a child begin to load, where there is none; returns at once. Where it can't, the first use says so."""
        try:
            self._running()
        except OSError:
            log.exception("Kiwi's process can't be started")

    def load(self) -> None:
        """Waits until the child has loaded.

        Raises:
            KiwiError: it can't be.
        """
        self.morphemes("")

    def morphemes(self, text: str) -> list[tuple[str, str]]:
        """Form and tag of each morpheme that carries meaning, in the text's order.

        Raises:
            KiwiError: Kiwi can't be loaded, or its process ended or fell silent over this text twice, or was stopped.
        """
        with self._turn:
            answer = self._answer(text)
        if isinstance(answer, str):
            raise KiwiError(answer)
        return answer

    def stop(self) -> None:
        """Ends the child; who waits for it gets a `KiwiError`. A later call starts a new one."""
        self._stops += 1
        with self._changing:
            child, self._child = self._child, None
        if child is not None:
            child.kill()
            # Whoever reads from it hears of its end first.
            with self._turn:
                child.close()

    def forget(self) -> None:
        """In a fork: the child is the parent's, and lives as long as the parent holds its socket."""
        if self._child is not None:
            self._child.close()
        self.__init__()  # type: ignore[misc]  # locks too: whoever held them is not in this process

    def _answer(self, text: str) -> list[tuple[str, str]] | str:
        """What the child makes of a text, or why there is nothing."""
        if self._refused.get(hash(text), 0.0) > time.monotonic():
            return f"Kiwi is not asked again yet about a text of {len(text)} characters that ended it twice."
        stops, fault = self._stops, ""
        for _ in range(TRIES):
            try:
                child = self._running()
            except OSError as error:
                return (
                    f"Kiwi's process can't be started: {error}. Free memory or processes; it is tried again."
                )
            try:
                return child.answer(text)
            except (EOFError, OSError) as error:
                fault = self._end(child, error)
                if stops != self._stops:
                    return "Kiwi was stopped: the daemon ends."
                log.warning("kiwi %s over a text of %d characters", fault, len(text))
            except BaseException:
                # Its answer would be taken for the next text's.
                self._end(child, None)
                raise
        self._refused[hash(text)] = time.monotonic() + REFUSED_S
        return (
            f"Kiwi's process {fault} over a text of {len(text)} characters, and did so twice. "
            f"This text is tried again in {REFUSED_S / 60:g} minutes, or after a restart."
        )

    def _running(self) -> _Child:
        with self._changing:
            if self._child is None:
                self._child = _Child()
            return self._child

    def _end(self, child: _Child, error: Exception | None) -> str:
        """Ends a child and says how it ended."""
        with self._changing:
            if self._child is child:
                self._child = None
        silent = isinstance(error, TimeoutError)
        code = child.kill()
        child.close()
        return f"said nothing for {SILENCE_LIMIT_S:g} s" if silent else f"ended with code {code}"


class _Child:
    """One child process and the socket to it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(SILENCE_LIMIT_S)
        self._greeted = False
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "memoryd.kiwi_child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def answer(self, text: str) -> list[tuple[str, str]] | str:
        """What it makes of a text, or why there is nothing.

        Raises:
            EOFError: it has ended.
            OSError: it has ended, or says nothing for too long.
        """
        if not self._greeted:
            fault: str = receive(self._socket)
            if fault:
                return f"Kiwi can't be loaded ({fault}). Install kiwipiepy and kiwipiepy_model again."
            self._greeted = True
        send(self._socket, text)
        answer: list[tuple[str, str]] | str = receive(self._socket)
        return (
            f"Kiwi can't read a text of {len(text)} characters: {answer}"
            if isinstance(answer, str)
            else answer
        )

    def kill(self) -> int:
        """Ends it, and returns its exit code. There is nothing in it to be saved."""
        self._process.kill()
        return self._process.wait()

    def close(self) -> None:
        self._socket.close()


# The one of this process: a second would take half a gigabyte more.
KIWI = KiwiProcess()
atexit.register(KIWI.stop)
os.register_at_fork(after_in_child=KIWI.forget)
