"""SQLite under the ledger: one writer, a few readers, and migrations that record themselves.

`journal_mode=WAL` lets readers go on while the writer writes; `synchronous=FULL` makes a commit outlive a power cut.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
import threading
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from memoryd.disk import same_one
from memoryd.errors import LedgerDamagedError, StoreError
from memoryd.ledger.trouble import PRIMARY, REFUSED, in_words, store_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

# Each waits for readers as long as a connection waits for anything.
COMPACT_TRIES = 4
# Free room that a migration may need, as a part of the file's size: what it writes anew, and the log of that.
MIGRATION_ROOM = 2
MIB = 2**20
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
    """
    CREATE INDEX passages_in_order ON passages (conversation, first, id);
    DROP INDEX passages_by_conversation;
    CREATE INDEX files_by_owner ON files (owner);
    """,
    # Rows of 1.5 kB in the inner pages of a tree WITHOUT ROWID made each vector a dozen pages deep.
    """
    CREATE TABLE by_number (
        embedder TEXT NOT NULL,
        key BLOB NOT NULL,
        vector BLOB NOT NULL,
        PRIMARY KEY (embedder, key)
    );
    INSERT INTO by_number SELECT * FROM vectors;
    DROP TABLE vectors;
    ALTER TABLE by_number RENAME TO vectors;
    """,
    """
    CREATE TABLE gists (
        file INTEGER PRIMARY KEY REFERENCES files ON DELETE CASCADE,
        method INTEGER NOT NULL,
        turns INTEGER NOT NULL,
        digest TEXT NOT NULL,
        numbers BLOB NOT NULL,
        words BLOB NOT NULL,
        body TEXT NOT NULL
    );
    ALTER TABLE identities ADD COLUMN made_of TEXT NOT NULL DEFAULT '{}';
    """,
    """
    CREATE TABLE day_digests (
        day TEXT PRIMARY KEY,
        key TEXT NOT NULL,
        text TEXT NOT NULL,
        model TEXT NOT NULL,
        turns INTEGER NOT NULL,
        read INTEGER NOT NULL
    );
    """,
)


# Tables by what their rows are ordered by, where that is no row number.
WITHOUT_ROWID = {"settings": "name", "counters": "name"}
# Zeros where a page was torn within a text are characters to SQLite.
BROKEN_IDENTITY = "SELECT 1 FROM identities WHERE NOT (json_valid(made_of) AND json_valid(missing)) LIMIT 1"
TABLES = (
    *WITHOUT_ROWID,
    "vectors",
    "files",
    "conversations",
    "turns",
    "passages",
    "lexical",
    "outbox",
    "gists",
    "day_digests",
    "identities",
    "replays",
    "erasures",
)
BROKEN = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})


class Database:
    """Connections to one SQLite file.

    Attributes:
        trouble: what the disk refuses now, with the remedy; empty once it takes writes again.
        damaged: set when the file is found torn, or its log taken away; `damage` says how.
        unclean: whether the process before this one ended without closing it.

    Raises:
        LedgerDamagedError: the file is torn, or no ledger.
        StoreError: the file can't be opened, or was made by a newer memoryd.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.Lock()
        self._gate = threading.Condition()
        self._readers: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        self._reading = 0
        self._closed = False
        self._shut = ""
        self._in_use = file.with_name(f"{file.name}-in-use")
        self.trouble = ""
        self.damage = ""
        self.damaged = threading.Event()
        self.unclean = False
        self.open()

    def open(self) -> None:
        """Opens the file (making it where there is none) and looks it over.

        Raises:
            LedgerDamagedError: the file is torn, or no ledger.
            StoreError: the file can't be opened, or was made by a newer memoryd.
        """
        log_file = self.file.with_name(f"{self.file.name}-wal")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.unclean = self._in_use.exists() or log_file.exists()
            if self.file.exists() and not self.file.stat().st_size:
                # SQLite would take it for a new one, and delete the log beside it.
                raise LedgerDamagedError(f"The ledger {self.file} is damaged: it is empty.")
            self._writer = self._connect()
            try:
                self._writer.execute("PRAGMA journal_mode=WAL")
                self._migrate()
                # SQLite opens a file that it may only read without a word; a write, of nothing, tells.
                self._writer.execute("DELETE FROM settings WHERE name = ''")
                look_over(self._writer)
            except BaseException:
                # A migration cut short holds the file's lock until its connection ends.
                self._writer.close()
                raise
        except sqlite3.Error as error:
            raise store_error(self.file, error, "can't be opened") from error
        except OSError as error:
            raise StoreError(
                f"The ledger {self.file} can't be opened: {error}. Mend the permissions of its folder."
            ) from error
        with suppress(OSError):
            self._in_use.touch()
        self._seen = self._identities()
        with self._gate:
            self.damage = self._shut = ""
            self.damaged.clear()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction, all of it or nothing.

        Raises:
            LedgerDamagedError: the file is torn.
            StoreError: the disk refused it.
        """
        with self._lock:
            self._check()
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException as error:
                if self._writer.in_transaction:
                    # SQLite has rolled it back itself where the disk is full; what is torn can't be rolled back.
                    with suppress(sqlite3.Error):
                        self._writer.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise self._failed(error, "refused a write") from error
                raise
            self.trouble = ""

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A reader's connection; it sees the last commit and never waits for the writer.

        Raises:
            LedgerDamagedError: the file is torn.
            StoreError: the disk, or the file on it, failed.
        """
        with self._gate:
            self._refuse_if_shut()
            self._reading += 1
        connection = None
        try:
            connection = self._reader()
            yield connection
        except sqlite3.Error as error:
            raise self._failed(error, "can't be read") from error
        finally:
            with self._gate:
                if connection is not None:
                    if self._closed or self._shut:
                        connection.close()
                    else:
                        self._readers.put(connection)
                self._reading -= 1
                self._gate.notify_all()

    def shut(self, why: str, timeout_s: float) -> bool:
        """Keeps everybody out until `open`, and closes every connection once the readers at work are through.

        A connection that outlived this would delete the log of the file that comes into this one's place.

        Returns:
            Whether all of them are closed; where a reader is still at work, it is to be tried again.
        """
        with self._gate:
            self._shut = self._shut or why
        # The last connection writes the log back into the file, even a log that was deleted meanwhile.
        with self._lock, suppress(sqlite3.Error):
            self._writer.close()
        with self._gate:
            while not self._readers.empty():
                self._readers.get_nowait().close()
            return self._gate.wait_for(lambda: not self._reading, timeout_s)

    def found_damaged(self, how: str) -> None:
        """Notes damage; whoever waits for `damaged` sees to it."""
        if not self.damaged.is_set():
            self.damage = " ".join(how.split())
            log.error("the ledger %s is damaged: %s", self.file, self.damage)
            self.damaged.set()

    def compact(self) -> None:
        """Writes the whole file anew and empties the log: no page keeps what was deleted.

        Raises:
            StoreError: no room for a second copy, or readers that don't end within `COMPACT_TRIES` half minutes.
        """
        with self._lock:
            self._check()
            try:
                self._writer.execute("VACUUM")
                for _ in range(COMPACT_TRIES):
                    (busy, _, _) = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                    if not busy:
                        return
            except sqlite3.Error as error:
                raise self._failed(error, "can't be written anew, which takes twice its size") from error
        raise StoreError(
            f"The ledger {self.file} is being read without end, so that its log can't be emptied."
        )

    def close(self) -> None:
        """Writes the log back into the file and closes every connection."""
        with self._lock:
            with self._gate:
                self._closed = True
                while not self._readers.empty():
                    self._readers.get_nowait().close()
            # On a full disk the log stays beside the file, and the next start reads it.
            with suppress(sqlite3.Error):
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._writer.close()
        if not self.damaged.is_set():
            with suppress(OSError):
                self._in_use.unlink(missing_ok=True)

    def _reader(self) -> sqlite3.Connection:
        try:
            return self._readers.get_nowait()
        except Empty:
            pass
        self._check()
        return self._connect()

    def _check(self) -> None:
        """A log or a file that was taken away under us: what is written now would be lost without a word."""
        with self._gate:
            self._refuse_if_shut()
        folder, *files = self._identities()
        if folder != self._seen[0]:
            raise self._unreachable()
        names = [self.file.name, f"{self.file.name}-wal", f"{self.file.name}-shm"]
        gone = [name for name, now, then in zip(names, files, self._seen[1:], strict=True) if now != then]
        if gone:
            self.found_damaged(f"{' and '.join(gone)} was deleted or replaced while it was in use")
            raise LedgerDamagedError(
                f"The ledger {self.file} is damaged: {self.damage}. It is recovered without your help."
            )

    def _unreachable(self) -> StoreError:
        self.trouble = (
            f"The ledger {self.file} can't be read: its folder is gone, or another one stands in its place. "
            "Mount or move it back, or restart memoryd."
        )
        return StoreError(self.trouble)

    def _refuse_if_shut(self) -> None:
        if self._shut:
            raise LedgerDamagedError(f"{self._shut} Try again in a moment.")

    def _identities(self) -> list[tuple[int, int] | None]:
        """Of the folder, the file, its log and the log's index."""
        name = self.file.name
        files = (self.file.with_name(each) for each in (name, f"{name}-wal", f"{name}-shm"))
        return [same_one(self.file.parent), *(same_one(file) for file in files)]

    def _failed(self, error: sqlite3.Error, what: str) -> StoreError:
        ours = store_error(self.file, error, what)
        if isinstance(ours, LedgerDamagedError):
            self.found_damaged(in_words(error))
        elif getattr(error, "sqlite_errorcode", 0) & PRIMARY in REFUSED | BROKEN:
            self.trouble = str(ours)
        return ours

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.file, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
        except BaseException:
            # Left to the garbage collector it would hold its locks, and the file, for who knows how long.
            connection.close()
            raise
        return connection

    def _migrate(self) -> None:
        """Each migration and its number are one transaction."""
        (done,) = self._writer.execute("PRAGMA user_version").fetchone()
        if done > len(MIGRATIONS):
            raise StoreError(
                f"The ledger {self.file} was made by a newer memoryd. Install that version or newer."
            )
        if (
            not done
            and self._writer.execute("SELECT 1 FROM sqlite_master WHERE name = 'settings'").fetchone()
        ):
            raise LedgerDamagedError(f"The ledger {self.file} is damaged: its header has lost its version.")
        if 0 < done < len(MIGRATIONS):
            self._prepare_migration()
        for number, script in enumerate(MIGRATIONS[done:], start=done + 1):
            try:
                self._writer.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")
            except sqlite3.IntegrityError as error:
                # What was stored under a condition breaks it now.
                raise LedgerDamagedError(f"The ledger {self.file} is damaged: {error}.") from error
            log.info("ledger: migration %d applied", number)

    def _prepare_migration(self) -> None:
        """A migration copies what the trees of the older ledger reach: they must be whole, and there must be room.

        Raises:
            LedgerDamagedError: they aren't.
            StoreError: there is not.
        """
        size, free = self.file.stat().st_size, shutil.disk_usage(self.file.parent).free
        if free < size * MIGRATION_ROOM:
            raise StoreError(
                f"The ledger {self.file} is of an older memoryd and must be rewritten once, which takes "
                f"{size * MIGRATION_ROOM // MIB + 1:,} MiB of room; {free // MIB:,} MiB are free. Free some; memoryd "
                "tries again by itself."
            )
        log.info("ledger: it is of an older memoryd and is rewritten, once; a large one takes minutes")
        (verdict,) = self._writer.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise LedgerDamagedError(f"The ledger {self.file} is damaged: {verdict}.")


def look_over(connection: sqlite3.Connection) -> None:
    """The check of every start: the first and the last row of each table can be read, and a write may begin.

    It takes a millisecond, and 20 microseconds for each identity, and finds a torn header, a cut-off end, a missing
    table and an identity's record that is no JSON; `PRAGMA quick_check` finds the rest, in the background.

    Raises:
        sqlite3.Error: they can't.
        LedgerDamagedError: a table is missing, or an identity's text is torn in its middle.
    """
    tables = {
        row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    missing = [table for table in TABLES if table not in tables]
    if missing:
        raise LedgerDamagedError(f"The ledger is damaged: it has no table {', '.join(missing)}.")
    for table in TABLES:
        order = WITHOUT_ROWID.get(table, "rowid")
        for direction in ("", " DESC"):
            connection.execute(f"SELECT * FROM {table} ORDER BY {order}{direction} LIMIT 1").fetchone()
    connection.execute("SELECT rowid FROM lexical WHERE lexical MATCH 'x' LIMIT 1").fetchone()
    if connection.execute(BROKEN_IDENTITY).fetchone():
        raise LedgerDamagedError("The ledger is damaged: what an identity was made of is no JSON.")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")
