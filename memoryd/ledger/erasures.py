"""Erasures: what they take out of the ledger, and who did them when; of what was said nothing is kept.

begun (the id is known, so that a kill in between can be made good) ─▶ cut (every row is gone, the id too) ─▶ done
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from memoryd.ledger.files import TURN_COLUMNS, scrub_identities, turn_row, whose_files
from memoryd.ledger.vectors import EMBEDDED_TEXTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from memoryd.ledger.database import Database
    from memoryd.ledger.rows import TurnRow

# Row numbers of conversations, as a JSON list: however many there are, they are one value.
ROWS = "(SELECT value FROM json_each(?))"
PASSAGES_OF = f"FROM passages p WHERE p.conversation IN {ROWS}"
# The lexical index's own tokenizer, for a table that lives in memory for a moment.
WORDS = "CREATE VIRTUAL TABLE words USING fts5 (morphemes, bigrams, tokenize = 'porter unicode61')"
VOCABULARY = "CREATE VIRTUAL TABLE IF NOT EXISTS temp.vocabulary USING fts5vocab (main, {table}, row)"


class ErasureState(StrEnum):
    """How far an erasure is."""

    BEGUN = "begun"
    CUT = "cut"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureRow:
    """One erasure.

    Attributes:
        conversation_id: only while it is begun; an id may be a file's name, which says something too.
        digest: SHA-256 of the id, hexadecimal: who knows the id can see that it was erased.
        by: the user.
        found: fragments of its text that were found afterwards; None where none could be sought any more.
    """

    id: int
    state: ErasureState
    conversation_id: str | None
    digest: str
    by: str
    begun_at: datetime
    done_at: datetime | None
    turns: int
    fragments: int
    found: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """How much an erasure took out of the ledger."""

    turns: int
    passages: int
    vectors: int
    identities: int


class ErasureStore:
    """Takes a conversation out of every table.

    Where `owners` are named, only what lies in their files is meant: two people may have a conversation of one id.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, conversation_id: str, *, by: str, at: datetime, turns: int) -> ErasureRow:
        """Records that an erasure begins: from here on it is finished, at the next start if need be."""
        with self._database.write() as connection:
            row = connection.execute(
                """INSERT INTO erasures (state, conversation_id, digest, by, begun_at, turns)
                   VALUES (?, ?, ?, ?, ?, ?) RETURNING *""",
                (ErasureState.BEGUN, conversation_id, digest_of(conversation_id), by, at.isoformat(), turns),
            ).fetchone()
            return _row(row)

    def all(self) -> list[ErasureRow]:
        """Every erasure, oldest first."""
        with self._database.read() as connection:
            return [_row(row) for row in connection.execute("SELECT * FROM erasures ORDER BY id")]

    def unfinished(self) -> list[ErasureRow]:
        """Those that are not done."""
        return [row for row in self.all() if row.state is not ErasureState.DONE]

    def turns_beside(
        self, conversation_id: str, owners: Sequence[str] | None = None
    ) -> list[tuple[str, TurnRow]]:
        """(path, turn) of the other conversations in the files that hold this one."""
        with self._database.read() as connection:
            chosen = _chosen(connection, conversation_id, owners)
            rows = connection.execute(
                f"""SELECT f.path, {TURN_COLUMNS} FROM turns t
                    JOIN conversations c ON t.conversation = c.id JOIN files f ON c.file = f.id
                    WHERE c.id NOT IN {ROWS} AND f.id IN (SELECT file FROM conversations WHERE id IN {ROWS})""",
                (chosen, chosen),
            ).fetchall()
        return [(row["path"], turn_row(row)) for row in rows]

    def texts_beside(
        self, conversation_id: str, owners: Sequence[str] | None = None
    ) -> Iterator[tuple[str, str]]:
        """(conversation id, text) of all that the other conversations hold: turns, titles, words, file names."""
        with self._database.read() as connection:
            chosen = _chosen(connection, conversation_id, owners)
            for query in (
                """SELECT c.conversation_id, t.text FROM turns t JOIN conversations c ON t.conversation = c.id""",
                """SELECT c.conversation_id, l.morphemes || char(10) || l.bigrams
                   FROM lexical l JOIN passages p ON p.id = l.rowid JOIN conversations c ON p.conversation = c.id""",
                """SELECT c.conversation_id, c.title || char(10) || c.conversation_id || char(10) || f.path
                   FROM conversations c JOIN files f ON c.file = f.id""",
            ):
                for row in connection.execute(f"{query} WHERE c.id NOT IN {ROWS}", (chosen,)):
                    yield row[0], row[1]

    def vectors_of(self, conversation_id: str, owners: Sequence[str] | None = None) -> list[bytes]:
        """The conversation's vectors that no other conversation uses, as they are stored."""
        with self._database.read() as connection:
            chosen = _chosen(connection, conversation_id, owners)
            rows = connection.execute(
                f"""SELECT v.vector FROM vectors v
                    WHERE v.key IN (SELECT p.vector_key {PASSAGES_OF}) AND v.key NOT IN
                        (SELECT p.vector_key FROM passages p WHERE p.conversation NOT IN {ROWS})""",
                (chosen, chosen),
            ).fetchall()
        return [row["vector"] for row in rows]

    def rare_words(self, conversation_id: str, owners: Sequence[str] | None = None) -> list[str]:
        """The words of the lexical index that only this conversation has, as the index keeps them."""
        with self._database.read() as connection:
            rows = connection.execute(
                f"SELECT morphemes, bigrams FROM lexical WHERE rowid IN (SELECT p.id {PASSAGES_OF})",
                (_chosen(connection, conversation_id, owners),),
            ).fetchall()
            connection.execute(VOCABULARY.format(table="lexical"))
            return [word for word, count in _vocabulary(rows) if _passages_with(connection, word) <= count]

    def words_left(self, words: Sequence[str]) -> int:
        """How many of these words the lexical index still has."""
        with self._database.read() as connection:
            connection.execute(VOCABULARY.format(table="lexical"))
            return sum(_passages_with(connection, word) > 0 for word in words)

    def cut(
        self,
        erasure: ErasureRow,
        *,
        targets: Mapping[str, str],
        removed: Sequence[str],
        scrubbed: Callable[[str], str],
        owners: Sequence[str] | None = None,
    ) -> Taken:
        """Takes out every row of the conversation, in one commit with the erasure's own id.

        Args:
            targets: path → path of the files that keep something; they are read again.
            removed: paths of files that are gone.
            scrubbed: an identity's text without what it quotes of the conversation.
        """
        with self._database.write() as connection:
            connection.execute("PRAGMA secure_delete=ON")
            chosen = _chosen(connection, erasure.conversation_id, owners)
            (turns,) = connection.execute(
                f"SELECT count(*) FROM turns WHERE conversation IN {ROWS}", (chosen,)
            ).fetchone()
            passages = connection.execute(f"SELECT p.id {PASSAGES_OF}", (chosen,)).fetchall()
            rowids = [(row["id"],) for row in passages]
            connection.executemany("DELETE FROM lexical WHERE rowid = ?", rowids)
            connection.executemany("DELETE FROM passages WHERE id = ?", rowids)
            connection.execute(
                f"DELETE FROM gists WHERE file IN (SELECT file FROM conversations WHERE id IN {ROWS})",
                (chosen,),
            )
            if owners is None:
                # A model may have retold it, on whatever day; they are written again. None retells a member's own.
                connection.execute("DELETE FROM day_digests")
            connection.execute(f"DELETE FROM conversations WHERE id IN {ROWS}", (chosen,))
            for path in removed:
                _remove_file(connection, path)
            for path, target in targets.items():
                _move_file(connection, path, target)
            vectors = _drop_unused_vectors(connection)
            # A member's own is in no identity, and another's conversation may have the same id.
            by_id = erasure.conversation_id if owners is None else None
            identities = scrub_identities(connection, scrubbed, by_id)
            connection.execute(
                "UPDATE erasures SET state = ?, conversation_id = NULL, turns = max(turns, ?) WHERE id = ?",
                (ErasureState.CUT, turns, erasure.id),
            )
        return Taken(turns=turns, passages=len(passages), vectors=vectors, identities=identities)

    def finish(self, erasure: int, *, at: datetime, fragments: int, found: int | None) -> None:
        """Records that it is done, and what the search for its text came to."""
        with self._database.write() as connection:
            connection.execute(
                "UPDATE erasures SET state = ?, done_at = ?, fragments = ?, found = ? WHERE id = ?",
                (ErasureState.DONE, at.isoformat(), fragments, found, erasure),
            )

    def compact(self) -> None:
        """Writes the whole ledger anew, so that no freed page or word of the index keeps what was deleted.

        Raises:
            StoreError: no room for a second copy, or somebody reads for minutes on end.
        """
        with self._database.write() as connection:
            connection.execute("INSERT INTO lexical (lexical) VALUES ('rebuild')")
        self._database.compact()


