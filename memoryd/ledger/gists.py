"""Gists: what each file leaves for the replay, kept until the file's turns change."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from memoryd.ledger.files import TURN_COLUMNS, turn_row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from memoryd.ledger.database import Database
    from memoryd.ledger.rows import TurnRow

CHUNK = 500


class FileToRead(NamedTuple):
    """A file without a gist.

    Attributes:
        last: the row number of its last conversation: another one once the file was read anew.
    """

    id: int
    path: str
    last: int


class GistRow(NamedTuple):
    """What statements are weighed by, of one file: see `memoryd.gist.Stored`."""

    path: str
    owner: str
    turns: int
    digest: str
    numbers: bytes
    words: bytes


class GistStore:
    """Gists by file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def missing(self, owners: Sequence[str], method: int) -> list[FileToRead]:
        """The files of these owners that have turns and no gist made by this method, by path."""
        marks = ", ".join("?" * len(owners))
        with self._database.read() as connection:
            rows = connection.execute(
                f"""SELECT f.id, f.path, (SELECT max(c.id) FROM conversations c WHERE c.file = f.id) AS last
                    FROM files f LEFT JOIN gists g ON g.file = f.id AND g.method = ?
                    WHERE g.file IS NULL AND last IS NOT NULL AND f.owner IN ({marks}) ORDER BY f.path""",
                [method, *owners],
            )
            return [FileToRead(*row) for row in rows]

    @contextmanager
    def turns(self, file: FileToRead) -> Iterator[Iterator[TurnRow]]:
        """The turns of a file, conversation by conversation, each in its order, a few at a time."""
        with self._database.read() as connection:
            rows = connection.execute(
                f"""SELECT {TURN_COLUMNS} FROM conversations c JOIN turns t ON t.conversation = c.id
                    WHERE c.file = ? ORDER BY c.conversation_id, t.idx""",
                (file.id,),
            )
            yield map(turn_row, rows)

    def passage_of(self, file: FileToRead, turn: TurnRow) -> str:
        """The id of the passage that covers a turn; empty where there is none."""
        with self._database.read() as connection:
            row = connection.execute(
                """SELECT p.passage_id FROM conversations c JOIN passages p ON p.conversation = c.id
                   WHERE c.file = ? AND c.conversation_id = ? AND p.first <= ? AND p.last >= ?
                   ORDER BY p.first DESC, p.id LIMIT 1""",
                (file.id, turn.conversation_id, turn.index, turn.index),
            ).fetchone()
        return str(row["passage_id"]) if row else ""

    def save(self, method: int, gists: Sequence[tuple[FileToRead, Sequence[object]]]) -> None:
        """Keeps gists (`memoryd.gist.Stored`), in one commit, but for those of files that have changed meanwhile.

        A file that was read anew has other conversations; one that an erasure has cut has fewer turns.
        """
        with self._database.write() as connection:
            connection.executemany(
                """INSERT OR REPLACE INTO gists (file, method, turns, digest, numbers, words, body)
                   SELECT f.id, ?, ?, ?, ?, ?, ? FROM files f WHERE f.id = ? AND f.path = ?
                       AND (SELECT max(id) FROM conversations WHERE file = f.id) = ?
                       AND (SELECT count(*) FROM turns t JOIN conversations c ON t.conversation = c.id
                            WHERE c.file = f.id) = ?""",
                [(method, *stored, file.id, file.path, file.last, stored[0]) for file, stored in gists],
            )

    def all(self, owners: Sequence[str], method: int) -> Iterator[list[GistRow]]:
        """Every gist of these owners by path, some at a time, without what the statements say."""
        after, marks = "", ", ".join("?" * len(owners))
        while True:
            with self._database.read() as connection:
                rows = connection.execute(
                    f"""SELECT f.path, f.owner, g.turns, g.digest, g.numbers, g.words
                        FROM files f JOIN gists g ON g.file = f.id
                        WHERE g.method = ? AND f.owner IN ({marks}) AND f.path > ? ORDER BY f.path LIMIT {CHUNK}""",
                    [method, *owners, after],
                ).fetchall()
            if rows:
                yield [GistRow(*row) for row in rows]
            if len(rows) < CHUNK:
                return
            after = rows[-1]["path"]

    def bodies(self, paths: Sequence[str]) -> dict[str, str]:
        """Path → what the statements of these files say, JSON; a file that is gone by now is left out."""
        found: dict[str, str] = {}
        with self._database.read() as connection:
            for at in range(0, len(paths), CHUNK):
                part = paths[at : at + CHUNK]
                marks = ", ".join("?" * len(part))
                rows = connection.execute(
                    f"SELECT f.path, g.body FROM files f JOIN gists g ON g.file = f.id WHERE f.path IN ({marks})",
                    part,
                )
                found |= {row["path"]: row["body"] for row in rows}
        return found
