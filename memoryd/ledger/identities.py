"""Identity versions, which never change, and the replays that made them."""

from __future__ import annotations

import json
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from memoryd.ledger.rows import IdentityRow, IdentitySummary, ReplayRow

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from memoryd.ledger.database import Database


class IdentityStore:
    """Numbered identities and the log of replays."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def latest(self) -> IdentityRow | None:
        """The identity in force, or None before the first replay."""
        with self._database.read() as connection:
            row = connection.execute("SELECT * FROM identities ORDER BY version DESC LIMIT 1").fetchone()
        return row and _identity(row)

    def get(self, version: int) -> IdentityRow | None:
        """One version, or None."""
        with self._database.read() as connection:
            row = connection.execute("SELECT * FROM identities WHERE version = ?", (version,)).fetchone()
        return row and _identity(row)

    def before(self, version: int) -> int | None:
        """The version that was in force before this one, or None."""
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT max(version) AS version FROM identities WHERE version < ?", (version,)
            ).fetchone()
        return row["version"] if row else None

    def all(self) -> list[IdentitySummary]:
        """Every version without its text, newest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                """SELECT version, digest, created_at, tokens, json_array_length(made_of, '$.lines') AS lines,
                          json_extract(made_of, '$.restores') AS restores
                   FROM identities ORDER BY version DESC"""
            ).fetchall()
        return [
            IdentitySummary(
                version=row["version"],
                digest=row["digest"],
                created_at=datetime.fromisoformat(row["created_at"]),
                tokens=row["tokens"],
                lines=row["lines"] or 0,
                restores=row["restores"],
            )
            for row in rows
        ]

    def lines_of(self, conversation_id: str) -> list[dict[str, str]]:
        """The lines of all versions that come from a conversation, as they are kept beside the texts."""
        with self._database.read() as connection:
            rows = connection.execute(
                """SELECT DISTINCT l.value FROM identities, json_each(made_of, '$.lines') l
                   WHERE l.value ->> '$.conversation_id' = ?""",
                (conversation_id,),
            )
            return [json.loads(row["value"]) for row in rows]

    def add(
        self,
        *,
        digest: str,
        text: str,
        tokens: int,
        missing: Sequence[str],
        created_at: datetime,
        made_of: Mapping[str, object] = MappingProxyType({}),
    ) -> IdentityRow:
        """Writes the next version."""
        details = json.dumps(dict(made_of), ensure_ascii=False)
        with self._database.write() as connection:
            row = connection.execute(
                """INSERT INTO identities (digest, created_at, tokens, missing, text, made_of)
                   VALUES (?, ?, ?, ?, ?, ?) RETURNING *""",
                (digest, created_at.isoformat(), tokens, json.dumps(list(missing)), text, details),
            ).fetchone()
            return _identity(row)

    def mark_whole(self, version: int) -> None:
        """Notes that a version tells all that there was to tell, though something was missing when it was made."""
        with self._database.write() as connection:
            connection.execute(
                "UPDATE identities SET made_of = json_set(made_of, '$.whole', json('true')) WHERE version = ?",
                (version,),
            )

    def log_replay(self, replay: ReplayRow) -> None:
        """Records a replay that has ended."""
        with self._database.write() as connection:
            connection.execute(
                """INSERT INTO replays (state, trigger, started_at, seconds, turns, kept, changed,
                       identity_version, digest, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
                (
                    replay.state,
                    replay.trigger,
                    replay.started_at.isoformat(),
                    replay.seconds,
                    replay.turns,
                    replay.kept,
                    replay.changed,
                    replay.identity_version,
                    replay.digest,
                    replay.error,
                ),
            )

    def replays(self, limit: int = 50) -> list[ReplayRow]:
        """The last replays, newest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                """SELECT r.*, json_extract(i.made_of, '$.warning') AS warning
                   FROM replays r LEFT JOIN identities i ON i.version = r.identity_version
                   ORDER BY r.id DESC LIMIT ?""",
                (limit,),
            ).fetchall()
        return [
            ReplayRow(
                state=row["state"],
                trigger=row["trigger"],
                started_at=datetime.fromisoformat(row["started_at"]),
                seconds=row["seconds"],
                turns=row["turns"],
                kept=row["kept"],
                changed=bool(row["changed"]),
                identity_version=row["identity_version"],
                digest=row["digest"],
                error=row["error"],
                warning=row["warning"] or None,
            )
            for row in rows
        ]


def _identity(row: sqlite3.Row) -> IdentityRow:
    return IdentityRow(
        version=row["version"],
        digest=row["digest"],
        created_at=datetime.fromisoformat(row["created_at"]),
        tokens=row["tokens"],
        missing=tuple(json.loads(row["missing"])),
        text=row["text"],
        made_of=json.loads(row["made_of"]),
    )
