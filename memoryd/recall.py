"""Finds what was said: by meaning and by words, merged, filtered only when asked, packed for a prompt.

    question ─┬─embed──▶ Chroma (or exact search while it is away) ─┐
              │                                                     ├─ reciprocal rank fusion ─▶ hits
              └─words──▶ FTS5 ──────────────────────────────────────┘

Fusion: Cormack, Clarke & Büttcher 2009. A small k serves better than their 60 here (LoCoMo dev, evidence
recall@10: 76.9 against 74.4), because one leg often has nothing to say and its tail only adds noise.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memoryd.errors import IndexUnavailableError
from memoryd.korean import QUESTION_END, sentences
from memoryd.passages import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from memoryd.chroma import VectorIndex
    from memoryd.embedder import Embedder
    from memoryd.korean import WordSplitter
    from memoryd.ledger import FoundPassage, Ledger

FUSION_K = 10
DENSE_WEIGHT = 1.0
LEXICAL_WEIGHT = 0.7
# Candidates when the caller filters: the filter comes after them, so none may be missing.
FILTERED_CANDIDATES = 1_000_000
# How far down a reply's sources are looked for before the reply counts as a repetition of them.
REPETITION_DEPTH = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A passage that was found; the score orders hits of one question and means nothing beside it."""

    passage: FoundPassage
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Hits, best first. `degraded` says why the vector index was not used."""

    hits: tuple[Hit, ...]
    degraded: str | None
    milliseconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What the caller asked to see only: event times, and a speaker's passages."""

    since: datetime | None = None
    until: datetime | None = None
    speaker: str | None = None

    @property
    def active(self) -> bool:
        """Whether it leaves anything out."""
        return any((self.since, self.until, self.speaker))

    def admits(self, passage: FoundPassage) -> bool:
        """Whether a turn of the passage lies in the times, and one is the speaker's."""
        in_time = any(
            (self.since is None or turn.time >= self.since)
            and (self.until is None or turn.time <= self.until)
            for turn in passage.turns
        )
        return in_time and (
            self.speaker is None
            or any(turn.speaker.casefold() == self.speaker.casefold() for turn in passage.turns)
        )


class Recall:
    """Answers searches over one ledger.

    Args:
        index: the vector index in use now.
        degraded: why it must not be trusted now, or None.
        doubt: told when the index could not be used.
        candidates: taken from each leg.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        embedder: Embedder,
        words: WordSplitter,
        index: Callable[[], VectorIndex],
        degraded: Callable[[], str | None],
        doubt: Callable[[], None],
        candidates: int,
    ) -> None:
        self._ledger = ledger
        self._embedder = embedder
        self._words = words
        self._index = index
        self._degraded = degraded
        self._doubt = doubt
        self._candidates = candidates

    def search(self, query: str, *, owners: Sequence[str], k: int, only: Filter | None = None) -> Found:
        """The k best passages.

        Raises:
            StoreError: the ledger can't be read.
        """
        begun = time.perf_counter()
        only = only or Filter()
        count = FILTERED_CANDIDATES if only.active else max(self._candidates, 2 * k)
        dense, degraded = self._dense(query, owners, count, exact=only.active)
        lexical = self._ledger.search.lexical(self._words.words(query), owners, count)
        hits = self._hits(fuse([(dense, DENSE_WEIGHT), (lexical, LEXICAL_WEIGHT)]), owners, k, only)
        return Found(hits=hits, degraded=degraded, milliseconds=(time.perf_counter() - begun) * 1000)

    def memories(self, question: str, *, owners: Sequence[str], count: int) -> Found:
        """What a prompt should hold: nothing that only asks, no answer beside what it was built from."""
        found = self.search(question, owners=owners, k=count + REPETITION_DEPTH)
        near = {hit.passage.id for hit in found.hits[:REPETITION_DEPTH]}
        telling = [
            hit
            for hit in found.hits
            if not (hit.passage.kind == Kind.REPLY and near.intersection(hit.passage.citations))
            and not _only_asks(hit.passage)
        ]
        return Found(hits=tuple(telling[:count]), degraded=found.degraded, milliseconds=found.milliseconds)

    def _dense(
        self, query: str, owners: Sequence[str], count: int, *, exact: bool
    ) -> tuple[list[tuple[str, float]], str | None]:
        """Candidates by meaning, and why the index was not used. `exact` looks at every vector."""
        vector = self._embedder.embed_query(query)
        nearest = self._ledger.vectors.nearest
        reason = self._degraded()
        if reason is None and exact:
            return nearest(self._embedder.id, owners, vector, count), None
        if reason is None:
            try:
                found = self._index().query(owners, vector, count)
                # What Chroma has not taken yet is looked at exactly, so that nothing is late.
                fresh = nearest(self._embedder.id, owners, vector, count, waiting_only=True)
                return _merged(found, fresh, count), None
            except IndexUnavailableError as error:
                reason = str(error)
                self._doubt()
        return nearest(self._embedder.id, owners, vector, count), reason

    def _hits(
        self, ranked: Sequence[tuple[str, float]], owners: Sequence[str], k: int, only: Filter
    ) -> tuple[Hit, ...]:
        """The first k that the filter admits, none twice."""
        hits: list[Hit] = []
        seen: set[str] = set()
        for at in range(0, len(ranked), k):
            part = dict(ranked[at : at + k])
            for passage in self._ledger.search.get(list(part), owners):
                words = " ".join(passage.text.split())
                if words in seen or not only.admits(passage):
                    continue
                seen.add(words)
                hits.append(Hit(passage=passage, score=part[passage.id]))
            if len(hits) >= k:
                break
        return tuple(hits[:k])


def fuse(legs: Sequence[tuple[Sequence[tuple[str, float]], float]]) -> list[tuple[str, float]]:
    """Reciprocal rank fusion: each leg (ranked pairs, weight) adds weight / (k + rank) to what it found.

    A passage that a leg did not find gets nothing from it; equal sums keep the order of their ids.
    """
    scores: dict[str, float] = {}
    for ranked, weight in legs:
        for rank, (passage_id, _) in enumerate(ranked, start=1):
            scores[passage_id] = scores.get(passage_id, 0.0) + weight / (FUSION_K + rank)
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))


def pack(hits: Sequence[Hit], *, budget: int, count_tokens: Callable[[str], int]) -> list[Hit]:
    """The best hits that fit into a token budget, in time order."""
    chosen: list[Hit] = []
    left = budget
    for hit in hits:
        cost = count_tokens(written(hit.passage))
        if cost <= left:
            chosen.append(hit)
            left -= cost
    return sorted(chosen, key=lambda hit: (hit.passage.time, hit.passage.id))


def written(passage: FoundPassage) -> str:
    """A memory as the model reads it: date and source above the words, which name their speakers."""
    return f"[{passage.time:%Y-%m-%d} · {passage.path}]\n{passage.text}"


def _merged(
    found: Sequence[tuple[str, float]], fresh: Sequence[tuple[str, float]], count: int
) -> list[tuple[str, float]]:
    best = dict(fresh) | dict(found)
    return sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))[:count]


def _only_asks(passage: FoundPassage) -> bool:
    """Whether nothing is said but questions: an earlier asking of the same thing answers nothing."""
    return all(QUESTION_END.search(sentence) for turn in passage.turns for sentence in sentences(turn.text))
