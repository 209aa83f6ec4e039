"""A damaged ledger: what can be read from it goes into a new one, and it stays beside that, under another name.

damaged ─ SQLite where its trees hold, pages one by one where they don't ─▶ ledger.sqlite3.new ─▶ ledger.sqlite3
   └──────────────▶ ledger.damaged-20260315T210400.sqlite3 (until an erasure)

Vectors come first, so that nothing is embedded twice; then identities, replays, erasures, settings and counters.
Files, turns, passages and words are not carried over: the files are read again.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memoryd.disk import sync_folder
from memoryd.errors import StoreError
from memoryd.ledger.audit import CHECK_WORDS, MEND_WORDS, sound
from memoryd.ledger.database import BROKEN_IDENTITY, TABLES, Database
from memoryd.ledger.erasures import ErasureState
from memoryd.ledger.pages import Value, rows
from memoryd.ledger.trouble import in_words, store_error
from memoryd.ledger.vectors import EMBEDDED_TEXTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

log = logging.getLogger(__name__)

# Made again from the files; every other table is carried over.
FROM_FILES = frozenset(
    {"files", "conversations", "turns", "passages", "lexical", "outbox", "gists", "day_digests"}
)
# How many columns a table had before its last one came to it, which holds JSON.
OLD_COLUMNS = {"identities": 6}
BATCH = 500
DIGEST_BYTES = 32

Values = tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvaged:
    """What became of a damaged ledger.

    Attributes:
        kept: where the damaged file is now.
        carried: table → rows that were carried over.
    """

    kept: Path
    carried: dict[str, int]

    def __str__(self) -> str:
        parts = ", ".join(
            f"{self.carried.get(table, 0)} {table}" for table in ("vectors", "identities", "replays")
        )
        return f"{parts} were carried over into a new one, the files are read again, and it is kept as {self.kept}"


def salvage(file: Path, when: datetime) -> Salvaged:
    """Makes a new ledger from a damaged one. A kill in the middle loses nothing: the next start begins again.

    Nobody may have it open.

    Raises:
        StoreError: there is no room for a new one, or it can't be written.
    """
    fresh = _fresh(file)
    for leftover in _with_log(fresh):
        leftover.unlink(missing_ok=True)
    try:
        made = Database(fresh)
        try:
            carried = _carry_over(file, made)
        finally:
            made.close()
        kept = _set_aside(file, fresh, when)
    except sqlite3.Error as error:
        raise store_error(fresh, error, "can't be written") from error
    except OSError as error:
        raise StoreError(
            f"The damaged ledger {file} can't be recovered: {error.strerror}. Free room or mend the permissions of "
            "its folder; memoryd tries again by itself."
        ) from error
    return Salvaged(kept=kept, carried=carried)


def finish(file: Path) -> None:
    """Ends what a kill cut short between the two renames: the new ledger is whole, the damaged one is aside."""
    fresh = _fresh(file)
    if fresh.exists() and not file.exists():
        kept = max(file.parent.glob(f"{file.stem}.damaged-*{file.suffix}"), default=None)
        for each in _with_log(file)[1:]:
            # SQLite would take the damaged ledger's log for the new one's.
            if kept and each.exists():
                each.replace(kept.with_name(kept.name + each.name.removeprefix(file.name)))
        fresh.rename(file)


def remove_copies(file: Path) -> tuple[str, ...]:
    """Removes every damaged ledger that was kept, and a new one that a kill left half made; returns their names.

    No recovery may be under way.

    Raises:
        StoreError: one can't be removed.
    """
    kept = file.parent.glob(f"{file.stem}.damaged-*{file.suffix}*")
    copies = sorted([*kept, *(each for each in _with_log(_fresh(file)) if each.exists())])
    try:
        for copy in copies:
            copy.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"{error.filename} can't be removed: {error.strerror}. It may hold what is being erased: mend the "
            "permissions of its folder, then erase again."
        ) from error
    return tuple(copy.name for copy in copies)


def is_whole(file: Path) -> bool:
    """Whether nothing is wrong in a ledger that nobody has open: `PRAGMA quick_check` reads all of it, and so do we.

    SQLite looks into no text: a page that was torn within one is found by reading it. An index of words that does not
    agree with its rows is made again from them.
    """
    if not file.exists() or not file.stat().st_size:
        return False
    try:
        with closing(sqlite3.connect(file)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            found = [verdict for (verdict,) in connection.execute("PRAGMA quick_check(1)")]
            if not tables.issuperset(TABLES) or found != ["ok"]:
                return False
            for table in TABLES:
                for _ in connection.execute(f"SELECT * FROM {table}"):
                    pass
            if connection.execute(BROKEN_IDENTITY).fetchone():
                return False
            _mend_words(connection)
            return True
    except sqlite3.DatabaseError:
        return False


def _mend_words(connection: sqlite3.Connection) -> None:
    try:
        connection.execute(CHECK_WORDS)
    except sqlite3.DatabaseError:
        connection.execute(MEND_WORDS)
        connection.execute(CHECK_WORDS)
    connection.commit()


def _carry_over(file: Path, made: Database) -> dict[str, int]:
    tables = ("vectors", *(table for table in TABLES if table not in FROM_FILES | {"vectors"}))
    carried = dict.fromkeys(tables, 0)
    torn = []
    if not file.exists():
        return carried
    for table in tables:
        try:
            _insert(made, table, _through_sqlite(file, table), carried)
        except sqlite3.DatabaseError as error:
            log.warning("%s of the damaged ledger are taken from its pages: %s", table, in_words(error))
            torn.append(table)
    if torn:
        _insert_by_shape(file, made, torn, carried)
    _drop_what_is_being_erased(made, carried)
    with made.write() as connection:
        # What was embedded is at least what is here.
        connection.execute(
            """INSERT INTO counters SELECT ?, count(*) FROM vectors WHERE true
               ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)""",
            (EMBEDDED_TEXTS,),
        )
    return carried


def _drop_what_is_being_erased(made: Database, carried: dict[str, int]) -> None:
    """Where an erasure is not done, any vector and identity may be of what it erases; numbers are not used twice."""
    with made.write() as connection:
        if connection.execute("SELECT 1 FROM erasures WHERE state != ?", (ErasureState.DONE,)).fetchone():
            log.warning("an erasure is not done: no vectors and identities are carried over")
            for table in ("vectors", "identities"):
                connection.execute(f"DELETE FROM {table}")
                carried[table] = 0


def _through_sqlite(file: Path, table: str) -> Iterator[Values]:
    """A table's rows, until a torn page."""
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        # Lets a file be read that was cut off.
        connection.execute("PRAGMA writable_schema=ON")
        yield from connection.execute(f"SELECT * FROM {table}")


