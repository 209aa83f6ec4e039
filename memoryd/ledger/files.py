"""Files, conversations and turns: what was said, and what became of each file."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from memoryd.ledger.rows import AGAIN, FileRow, FileState, Signature, TurnRow

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from memoryd.ledger.database import Database
    from memoryd.ledger.rows import ConversationRow, NewFile, NewPassage

TURN_COLUMNS = "c.conversation_id, t.idx, t.turn_id, t.role, t.speaker, t.time, t.text, t.citations"
# A negative size marks a file that is to be read again, all of it; a time that no file has, one that could not be.
MARK_STALE = "UPDATE files SET size = -1, mtime_ns = 0"
# The setting that remembers whose files are whose.
OWNERS = "owners"
# Stands where something was taken out of an identity.
ERASED_LINE = "- (지워짐, erased)"
TO_CHROMA = """
    INSERT INTO outbox (passage_id, owner) SELECT passage_id, owner FROM passages WHERE file = ? ORDER BY id
"""
TRIED = Signature(AGAIN, AGAIN, AGAIN)
FILES = """
    SELECT f.*, (SELECT count(*) FROM passages p WHERE p.file = f.id) AS passages,
           (SELECT count(*) FROM turns t JOIN conversations c ON t.conversation = c.id WHERE c.file = f.id) AS turns
    FROM files f
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """How much the ledger holds."""

    indexed: int
    skipped: int
    quarantined: int
    conversations: int
    turns: int
    passages: int
    last_time: datetime | None

    @property
    def files(self) -> int:
        """Of every state."""
        return self.indexed + self.skipped + self.quarantined


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredConversation:
    """A conversation over all the files that hold a part of it, turns in event order."""

    id: str
    title: str
    owners: frozenset[str]
    paths: tuple[str, ...]
    turns: tuple[TurnRow, ...]


