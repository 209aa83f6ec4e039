"""The ledger's part of a rebuild: every file is marked, and what nothing vouches for is taken out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memoryd.ledger.audit import CHUNK, MEND_WORDS, sound
from memoryd.ledger.files import MARK_STALE

if TYPE_CHECKING:
    from memoryd.ledger.database import Database

# What was read earlier from a file that can't be read now stays, and could not be embedded again.
KEPT_KEYS = "SELECT p.vector_key FROM passages p JOIN files f ON p.file = f.id WHERE f.state != 'indexed'"


def begin_rebuild(database: Database, embedder: str, dimension: int, *, embed: bool) -> None:
    """Marks every file to be read again, in one commit; a kill after it is made good by the next start.

    Nothing is embedded again but what has a broken vector, unless `embed` asks for all of it. Identities, replays
    and counters stay.

    Args:
        embedder: the one in force, whose vectors are looked at.
        dimension: of its vectors.
    """
    with database.write() as connection:
        connection.execute(MARK_STALE)
        # First the index of the words is made to agree with its rows: a row can't be taken out of another index.
        connection.execute(MEND_WORDS)
        connection.execute("DELETE FROM lexical WHERE rowid NOT IN (SELECT id FROM passages)")
        if embed:
            connection.execute(
                f"DELETE FROM vectors WHERE embedder = ? AND key NOT IN ({KEPT_KEYS})", (embedder,)
            )
            return
        rows = connection.execute("SELECT key, vector FROM vectors WHERE embedder = ?", (embedder,))
        broken = []
        while part := rows.fetchmany(CHUNK):
            fine = sound([row["vector"] for row in part], dimension)
            broken += [row["key"] for row, good in zip(part, fine, strict=True) if not good]
        connection.executemany(
            "DELETE FROM vectors WHERE embedder = ? AND key = ?", [(embedder, key) for key in broken]
        )
