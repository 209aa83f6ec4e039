"""Kills in the midst of replays: afterwards the old identity is in force or the new one, whole, and never a mixture.

What the new one must say is computed here, by a replay over a copy of the ledger that the killed daemon left.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.daemon import MODELS, DaemonError
from bench.faults.truth import LEDGER, LedgerView, signatures
from memoryd.boot_memory_loop import BootMemoryLoop
from memoryd.clock import SystemClock
from memoryd.config import Config, Embedding
from memoryd.day_moods import DayMoods
from memoryd.embedder import open_embedder
from memoryd.emotions import EmotionReader
from memoryd.ledger import Ledger
from memoryd_client import ClientError

if TYPE_CHECKING:
    import random

    from bench.faults.driver import Driver
    from bench.faults.victim import Victim

FIRST_FILES = 100
NEW_FILES = 10
# A kill falls within so many times the longest replay so far.
REACH = 1.5
LIMIT_S = 180.0
POLL_S = 0.05


class Version(NamedTuple):
    """An identity as the ledger holds it."""

    number: int
    digest: str
    text: str
    made_of: str


@dataclass(slots=True)
class ReplayScore:
    """What all kills came to.

    Attributes:
        old: the identity of before the replay was in force after the kill.
        new: the replay's own was.
        ended: of the latter, those where the replay was over when the kill fell.
        mixed: neither; or an earlier version changed, or a number is missing.
        unopenable: the daemon did not come back, or not with the identity that these memories make.
    """

    kills: int = 0
    old: int = 0
    new: int = 0
    ended: int = 0
    mixed: int = 0
    unopenable: int = 0
    longest_s: float = 0.0

    def bad(self) -> int:
        """How much is not as it should be."""
        return self.mixed + self.unopenable

    def fields(self) -> dict[str, object]:
        """For the JSON line."""
        return asdict(self) | {"longest_s": round(self.longest_s, 2)}


class ReplayKills:
    """Kills replays of one daemon and keeps the score.

    Args:
        embedder: the folder of the daemon's embedder.
    """

    def __init__(self, victim: Victim, driver: Driver, chance: random.Random, *, embedder: Path) -> None:
        self._embedder = embedder
        self.score = ReplayScore()
        self._victim = victim
        self._driver = driver
        self._chance = chance
        self._ledger = LedgerView(victim.state)

    def open(self) -> None:
        """The first start, until there is an identity, and a replay to learn how long one takes."""
        self._victim.start()
        self._victim.wait_ready()
        self._wait_read()
        with self._victim.client() as client:
            client.replay()
        self._wait_moods()
        # One that has as much to do as those that are killed.
        self._driver.fill(NEW_FILES)
        self._wait_read()
        self._replay()

    def kill(self) -> None:
        """Something new is said, a replay begins, and at a moment drawn by chance the daemon is killed."""
        self._driver.fill(NEW_FILES)
        self._wait_read()
        before = versions(self._victim.state / LEDGER)
        replay = threading.Thread(target=self._replay, daemon=True)
        replay.start()
        moment = self._chance.uniform(0.0, REACH * self.score.longest_s)
        threading.Event().wait(moment)
        self._victim.kill()
        self.score.kills += 1
        replay.join(LIMIT_S)
        if self._judge(before) == "old":
            # It takes longer than that now: on a busy machine, too, kills shall fall at its end and after it.
            self.score.longest_s = max(self.score.longest_s, moment)

    def _replay(self) -> None:
        begun = time.monotonic()
        with suppress(ClientError), self._victim.client() as client:
            client.replay()
            self.score.longest_s = max(self.score.longest_s, time.monotonic() - begun)

    def _judge(self, before: list[Version]) -> str:
        """Compares what the kill left with what it found and with what was being made; then starts again."""
        with tempfile.TemporaryDirectory(prefix="memoryd-killed-") as folder:
            copy = _copied(self._victim.state, Path(folder))
            left = versions(copy / LEDGER)
            ended = _last_trigger(copy / LEDGER) == "request"
            # One that was made before moods were learned is whole as it is, and made anew once they are.
            whole = json.loads(left[-1].made_of).get("whole")
            expected = self._expected(copy, left[-1])
            made = expected if whole else self._expected(copy, left[-1], moods=False)
        what = "old"
        if left[: len(before)] != before or [each.number for each in left] != list(range(1, len(left) + 1)):
            what = "mixed"
        elif len(left) > len(before):
            what = "new" if left[-1].text == made.text else "mixed"
            self.score.ended += ended and what == "new"
        setattr(self.score, what, getattr(self.score, what) + 1)
        sys.stderr.write(f"{what}: identity {left[-1].number}, {_sha(left[-1].text)[:12]}\n")
        try:
            self._victim.start()
            self._victim.wait_ready(poll=0.02)
            self._wait_for(expected)
        except (DaemonError, ClientError) as error:
            self.score.unopenable += 1
            sys.stderr.write(f"NOT RECOVERED: {error}\n")
            self._victim.stop()
            self.open()
        return what

    def _expected(self, folder: Path, latest: Version, *, moods: bool = True) -> Version:
        """The identity that these memories make, by a replay of our own over a copy of the ledger."""
        with closing(sqlite3.connect(folder / LEDGER)) as connection, connection:
            row = connection.execute("SELECT made_of ->> '$.settings' FROM identities").fetchone()
            settings = dict(connection.execute("SELECT key, value FROM json_each(?)", row).fetchall())
            connection.execute("DELETE FROM identities WHERE version < ?", (latest.number,))
            connection.execute("UPDATE identities SET digest = 'another'")
        ledger = Ledger(folder)
        try:
            loop = BootMemoryLoop(
                ledger=ledger,
                manifest=self._victim.memory.parent / "manifest",
                owners=("", settings["origin"]),
                origin=settings["origin"],
                being=settings["being"],
                budget=int(settings["budget"]),
                adopted=lambda _identity: None,
                clock=SystemClock(),
                embedder=lambda: settings["embedder"],
                moods=lambda: self._day_moods(ledger, settings) if moods else None,
            )
            loop.replay("bench")
            made = loop.identity()
        finally:
            ledger.close()
        assert made is not None
        return Version(made.version, made.digest, made.text, "")

    def _day_moods(self, ledger: Ledger, settings: dict[str, str]) -> DayMoods:
        return DayMoods(
            ledger=ledger, reader=self._reader, embedder=settings["embedder"], being=settings["being"]
        )

    @cached_property
    def _reader(self) -> EmotionReader:
        """What the daemon reads days with: what it has learned is on disk."""
        embedding = Embedding(model=str(self._embedder), device="cpu")
        return EmotionReader(open_embedder(Config(embedding=embedding)), kept_in=MODELS)

    def _wait_moods(self) -> None:
        """Until the daemon has learned to read how days felt, and its identity tells it."""
        deadline = time.monotonic() + LIMIT_S
        while not json.loads(versions(self._victim.state / LEDGER)[-1].made_of).get("whole"):
            if time.monotonic() > deadline:
                raise DaemonError(f"No moods are read after {LIMIT_S:g} s.\n{self._victim.log_tail()}")
            threading.Event().wait(POLL_S)

    def _wait_for(self, expected: Version) -> None:
        """Until the daemon's own replay at its start has brought what it must say into force."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            with suppress(ClientError), self._victim.client(timeout=20.0) as client:
                seen = client.identity()
                if (seen.digest, seen.text) == (expected.digest, expected.text):
                    return
            if time.monotonic() > deadline:
                raise DaemonError(f"Its identity is not what its memories make.\n{self._victim.log_tail()}")
            threading.Event().wait(POLL_S)

    def _wait_read(self) -> None:
        """Until the ledger knows every file as it is."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            with suppress(sqlite3.Error, OSError):
                if self._ledger.files() == signatures(self._victim.memory):
                    return
            if time.monotonic() > deadline:
                raise DaemonError(f"The files are not read after {LIMIT_S:g} s.\n{self._victim.log_tail()}")
            threading.Event().wait(POLL_S)


def versions(ledger: Path) -> list[Version]:
    """Every identity in a ledger, oldest first."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, timeout=10)) as connection:
        rows = connection.execute("SELECT version, digest, text, made_of FROM identities ORDER BY version")
        return [Version(*row) for row in rows]


def _last_trigger(ledger: Path) -> str:
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, timeout=10)) as connection:
        row = connection.execute("SELECT trigger FROM replays ORDER BY id DESC LIMIT 1").fetchone()
    return str(row[0]) if row else ""


def _copied(state: Path, folder: Path) -> Path:
    """The ledger as the killed daemon left it, with its log."""
    for name in (LEDGER, f"{LEDGER}-wal"):
        if (state / name).exists():
            shutil.copy(state / name, folder / name)
    return folder


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