class FileStore:
    """Reads and replaces files, each in one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def replace(self, file: NewFile) -> None:
        """Puts a file in place of what was under its path: turns, passages, lexical rows and outbox in one commit.

        Passages that stay the same keep their rows and cost nothing; a file marked stale writes them all anew and
        sends them all to Chroma.
        """
        with self._database.write() as connection:
            old = connection.execute("SELECT id, size FROM files WHERE path = ?", (file.row.path,)).fetchone()
            stale = old is not None and old["size"] < 0
            file_id = _put_file(connection, file.row, file.day)
            connection.execute("DELETE FROM gists WHERE file = ?", (file_id,))
            outdated = [
                int(row["id"])
                for row in connection.execute("SELECT id FROM conversations WHERE file = ?", (file_id,))
            ]
            conversations = [_insert_conversation(connection, file_id, each) for each in file.conversations]
            # Another analyser may have made the words, or something have spoilt a row: nothing stale is kept.
            kept = frozenset() if stale else _keep_passages(connection, file_id, file, conversations)
            owner = file.row.owner
            coming = frozenset(
                (passage.id, owner) for each in file.conversations for passage in each.passages
            )
            _drop_passages(connection, file_id, kept, coming)
            for conversation, rowid in zip(file.conversations, conversations, strict=True):
                fresh = [passage for passage in conversation.passages if passage.id not in kept]
                _insert_passages(connection, file_id, rowid, owner, fresh)
                connection.executemany(
                    "INSERT INTO outbox (passage_id, owner) VALUES (?, ?)",
                    [(passage.id, owner) for passage in fresh],
                )
            connection.executemany("DELETE FROM conversations WHERE id = ?", [(rowid,) for rowid in outdated])

    def refuse(self, row: FileRow, day: str) -> None:
        """Lists a file that can't be read, with its reason; what was read from it earlier stays.

        A file marked stale sends what stays to Chroma: a new generation must hold it too. It stays marked, and nobody
        waits for it any more: once it can be read, all of it is written anew.
        """
        with self._database.write() as connection:
            old = connection.execute(
                "SELECT id, size, mtime_ns FROM files WHERE path = ?", (row.path,)
            ).fetchone()
            stale = old is not None and old["size"] < 0
            tried = stale and old["mtime_ns"] == AGAIN
            if stale and not tried:
                cursor = connection.execute(TO_CHROMA, (old["id"],))
                tried = cursor.rowcount > 0
            _put_file(connection, replace(row, signature=TRIED) if tried else row, day)

    def remove(self, path: str) -> bool:
        """Takes a file and all that came from it out; says whether it was there."""
        with self._database.write() as connection:
            row = connection.execute("SELECT id FROM files WHERE path = ?", (path,)).fetchone()
            if row is None:
                return False
            _drop_passages(connection, row["id"], kept=frozenset(), coming=frozenset())
            connection.execute("DELETE FROM files WHERE id = ?", (row["id"],))
            return True

    def mark_all_stale(self) -> None:
        """Makes every file be read again at the next scan; recall goes on with what is there."""
        with self._database.write() as connection:
            connection.execute(MARK_STALE)

    def stale(self) -> int:
        """How many files wait to be read again, but for those that can't be."""
        with self._database.read() as connection:
            return int(
                connection.execute(
                    "SELECT count(*) FROM files WHERE size < 0 AND mtime_ns != ?", (AGAIN,)
                ).fetchone()[0]
            )

    def known(self) -> dict[str, Signature]:
        """Path → signature of every file, as last read."""
        with self._database.read() as connection:
            rows = connection.execute("SELECT path, size, mtime_ns, ctime_ns FROM files")
            return {path: Signature(*signature) for path, *signature in rows}

    def list(self, state: FileState | None = None, owners: Sequence[str] | None = None) -> list[FileRow]:
        """The files of these owners (None: of everybody), or those of one state, by path."""
        whose, values = whose_files(owners)
        if state:
            whose, values = f"{whose} AND f.state = ?", [*values, state]
        with self._database.read() as connection:
            rows = connection.execute(f"{FILES} WHERE {whose} ORDER BY f.path", values).fetchall()
        return [_file_row(row) for row in rows]

    def get(self, path: str) -> FileRow | None:
        """One file, or None."""
        with self._database.read() as connection:
            row = connection.execute(f"{FILES} WHERE f.path = ?", (path,)).fetchone()
        return row and _file_row(row)

    def conversation(
        self, conversation_id: str, owners: Sequence[str] | None = None
    ) -> StoredConversation | None:
        """A conversation with its turns in event order, or None: what these owners (None: everybody) have of it.

        Two people may have a conversation of the same id; neither is shown the other's.
        """
        whose, values = whose_files(owners)
        with self._database.read() as connection:
            heads = connection.execute(
                f"""SELECT c.title, f.path, f.owner FROM conversations c JOIN files f ON c.file = f.id
                    WHERE c.conversation_id = ? AND {whose} ORDER BY f.path""",
                (conversation_id, *values),
            ).fetchall()
            turns = connection.execute(
                f"""SELECT {TURN_COLUMNS} FROM turns t
                    JOIN conversations c ON t.conversation = c.id JOIN files f ON c.file = f.id
                    WHERE c.conversation_id = ? AND {whose} ORDER BY t.epoch, c.id, t.idx""",
                (conversation_id, *values),
            ).fetchall()
        if not heads:
            return None
        return StoredConversation(
            id=conversation_id,
            title=next((row["title"] for row in heads if row["title"]), ""),
            owners=frozenset(row["owner"] for row in heads),
            paths=tuple(dict.fromkeys(row["path"] for row in heads)),
            turns=tuple(turn_row(row) for row in turns),
        )

    def conversations_of(self, owners: Sequence[str]) -> frozenset[str]:
        """The ids of all conversations of these owners."""
        whose, values = whose_files(owners)
        with self._database.read() as connection:
            rows = connection.execute(
                f"SELECT c.conversation_id FROM conversations c JOIN files f ON c.file = f.id WHERE {whose}",
                values,
            )
            return frozenset(row["conversation_id"] for row in rows)

    def totals(self, owners: Sequence[str] | None = None) -> Totals:
        """How much the ledger holds of these owners; of everybody without them, which is counted sooner."""
        whose, values = whose_files(owners)
        of_files = "" if owners is None else f"JOIN files f ON c.file = f.id WHERE {whose}"
        of_turns = "" if owners is None else f"JOIN conversations c ON t.conversation = c.id {of_files}"
        with self._database.read() as connection:
            states = dict(
                connection.execute(
                    f"SELECT state, count(*) FROM files f WHERE {whose} GROUP BY state", values
                ).fetchall()
            )
            count = {
                table: connection.execute(f"SELECT count(*) FROM {table} {tail}", values).fetchone()[0]
                for table, tail in (
                    ("conversations", f"c {of_files}"),
                    ("turns", f"t {of_turns}"),
                    ("passages", f"c {of_files}"),
                )
            }
            last = connection.execute(
                f"SELECT t.time FROM turns t {of_turns} ORDER BY t.epoch DESC LIMIT 1", values
            ).fetchone()
        return Totals(
            indexed=states.get(FileState.INDEXED, 0),
            skipped=states.get(FileState.SKIPPED, 0),
            quarantined=states.get(FileState.QUARANTINED, 0),
            **count,
            last_time=datetime.fromisoformat(last["time"]) if last else None,
        )

    def reown(
        self, owner_of: Callable[[str], str], mark: str, scrubbed: Callable[[str, frozenset[str]], str]
    ) -> tuple[str, ...]:
        """Gives every file to its owner, with all that was read from it, in one commit.

        Args:
            owner_of: whose a path is now.
            mark: of those owners; where it is remembered already, nothing is looked at.
            scrubbed: an identity's text without what it quotes of these paths.

        Returns:
            The paths of the files that have another owner now.
        """
        with self._database.read() as connection:
            if _setting(connection, OWNERS) == mark:
                return ()
        with self._database.write() as connection:
            moved = [
                (owner, row["id"], row["path"])
                for row in connection.execute("SELECT id, path, owner FROM files").fetchall()
                if (owner := owner_of(row["path"])) != row["owner"]
            ]
            for owner, file_id, _ in moved:
                # Chroma takes them out of one collection and into the other.
                connection.execute(TO_CHROMA, (file_id,))
                connection.execute("UPDATE passages SET owner = ? WHERE file = ?", (owner, file_id))
                connection.execute(TO_CHROMA, (file_id,))
                connection.execute("UPDATE files SET owner = ? WHERE id = ?", (owner, file_id))
            paths = frozenset(path for _, _, path in moved)
            if paths:
                scrub_identities(connection, lambda text: scrubbed(text, paths))
                connection.execute("DELETE FROM day_digests")
            connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (OWNERS, mark))
        return tuple(sorted(paths))


