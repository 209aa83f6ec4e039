"""What the files on disk say, what the ledger and Chroma hold, and how they differ.

Read beside the daemon, not through it: the files with a parser of our own, the ledger read-only, Chroma by its port.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from bench.faults.driver import MADE_UP

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# (path below memory/, turn id, words)
Turn = tuple[str, str, str]
LEDGER = "ledger.sqlite3"
SAME = 1e-3
PAGES_DAMAGED = "the ledger's pages are damaged"


@dataclass(slots=True)
class Differences:
    """What is not as the files say, one sentence each."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def all(self) -> list[str]:
        """Every sentence."""
        return self.lost + self.duplicated + self.wrong


def on_disk(memory: Path) -> Counter[Turn]:
    """Every turn of every whole line in `memory/`."""
    turns: Counter[Turn] = Counter()
    for file in sorted(memory.glob("day*/**/*.jsonl")):
        path = file.relative_to(memory).as_posix()
        if any(part.startswith(".") for part in path.split("/")):
            continue
        for line in file.read_bytes().split(b"\n"):
            try:
                turn = json.loads(line)
            except ValueError:
                continue  # the torn end of a write that a crash cut off
            turns[path, turn["id"], turn["text"]] += 1
    return turns


def signatures(memory: Path) -> dict[str, tuple[int, int]]:
    """Path → (size, mtime in ns) of every file that the daemon should know."""
    found = {}
    for file in memory.glob("day*/**/*.jsonl"):
        path = file.relative_to(memory).as_posix()
        if not any(part.startswith(".") for part in path.split("/")):
            status = file.stat()
            found[path] = (status.st_size, status.st_mtime_ns)
    return found


class LedgerView:
    """The ledger, read-only."""

    def __init__(self, state: Path) -> None:
        self._file = state / LEDGER

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query gives.

        Raises:
            sqlite3.Error: the ledger is not there, or can't be read.
        """
        with closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(query).fetchall()

    def files(self) -> dict[str, tuple[int, int]]:
        """Path → (size, mtime in ns), as last read."""
        return {
            path: (size, mtime) for path, size, mtime in self.rows("SELECT path, size, mtime_ns FROM files")
        }

    def outbox(self) -> int:
        """Changes that Chroma has yet to take."""
        return int(self.rows("SELECT count(*) FROM outbox")[0][0])

    def generation(self) -> int:
        """Of the vector index."""
        rows = self.rows("SELECT value FROM settings WHERE name = 'generation'")
        return int(rows[0][0]) if rows else 1

    def turns(self) -> Counter[Turn]:
        """Every turn in it."""
        return Counter(
            self.rows(
                """SELECT f.path, t.turn_id, t.text FROM turns t
                   JOIN conversations c ON t.conversation = c.id JOIN files f ON c.file = f.id"""
            )
        )

    def vectors(self) -> dict[str, bytes]:
        """Passage id → its vector; one embedder made them all."""
        return dict(
            self.rows("SELECT p.passage_id, v.vector FROM passages p JOIN vectors v ON v.key = p.vector_key")
        )

    def embedded_twice(self) -> int:
        """Texts that were embedded although their vector was there, by the ledger's own counter."""
        counted = self.rows("SELECT value FROM counters WHERE name = 'embedded_texts'")
        return int(counted[0][0] if counted else 0) - int(self.rows("SELECT count(*) FROM vectors")[0][0])


def compare(memory: Path, ledger: LedgerView, chroma: str | None) -> Differences:
    """Files against ledger, the ledger against itself, and the ledger against Chroma at an address."""
    found = Differences()
    truth, held = on_disk(memory), ledger.turns()
    found.lost += [f"lost: {turn}" for turn in truth - held]
    for turn in held - truth:
        (found.duplicated if turn in truth else found.wrong).append(f"not on disk so often: {turn}")
    # A turn may be cut at a sentence's end: then two passages cover it, and none holds it whole.
    covering = ledger.rows(
        """SELECT f.path, t.turn_id, count(p.id), coalesce(sum(instr(p.text, t.text) > 0), 0)
           FROM turns t JOIN conversations c ON t.conversation = c.id JOIN files f ON c.file = f.id
           LEFT JOIN passages p ON p.conversation = t.conversation AND t.idx BETWEEN p.first AND p.last
           GROUP BY t.conversation, t.idx"""
    )
    found.lost += [f"no passage holds {path} {turn}" for path, turn, n, _ in covering if n == 0]
    found.duplicated += [f"{n} passages hold {path} {turn}" for path, turn, _, n in covering if n > 1]
    found.wrong += _words(ledger)
    if ledger.rows("PRAGMA integrity_check") != [("ok",)]:
        found.wrong.append(PAGES_DAMAGED)
    found.wrong += ["there is no Chroma child"] if chroma is None else _chroma(chroma, ledger.vectors())
    return found


def _words(ledger: LedgerView) -> Iterable[str]:
    """Every passage has its words in the lexical index, and no others are there."""
    differing = ledger.rows(
        """SELECT id, 'has no words' FROM passages WHERE id NOT IN (SELECT rowid FROM lexical)
           UNION ALL SELECT rowid, 'is gone and has words' FROM lexical WHERE rowid NOT IN (SELECT id FROM passages)
           UNION ALL SELECT id, 'has no vector' FROM passages p
                     WHERE NOT EXISTS (SELECT 1 FROM vectors v WHERE v.key = p.vector_key)"""
    )
    return [f"passage {number} {what}" for number, what in differing]


def _chroma(url: str, expected: dict[str, bytes]) -> list[str]:
    """Every passage's vector finds that passage in Chroma, and nothing else is in it.

    The vectors that Chroma gives out are not compared: it multiplies them by lengths from a file that no search reads.
    """
    import chromadb
    from chromadb.config import Settings

    parts = urlsplit(url)
    client: Any = chromadb.HttpClient(
        host=parts.hostname or "", port=parts.port or 0, settings=Settings(anonymized_telemetry=False)
    )
    wrong, held = [], set()
    for collection in client.list_collections():
        ids = collection.get(include=[])["ids"]
        held |= set(ids)
        known = [each for each in ids if each in expected]
        if not known:
            continue
        vectors = [np.frombuffer(expected[each], "<f4") for each in known]
        nearest = collection.query(query_embeddings=vectors, n_results=1, include=["distances"])
        for each, found, distances in zip(known, nearest["ids"], nearest["distances"] or [], strict=True):
            # Two passages of the same words have the same vector.
            if not found or distances[0] > SAME or expected.get(found[0]) != expected[each]:
                wrong.append(f"Chroma does not find {each}: {found} {distances}")
    wrong += [f"Chroma lacks {each}" for each in expected.keys() - held]
    wrong += [f"Chroma holds {each}, which is gone" for each in held - expected.keys()]
    client.close()
    return wrong


def words_in(turns: Iterable[Turn]) -> Counter[str]:
    """How many turns hold each made-up word."""
    return Counter(word for _, _, text in turns for word in set(MADE_UP.findall(text)))
