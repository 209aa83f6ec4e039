"""How well questions found their evidence: recall of turns and of sessions, reciprocal rank, speed.

Shares are percentages, means over questions. A question without evidence (nothing answers it) is left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bench.datasets import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A passage that was found: the ids of its turns, and its conversation's id."""

    turns: tuple[str, ...]
    session: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A question and its hits, best first."""

    question: Question
    hits: tuple[Hit, ...]
    milliseconds: float


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


def ideal(answer: Answered) -> Answered:
    """The same hits in the best order there is: each next one covers the most evidence that is not covered yet."""
    question, left = answer.question, list(answer.hits)
    wanted, ordered = set(question.evidence), list[Hit]()
    while left and (best := max(left, key=lambda hit: len(wanted.intersection(hit.turns)))):
        if not wanted.intersection(best.turns):
            break
        wanted.difference_update(best.turns)
        ordered.append(best)
        left.remove(best)
    left.sort(key=lambda hit: hit.session not in question.sessions)
    return replace(answer, hits=(*ordered, *left))


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
