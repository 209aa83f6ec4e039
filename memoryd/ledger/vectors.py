"""Vectors, kept under embedder and text: nothing is embedded twice.

Numpy is imported where it is used: the routes import the ledger, and the app answers first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from memoryd.ledger.database import Database

EMBEDDED_TEXTS = "embedded_texts"
# SQLite takes at most 32,766 values in one statement.
CHUNK = 1000


class Stored(NamedTuple):
    """A passage's row number, its owner, its id and its vector, (d,) float32."""

    row: int
    owner: str
    passage_id: str
    vector: NDArray[np.float32]


class Spoken(NamedTuple):
    """A turn with the vector of the passage that it stands in, (d,) float32.

    Attributes:
        epoch: seconds since 1970.
        time: the same where it was said, ISO 8601.
        passage: that passage's id.
    """

    epoch: float
    time: str
    role: str
    speaker: str
    text: str
    path: str
    conversation_id: str
    passage: str
    vector: NDArray[np.float32]


class VectorStore:
    """float32 vectors as blobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def missing(self, embedder: str, keys: Sequence[bytes]) -> set[bytes]:
        """Those of the keys that have no vector of this embedder yet."""
        wanted = list(dict.fromkeys(keys))
        found: set[bytes] = set()
        with self._database.read() as connection:
            for at in range(0, len(wanted), CHUNK):
                part = wanted[at : at + CHUNK]
                marks = ", ".join("?" * len(part))
                rows = connection.execute(
                    f"SELECT key FROM vectors WHERE embedder = ? AND key IN ({marks})", [embedder, *part]
                )
                found |= {row["key"] for row in rows}
        return set(wanted) - found

    def save(self, embedder: str, vectors: Mapping[bytes, NDArray[np.float32]]) -> None:
        """Keeps vectors as soon as they are computed, and counts them, in one commit."""
        with self._database.write() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)",
                [(embedder, key, vector.astype("<f4").tobytes()) for key, vector in vectors.items()],
            )
            connection.execute(
                """INSERT INTO counters VALUES (?, ?)
                   ON CONFLICT (name) DO UPDATE SET value = value + excluded.value""",
                (EMBEDDED_TEXTS, len(vectors)),
            )

    def count(self, owners: Sequence[str] | None = None) -> int:
        """How many vectors there are, of every embedder; or how many texts of these owners have one."""
        query = "SELECT count(*) FROM vectors"
        if owners is not None:
            query = f"""SELECT count(DISTINCT p.vector_key) FROM files f JOIN passages p ON p.file = f.id
                        JOIN vectors v ON v.key = p.vector_key WHERE f.owner IN ({", ".join("?" * len(owners))})"""
        with self._database.read() as connection:
            return int(connection.execute(query, owners or ()).fetchone()[0])

    def embedded_texts(self) -> int:
        """How many texts were ever embedded; equal to `count` when none was embedded twice."""
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT value FROM counters WHERE name = ?", (EMBEDDED_TEXTS,)
            ).fetchone()
        return int(row["value"]) if row else 0

    def nearest(
        self,
        embedder: str,
        owners: Sequence[str],
        query: NDArray[np.float32],
        k: int,
        *,
        waiting_only: bool = False,
    ) -> list[tuple[str, float]]:
        """Exact search: (passage id, cosine), best first; what recall uses while Chroma is away.

        Args:
            query: unit vector, (d,) float32.
            waiting_only: look only at passages that are in the outbox.
        """
        waiting = "AND p.passage_id IN (SELECT passage_id FROM outbox)" if waiting_only else ""
        import numpy as np

        marks = ", ".join("?" * len(owners))
        best: list[tuple[str, float]] = []
        with self._database.read() as connection:
            rows = connection.execute(
                f"""SELECT p.passage_id, v.vector FROM passages p
                    JOIN vectors v ON v.key = p.vector_key AND v.embedder = ? WHERE p.owner IN ({marks}) {waiting}""",
                [embedder, *owners],
            )
            while part := rows.fetchmany(CHUNK * 4):
                matrix = np.frombuffer(b"".join(row["vector"] for row in part), "<f4").reshape(len(part), -1)
                scores = matrix @ query
                top = np.argsort(-scores)[:k]
                best += [(part[i]["passage_id"], float(scores[i])) for i in top]
                best = sorted(best, key=lambda pair: (-pair[1], pair[0]))[:k]
        return best

    def of_passages(self, embedder: str, ids: Sequence[str]) -> NDArray[np.float32]:
        """The unit vectors of passages by id, (n, d) float32; zeros for one that has none, d 1 where none has."""
        import numpy as np

        found: dict[str, NDArray[np.float32]] = {}
        with self._database.read() as connection:
            for at in range(0, len(ids), CHUNK):
                part = ids[at : at + CHUNK]
                marks = ", ".join("?" * len(part))
                rows = connection.execute(
                    f"""SELECT p.passage_id, v.vector FROM passages p
                        JOIN vectors v ON v.key = p.vector_key AND v.embedder = ? WHERE p.passage_id IN ({marks})""",
                    [embedder, *part],
                )
                found |= {row["passage_id"]: np.frombuffer(row["vector"], "<f4") for row in rows}
        zeros = np.zeros(max((len(vector) for vector in found.values()), default=1), np.float32)
        return np.stack([found.get(each, zeros) for each in ids]) if ids else np.zeros((0, 1), np.float32)

    def of_rows(self, embedder: str, rows: Sequence[int]) -> dict[int, NDArray[np.float32]]:
        """Row number → the passage's unit vector, (d,) float32, for those that have one."""
        import numpy as np

        return {
            row["id"]: np.frombuffer(row["vector"], "<f4")
            for part in self._vectors_of(embedder, rows)
            for row in part
        }

    def spoken(self, embedder: str, owners: Sequence[str], since: float, most: int) -> list[Spoken]:
        """The newest turns of theirs after a moment that have a vector; a turn in several passages by its last one.

        Args:
            since: seconds since 1970.
            most: turns, at most.
        """
        import numpy as np

        marks = ", ".join("?" * len(owners))
        with self._database.read() as connection:
            rows = connection.execute(
                f"""SELECT t.epoch, t.time, t.role, t.speaker, t.text, f.path, c.conversation_id, p.passage_id, v.vector
                    FROM turns t JOIN conversations c ON c.id = t.conversation JOIN files f ON f.id = c.file
                    JOIN passages p ON p.id = (SELECT b.id FROM passages b WHERE b.conversation = t.conversation
                        AND b.first <= t.idx AND b.last >= t.idx AND b.owner IN ({marks})
                        ORDER BY b.first DESC, b.id DESC LIMIT 1)
                    JOIN vectors v ON v.key = p.vector_key AND v.embedder = ?
                    WHERE t.epoch > ? ORDER BY t.epoch DESC, t.idx DESC, f.path, c.conversation_id LIMIT ?""",
                [*owners, embedder, since, most],
            ).fetchall()
        return [Spoken._make([*known, np.frombuffer(vector, "<f4")]) for *known, vector in rows]

    def cosines(self, embedder: str, rows: Sequence[int], query: NDArray[np.float32]) -> dict[int, float]:
        """Row number → cosine with a unit vector, (d,) float32, for those that have a vector; a part at a time."""
        import numpy as np

        found: dict[int, float] = {}
        for part in self._vectors_of(embedder, rows):
            if part:
                matrix = np.frombuffer(b"".join(row["vector"] for row in part), "<f4").reshape(len(part), -1)
                found |= zip((row["id"] for row in part), map(float, matrix @ query), strict=True)
        return found

    def _vectors_of(self, embedder: str, rows: Sequence[int]) -> Iterator[list[sqlite3.Row]]:
        with self._database.read() as connection:
            for at in range(0, len(rows), CHUNK):
                part = rows[at : at + CHUNK]
                marks = ", ".join("?" * len(part))
                yield connection.execute(
                    f"""SELECT p.id, v.vector FROM passages p
                        JOIN vectors v ON v.key = p.vector_key AND v.embedder = ? WHERE p.id IN ({marks})""",
                    [embedder, *part],
                ).fetchall()

    def sample(self, embedder: str, count: int) -> list[Stored]:
        """Passages that the index should hold, to prove it with: all of few, else some spread over the ledger.

        Row numbers have gaps, so the next passage after each of `count` even places is taken.
        """
        with self._database.read() as connection:
            total, first, last = connection.execute(
                "SELECT count(*), min(id), max(id) FROM passages"
            ).fetchone()
        if total <= count:
            return self.after(embedder, 0, count)
        places = [first + (last - first) * number // max(1, count - 1) for number in range(count)]
        found = (each for place in places for each in self.after(embedder, place - 1, 1))
        return list({each.row: each for each in found}.values())

    def after(self, embedder: str, row: int, count: int) -> list[Stored]:
        """The next passages after a row that the index should hold (none that waits in the outbox), by their rows."""
        import numpy as np

        with self._database.read() as connection:
            rows = connection.execute(
                """SELECT p.id, p.owner, p.passage_id, v.vector FROM passages p
                   JOIN vectors v ON v.key = p.vector_key AND v.embedder = ?
                   WHERE p.passage_id NOT IN (SELECT passage_id FROM outbox) AND p.id > ? ORDER BY p.id LIMIT ?""",
                (embedder, row, count),
            ).fetchall()
        return [
            Stored(row["id"], row["owner"], row["passage_id"], np.frombuffer(row["vector"], "<f4"))
            for row in rows
        ]