def _insert_by_shape(file: Path, made: Database, torn: list[str], carried: dict[str, int]) -> None:
    waiting: dict[str, list[Values]] = {table: [] for table in torn}
    for row in rows(file):
        for table in torn:
            shape = SHAPES.get(table)
            if shape and shape(_with_new_columns(table, row.values)):
                # The column that is the row's number is stored as NULL.
                values = row.values if row.values[0] is not None else (row.number, *row.values[1:])
                waiting[table].append(values)
                if len(waiting[table]) >= BATCH:
                    _insert(made, table, iter(waiting[table]), carried)
                    waiting[table] = []
    for table, left in waiting.items():
        _insert(made, table, iter(left), carried)


def _insert(made: Database, table: str, found: Iterator[Values], carried: dict[str, int]) -> None:
    """Puts rows in, a batch a commit, until they end or break off. Those that are there already stay."""
    done = False
    while not done:
        broke: sqlite3.DatabaseError | None = None
        batch: list[Values] = []
        try:
            while len(batch) < BATCH and (stored := next(found, None)) is not None:
                values = _with_new_columns(table, stored)
                if _is_sound(table, values):
                    batch.append(values)
            done = len(batch) < BATCH
        except sqlite3.DatabaseError as error:
            broke = error
        if batch:
            marks = ", ".join("?" * len(batch[0]))
            with made.write() as connection:
                before = connection.total_changes
                connection.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", batch)
                carried[table] += connection.total_changes - before
        if broke:
            raise broke


