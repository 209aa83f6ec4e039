"""Token by token up to the first difference; and the whole bench on a tiny model."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest

from bench.engine_agreement import Agreement, compare, main
from bench.engine_conditions import CONDITIONS
from llm import TokenLogprob

if TYPE_CHECKING:
    from pathlib import Path

END = 0


def said(token: int, logprob: float = -0.1, **others: float) -> TokenLogprob:
    """A token, and others by `t<id>`."""
    top = [(token, "", logprob), *((int(name[1:]), "", value) for name, value in others.items())]
    return TokenLogprob(token=token, text="", logprob=logprob, top=tuple(top))


def compared(one: list[TokenLogprob], two: list[TokenLogprob]) -> Agreement:
    return compare(one, two, END.__eq__)


def test_the_same_tokens_agree_and_their_likelihoods_are_compared() -> None:
    found = compared([said(1, -0.1), said(2, -0.5)], [said(1, -0.11), said(2, -0.3)])
    assert (found.compared, found.gaps) == (2, [])
    assert found.max_logprob_difference == pytest.approx(0.2)


def test_nothing_counts_behind_the_place_where_they_part() -> None:
    found = compared(
        [said(1), said(2, -0.6, t3=-0.61), said(4)], [said(1), said(3, -0.55, t2=-0.58), said(9, -8.0)]
    )
    assert found.compared == 2
    assert found.gaps == [pytest.approx(0.03)]
    assert found.percent == 50.0


def test_a_token_that_the_other_side_never_thought_of_is_infinitely_far() -> None:
    found = compared([said(1)], [said(2)])
    assert found.gaps == [math.inf]
    assert found.figures()["worst_gap"] is None


def test_an_end_where_the_other_goes_on_is_a_difference() -> None:
    found = compared([said(1)], [said(1), said(2, -0.7, t0=-0.72)])
    assert found.compared == 2
    assert found.gaps == [pytest.approx(0.02)]


def test_counts_add_up_and_the_worst_stays() -> None:
    total = Agreement()
    total.add(Agreement(compared=8, gaps=[0.1], max_logprob_difference=0.3, least_cached=7))
    total.add(Agreement(compared=2, gaps=[0.2], max_logprob_difference=0.1, least_cached=9))
    assert (total.percent, total.noise, total.least_cached) == (80.0, 0.3, 7)


def test_a_tiny_model_says_the_same_in_every_condition(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "--identity-tokens",
        "100",
        "--users",
        "2",
        "--tokens",
        "24",
        "--chunk",
        "6",
        "--threads",
        "1",
    ]
    assert main([*arguments, "--model", str(tiny)]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(result["conditions"]) == list(CONDITIONS)
    for name, figures in result["conditions"].items():
        assert figures["tokens"] >= 24
        assert figures["agreement_pct"] >= 90.0  # random weights: many tokens are nearly as likely
        assert figures["least_cached_tokens"] >= (0 if name.startswith("split") else 100)
