"""One search from the question to its hits."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from memoryd.date_words import spans as named_times
from memoryd.errors import IndexUnavailableError
from memoryd.korean import QUESTION_END, sentences
from memoryd.passages import Kind
from memoryd.recall import weights
from memoryd.recall.filter import Filter
from memoryd.recall.hits import Found, Hit, Timings
from memoryd.recall.newer import DEPTH, asks_for_latest, newer_first
from memoryd.recall.ranking import WordShares, rank
from memoryd.recall.reranker import DEPTH as RERANKED
from memoryd.recall.widening import Widening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from memoryd.chroma import VectorIndex
    from memoryd.date_words import Span
    from memoryd.embedder import Embedder
    from memoryd.korean import WordSplitter
    from memoryd.ledger import FoundPassage, Ledger, Place
    from memoryd.recall.ranking import Ranked
    from memoryd.recall.reranker import Reranker

# Candidates when the caller filters: the filter comes after them, so none may be missing.
EVERY = 1_000_000
# Searches by meaning that go on at once; a thread for each would cost a millisecond to begin.
SEARCHES = 8
# How far down a reply's sources are looked for before the reply counts as a repetition of them.
REPETITION_DEPTH = 20


class Recall:
    """Answers searches over one ledger.

    Args:
        index: the vector index in use now.
        degraded: why it must not be trusted now, or None.
        doubt: told when the index could not be used.
        candidates: by meaning, and as many by words.
        reranker: puts the best hits into a better order, where there is one.
        now: the moment that date words count from, unless the caller names one.
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
        reranker: Reranker | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC).astimezone(),
    ) -> None:
        self._ledger = ledger
        self._embedder = embedder
        self._words = words
        self._index = index
        self._degraded = degraded
        self._doubt = doubt
        self._candidates = candidates
        self._reranker = reranker
        self._now = now
        self._beside = ThreadPoolExecutor(SEARCHES, thread_name_prefix="meaning")

    def search(
        self,
        query: str,
        *,
        owners: Sequence[str],
        k: int,
        only: Filter | None = None,
        now: datetime | None = None,
        telling: bool = False,
    ) -> Found:
        """The k best passages.

        Args:
            owners: whose passages are searched; those of several stand in one order.
            now: the moment that date words in the query count from; aware.
            telling: leave out what only asks.

        Raises:
            StoreError: the ledger can't be read.
        """
        clock = _Stopwatch()
        only = only or Filter()
        meaning = self._beside.submit(self._meaning, query, owners, max(self._candidates, 2 * k), only)
        # Not more for a larger k: neighbours are seen among these, and a score must not hang on how many are asked.
        shares = self._by_words(query, owners, EVERY if only.active else self._candidates)
        spans = _few(named_times(query, now or self._now()))
        clock.lap("words")
        meant = meaning.result()
        clock.skip()
        ranked = self._ranked(query, meant, owners, shares=shares, spans=spans, only=only)
        clock.lap("rank")
        depth = max(k, RERANKED) if self._reranker else k
        hits = self._hits(ranked, owners, depth, only, telling=telling)
        clock.lap("pack")
        if self._reranker:
            hits = self._reranker.reranked(query, hits)
            clock.lap("rerank")
        return Found(
            hits=tuple(hits[:k]),
            degraded=meant.degraded,
            timings=clock.timings(embed=meant.embed_ms, vectors=meant.vectors_ms),
            dates=tuple(span.words for span in spans),
        )

    def memories(
        self, question: str, *, owners: Sequence[str], count: int, now: datetime | None = None
    ) -> Found:
        """What a prompt should hold: nothing that only asks, no answer beside what it was built from."""
        found = self.search(question, owners=owners, k=count + REPETITION_DEPTH, now=now, telling=True)
        near = {hit.passage.id for hit in found.hits[:REPETITION_DEPTH]}
        telling = [
            hit
            for hit in found.hits
            if not (hit.passage.kind == Kind.REPLY and near.intersection(hit.passage.citations))
        ]
        return Found(
            hits=tuple(telling[:count]), degraded=found.degraded, timings=found.timings, dates=found.dates
        )

    def _by_words(self, query: str, owners: Sequence[str], count: int) -> WordShares:
        best, shares = self._ledger.search.lexical(self._words.asked(query), owners, count)
        return WordShares(best, shares.of)

    def _meaning(self, query: str, owners: Sequence[str], count: int, only: Filter) -> _Meaning:
        clock = _Stopwatch()
        vector = self._embedder.embed_query(query)
        clock.lap("embed")
        found, degraded = self._by_meaning(vector, owners, count, only)
        clock.lap("vectors")
        took = clock.timings()
        return _Meaning(vector, found, degraded, embed_ms=took.embed, vectors_ms=took.vectors)

    def _by_meaning(
        self, vector: NDArray[np.float32], owners: Sequence[str], count: int, only: Filter
    ) -> tuple[list[tuple[str, float]], str | None]:
        """(passage id, cosine) of candidates by meaning, best first, and why the index was not used."""
        nearest = self._ledger.vectors.nearest
        reason = self._degraded()
        if only.active:
            # Looked for among what the filter admits, every vector of it.
            return [], reason
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

    def _ranked(
        self,
        query: str,
        meant: _Meaning,
        owners: Sequence[str],
        *,
        shares: WordShares,
        spans: Sequence[Span],
        only: Filter,
    ) -> list[Ranked]:
        """All candidates in order, the newer of two on one subject before the older unless a cross-encoder decides."""
        search, vectors = self._ledger.search, self._ledger.vectors
        places = {place.row: place for place in self._other_places(owners, shares, spans, only)}
        by_id = {place.passage_id: place for place in search.named([each for each, _ in meant.found], owners)}
        places |= {place.row: place for place in by_id.values()}
        known = [(by_id[each].row, cosine) for each, cosine in meant.found if each in by_id]
        cosines = dict(known)
        unknown = [row for row in places if row not in cosines]
        cosines |= vectors.cosines(self._embedder.id, unknown, meant.vector)
        ranked = rank(
            places.values(),
            cosines=cosines,
            meaning_ranks={row: number for number, (row, _) in enumerate(known, 1)},
            shares=shares,
            spans=spans,
        )
        if self._reranker:
            return ranked
        first = vectors.of_rows(self._embedder.id, [each.place.row for each in ranked[:DEPTH]])
        return newer_first(ranked, first, latest=asks_for_latest(query))

    def _other_places(
        self, owners: Sequence[str], shares: WordShares, spans: Sequence[Span], only: Filter
    ) -> Iterator[Place]:
        """Candidates that were not found by meaning: by the filter or else by words and by time."""
        said = self._ledger.search.said
        if only.active:
            yield from said(owners, EVERY, since=only.since, until=only.until, speaker=only.speaker)
            return
        yield from shares.best
        for span in spans:
            # Of a long time the first passages would be no better than any: what is near gains in the score anyhow.
            if span.until - span.since <= weights.SHORT_TIME:
                yield from said(owners, weights.TIME_CANDIDATES, since=span.since, until=span.until)

    def _hits(
        self,
        ranked: Sequence[Ranked],
        owners: Sequence[str],
        k: int,
        only: Filter,
        *,
        telling: bool,
    ) -> list[Hit]:
        """The first k that are admitted, each with its neighbours, no words twice."""
        search = self._ledger.search
        scores = {each.place.row: each.score for each in ranked}
        first = {each.id: each for each in search.get([each.place.passage_id for each in ranked[:k]], owners)}
        widening = Widening(self._ledger, owners, scores, wide=not only.active)
        hits: list[Hit] = []
        seen: set[str] = set()
        for each in ranked:
            if len(hits) == k:
                break
            if each.place.row in widening.shown:
                continue
            named = each.place.passage_id
            for passage in [first[named]] if named in first else search.get([named], owners):
                words = " ".join(passage.text.split())
                if words in seen or not only.admits(passage) or (telling and _only_asks(passage)):
                    continue
                seen.add(words)
                wide, covers = widening.wide(each.place, passage)
                hits.append(Hit(passage=wide, covers=covers, score=each.score, why=each.why))
        return hits