def _chosen(connection: sqlite3.Connection, conversation_id: str | None, owners: Sequence[str] | None) -> str:
    """The row numbers of a conversation in these owners' files (None: in everybody's), as `ROWS` takes them."""
    whose, values = whose_files(owners)
    rows = connection.execute(
        f"""SELECT c.id FROM conversations c JOIN files f ON c.file = f.id
            WHERE c.conversation_id = ? AND {whose}""",
        (conversation_id, *values),
    )
    return json.dumps([row["id"] for row in rows])


def digest_of(conversation_id: str) -> str:
    """What is kept of a conversation's id."""
    return hashlib.sha256(conversation_id.encode(errors="surrogatepass")).hexdigest()


def _vocabulary(rows: Sequence[sqlite3.Row]) -> list[tuple[str, int]]:
    """(word, in how many rows) as the lexical index would keep them."""
    with closing(sqlite3.connect(":memory:")) as memory:
        memory.execute(WORDS)
        memory.executemany("INSERT INTO words VALUES (?, ?)", [tuple(row) for row in rows])
        memory.execute(VOCABULARY.format(table="words"))
        return memory.execute("SELECT term, doc FROM temp.vocabulary").fetchall()


def _passages_with(connection: sqlite3.Connection, word: str) -> int:
    row = connection.execute("SELECT doc FROM temp.vocabulary WHERE term = ?", (word,)).fetchone()
    return int(row["doc"]) if row else 0