def scrub_identities(
    connection: sqlite3.Connection, scrubbed: Callable[[str], str], conversation_id: str | None = None
) -> int:
    """Cuts quotes out of every version; returns how many versions had any.

    Args:
        conversation_id: what is quoted of it goes too, whatever its words and its file's name were then.
    """
    changed = []
    for row in connection.execute("SELECT version, text, made_of FROM identities").fetchall():
        told = json.loads(row["made_of"]).get("lines", ())
        gone = {line["text"] for line in told if line["conversation_id"] == conversation_id}
        lines = [ERASED_LINE if line in gone else line for line in scrubbed(row["text"]).split("\n")]
        text = "\n".join(lines)
        if text != row["text"]:
            changed.append((text, _without_lines(row["made_of"], text), row["version"]))
    connection.executemany("UPDATE identities SET text = ?, made_of = ? WHERE version = ?", changed)
    return len(changed)


def _without_lines(made_of: str, text: str) -> str:
    """What an identity was made of, without the lines that its text no longer has."""
    known, left = json.loads(made_of), set(text.split("\n"))
    known["lines"] = [line for line in known.get("lines", []) if line["text"] in left]
    return json.dumps(known, ensure_ascii=False)


def whose_files(owners: Sequence[str] | None) -> tuple[str, list[object]]:
    """The condition that a file `f` is one of theirs, and its values."""
    if owners is None:
        return "1", []
    return f"f.owner IN ({', '.join('?' * len(owners))})", list(owners)


def _setting(connection: sqlite3.Connection, name: str) -> str | None:
    row = connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
    return row and str(row["value"])


def turn_row(row: sqlite3.Row) -> TurnRow:
    """A row with `TURN_COLUMNS` as data."""
    return TurnRow(
        id=row["turn_id"],
        conversation_id=row["conversation_id"],
        index=row["idx"],
        role=row["role"],
        speaker=row["speaker"],
        time=datetime.fromisoformat(row["time"]),
        text=row["text"],
        citations=citations(row["citations"]),
    )


def citations(value: str | None) -> tuple[str, ...] | None:
    """Passage ids as the ledger keeps them: a JSON list, or NULL."""
    return None if value is None else tuple(json.loads(value))


def _citations_value(ids: Sequence[str] | None) -> str | None:
    return None if ids is None else json.dumps(list(ids))


