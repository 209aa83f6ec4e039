"""How well questions found their evidence: recall of turns and of sessions, reciprocal rank, speed.

Shares are percentages, means over questions. A question without evidence (nothing answers it) is left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from operator import mul
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bench.datasets import Question

# Weights that an oracle may choose among: of cosine, words, neighbours, time, person. Those in use are some of them.
FUSIONS = ((0.0, 1.0), (0.1, 0.2, 0.42, 0.8, 1.6), (0.0, 0.25, 0.5, 1.0), (0.0, 0.15, 0.3), (0.0, 0.1, 0.2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A passage that was found: the ids of its turns, its conversation's id, and the parts of its score."""

    turns: tuple[str, ...]
    session: str
    parts: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A question and its hits, best first."""

    question: Question
    hits: tuple[Hit, ...]
    milliseconds: float
    degraded: bool = False


def summarise(answers: Sequence[Answered]) -> dict[str, float]:
    """The figures over the questions that have evidence; sessions stand in the order of their best hits."""
    scored = [answer for answer in answers if answer.question.evidence]
    figures: dict[str, float] = {"n": len(scored)}
    for k in (5, 10, 20):
        figures[f"evidence_recall@{k}"] = _percent(evidence_recall(answer, k) for answer in scored)
    for k in (1, 5):
        figures[f"session_any@{k}"] = _percent(session_recall(answer, k) > 0 for answer in scored)
    figures["session_all@5"] = _percent(session_recall(answer, 5) == 1 for answer in scored)
    figures["session_recall@10"] = _percent(session_recall(answer, 10) for answer in scored)
    figures["mrr"] = _percent(reciprocal_rank(answer) for answer in scored)
    times = [answer.milliseconds for answer in answers]
    figures["search_ms_p50"] = round(percentile(times, 50), 1)
    figures["search_ms_p95"] = round(percentile(times, 95), 1)
    return figures


def summarise_by_type(answers: Sequence[Answered]) -> dict[str, dict[str, float]]:
    """The same figures for each type of question that has evidence."""
    types = sorted({answer.question.type for answer in answers if answer.question.evidence})
    return {kind: summarise([answer for answer in answers if answer.question.type == kind]) for kind in types}


def oracle_fusion(answers: Sequence[Answered]) -> dict[str, float]:
    """The figures if each question were ranked by those of the `FUSIONS` that are best for it.

    The hits must be many more than are counted, with the parts of their scores.
    """
    wanted: dict[str, Callable[[Answered], float]] = {
        "evidence_recall@5": partial(evidence_recall, k=5),
        "evidence_recall@10": partial(evidence_recall, k=10),
        "session_any@1": lambda answer: session_recall(answer, 1) > 0,
        "session_any@5": lambda answer: session_recall(answer, 5) > 0,
        "session_recall@10": partial(session_recall, k=10),
    }
    best: dict[str, list[float]] = {name: [] for name in wanted}
    for answer in answers:
        if answer.question.evidence:
            orders = [_fused(answer, weights) for weights in product(*FUSIONS)]
            for name, figure in wanted.items():
                best[name].append(max(map(figure, orders)))
    return {name: _percent(values) for name, values in best.items()}


def _fused(answer: Answered, weights: Sequence[float]) -> Answered:
    def score(hit: Hit) -> float:
        return math.fsum(map(mul, weights, hit.parts))

    return replace(answer, hits=tuple(sorted(answer.hits, key=score, reverse=True)))


def newest_before_stale(answers: Sequence[Answered]) -> float:
    """Among questions whose evidence supersedes older turns: how often the evidence was found first, in %."""
    return _percent(
        _first(answer, answer.question.evidence) < _first(answer, answer.question.stale)
        for answer in answers
        if answer.question.stale
    )


def evidence_recall(answer: Answered, k: int) -> float:
    """The share of the evidence turns that the first k hits cover."""
    found = {turn for hit in answer.hits[:k] for turn in hit.turns}
    return len(answer.question.evidence & found) / len(answer.question.evidence)


def session_recall(answer: Answered, k: int) -> float:
    """The share of the gold sessions among the first k sessions, each at the place of its best hit."""
    sessions = list(dict.fromkeys(hit.session for hit in answer.hits))
    return len(answer.question.sessions.intersection(sessions[:k])) / len(answer.question.sessions)


def reciprocal_rank(answer: Answered) -> float:
    """One over the place of the first hit that covers an evidence turn; 0 where none does."""
    return 1 / _first(answer, answer.question.evidence)


def percentile(values: Iterable[float], percent: float) -> float:
    """The nearest-rank percentile; 0 without values."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * percent / 100) - 1, 0)] if ordered else 0.0


def _first(answer: Answered, turns: frozenset[str]) -> float:
    """The 1-based place of the first hit that covers one of the turns, or infinity."""
    places = (place for place, hit in enumerate(answer.hits, 1) if turns.intersection(hit.turns))
    return next(places, math.inf)


def _percent(shares: Iterable[float]) -> float:
    values = list(shares)
    return round(100 * sum(values) / len(values), 1) if values else 0.0
