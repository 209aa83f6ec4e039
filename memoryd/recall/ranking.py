"""Candidates and the one score that orders them."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from memoryd.passages import Kind
from memoryd.recall import weights
from memoryd.recall.hits import Why

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from memoryd.date_words import Span
    from memoryd.ledger import Place

# From one exchange's last turn to the first of the next; a turn without words may lie between.
NEXT_TURN = 2


class Ranked(NamedTuple):
    """A candidate with its score and the reasons for it."""

    place: Place
    score: float
    why: Why


class WordShares:
    """Each passage's share of the question's words, and its neighbours'.

    Args:
        best: the passages with the largest shares, best first; neighbours are looked for among these.
        shares: rows → share of each, of any passages.
    """

    def __init__(self, best: Sequence[Place], shares: Callable[[Sequence[int]], Mapping[int, float]]) -> None:
        self.best = best
        self.of = shares
        own = shares([place.row for place in best])
        self.ranks = {place.row: rank for rank, place in enumerate(best, 1)}
        self._conversations: dict[int, list[tuple[int, int, int, float]]] = {}
        for place in best:
            if place.kind == Kind.SAID:
                row = (place.first, place.row, place.last, own[place.row])
                self._conversations.setdefault(place.conversation, []).append(row)
        for rows in self._conversations.values():
            rows.sort()

    def beside(self, place: Place) -> float:
        """The share of the better one of the exchanges just before it and just after it.

        Pieces of one exchange are none to each other: they stand under the same opening words already.
        """
        if place.kind != Kind.SAID:
            return 0.0
        rows = self._conversations.get(place.conversation, [])
        at = bisect_left(rows, (place.first, place.row))
        before, after = at - 1, at
        while before >= 0 and rows[before][2] >= place.first:
            before -= 1
        while after < len(rows) and rows[after][0] <= place.last:
            after += 1
        best = 0.0
        if before >= 0 and place.first - rows[before][2] <= NEXT_TURN:
            best = rows[before][3]
        if after < len(rows) and rows[after][0] - place.last <= NEXT_TURN:
            best = max(best, rows[after][3])
        return best


def nearness(moment: datetime, spans: Sequence[Span]) -> float:
    """How near a moment is to the times that a question names: 1 inside one, 0 where it names none."""
    near = 0.0
    for span in spans:
        reach = max(span.until - span.since, weights.NEAR_TIME)
        near = max(near, 3.0 ** -(span.distance(moment) / reach))
    return near


def rank(
    places: Iterable[Place],
    *,
    cosines: Mapping[int, float],
    meaning_ranks: Mapping[int, int],
    shares: WordShares,
    spans: Sequence[Span],
) -> list[Ranked]:
    """Candidates, best first; equal scores keep the order of their ids.

    Args:
        cosines: row → cosine with the question; a candidate without one counts as 0.
        meaning_ranks: row → rank among the candidates by meaning.
    """
    ranked = []
    places = list(places)
    own = shares.of([place.row for place in places])
    for place in places:
        why = Why(
            cosine=cosines.get(place.row, 0.0),
            words=own[place.row],
            neighbours=shares.beside(place),
            time=nearness(place.time, spans),
            person=float(place.kind == Kind.SAID),
            meaning_rank=meaning_ranks.get(place.row),
            words_rank=shares.ranks.get(place.row),
        )
        ranked.append(Ranked(place=place, score=score(why), why=why))
    return sorted(ranked, key=lambda each: (-each.score, each.place.passage_id))


def score(why: Why) -> float:
    """The weighted sum."""
    return (
        why.cosine
        + weights.WORDS * why.words
        + weights.NEIGHBOURS * why.neighbours
        + weights.TIME * why.time
        + weights.PERSON * why.person
    )