def _file_row(row: sqlite3.Row) -> FileRow:
    return FileRow(
        path=row["path"],
        signature=Signature(row["size"], row["mtime_ns"], row["ctime_ns"]),
        state=FileState(row["state"]),
        format=row["format"],
        reason=row["reason"],
        line=row["line"],
        owner=row["owner"],
        turns=row["turns"],
        passages=row["passages"],
    )


def _put_file(connection: sqlite3.Connection, row: FileRow, day: str) -> int:
    values = (row.path, *row.signature, row.state, row.format, row.reason, row.line, row.owner, day)
    (file_id,) = connection.execute(
        """INSERT INTO files (path, size, mtime_ns, ctime_ns, state, format, reason, line, owner, day)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
           ON CONFLICT (path) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns,
               ctime_ns = excluded.ctime_ns, state = excluded.state, format = excluded.format,
               reason = excluded.reason, line = excluded.line, owner = excluded.owner, day = excluded.day
           RETURNING id""",
        values,
    ).fetchone()
    return int(file_id)


def _insert_conversation(connection: sqlite3.Connection, file_id: int, conversation: ConversationRow) -> int:
    (rowid,) = connection.execute(
        "INSERT INTO conversations (file, conversation_id, title) VALUES (?, ?, ?) RETURNING id",
        (file_id, conversation.id, conversation.title),
    ).fetchone()
    connection.executemany(
        "INSERT INTO turns VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                rowid,
                turn.index,
                turn.id,
                turn.role,
                turn.speaker,
                turn.time.isoformat(),
                turn.time.timestamp(),
                turn.text,
                _citations_value(turn.citations),
            )
            for turn in conversation.turns
        ],
    )
    return int(rowid)


def _keep_passages(
    connection: sqlite3.Connection, file_id: int, file: NewFile, conversations: Sequence[int]
) -> frozenset[str]:
    """Points the passages that the file still has at its new conversation rows and turns; returns their ids."""
    old = connection.execute("SELECT passage_id, owner FROM passages WHERE file = ?", (file_id,))
    had = {row["passage_id"] for row in old if row["owner"] == file.row.owner}
    kept = [
        (rowid, passage.first, passage.last, passage.kind, _citations_value(passage.citations), passage.id)
        for conversation, rowid in zip(file.conversations, conversations, strict=True)
        for passage in conversation.passages
        if passage.id in had
    ]
    connection.executemany(
        """UPDATE passages SET conversation = ?, first = ?, last = ?, kind = ?, citations = ?
           WHERE passage_id = ?""",
        kept,
    )
    return frozenset(values[-1] for values in kept)


def _drop_passages(
    connection: sqlite3.Connection,
    file_id: int,
    kept: frozenset[str],
    coming: frozenset[tuple[str, str]],
) -> None:
    """Takes all but the kept passages out; those that come again are sent to Chroma once, with their new row."""
    rows = connection.execute(
        "SELECT id, passage_id, owner FROM passages WHERE file = ?", (file_id,)
    ).fetchall()
    gone = [row for row in rows if row["passage_id"] not in kept]
    connection.executemany("DELETE FROM lexical WHERE rowid = ?", [(row["id"],) for row in gone])
    connection.executemany("DELETE FROM passages WHERE id = ?", [(row["id"],) for row in gone])
    connection.executemany(
        "INSERT INTO outbox (passage_id, owner) VALUES (?, ?)",
        [
            (row["passage_id"], row["owner"])
            for row in gone
            if (row["passage_id"], row["owner"]) not in coming
        ],
    )


def _insert_passages(
    connection: sqlite3.Connection,
    file_id: int,
    conversation: int,
    owner: str,
    passages: Sequence[NewPassage],
) -> None:
    for passage in passages:
        (rowid,) = connection.execute(
            """INSERT INTO passages
                   (passage_id, file, conversation, first, last, kind, owner, time, text, vector_key, citations)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id""",
            (
                passage.id,
                file_id,
                conversation,
                passage.first,
                passage.last,
                passage.kind,
                owner,
                passage.time.isoformat(),
                passage.text,
                passage.vector_key,
                _citations_value(passage.citations),
            ),
        ).fetchone()
        connection.execute(
            "INSERT INTO lexical (rowid, morphemes, bigrams) VALUES (?, ?, ?)",
            (rowid, passage.morphemes, passage.bigrams),
        )