class _Meaning(NamedTuple):
    """Candidates by meaning: (passage id, cosine), best first; the question's unit vector, (d,) float32."""

    vector: NDArray[np.float32]
    found: Sequence[tuple[str, float]]
    degraded: str | None
    embed_ms: float
    vectors_ms: float


class _Stopwatch:
    """Milliseconds between laps."""

    def __init__(self) -> None:
        self._begun = self._since = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self._laps[name] = (now - self._since) * 1000
        self._since = now

    def skip(self) -> None:
        """What was since the last lap is no part of the next."""
        self._since = time.perf_counter()

    def timings(self, **beside: float) -> Timings:
        """The laps, others that went on beside them, and all the time since the first."""
        return Timings(**self._laps, **beside, total=(time.perf_counter() - self._begun) * 1000)


def _few(spans: Sequence[Span]) -> list[Span]:
    """Each stretch once, and no more of them than a question names: a pasted log has hundreds."""
    return list({(span.since, span.until): span for span in spans}.values())[: weights.MOST_TIMES]


def _merged(
    found: Sequence[tuple[str, float]], fresh: Sequence[tuple[str, float]], count: int
) -> list[tuple[str, float]]:
    best = dict(fresh) | dict(found)
    return sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))[:count]


def _only_asks(passage: FoundPassage) -> bool:
    """Whether nothing is said but questions: an earlier asking of the same thing answers nothing."""
    return all(QUESTION_END.search(sentence) for turn in passage.turns for sentence in sentences(turn.text))
