"""The ledger's one door: a composition of small stores over one database."""

from __future__ import annotations

import logging
import secrets
import sqlite3
from contextlib import suppress
from enum import Enum, auto
from typing import TYPE_CHECKING

from memoryd.clock import SystemClock
from memoryd.errors import LedgerDamagedError, StoreError
from memoryd.ledger.audit import Audit
from memoryd.ledger.database import Database
from memoryd.ledger.digests import DigestStore
from memoryd.ledger.erasures import ErasureStore
from memoryd.ledger.files import FileStore
from memoryd.ledger.gists import GistStore
from memoryd.ledger.identities import IdentityStore
from memoryd.ledger.outbox import Outbox
from memoryd.ledger.rebuild import begin_rebuild
from memoryd.ledger.salvage import finish, is_whole, remove_copies, salvage
from memoryd.ledger.search import PassageSearch
from memoryd.ledger.trouble import in_words
from memoryd.ledger.vectors import VectorStore

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from memoryd.clock import Clock

log = logging.getLogger(__name__)

INSTANCE = "instance"
PROBED = "probed"
# SQLite's steps between two questions whether to stop.
PROGRESS_STEPS = 100_000


class Recovery(Enum):
    """What became of a damaged ledger.

    Attributes:
        BUSY: somebody still reads it; it is to be tried again.
        WHOLE: nothing was wrong with the file itself.
        ANEW: a new one was made, and the files must be read into it.
    """

    BUSY = auto()
    WHOLE = auto()
    ANEW = auto()


class Ledger:
    """Opens (or makes) the ledger in a state folder.

    Attributes:
        recovered: what was wrong with the ledger and what became of it, in one sentence; empty where nothing was.

    Raises:
        StoreError: it can't be opened.
    """

    def __init__(self, state: Path, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self.recovered = ""
        self._anew = False
        file = state / "ledger.sqlite3"
        finish(file)
        try:
            self._database = Database(file)
        except LedgerDamagedError as error:
            self._salvage(file, in_words(error.__cause__ or error))
            self._database = Database(file)
        self.files = FileStore(self._database)
        self.vectors = VectorStore(self._database)
        self.outbox = Outbox(self._database)
        self.search = PassageSearch(self._database)
        self.gists = GistStore(self._database)
        self.digests = DigestStore(self._database)
        self.identities = IdentityStore(self._database)
        self.audit = Audit(self._database)
        self.erasures = ErasureStore(self._database)

    def setting(self, name: str) -> str | None:
        """A remembered value, or None."""
        with self._database.read() as connection:
            row = connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return row and str(row["value"])

    def remember(self, name: str, value: str) -> None:
        """Keeps a value under a name."""
        with self._database.write() as connection:
            connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))

    def instance(self) -> str:
        """Names this ledger among others: eight hexadecimal digits, made once."""
        known = self.setting(INSTANCE)
        if not known:
            known = secrets.token_hex(4)
            self.remember(INSTANCE, known)
        return known

    def begin_rebuild(self, embedder: str, dimension: int, *, embed: bool) -> None:
        """Has every file read again, and embedded again where `embed` asks for it; see `rebuild`."""
        begin_rebuild(self._database, embedder, dimension, embed=embed)

    @property
    def unclean(self) -> bool:
        """Whether the process before this one ended without closing it."""
        return self._database.unclean

    @property
    def trouble(self) -> str:
        """What the disk refuses now, with the remedy; empty where it takes everything."""
        return self._database.trouble

    @property
    def damage(self) -> str:
        """What is wrong with the file, until `recover` has seen to it; empty where nothing is."""
        return self._database.damage

    @property
    def damaged(self) -> threading.Event:
        """Set while there is damage."""
        return self._database.damaged

    def probe(self) -> None:
        """Writes a little, to see whether the disk takes it again.

        Raises:
            StoreError: it does not.
        """
        self.remember(PROBED, self._clock.now().isoformat())

    def check(self, stopped: Callable[[], bool]) -> None:
        """Reads all of the file for damage (`PRAGMA quick_check`), beside everything else that goes on.

        Args:
            stopped: asked now and then; ends the check early.
        """
        with suppress(StoreError), self._database.read() as connection:
            connection.set_progress_handler(stopped, PROGRESS_STEPS)
            try:
                found = [verdict for (verdict,) in connection.execute("PRAGMA quick_check(3)")]
            except sqlite3.OperationalError:
                if not stopped():
                    raise
                return
            finally:
                connection.set_progress_handler(None, 0)
            if found != ["ok"]:
                self._database.found_damaged("; ".join(found))

    def recover(self, timeout_s: float) -> Recovery:
        """Sees to damage while the daemon runs: everybody is kept out meanwhile, and then goes on.

        A file that is whole after all (its log was deleted under it, a disk hiccupped) is only opened again.

        Args:
            timeout_s: how long to wait for readers that are at work.

        Raises:
            StoreError: there is no room for a new ledger; it is to be tried again.
        """
        how, file = self.damage, self._database.file
        busy = f"The ledger is damaged ({how}) and is being recovered."
        if not self._database.shut(busy, timeout_s):
            return Recovery.BUSY
        finish(file)
        if not is_whole(file):
            self._salvage(file, how)
            self._anew = True
        elif not self._anew:
            self.recovered = f"The ledger was in trouble ({how}); nothing in it was lost."
            log.warning("%s", self.recovered)
        # Where this fails, the next try finds a new ledger whole, and it is a new one all the same.
        self._database.open()
        anew, self._anew = self._anew, False
        return Recovery.ANEW if anew else Recovery.WHOLE

    def remove_copies(self) -> tuple[str, ...]:
        """Removes what damage has left beside the ledger, which an erasure does not reach; returns the files' names.

        Raises:
            StoreError: one can't be removed, or the ledger is damaged now.
        """
        with self._database.write():  # so that no recovery begins meanwhile
            return remove_copies(self._database.file)

    def close(self) -> None:
        """Closes it; every commit is on disk already."""
        self._database.close()

    def _salvage(self, file: Path, how: str) -> None:
        log.info("the ledger %s is damaged (%s) and is being recovered", file, how)
        self.recovered = f"The ledger was damaged ({how}): {salvage(file, self._clock.now())}."
        log.warning("%s", self.recovered)