def _remove_file(connection: sqlite3.Connection, path: str) -> None:
    """Takes out a file that is gone, with whatever else the ledger still had of it."""
    of_file = "(SELECT p.id FROM passages p JOIN files f ON p.file = f.id WHERE f.path = ?)"
    connection.execute(f"DELETE FROM lexical WHERE rowid IN {of_file}", (path,))
    connection.execute(f"DELETE FROM passages WHERE id IN {of_file}", (path,))
    connection.execute("DELETE FROM files WHERE path = ?", (path,))


def _move_file(connection: sqlite3.Connection, path: str, target: str) -> None:
    """Has a file read again, under its new name; the passages that stay keep their vectors."""
    if target != path:
        _remove_file(connection, target)
    connection.execute(
        "UPDATE files SET path = ?, size = -1, mtime_ns = 0, reason = NULL, line = NULL WHERE path = ?",
        (target, path),
    )


def _drop_unused_vectors(connection: sqlite3.Connection) -> int:
    """Vectors of no passage go too: they may be of what the conversation said before it was edited."""
    gone = connection.execute(
        "DELETE FROM vectors WHERE key NOT IN (SELECT vector_key FROM passages)"
    ).rowcount
    connection.execute("UPDATE counters SET value = value - ? WHERE name = ?", (gone, EMBEDDED_TEXTS))
    return gone


def _row(row: sqlite3.Row) -> ErasureRow:
    return ErasureRow(
        id=row["id"],
        state=ErasureState(row["state"]),
        conversation_id=row["conversation_id"],
        digest=row["digest"],
        by=row["by"],
        begun_at=datetime.fromisoformat(row["begun_at"]),
        done_at=datetime.fromisoformat(row["done_at"]) if row["done_at"] else None,
        turns=row["turns"],
        fragments=row["fragments"],
        found=row["found"],
    )
