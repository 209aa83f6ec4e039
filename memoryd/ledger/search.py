"""Passages by their words (FTS5, bm25) and by their ids."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from memoryd.ledger.files import TURN_COLUMNS, citations, turn_row
from memoryd.ledger.rows import FoundPassage

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from memoryd.korean import Words
    from memoryd.ledger.database import Database

# bm25 weights of the two columns: a bigram says less than a morpheme.
MORPHEME_WEIGHT = 1.0
BIGRAM_WEIGHT = 0.5
MOST_TERMS = 64
PASSAGE = """
    SELECT p.*, c.conversation_id, f.path, f.day FROM passages p
    JOIN conversations c ON p.conversation = c.id JOIN files f ON p.file = f.id WHERE p.passage_id = ?
"""


class PassageSearch:
    """Finds passages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def lexical(self, words: Words, owners: Sequence[str], k: int) -> list[tuple[str, float]]:
        """(passage id, bm25) of passages that share a word with the question, best first; higher is better."""
        query = _match(words)
        if not query:
            return []
        marks = ", ".join("?" * len(owners))
        with self._database.read() as connection:
            rows = connection.execute(
                f"""SELECT p.passage_id, -bm25(lexical, {MORPHEME_WEIGHT}, {BIGRAM_WEIGHT}) AS score
                    FROM lexical JOIN passages p ON p.id = lexical.rowid
                    WHERE lexical MATCH ? AND p.owner IN ({marks}) ORDER BY score DESC, p.id LIMIT ?""",
                [query, *owners, k],
            ).fetchall()
        return [(row["passage_id"], row["score"]) for row in rows]

    def get(self, passage_ids: Sequence[str], owners: Sequence[str]) -> list[FoundPassage]:
        """Passages in the order of their ids; those that are gone, or another's, are left out."""
        found = []
        with self._database.read() as connection:
            for passage_id in passage_ids:
                row = connection.execute(PASSAGE, (passage_id,)).fetchone()
                if row is not None and row["owner"] in owners:
                    found.append(_found(connection, row))
        return found


def _match(words: Words) -> str:
    """FTS5's query: any of the words, each in its column. Words hold no quotes, so none can escape."""
    terms = [f'morphemes:"{word}"' for word in dict.fromkeys(words.morphemes.split())]
    terms += [f'bigrams:"{pair}"' for pair in dict.fromkeys(words.bigrams.split())]
    return " OR ".join(terms[:MOST_TERMS])


def _found(connection: sqlite3.Connection, row: sqlite3.Row) -> FoundPassage:
    turns = connection.execute(
        f"""SELECT {TURN_COLUMNS} FROM turns t JOIN conversations c ON t.conversation = c.id
            WHERE t.conversation = ? AND t.idx BETWEEN ? AND ? ORDER BY t.idx""",
        (row["conversation"], row["first"], row["last"]),
    ).fetchall()
    return FoundPassage(
        id=row["passage_id"],
        owner=row["owner"],
        kind=row["kind"],
        text=row["text"],
        path=row["path"],
        day=row["day"],
        time=datetime.fromisoformat(row["time"]),
        conversation_id=row["conversation_id"],
        citations=citations(row["citations"]) or (),
        turns=tuple(turn_row(turn) for turn in turns),
    )
