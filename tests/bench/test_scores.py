"""The figures of bench.scores on hand-made answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bench.datasets import Question
from bench.scores import (
    Answered,
    Hit,
    evidence_recall,
    newest_before_stale,
    oracle_fusion,
    percentile,
    reciprocal_rank,
    session_recall,
    summarise,
    summarise_by_type,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


def answered(
    *hits: str,
    evidence: str = "a:1",
    stale: str = "",
    kind: str = "plain",
    milliseconds: float = 1.0,
) -> Answered:
    """Hits and evidence as turn ids, several joined by `+`; a session is what stands before the colon."""
    ids = frozenset(evidence.split()) if evidence else frozenset()
    question = Question(
        id="q",
        text="?",
        evidence=ids,
        sessions=frozenset(turn.split(":")[0] for turn in ids),
        type=kind,
        stale=frozenset(stale.split()),
    )
    found = tuple(Hit(turns=tuple(hit.split("+")), session=hit.split(":")[0]) for hit in hits)
    return Answered(question=question, hits=found, milliseconds=milliseconds)


def test_evidence_recall_is_the_share_of_turns_that_the_first_hits_cover() -> None:
    answer = answered("b:1", "a:1+a:2", "c:1", evidence="a:1 c:1")
    assert evidence_recall(answer, 1) == 0
    assert evidence_recall(answer, 2) == 0.5
    assert evidence_recall(answer, 3) == 1


def test_several_hits_of_a_session_take_one_place_among_sessions() -> None:
    answer = answered("b:1", "b:2", "b:3", "a:1", evidence="a:1")
    assert session_recall(answer, 1) == 0
    assert session_recall(answer, 2) == 1


def test_a_question_may_need_several_sessions() -> None:
    assert session_recall(answered("a:9", evidence="a:1 c:1"), 5) == 0.5


def test_an_oracle_weighs_the_parts_of_each_question_as_is_best_for_it() -> None:
    by_words = answered("b:1", "a:1", evidence="a:1")
    by_meaning = answered("a:1", "b:1", evidence="a:1")
    never = answered("b:1", "a:1", evidence="a:1")
    parts = {"b:1": (0.9, 0.1, 0.0, 0.0, 1.0), "a:1": (0.2, 0.8, 0.0, 0.0, 1.0)}
    nothing = dict.fromkeys(parts, (0.5, 0.5, 0.0, 0.0, 1.0))
    asked = [_with_parts(by_words, parts), _with_parts(by_meaning, parts), _with_parts(never, nothing)]
    found = oracle_fusion(asked)
    assert found["session_any@1"] == 66.7
    assert found["evidence_recall@5"] == 100


def _with_parts(answer: Answered, parts: Mapping[str, tuple[float, ...]]) -> Answered:
    return replace(answer, hits=tuple(replace(hit, parts=parts[hit.turns[0]]) for hit in answer.hits))


def test_reciprocal_rank_counts_from_the_first_hit_with_evidence() -> None:
    assert reciprocal_rank(answered("b:1", "a:1")) == 0.5
    assert reciprocal_rank(answered("b:1", "a:2")) == 0


def test_the_summary_is_in_percent_over_questions_that_have_evidence() -> None:
    figures = summarise([answered("a:1"), answered("b:1"), answered("b:1", evidence="")])
    assert figures["n"] == 2
    assert figures["evidence_recall@5"] == 50.0
    assert figures["session_any@1"] == 50.0
    assert figures["session_all@5"] == 50.0
    assert figures["session_recall@10"] == 50.0
    assert figures["mrr"] == 50.0


def test_the_summary_without_an_answer_is_zero_and_says_so() -> None:
    figures = summarise([])
    assert figures["n"] == 0
    assert set(figures.values()) == {0}


def test_types_are_summed_up_apart_and_unanswerable_ones_left_out() -> None:
    by_type = summarise_by_type(
        [
            answered("a:1", kind="fact"),
            answered("b:1", kind="date"),
            answered("b:1", evidence="", kind="abstention"),
        ]
    )
    assert list(by_type) == ["date", "fact"]
    assert by_type["fact"]["evidence_recall@5"] == 100.0
    assert by_type["date"]["evidence_recall@5"] == 0.0


def test_the_newest_statement_must_come_before_the_stale_one() -> None:
    first = answered("a:1", "b:1", evidence="a:1", stale="b:1")
    second = answered("b:1", "a:1", evidence="a:1", stale="b:1")
    alone = answered("a:1", evidence="a:1", stale="b:1")
    neither = answered("c:1", evidence="a:1", stale="b:1")
    assert newest_before_stale([first, second, alone, neither, answered("c:1")]) == 50.0


@pytest.mark.parametrize(("percent", "expected"), [(50, 3.0), (95, 5.0), (0, 1.0), (100, 5.0)])
def test_percentiles_are_values_that_were_measured(percent: float, expected: float) -> None:
    assert percentile([5.0, 1.0, 4.0, 2.0, 3.0], percent) == expected


def test_search_times_are_reported_in_milliseconds() -> None:
    figures = summarise([answered("a:1", milliseconds=float(ms)) for ms in range(1, 101)])
    assert figures["search_ms_p50"] == 50.0
    assert figures["search_ms_p95"] == 95.0