def _with_new_columns(table: str, values: Values) -> Values:
    """A row as the table has it now; one that was written before a column came to it lacks it."""
    missing = OLD_COLUMNS.get(table) == len(values)
    return (*values, "{}") if missing else values


def _is_sound(table: str, values: Values) -> bool:
    """Whether a row that SQLite could read is not torn in its middle, where that can be told."""
    if table == "vectors":
        return _is_vector(values)
    return table != "identities" or (_is_json(values[4]) and _is_json(values[6]))


def _is_json(value: Value) -> bool:
    try:
        json.loads(str(value))
    except ValueError:
        return False
    return True


def _is_vector(values: Values) -> bool:
    """(embedder, key, float32 blob of unit length): a torn page's rest would be found near things at random."""
    if len(values) != 3:
        return False
    embedder, key, vector = values
    if not (isinstance(embedder, str) and isinstance(key, bytes) and isinstance(vector, bytes)):
        return False
    if len(key) != DIGEST_BYTES or not vector or len(vector) % 4:
        return False
    return sound([vector], len(vector) // 4)[0]


def _is_setting(values: Values) -> bool:
    return len(values) == 2 and all(isinstance(value, str) for value in values)


def _is_counter(values: Values) -> bool:
    return len(values) == 2 and values[0] == EMBEDDED_TEXTS and isinstance(values[1], int)


def _is_identity(values: Values) -> bool:
    return _are(values, (type(None), str, str, int, str, str, str))


def _is_replay(values: Values) -> bool:
    number, integer, text = (int, float), (int, type(None)), (str, type(None))
    return _are(values, (type(None), str, str, str, number, int, int, int, integer, text, text))


def _is_erasure(values: Values) -> bool:
    text, integer = (str, type(None)), (int, type(None))
    kinds = (type(None), str, text, str, str, str, text, int, int, integer)
    return _are(values, kinds) and values[1] in set(ErasureState)


def _are(values: Values, kinds: Sequence[type | tuple[type, ...]]) -> bool:
    pairs = zip(values, kinds, strict=False)
    return len(values) == len(kinds) and all(isinstance(value, kind) for value, kind in pairs)


# What a row looks like, where only its page is left to say whose it is.
SHAPES: dict[str, Callable[[Values], bool]] = {
    "vectors": _is_vector,
    "settings": _is_setting,
    "counters": _is_counter,
    "identities": _is_identity,
    "replays": _is_replay,
    "erasures": _is_erasure,
}


def _fresh(file: Path) -> Path:
    return file.with_name(f"{file.name}.new")


def _with_log(file: Path) -> list[Path]:
    return [file, *(file.with_name(f"{file.name}{end}") for end in ("-wal", "-shm", "-in-use"))]


def _set_aside(file: Path, fresh: Path, when: datetime) -> Path:
    """Moves the damaged ledger and its log aside, then the new one into its place, each for good."""
    stem, number = f"{file.stem}.damaged-{when:%Y%m%dT%H%M%S}", 1
    kept = file.with_name(f"{stem}{file.suffix}")
    while kept.exists():
        number += 1
        kept = file.with_name(f"{stem}-{number}{file.suffix}")
    for old, new in zip(_with_log(file)[:3], _with_log(kept)[:3], strict=True):
        with suppress(FileNotFoundError):
            old.rename(new)
    sync_folder(file.parent)
    fresh.rename(file)
    sync_folder(file.parent)
    return kept
