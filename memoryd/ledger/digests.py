"""Digests of days that a model wrote, one a day, each with the key of what it was written from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memoryd.ledger.database import Database


class DigestRow(NamedTuple):
    """A day's digest.

    Attributes:
        day: as in 2026-03-15.
        key: SHA-256 of what was said that day and of how it was put to the model, hexadecimal.
        model: who wrote it.
        turns: that were said.
        read: of them, how many the model read.
    """

    day: str
    key: str
    text: str
    model: str
    turns: int
    read: int


class DayTurn(NamedTuple):
    """A turn of a day; `passage` is the last one that covers it, empty where there is none yet."""

    time: str
    speaker: str
    text: str
    path: str
    conversation_id: str
    passage: str


class DigestStore:
    """Digests by day, and the turns that they are written from."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def turns(self, owners: Sequence[str], most: int) -> list[DayTurn]:
        """The newest turns of theirs that people or the being said, oldest first."""
        marks = ", ".join("?" * len(owners))
        with self._database.read() as connection:
            rows = connection.execute(
                f"""SELECT t.time, t.speaker, t.text, f.path, c.conversation_id, coalesce(
                        (SELECT p.passage_id FROM passages p WHERE p.conversation = c.id
                         AND p.first <= t.idx AND p.last >= t.idx ORDER BY p.first DESC, p.id LIMIT 1), '')
                    FROM turns t JOIN conversations c ON c.id = t.conversation JOIN files f ON f.id = c.file
                    WHERE f.owner IN ({marks}) AND t.role IN ('user', 'assistant')
                    ORDER BY t.epoch DESC, f.path DESC, c.conversation_id DESC, t.idx DESC LIMIT ?""",
                [*owners, most],
            ).fetchall()
        return [DayTurn(*row) for row in reversed(rows)]

    def of_days(self, days: Sequence[str]) -> dict[str, DigestRow]:
        """Day → its digest, for those that have one."""
        marks = ", ".join("?" * len(days))
        with self._database.read() as connection:
            rows = connection.execute(f"SELECT * FROM day_digests WHERE day IN ({marks})", list(days))
            return {row["day"]: DigestRow(*row) for row in rows}

    def save(self, row: DigestRow, days: Sequence[str]) -> None:
        """Keeps a digest in place of the day's last one.

        Args:
            days: those that digests are told of now; what is of any other day goes.
        """
        marks = ", ".join("?" * len(days))
        with self._database.write() as connection:
            connection.execute("INSERT OR REPLACE INTO day_digests VALUES (?, ?, ?, ?, ?, ?)", row)
            connection.execute(f"DELETE FROM day_digests WHERE day NOT IN ({marks})", list(days))
