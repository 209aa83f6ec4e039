"""Digests of days that a model wrote, one a day, each with the key of what it was written from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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

    def turns(self, owners: Sequence[str], now: float, most: int) -> list[DayTurn]:
        """The newest turns of theirs that people or the being said on days that are over, oldest first.

        Args:
            now: seconds since 1970. A day is over where it was said, by the turn's own zone.
        """
        marks = ", ".join("?" * len(owners))
        with self._database.read() as connection:
            # From the newest on: a long life is not gone through.
            rows = connection.execute(
                f"""SELECT t.time, t.speaker, t.text, f.path, c.conversation_id, coalesce(
                        (SELECT p.passage_id FROM passages p WHERE p.conversation = c.id
                         AND p.first <= t.idx AND p.last >= t.idx ORDER BY p.first DESC, p.id LIMIT 1), '')
                    FROM turns t INDEXED BY turns_by_time
                    CROSS JOIN conversations c ON c.id = t.conversation CROSS JOIN files f ON f.id = c.file
                    WHERE t.epoch < ? AND f.owner IN ({marks}) AND t.role IN ('user', 'assistant')
                        AND substr(t.time, 1, 10) <
                            date(? + strftime('%s', substr(t.time, 1, 19)) - t.epoch, 'unixepoch')
                    ORDER BY t.epoch DESC, f.path DESC, c.conversation_id DESC, t.idx DESC LIMIT ?""",
                [now, *owners, now, most],
            ).fetchall()
        return [DayTurn(*row) for row in reversed(rows)]

    def of_days(self, days: Sequence[str]) -> dict[str, DigestRow]:
        """Day → its digest, for those that have one."""
        marks = ", ".join("?" * len(days))
        with self._database.read() as connection:
            rows = connection.execute(f"SELECT * FROM day_digests WHERE day IN ({marks})", list(days))
            return {row["day"]: DigestRow(*row) for row in rows}

    def save(self, row: DigestRow) -> None:
        """Keeps a digest in place of the day's last one."""
        with self._database.write() as connection:
            connection.execute("INSERT OR REPLACE INTO day_digests VALUES (?, ?, ?, ?, ?, ?)", row)

    def keep(self, keys: Mapping[str, str]) -> None:
        """Drops the digests that are of other days than these, or of what was said before.

        Args:
            keys: day → key.
        """
        with self._database.read() as connection:
            known = connection.execute("SELECT day, key FROM day_digests").fetchall()
        gone = [(row["day"],) for row in known if keys.get(row["day"]) != row["key"]]
        if gone:
            with self._database.write() as connection:
                connection.executemany("DELETE FROM day_digests WHERE day = ?", gone)
