"""What recall gives: hits with their reasons, and what the search took."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from memoryd.ledger import FoundPassage


class Why(NamedTuple):
    """Why a hit is where it is: ranks from 1 on, None where that search did not find it; parts of its score.

    Attributes:
        cosine: with the question, -1 to 1.
        words: share of the question's words, 0 to 1.
        neighbours: the same of the better one of its two neighbours.
        time: nearness to the time that the question names, 0 to 1.
        person: 1 where a person speaks in it, 0 where an assistant alone does.
        meaning_rank: among the candidates by meaning.
        words_rank: among those by words.
        reranked: the cross-encoder's score, where there is one.
        newer: whether it was put before an older passage on the same subject.
    """

    cosine: float
    words: float
    neighbours: float
    time: float
    person: float
    meaning_rank: int | None
    words_rank: int | None
    reranked: float | None = None
    newer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A passage that was found, with what stands beside it; the score orders hits of one question and no more.

    Attributes:
        passage: under the id of the one that was found, the words and turns of all that is shown.
        covers: the ids of the passages that are shown, in their order.
    """

    passage: FoundPassage
    covers: tuple[str, ...]
    score: float
    why: Why


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Milliseconds that a search took, and its parts: `embed` and `vectors` go on beside `words`."""

    embed: float = 0.0
    vectors: float = 0.0
    words: float = 0.0
    rank: float = 0.0
    rerank: float = 0.0
    pack: float = 0.0
    total: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Hits, best first. `degraded` says why the vector index was not used; `dates` are the times that were heard."""

    hits: tuple[Hit, ...]
    degraded: str | None
    timings: Timings = field(default_factory=Timings)
    dates: tuple[str, ...] = ()
