"""Keeps memoryd running in a pod, which has no init system: folders, defaults, restarts, signals.

    environment ──▶ prepare ──▶ spawn `memoryd run` ──▶ ended? ── 0, or asked to stop ──▶ exit
                                      ▲                   └── crashed ──▶ wait 1, 2, 4 … 60 s ──┐
                                      └─────────────────────────────────────────────────────────┘

Memories live on the volume, state on the container's own disk (network volumes lock and notify unreliably).
Variables from the pod's console win over every default here.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REPOSITORY = Path(__file__).resolve().parents[1]
DEFAULTS = {
    "MEMORYD_PATHS__MEMORY": "/workspace/memoryd/memory",
    "MEMORYD_PATHS__MANIFEST": "/workspace/memoryd/manifest",
    "MEMORYD_PATHS__STATE": "/var/lib/memoryd",
    "MEMORYD_PATHS__MODELS": str(REPOSITORY / "models"),
    # The pod's proxy comes from outside; every call still needs a token.
    "MEMORYD_SERVER__HOST": "0.0.0.0",  # noqa: S104  (meant, see above)
}
CONFIG_VARIABLE = "MEMORYD_CONFIG"
FIRST_DELAY = 1.0  # seconds
LONGEST_DELAY = 60.0
HEALTHY_SECONDS = 600.0  # a run this long starts the delays anew
FAILED = 1


class Child(Protocol):
    """A running daemon."""

    def wait(self) -> int:
        """Waits for its end and returns the exit code."""
        ...

    def send_signal(self, number: int) -> None:
        """Sends it a signal."""
        ...


class Launcher:
    """Starts the daemon, and starts it again when it crashes.

    Args:
        spawn: starts a daemon.
        clock: seconds that only go forward.
        pause: waits some seconds and returns early, with True, once `wake` was called.
        wake: ends a pause, now and from then on.
        log: takes one line an event.
    """

    def __init__(
        self,
        *,
        spawn: Callable[[], Child],
        clock: Callable[[], float],
        pause: Callable[[float], bool],
        wake: Callable[[], object],
        log: Callable[[str], None],
    ) -> None:
        self._spawn = spawn
        self._clock = clock
        self._pause = pause
        self._wake = wake
        self._log = log
        self._child: Child | None = None
        self._asked: int | None = None

    def run(self) -> int:
        """Runs until the daemon ends well or `stop` was called. Returns the exit code."""
        delay = FIRST_DELAY
        while True:
            started = self._clock()
            self._child = self._spawn()
            if self._asked is not None:  # the signal came before there was anyone to pass it on to
                self._child.send_signal(self._asked)
            code = self._child.wait()
            self._child = None
            ran = self._clock() - started
            self._log(f"memoryd ended with exit code {code} after {ran:.0f} s")
            if code == 0 or self._asked is not None:
                return max(code, 0)
            if ran >= HEALTHY_SECONDS:
                delay = FIRST_DELAY
            self._log(f"starting again in {delay:.0f} s")
            if self._pause(delay):
                return 0
            delay = min(delay * 2, LONGEST_DELAY)

    def stop(self, number: int) -> None:
        """Passes a signal on to the daemon; after its end none is started."""
        self._log(f"{signal.Signals(number).name}: stopping memoryd")
        self._asked = number
        self._wake()
        if self._child is not None:
            self._child.send_signal(number)


class Process:
    """`memoryd run` in a process group of its own, so that nothing it started outlives it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        command = [str(Path(sys.executable).with_name("memoryd")), "run"]
        if CONFIG_VARIABLE not in environment:
            command += ["--config", str(REPOSITORY / "config.toml")]
        self._process = subprocess.Popen(command, env=dict(environment), start_new_session=True)

    def wait(self) -> int:
        """Waits for its end, ends what it left behind, and returns the exit code."""
        code = self._process.wait()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        return code

    def send_signal(self, number: int) -> None:
        """Sends the daemon a signal; does nothing when it has ended."""
        self._process.send_signal(number)


def environment_with_defaults(given: Mapping[str, str]) -> dict[str, str]:
    """The daemon's environment: what the pod's console says, and the defaults for the rest."""
    return {**DEFAULTS, **given}


def prepare_folders(environment: Mapping[str, str], manifest_source: Path) -> list[str]:
    """Makes the folders and fills an empty manifest from the repository's. Returns a line for each deed.

    Raises:
        OSError: a folder can't be made or written.
    """
    done = []
    for name in ("MEMORY", "MANIFEST", "STATE"):
        folder = Path(environment[f"MEMORYD_PATHS__{name}"])
        if not folder.is_dir():
            folder.mkdir(parents=True)
            done.append(f"made {folder}")
    manifest = Path(environment["MEMORYD_PATHS__MANIFEST"])
    if not any(manifest.iterdir()):
        for file in sorted(manifest_source.glob("*.txt")):
            shutil.copyfile(file, manifest / file.name)
        done.append(f"copied the repository's manifest to {manifest}; edit it there")
    return done


def main() -> int:
    """Runs the launcher. Returns the exit code."""
    environment = environment_with_defaults(os.environ)
    try:
        for line in prepare_folders(environment, REPOSITORY / "manifest"):
            _log(line)
    except OSError as error:
        _log(f"{error}. Make that folder writable, or set the MEMORYD_PATHS__ variable to one that is.")
        return FAILED
    # A pipe, because a signal handler may not take a lock that the interrupted wait might hold.
    woken, waker = os.pipe()
    launcher = Launcher(
        spawn=lambda: _started(environment),
        clock=time.monotonic,
        pause=lambda seconds: bool(select.select([woken], [], [], seconds)[0]),
        wake=lambda: os.write(waker, b"!"),
        log=_log,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda caught, _frame: launcher.stop(caught))
    try:
        return launcher.run()
    except FileNotFoundError as error:
        _log(f"There is no {error.filename}. Run `make setup` in {REPOSITORY} first.")
        return FAILED


def _started(environment: Mapping[str, str]) -> Process:
    _log("starting memoryd")
    return Process(environment)


def _log(line: str) -> None:
    # Unbuffered: a signal handler may write in the middle of another line's print.
    os.write(sys.stdout.fileno(), f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} launcher: {line}\n".encode())


if __name__ == "__main__":
    raise SystemExit(main())
