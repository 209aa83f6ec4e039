"""The daemon that is killed: the program itself, forked from a process that has imported its libraries already.

Most of a start is the import of torch and its kin (five seconds of processor time), which no kill can change. So a
fork server imports them once and every start is a fork of it; one start in ten (`cold`) is a fresh interpreter.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bench.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Mapping
    from multiprocessing.process import BaseProcess

COLD_EVERY = 10
# What `memoryd run` imports sooner or later.
IMPORTED = [
    "transformers.models.bert.modeling_bert",
    "memoryd.api.server",
    "memoryd.opening",
    "memoryd.bundled",
    "sentence_transformers",
    "chromadb",
]
PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
CAPABILITIES_VERSION = 0x20080522


class Victim(Daemon):
    """A daemon whose starts are quick, whose clock can be moved and which obeys permissions even as root.

    Every path and every method of `bench.daemon.Daemon` is there.
    """

    def __init__(self, scratch: Path, settings: Mapping[str, str]) -> None:
        super().__init__(scratch, language_models=False, settings=settings)
        self.offset = scratch / "clock_offset"
        self.starts = 0
        self.cold = False
        self._quick = multiprocessing.get_context("forkserver")
        self._quick.set_forkserver_preload(IMPORTED)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and not _ended(self._process.pid)

    def give_models(self, *, enabled: bool) -> None:
        """Whether the next start loads language models."""
        self._environment["MEMORYD_LLM__ENABLED"] = str(enabled).lower()

    def move_clock(self, seconds: float) -> None:
        """Moves the wall clock that the daemon sees, at once; the machine's own stays."""
        partial = self.offset.with_suffix(".new")
        partial.write_text(str(seconds), encoding="ascii")
        partial.rename(self.offset)

    def chroma(self) -> tuple[int, str] | None:
        """Process id and address of the Chroma child, while there is one."""
        if self._process is None:
            return None
        for tasks in Path(f"/proc/{self._process.pid}/task").glob("*/children"):
            with suppress(OSError):
                for child in tasks.read_text(encoding="ascii").split():
                    words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
                    if "memoryd.chroma.child" in words:
                        port = words[words.index("memoryd.chroma.child") + 2]
                        return int(child), f"http://127.0.0.1:{port}"
        return None

    def kill_chroma(self) -> bool:
        """`kill -9` of the Chroma child; whether there was one."""
        child = self.chroma()
        if child is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(child[0], signal.SIGKILL)
        return True

    def _launch(self) -> _Process:
        self.starts += 1
        self.cold = self.starts % COLD_EVERY == 0
        context = multiprocessing.get_context("spawn") if self.cold else self._quick
        process = context.Process(target=_run, args=(self._environment, self._scratch, self.log, self.offset))
        process.start()
        return _Process(process)


class _Process:
    """A `multiprocessing` process with the manners of `subprocess.Popen`."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("memoryd run", timeout or 0.0)
        return self._process.exitcode


def _run(environment: dict[str, str], folder: Path, log: Path, offset: Path) -> None:
    """`memoryd run`, in a process of its own that ends with the one that started it."""
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    with log.open("ab") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.geteuid() == 0:
        _obey_permissions(libc)
    _see_clock(offset)
    from memoryd.cli.app import main

    sys.argv = ["memoryd", "run"]
    sys.exit(main())


def _obey_permissions(libc: ctypes.CDLL) -> None:
    """Root ignores the permissions of files by two capabilities; they are laid down, here and for children."""
    dropped = 1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        libc.prctl(PR_CAPBSET_DROP, capability)
    header = (ctypes.c_uint32 * 2)(CAPABILITIES_VERSION, 0)
    # Two times effective, permitted, inheritable: for the low and the high 32 capabilities.
    sets = (ctypes.c_uint32 * 6)()
    libc.capget(header, sets)
    for place in range(3):
        sets[place] &= ~dropped
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "the capabilities could not be laid down")


def _see_clock(offset: Path) -> None:
    """Memoryd's wall clock plus what the file says; the steady clock stays, as it does on a real machine."""
    from datetime import datetime, timedelta

    from memoryd.clock import SystemClock

    def moved(_: SystemClock) -> datetime:
        seconds = float(offset.read_text(encoding="ascii")) if offset.exists() else 0.0
        return (datetime.now().astimezone() + timedelta(seconds=seconds)).astimezone()

    setattr(SystemClock, "now", moved)  # noqa: B010  (a method is replaced on purpose)


def _ended(pid: int) -> bool:
    """Whether a process is gone, or dead and not yet buried."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"
