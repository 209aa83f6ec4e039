"""What the ledger holds, as `memoryd verify` compares it: read as it stands, nothing taken for granted."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memoryd.ledger.files import TURN_COLUMNS, turn_row
from memoryd.ledger.rows import FileState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from memoryd.ledger.database import Database
    from memoryd.ledger.rows import TurnRow

CHECK_WORDS = "INSERT INTO lexical (lexical, rank) VALUES ('integrity-check', 0)"
MEND_WORDS = "INSERT INTO lexical (lexical) VALUES ('rebuild')"
CHUNK = 2000
# How far a unit vector's length may be from 1; a torn one's is nowhere near.
UNIT = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPassage:
    """A passage and its row in the lexical index; `words` is (morphemes, bigrams), or None where there is none."""

    id: str
    text: str
    vector_key: bytes
    words: tuple[str, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """All that the ledger has of a file, by conversation."""

    state: FileState
    turns: dict[str, tuple[TurnRow, ...]]
    passages: dict[str, tuple[StoredPassage, ...]]


class Audit:
    """Reads for comparison; each answer is of one moment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def file(self, path: str) -> StoredFile | None:
        """A file as it stands, or None."""
        with self._moment() as connection:
            row = connection.execute("SELECT id, state FROM files WHERE path = ?", (path,)).fetchone()
            if row is None:
                return None
            turns: dict[str, list[TurnRow]] = {}
            for turn in connection.execute(
                f"""SELECT {TURN_COLUMNS} FROM turns t JOIN conversations c ON t.conversation = c.id
                    WHERE c.file = ? ORDER BY c.id, t.idx""",
                (row["id"],),
            ):
                turns.setdefault(turn["conversation_id"], []).append(turn_row(turn))
            passages: dict[str, list[StoredPassage]] = {}
            for each in connection.execute(
                """SELECT p.*, c.conversation_id, l.rowid AS word_row, l.morphemes, l.bigrams FROM passages p
                   JOIN conversations c ON p.conversation = c.id LEFT JOIN lexical l ON l.rowid = p.id
                   WHERE p.file = ? ORDER BY p.id""",
                (row["id"],),
            ):
                passages.setdefault(each["conversation_id"], []).append(_passage(each))
        return StoredFile(
            state=FileState(row["state"]),
            turns={name: tuple(each) for name, each in turns.items()},
            passages={name: tuple(each) for name, each in passages.items()},
        )

    def stray_words(self) -> int:
        """How many rows of the lexical index belong to no passage."""
        with self._database.read() as connection:
            (count,) = connection.execute(
                "SELECT count(*) FROM lexical WHERE rowid NOT IN (SELECT id FROM passages)"
            ).fetchone()
            return int(count)

    def words_fault(self) -> str:
        """What FTS5's own check of its index against its rows says; empty where it finds nothing.

        Nobody writes meanwhile: it takes about as long as reading the index.
        """
        with self._database.write() as connection:
            try:
                connection.execute(CHECK_WORDS)
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_CORRUPT_VTAB:
                    raise
                return str(error)
        return ""

    def vectors(self, embedder: str) -> Iterator[list[tuple[str, str, bytes | None]]]:
        """(path, passage id, vector or None) of every passage, some thousands at a time."""
        with self._database.read() as connection:
            rows = connection.execute(
                """SELECT f.path, p.passage_id, v.vector FROM passages p JOIN files f ON p.file = f.id
                   LEFT JOIN vectors v ON v.key = p.vector_key AND v.embedder = ? ORDER BY p.id""",
                (embedder,),
            )
            while part := rows.fetchmany(CHUNK):
                yield [(row["path"], row["passage_id"], row["vector"]) for row in part]

    def embedded(self, embedder: str) -> dict[str, set[str]]:
        """Owner → ids of the passages that have a vector of this embedder: what Chroma should hold."""
        found: dict[str, set[str]] = {}
        with self._database.read() as connection:
            for row in connection.execute(
                """SELECT p.owner, p.passage_id FROM passages p
                   JOIN vectors v ON v.key = p.vector_key AND v.embedder = ?""",
                (embedder,),
            ):
                found.setdefault(row["owner"], set()).add(row["passage_id"])
        return found

    def vectors_of(self, embedder: str, ids: Sequence[str]) -> dict[str, bytes]:
        """Passage id → vector, of those of these that have one."""
        found = {}
        with self._database.read() as connection:
            for passage_id in ids:
                row = connection.execute(
                    """SELECT v.vector FROM passages p JOIN vectors v ON v.key = p.vector_key AND v.embedder = ?
                       WHERE p.passage_id = ?""",
                    (embedder, passage_id),
                ).fetchone()
                if row is not None:
                    found[passage_id] = row["vector"]
        return found

    def waiting(self) -> set[str]:
        """Ids of the passages that wait for Chroma."""
        with self._database.read() as connection:
            return {row["passage_id"] for row in connection.execute("SELECT passage_id FROM outbox")}

    @contextmanager
    def _moment(self) -> Iterator[sqlite3.Connection]:
        """A reader to whom nothing changes until it is through."""
        with self._database.read() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                # What is torn can't be rolled back either, and has been said.
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")


def sound(vectors: Sequence[bytes], dimension: int) -> list[bool]:
    """Of each stored vector, whether it has the right length in numbers and unit length in space."""
    import numpy as np

    right = [len(vector) == 4 * dimension for vector in vectors]
    matrix = np.frombuffer(b"".join(v for v, good in zip(vectors, right, strict=True) if good), "<f4")
    with np.errstate(all="ignore"):
        lengths = iter(np.linalg.norm(matrix.reshape(-1, dimension), axis=1))
        return [good and bool(abs(float(next(lengths)) - 1.0) < UNIT) for good in right]


def _passage(row: sqlite3.Row) -> StoredPassage:
    words = None if row["word_row"] is None else (row["morphemes"], row["bigrams"])
    return StoredPassage(id=row["passage_id"], text=row["text"], vector_key=row["vector_key"], words=words)
