"""What a machine does to files besides killing processes; each way is one round, played on the daemon of the kills.

down: kill ─▶ damage ─▶ start ─▶ compared          live: trouble ─▶ the driver goes on ─▶ trouble ends ─▶ compared
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from bench.daemon import DaemonError
from bench.faults.rounds import POLL_S, Score
from bench.faults.truth import LEDGER
from memoryd_client import ClientError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bench.faults.rounds import Rounds

SMALL_DISK = "192m"
DAY_S = 86_400.0
FARTHEST_DAYS = 400
PAGE_BYTES = 4096
TOLD_LIMIT_S = 15.0


class Damage:
    """Plays one round of each way in turn and keeps a score of each.

    Args:
        disk: a small file system that holds the whole scratch folder, or None where none could be mounted.
    """

    def __init__(self, rounds: Rounds, chance: random.Random, *, disk: Path | None) -> None:
        self._rounds = rounds
        self._victim = rounds.victim
        self._chance = chance
        self._disk = disk
        self._ways: dict[str, Callable[[], None]] = {
            "hnsw_truncated": self._truncate,
            "hnsw_overwritten": self._overwrite,
            "chroma_deleted": self._delete_chroma,
            "ledger_wal_deleted": self._delete_log,
            "ledger_page_torn": self._tear_page,
            "permissions_removed": self._forbid,
            "clock_jumps": self._jump,
        }
        if disk:
            self._ways["no_space"] = self._fill_disk
        self.scores = {name: Score() for name in self._ways}
        self.played = dict.fromkeys(self._ways, 0)

    def play(self, number: int) -> None:
        """The round of that number."""
        name = list(self._ways)[number % len(self._ways)]
        self._rounds.score = self.scores[name]
        self.played[name] += 1
        self._ways[name]()

    def fields(self) -> dict[str, object]:
        """For the JSON line."""
        ways = {name: {"rounds": self.played[name]} | score.fields() for name, score in self.scores.items()}
        return (
            {"damage": ways}
            if self._disk
            else {"damage": ways, "not_played": "no_space (needs root to mount)"}
        )

    # Down

    def _truncate(self) -> None:
        self._kill_both()
        for file in self._vector_files():
            os.truncate(file, self._chance.randrange(file.stat().st_size))
        self._rounds.recover("hnsw_truncated")

    def _overwrite(self) -> None:
        self._kill_both()
        for file in self._vector_files():
            self._scribble(file, self._chance.randint(1, 4096))
        self._rounds.recover("hnsw_overwritten")

    def _delete_chroma(self) -> None:
        running = self._chance.random() < 0.5
        if running:
            self._rounds.act_and(lambda: shutil.rmtree(self._victim.state / "chroma", ignore_errors=True))
            # Chroma goes on with the files that it has open; its end brings the loss to light.
            self._rounds.score.kills += self._victim.kill_chroma()
        else:
            self._kill_both()
            shutil.rmtree(self._victim.state / "chroma")
        self._rounds.recover(f"chroma_deleted ({'running' if running else 'down'})")

    def _delete_log(self) -> None:
        self._kill_both()
        (self._victim.state / f"{LEDGER}-wal").unlink(missing_ok=True)
        if self._chance.random() < 0.5:
            (self._victim.state / f"{LEDGER}-shm").unlink(missing_ok=True)
        self._rounds.recover("ledger_wal_deleted")

    def _tear_page(self) -> None:
        self._kill_both()
        ledger = self._victim.state / LEDGER
        page = self._chance.randrange(ledger.stat().st_size // PAGE_BYTES)
        with ledger.open("r+b") as file:
            file.seek(page * PAGE_BYTES)
            file.write(self._chance.randbytes(PAGE_BYTES))
        self._rounds.recover(f"ledger_page_torn (page {page + 1})")

    # Live

    def _fill_disk(self) -> None:
        assert self._disk
        ballast = self._disk / "ballast"
        with ballast.open("wb", buffering=0) as out:
            for size in (2**20, 2**12, 2**8):
                with suppress(OSError):
                    while out.write(bytes(size)) == size:
                        pass
        restarted = self._chance.random() < 0.5
        try:
            self._go_on(restarted=restarted)
            self._expect_told("no_space")
        finally:
            ballast.unlink()
        self._rounds.recover(f"no_space ({'restarted on it' if restarted else 'running'})")

    def _forbid(self) -> None:
        what = self._chance.choice(("file", "chroma", "state"))
        if what == "file":
            files = self._rounds.driver.files()
            with _without_permissions(self._chance.sample(files, min(3, len(files)))):
                self._go_on(restarted=self._chance.random() < 0.5)
        else:
            self._kill_both()
            folder = self._victim.state / "chroma" if what == "chroma" else self._victim.state
            with _without_permissions([folder]):
                self._victim.start()
                if what == "chroma":
                    with suppress(DaemonError):
                        self._victim.wait_ready()
                        self._go_on(restarted=False)
                        self._expect_told("permissions_removed (chroma)")
                else:
                    self._expect_refusal()
        self._rounds.recover(f"permissions_removed ({what})")

    def _jump(self) -> None:
        days = self._chance.uniform(-FARTHEST_DAYS, FARTHEST_DAYS)
        self._victim.move_clock(days * DAY_S)
        for file in self._chance.sample(self._rounds.driver.files(), 3):
            moment = file.stat().st_mtime + days * DAY_S
            os.utime(file, (moment, moment))
        self._kill_both()
        whole = self._rounds.recover(f"clock_jumps ({days:+.0f} days)")
        self._victim.move_clock(0.0)
        if whole:
            self._go_on(restarted=False)
            self._rounds.recover("clock_jumps (and back)")

    def _kill_both(self) -> None:
        self._rounds.act_and(lambda: self._rounds.strike("both"))

    def _go_on(self, *, restarted: bool) -> None:
        """The driver acts in the trouble, and the daemon may have to start in it."""
        self._rounds.act_and(lambda: None)
        if restarted and self._victim.alive:
            self._rounds.strike("daemon")
            self._victim.start()
            with suppress(DaemonError):
                self._victim.wait_healthy()

    def _expect_told(self, what: str) -> None:
        """Either nothing is held up, or `/ready` names a part and the reason; one that ended has said why."""
        deadline = time.monotonic() + TOLD_LIMIT_S
        while self._victim.alive and time.monotonic() < deadline:
            told = self._told()
            if told or self._rounds.in_step():
                sys.stderr.write(f"  {what}: {'; '.join(told) or 'nothing was held up'}\n")
                return
            self._rounds.pause(POLL_S)
        last = self._victim.log_tail().splitlines()[-1]
        sys.stderr.write(f"  {what}: {'nothing is said' if self._victim.alive else f'it ended: {last}'}\n")
        self._rounds.score.untold += self._victim.alive

    def _told(self) -> list[str]:
        try:
            with self._victim.client(timeout=20.0) as client:
                parts = client.ready().parts
        except (ClientError, OSError):
            return []
        troubled = [part for part in parts if part.state in {"failed", "degraded"} and part.detail]
        return [f"{part.name} {part.state}: {part.detail}" for part in troubled]

    def _expect_refusal(self) -> None:
        """A state folder that can't be written is refused with a sentence, not a traceback."""
        try:
            self._victim.wait_ready()
        except DaemonError as error:
            last = self._victim.log_tail().splitlines()[-1]
            sys.stderr.write(f"  permissions_removed (state): {str(error).splitlines()[0]} {last}\n")
            self._rounds.score.untold += "Mend its permissions" not in last

    def _vector_files(self) -> list[Path]:
        """A few of Chroma's index files, drawn by chance."""
        files = sorted(self._victim.state.glob("chroma/g*/*/*.bin"))
        files = [file for file in files if file.stat().st_size]
        return self._chance.sample(files, min(self._chance.randint(1, 3), len(files)))

    def _scribble(self, file: Path, count: int) -> None:
        with file.open("r+b") as out:
            out.seek(self._chance.randrange(file.stat().st_size))
            out.write(self._chance.randbytes(count))


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A file system in memory of a fixed size, mounted on a folder; None where that isn't allowed."""
    folder.mkdir(exist_ok=True)
    command = ["/bin/mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "memoryd-faults", str(folder)]
    try:
        mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        mounted = False
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["/bin/umount", "--lazy", str(folder)], check=True)


@contextmanager
def _without_permissions(paths: list[Path]) -> Iterator[None]:
    modes = {path: path.stat().st_mode & 0o7777 for path in paths}
    try:
        for path in paths:
            path.chmod(0)
        yield
    finally:
        for path, mode in modes.items():
            with suppress(FileNotFoundError):
                path.chmod(mode)
