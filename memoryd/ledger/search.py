"""Passages by their words (FTS5), by their ids, by their time and by what stands beside them."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import TYPE_CHECKING

from memoryd.ledger.files import TURN_COLUMNS, citations, turn_row
from memoryd.ledger.rows import FoundPassage, Place
from memoryd.ledger.terms import TermCounts, hidden_rows, shares

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from memoryd.korean import Words
    from memoryd.ledger.database import Database
    from memoryd.ledger.terms import Shares

# SQLite takes at most 32,766 values in one statement.
CHUNK = 1000
PLACE = "p.id, p.passage_id, p.conversation, p.first, p.last, p.kind, p.time"
PASSAGE = """
    SELECT p.*, c.conversation_id, f.path, f.day FROM passages p
    JOIN conversations c ON p.conversation = c.id JOIN files f ON p.file = f.id
"""


class PassageSearch:
    """Finds passages."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # One for each set of owners whose passages are hidden from a reader.
        self._counts: defaultdict[frozenset[str], TermCounts] = defaultdict(TermCounts)

    def lexical(self, words: Words, owners: Sequence[str], k: int) -> tuple[list[Place], Shares]:
        """Passages that share a word with the question, k at most, best first; and the shares of all that do.

        Of a large memory only the rarest words are looked for. Nothing that another owns is found, or counted.
        """
        with self._database.read() as connection:
            others = frozenset(_all_owners(connection) - set(owners))
            hidden = hidden_rows(connection, sorted(others)) if others else None
            found = shares(connection, self._counts[others].of(connection, words, hidden), hidden)
            return _places(connection, found.best(k)), found

    def named(self, passage_ids: Sequence[str], owners: Sequence[str]) -> list[Place]:
        """Where passages stand, in no order; those that are gone, or another's, are left out."""
        found: list[Place] = []
        whose = ", ".join("?" * len(owners))
        with self._database.read() as connection:
            for at in range(0, len(passage_ids), CHUNK):
                part = passage_ids[at : at + CHUNK]
                marks = ", ".join("?" * len(part))
                rows = connection.execute(
                    f"SELECT {PLACE} FROM passages p WHERE p.passage_id IN ({marks}) AND p.owner IN ({whose})",
                    [*part, *owners],
                )
                found += map(_place, rows)
        return found

    def said(
        self,
        owners: Sequence[str],
        k: int,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        speaker: str | None = None,
    ) -> list[Place]:
        """The first k passages with a turn of that time, both ends counted in, and of that speaker."""
        marks = ", ".join("?" * len(owners))
        conditions, values = [f"p.owner IN ({marks})"], list[object](owners)
        with self._database.read() as connection:
            if since:
                conditions.append("t.epoch >= ?")
                values.append(since.timestamp())
            if until:
                conditions.append("t.epoch <= ?")
                values.append(until.timestamp())
            if speaker:
                names = [
                    row["speaker"]
                    for row in connection.execute("SELECT DISTINCT speaker FROM turns")
                    if row["speaker"].casefold() == speaker.casefold()
                ]
                conditions.append(f"t.speaker IN ({', '.join('?' * len(names))})")
                values += names
            rows = connection.execute(
                f"""SELECT DISTINCT {PLACE} FROM turns t JOIN passages p
                        ON p.conversation = t.conversation AND p.last >= t.idx AND p.first =
                            (SELECT max(b.first) FROM passages b
                             WHERE b.conversation = t.conversation AND b.first <= t.idx)
                    WHERE {" AND ".join(conditions)} ORDER BY t.epoch, p.id LIMIT ?""",
                [*values, k],
            ).fetchall()
        return [_place(row) for row in rows]

    def beside(self, place: Place, owners: Sequence[str], reach: int) -> tuple[list[Place], list[Place]]:
        """What was said just before a passage and just after it in its conversation, nearest first, `reach` of each."""
        marks = ", ".join("?" * len(owners))
        here = (place.first, place.row)
        with self._database.read() as connection:
            before, after = (
                connection.execute(
                    f"""SELECT {PLACE} FROM passages p WHERE p.conversation = ? AND (p.first, p.id) {sign} (?, ?)
                        AND p.owner IN ({marks}) ORDER BY p.first {order}, p.id {order} LIMIT ?""",
                    [place.conversation, *here, *owners, reach],
                ).fetchall()
                for sign, order in (("<", "DESC"), (">", "ASC"))
            )
        return [_place(row) for row in before], [_place(row) for row in after]

    def get(self, passage_ids: Sequence[str], owners: Sequence[str]) -> list[FoundPassage]:
        """Passages in the order of their ids; those that are gone, or another's, are left out."""
        found: dict[str, FoundPassage] = {}
        whose = ", ".join("?" * len(owners))
        with self._database.read() as connection:
            for at in range(0, len(passage_ids), CHUNK):
                part = passage_ids[at : at + CHUNK]
                marks = ", ".join("?" * len(part))
                rows = connection.execute(
                    f"{PASSAGE} WHERE p.passage_id IN ({marks}) AND p.owner IN ({whose})", [*part, *owners]
                ).fetchall()
                turns = _turns(connection, [row["id"] for row in rows])
                found |= {row["passage_id"]: _found(row, turns[row["id"]]) for row in rows}
        return [found[each] for each in passage_ids if each in found]


def _places(connection: sqlite3.Connection, rows: Sequence[int]) -> list[Place]:
    """Where passages stand, in the order of their rows."""
    found: dict[int, Place] = {}
    for at in range(0, len(rows), CHUNK):
        part = rows[at : at + CHUNK]
        marks = ", ".join("?" * len(part))
        places = connection.execute(f"SELECT {PLACE} FROM passages p WHERE p.id IN ({marks})", part)
        found |= {row["id"]: _place(row) for row in places}
    return [found[row] for row in rows if row in found]


def _all_owners(connection: sqlite3.Connection) -> set[str]:
    """Everybody who owns a file, a step of the index for each."""
    rows = connection.execute(
        """WITH RECURSIVE owners (owner) AS (
               SELECT min(owner) FROM files
               UNION ALL
               SELECT (SELECT min(owner) FROM files WHERE owner > owners.owner) FROM owners
               WHERE owners.owner IS NOT NULL)
           SELECT owner FROM owners WHERE owner IS NOT NULL"""
    )
    return {row["owner"] for row in rows}


def _place(row: sqlite3.Row) -> Place:
    return Place(
        row=row["id"],
        passage_id=row["passage_id"],
        conversation=row["conversation"],
        first=row["first"],
        last=row["last"],
        kind=row["kind"],
        time=datetime.fromisoformat(row["time"]),
    )


def _turns(connection: sqlite3.Connection, rows: Sequence[int]) -> defaultdict[int, list[sqlite3.Row]]:
    """The turns of passages, by the passages' row numbers."""
    found: defaultdict[int, list[sqlite3.Row]] = defaultdict(list)
    marks = ", ".join("?" * len(rows))
    for turn in connection.execute(
        f"""SELECT p.id AS passage, {TURN_COLUMNS} FROM passages p
            JOIN turns t ON t.conversation = p.conversation AND t.idx BETWEEN p.first AND p.last
            JOIN conversations c ON t.conversation = c.id
            WHERE p.id IN ({marks}) ORDER BY p.id, t.idx""",
        list(rows),
    ):
        found[turn["passage"]].append(turn)
    return found


def _found(row: sqlite3.Row, turns: Sequence[sqlite3.Row]) -> FoundPassage:
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
