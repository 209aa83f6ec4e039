"""The ledger's one door: a composition of small stores over one database."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from memoryd.ledger.database import Database
from memoryd.ledger.erasures import ErasureStore
from memoryd.ledger.files import FileStore
from memoryd.ledger.identities import IdentityStore
from memoryd.ledger.outbox import Outbox
from memoryd.ledger.search import PassageSearch
from memoryd.ledger.vectors import VectorStore

if TYPE_CHECKING:
    from pathlib import Path


INSTANCE = "instance"


class Ledger:
    """Opens (or makes) the ledger in a state folder.

    Raises:
        StoreError: it can't be opened.
    """

    def __init__(self, state: Path) -> None:
        self._database = Database(state / "ledger.sqlite3")
        self.files = FileStore(self._database)
        self.vectors = VectorStore(self._database)
        self.outbox = Outbox(self._database)
        self.search = PassageSearch(self._database)
        self.identities = IdentityStore(self._database)
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

    def close(self) -> None:
        """Closes it; every commit is on disk already."""
        self._database.close()
