"""A whole memory for a test: a folder of files, a real ledger, the real word splitter, fakes for the rest."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from memoryd.gist import dumps, statements_of
from memoryd.ingest import Ingest
from memoryd.korean import WordSplitter
from memoryd.ledger import Ledger, TurnRow
from memoryd.ledger.gists import GistRow
from memoryd.recall.recall import Recall
from memoryd.testing import FakeEmbedder, FakeVectorIndex
from memoryd.users import Users

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from memoryd.gist import Gist, Statement

WORDS = WordSplitter()
SHARED = ("",)
WRITTEN = datetime(2026, 3, 16, 12, tzinfo=UTC)


def line(text: str, **fields: object) -> str:
    """A turn in the native format."""
    return json.dumps({"text": text, **fields}, ensure_ascii=False) + "\n"


def turn(
    text: str,
    *,
    day: int = 10,
    role: str = "user",
    speaker: str = "지훈",
    conversation: str = "c1",
    index: int = 0,
) -> TurnRow:
    """A turn of March 2026 as the ledger keeps it."""
    return TurnRow(
        id=f"{conversation}:{index}",
        conversation_id=conversation,
        index=index,
        role=role,
        speaker=speaker,
        time=datetime(2026, 3, day, 21, tzinfo=UTC),
        text=text,
    )


class GistsAtHand:
    """Gists by path, as the ledger would give them."""

    def __init__(self, gists: Mapping[str, Gist], owner: str = "") -> None:
        self._owner = owner
        self._stored = {path: dumps(gists[path]) for path in sorted(gists)}

    def numbers(self) -> list[list[GistRow]]:
        return [[GistRow(path, self._owner, *stored[:-1])] for path, stored in self._stored.items()]

    def statements(self, places: Mapping[str, Sequence[int]]) -> dict[tuple[str, int], Statement]:
        return {
            (path, place): statement
            for path in places
            for place, statement in statements_of(self._stored[path].body, places[path]).items()
        }


def all_turns(ledger: Ledger, owners: Sequence[str]) -> list[TurnRow]:
    """Every turn of these owners, in event order."""
    found = []
    for file in ledger.gists.missing(owners, method=-1):
        with ledger.gists.turns(file) as turns:
            found += list(turns)
    return sorted(found, key=lambda turn: turn.time)


@dataclass
class Home:
    """Files and everything that reads them."""

    folder: Path
    max_file_bytes: int = 10_000
    max_tokens: int = 40
    embedder: FakeEmbedder = field(default_factory=FakeEmbedder)
    index: FakeVectorIndex = field(default_factory=FakeVectorIndex)
    degraded: str | None = None

    def __post_init__(self) -> None:
        self.root = self.folder / "memory"
        self.manifest = self.folder / "manifest"
        self.root.mkdir()
        self.manifest.mkdir()
        (self.manifest / "origin_id.txt").write_text("jihun\n", encoding="utf-8")
        self.ledger = Ledger(self.folder / "state")
        self.users = Users(self.manifest, self.folder / "state")
        self.ingest = Ingest(
            memory=self.root,
            ledger=self.ledger,
            embedder=self.embedder,
            words=WORDS,
            users=self.users,
            max_file_bytes=self.max_file_bytes,
            max_tokens=self.max_tokens,
        )
        self.recall = Recall(
            ledger=self.ledger,
            embedder=self.embedder,
            words=WORDS,
            index=lambda: self.index,
            degraded=lambda: self.degraded,
            doubt=lambda: None,
            candidates=50,
        )

    def put(self, path: str, content: str | bytes, *, written: datetime = WRITTEN) -> Path:
        """Writes a file, last changed at `written`."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        os.utime(file, (written.timestamp(), written.timestamp()))
        return file

    def remember(self, path: str, content: str | bytes, *, written: datetime = WRITTEN) -> None:
        """Writes a file and has it read."""
        self.put(path, content, written=written)
        self.read(path)

    def read(self, *paths: str) -> None:
        """Has files read; the first one's failure is raised."""
        for error in self.ingest.read(paths).values():
            raise error

    def feed(self) -> None:
        """Hands what waits in the outbox to the index."""
        for row in self.ledger.outbox.batch(self.embedder.id, 1000):
            if row.vector is None:
                self.index.delete(row.owner, [row.passage_id])
            else:
                vector = np.frombuffer(row.vector, "<f4").reshape(1, -1)
                self.index.upsert(row.owner, [row.passage_id], vector)
            self.ledger.outbox.clear([row.seq])

    def turns(self) -> list[TurnRow]:
        """Everything that was said, in event order."""
        owners = ("", self.users.origin.id)
        return all_turns(self.ledger, owners)

    def said(self) -> list[str]:
        """The words of every turn, in event order."""
        return [each.text for each in self.turns()]

    def find(self, query: str, *, k: int = 10) -> list[str]:
        """The texts of the passages that a search finds, best first."""
        return [hit.passage.text for hit in self.recall.search(query, owners=SHARED, k=k).hits]
