"""SQLite under the ledger: one writer, a few readers, and migrations that record themselves.

`journal_mode=WAL` lets readers go on while the writer writes; `synchronous=FULL` makes a commit outlive a power cut.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from memoryd.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

# Each waits for readers as long as a connection waits for anything.
COMPACT_TRIES = 4
MIGRATIONS = (
    """
    CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE files (
        id INTEGER PRIMARY KEY,
        path TEXT NOT NULL UNIQUE,
        size INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        state TEXT NOT NULL,
        format TEXT,
        reason TEXT,
        line INTEGER,
        owner TEXT NOT NULL,
        day TEXT NOT NULL
    );
    CREATE TABLE conversations (
        id INTEGER PRIMARY KEY,
        file INTEGER NOT NULL REFERENCES files ON DELETE CASCADE,
        conversation_id TEXT NOT NULL,
        title TEXT NOT NULL
    );
    CREATE INDEX conversations_by_file ON conversations (file);
    CREATE INDEX conversations_by_id ON conversations (conversation_id);
    CREATE TABLE turns (
        conversation INTEGER NOT NULL REFERENCES conversations ON DELETE CASCADE,
        idx INTEGER NOT NULL,
        turn_id TEXT NOT NULL,
        role TEXT NOT NULL,
        speaker TEXT NOT NULL,
        time TEXT NOT NULL,
        epoch REAL NOT NULL,
        text TEXT NOT NULL,
        citations TEXT,
        PRIMARY KEY (conversation, idx)
    );
    CREATE INDEX turns_by_time ON turns (epoch);
    CREATE TABLE passages (
        id INTEGER PRIMARY KEY,
        passage_id TEXT NOT NULL UNIQUE,
        file INTEGER NOT NULL REFERENCES files ON DELETE CASCADE,
        conversation INTEGER NOT NULL REFERENCES conversations,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        kind TEXT NOT NULL,
        owner TEXT NOT NULL,
        time TEXT NOT NULL,
        text TEXT NOT NULL,
        vector_key BLOB NOT NULL,
        citations TEXT
    );
    CREATE INDEX passages_by_file ON passages (file);
    CREATE INDEX passages_by_conversation ON passages (conversation);
    CREATE TABLE vectors (
        embedder TEXT NOT NULL,
        key BLOB NOT NULL,
        vector BLOB NOT NULL,
        PRIMARY KEY (embedder, key)
    ) WITHOUT ROWID;
    CREATE VIRTUAL TABLE lexical USING fts5 (morphemes, bigrams, tokenize = 'porter unicode61');
    CREATE TABLE outbox (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        passage_id TEXT NOT NULL,
        owner TEXT NOT NULL
    );
    CREATE TABLE identities (
        version INTEGER PRIMARY KEY AUTOINCREMENT,
        digest TEXT NOT NULL,
        created_at TEXT NOT NULL,
        tokens INTEGER NOT NULL,
        missing TEXT NOT NULL,
        text TEXT NOT NULL
    );
    CREATE TABLE replays (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        state TEXT NOT NULL,
        trigger TEXT NOT NULL,
        started_at TEXT NOT NULL,
        seconds REAL NOT NULL,
        turns INTEGER NOT NULL,
        kept INTEGER NOT NULL,
        changed INTEGER NOT NULL,
        identity_version INTEGER,
        digest TEXT,
        error TEXT
    );
    """,
    "ALTER TABLE files ADD COLUMN ctime_ns INTEGER NOT NULL DEFAULT 0;",
    """
    CREATE TABLE erasures (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        state TEXT NOT NULL,
        conversation_id TEXT,
        digest TEXT NOT NULL,
        by TEXT NOT NULL,
        begun_at TEXT NOT NULL,
        done_at TEXT,
        turns INTEGER NOT NULL,
        fragments INTEGER NOT NULL DEFAULT 0,
        found INTEGER
    );
    """,
)


class Database:
    """Connections to one SQLite file.

    Raises:
        StoreError: the file can't be opened, is no ledger, or was made by a newer memoryd.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._readers: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        self._closed = False
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._writer = self._connect()
            try:
                self._writer.execute("PRAGMA journal_mode=WAL")
                self._migrate()
            except BaseException:
                # A migration cut short holds the file's lock until its connection ends.
                self._writer.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"The ledger {file} can't be opened: {error}. Free or mend the disk; if the file is damaged, move "
                "it away and start again: memoryd makes it anew from memory/."
            ) from error

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction, all of it or nothing.

        Raises:
            StoreError: the disk refused it.
        """
        with self._lock:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException as error:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise StoreError(f"The ledger {self._file} refused a write: {error}.") from error
                raise

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A reader's connection; it sees the last commit and never waits for the writer.

        Raises:
            StoreError: the disk, or the file on it, failed.
        """
        connection = self._reader()
        try:
            yield connection
        except sqlite3.Error as error:
            raise self._unreadable(error) from error
        finally:
            if self._closed:
                connection.close()
            else:
                self._readers.put(connection)

    def compact(self) -> None:
        """Writes the whole file anew and empties the log: no page keeps what was deleted.

        Raises:
            StoreError: no room for a second copy, or readers that don't end within `COMPACT_TRIES` half minutes.
        """
        with self._lock:
            try:
                self._writer.execute("VACUUM")
                for _ in range(COMPACT_TRIES):
                    (busy, _, _) = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                    if not busy:
                        return
            except sqlite3.Error as error:
                raise StoreError(
                    f"The ledger {self._file} can't be written anew: {error}. Free twice its size on the disk."
                ) from error
        raise StoreError(
            f"The ledger {self._file} is being read without end, so that its log can't be emptied."
        )

    def close(self) -> None:
        """Writes the log back into the file and closes every connection."""
        with self._lock:
            self._closed = True
            while not self._readers.empty():
                self._readers.get_nowait().close()
            # On a full disk the log stays beside the file, and the next start reads it.
            with suppress(sqlite3.Error):
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._writer.close()

    def _reader(self) -> sqlite3.Connection:
        try:
            return self._readers.get_nowait()
        except Empty:
            pass
        try:
            return self._connect()
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: sqlite3.Error) -> StoreError:
        return StoreError(f"The ledger {self._file} can't be read: {error}.")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, timeout=30, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        return connection

    def _migrate(self) -> None:
        """Each migration and its number are one transaction."""
        (done,) = self._writer.execute("PRAGMA user_version").fetchone()
        if done > len(MIGRATIONS):
            raise StoreError(
                f"The ledger {self._file} was made by a newer memoryd. Install that version or newer."
            )
        for number, script in enumerate(MIGRATIONS[done:], start=done + 1):
            self._writer.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")
            log.info("ledger: migration %d applied", number)
