"""The outbox: changes that are committed here and that Chroma has yet to take, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memoryd.ledger.rows import OutboxRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memoryd.ledger.database import Database


class Outbox:
    """Reads and clears what waits for Chroma."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def batch(self, embedder: str, limit: int) -> list[OutboxRow]:
        """The oldest changes, at most `limit`, with their vectors of this embedder.

        A passage that was deleted since, or that has no vector of this embedder, comes without a vector.
        """
        with self._database.read() as connection:
            rows = connection.execute(
                """SELECT o.seq, o.passage_id, o.owner, v.vector FROM outbox o
                   LEFT JOIN passages p ON p.passage_id = o.passage_id AND p.owner = o.owner
                   LEFT JOIN vectors v ON v.key = p.vector_key AND v.embedder = ?
                   ORDER BY o.seq LIMIT ?""",
                (embedder, limit),
            ).fetchall()
        return [
            OutboxRow(seq=row["seq"], passage_id=row["passage_id"], owner=row["owner"], vector=row["vector"])
            for row in rows
        ]

    def clear(self, sequence_numbers: Sequence[int]) -> None:
        """Takes out what Chroma has acknowledged."""
        with self._database.write() as connection:
            connection.executemany("DELETE FROM outbox WHERE seq = ?", [(seq,) for seq in sequence_numbers])

    def refill(self) -> int:
        """Puts every passage in, for a new generation; returns how many."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM outbox")
            cursor = connection.execute(
                """INSERT INTO outbox (passage_id, owner)
                   SELECT passage_id, owner FROM passages ORDER BY id"""
            )
            return cursor.rowcount

    def count(self, owners: Sequence[str] | None = None) -> int:
        """How many changes wait, of these owners' passages (None: of everybody's)."""
        whose = "" if owners is None else f"WHERE owner IN ({', '.join('?' * len(owners))})"
        with self._database.read() as connection:
            counted = connection.execute(f"SELECT count(*) FROM outbox {whose}", owners or ())
            return int(counted.fetchone()[0])

    def expected(self, embedder: str) -> dict[str, int]:
        """Owner → how many vectors Chroma should hold once the outbox is empty."""
        with self._database.read() as connection:
            rows = connection.execute(
                """SELECT p.owner, count(*) AS n FROM passages p
                   JOIN vectors v ON v.key = p.vector_key AND v.embedder = ? GROUP BY p.owner""",
                (embedder,),
            ).fetchall()
        return {row["owner"]: row["n"] for row in rows}
