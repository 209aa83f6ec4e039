"""Drawing from made-up logits over a small model's vocabulary."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from llm import BadGrammarError, Sampling
from llm.sampler import REPETITION_WINDOW, GrammarEndsError, Sampler

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llm.weights import Weights

DRAWS = 300


def logits_of(weights: Weights, likely: dict[int, float]) -> NDArray[np.float32]:
    """Log-probabilities of a few tokens; all others are hopeless."""
    logits = np.full(weights.vocab_size, -50, np.float32)
    for token, probability in likely.items():
        logits[token] = np.log(probability)
    return logits


def token(weights: Weights, text: str) -> int:
    (only,) = weights.tokenize(text)
    return only


def drawn(weights: Weights, sampling: Sampling, logits: NDArray[np.float32], count: int = DRAWS) -> list[int]:
    sampler = Sampler(weights, sampling)
    return [sampler.draw(logits) for _ in range(count)]


def written(weights: Weights, grammar: str, logits: NDArray[np.float32], most: int = 40) -> str:
    """What is said under a grammar until it ends or has no way on."""
    sampler = Sampler(weights, Sampling(), grammar)
    said: list[int] = []
    while len(said) < most and not weights.ends(each := sampler.draw(logits)):
        said.append(each)
    return b"".join(map(weights.token_bytes, said)).decode()


def test_by_default_the_likeliest_is_drawn(tiny: Weights) -> None:
    random = np.random.default_rng(1)
    sampler = Sampler(tiny, Sampling())
    for _ in range(20):
        logits = random.normal(size=tiny.vocab_size).astype(np.float32)
        assert sampler.draw(logits) == logits.argmax()


def test_the_logits_are_left_as_they_were(tiny: Weights) -> None:
    logits = logits_of(tiny, {5: 0.5, 6: 0.5})
    before = logits.copy()
    drawn(tiny, Sampling(temperature=0.7, top_k=3, repetition=1.3), logits, 3)
    assert (logits == before).all()


def test_the_same_seed_draws_the_same(tiny: Weights) -> None:
    logits = np.zeros(tiny.vocab_size, np.float32)
    one, again, other = (drawn(tiny, Sampling(temperature=1, seed=seed), logits, 20) for seed in (7, 7, 8))
    assert one == again != other


def test_any_number_is_a_seed(tiny: Weights) -> None:
    logits = np.zeros(tiny.vocab_size, np.float32)
    for seed in (-1, 2**32, 2**70):
        drawn(tiny, Sampling(temperature=1, seed=seed), logits, 1)


def test_tokens_come_as_often_as_they_are_likely(tiny: Weights) -> None:
    counts = Counter(drawn(tiny, Sampling(temperature=1, seed=3), logits_of(tiny, {5: 0.75, 6: 0.25})))
    assert set(counts) == {5, 6}
    assert 0.65 < counts[5] / DRAWS < 0.85


def test_heat_evens_out_and_cold_sharpens(tiny: Weights) -> None:
    logits = logits_of(tiny, {5: 0.75, 6: 0.25})
    hot = Counter(drawn(tiny, Sampling(temperature=5, seed=3), logits))
    cold = Counter(drawn(tiny, Sampling(temperature=0.1, seed=3), logits))
    assert hot[5] / DRAWS < 0.65
    assert cold == {5: DRAWS}


@pytest.mark.parametrize(
    ("sampling", "kept"),
    [
        (Sampling(temperature=1), {5, 6, 7, 8}),
        (Sampling(temperature=1, top_k=2), {5, 6}),
        (Sampling(temperature=1, top_k=1), {5}),
        (Sampling(temperature=1, top_p=0.65), {5, 6}),
        (Sampling(temperature=1, top_p=0.0), {5}),
        (Sampling(temperature=1, min_p=0.45), {5, 6, 7}),
        (Sampling(temperature=1, min_p=1.0), {5}),
        (Sampling(temperature=1, top_k=10**6, top_p=1.0, min_p=0.0), {5, 6, 7, 8}),
    ],
)
def test_who_may_be_drawn(tiny: Weights, sampling: Sampling, kept: set[int]) -> None:
    logits = logits_of(tiny, {5: 0.4, 6: 0.3, 7: 0.2, 8: 0.1})
    assert set(drawn(tiny, sampling, logits)) == kept


def test_what_was_just_said_is_less_likely(tiny: Weights) -> None:
    logits = np.full(tiny.vocab_size, -50, np.float32)
    logits[5], logits[6] = 3.0, 2.9
    assert drawn(tiny, Sampling(), logits, 4) == [5, 5, 5, 5]
    assert drawn(tiny, Sampling(repetition=1.1), logits, 4) == [5, 6, 5, 5]


def test_what_was_said_long_ago_is_as_likely_as_ever(tiny: Weights) -> None:
    logits = np.full(tiny.vocab_size, -50, np.float32)
    logits[5] = 3.0
    logits[100 : 100 + REPETITION_WINDOW] = 2.9
    said = drawn(tiny, Sampling(repetition=1.1), logits, REPETITION_WINDOW + 3)
    assert [at for at, each in enumerate(said) if each == 5][:2] == [0, REPETITION_WINDOW + 1]


def test_a_grammar_overrules_the_likeliest(tiny: Weights) -> None:
    wish = logits_of(tiny, {token(tiny, "y"): 0.9, token(tiny, "n"): 0.1})
    assert written(tiny, 'root ::= "no" | "nay"', wish) in {"no", "nay"}
    assert written(tiny, 'root ::= "yes" | "no"', wish) == "yes"


def test_a_grammar_holds_whatever_is_drawn(tiny: Weights) -> None:
    random = np.random.default_rng(2)
    sampler = Sampler(
        tiny, Sampling(temperature=2, top_k=50, repetition=1.2, seed=1), "root ::= [가-힣]+ [.!]"
    )
    said: list[int] = []
    while not tiny.ends(each := sampler.draw(random.normal(size=tiny.vocab_size).astype(np.float32))):
        said.append(each)
    text = b"".join(map(tiny.token_bytes, said)).decode()
    assert text[-1] in ".!"
    assert all("가" <= char <= "힣" for char in text[:-1])


def test_an_end_that_the_grammar_forbids_is_not_drawn(tiny: Weights) -> None:
    wish = logits_of(tiny, {tiny.end_token: 0.99, token(tiny, "a"): 0.01})
    assert written(tiny, 'root ::= "aaa"', wish) == "aaa"


def test_a_grammar_with_no_way_on_says_so(tiny: Weights) -> None:
    sampler = Sampler(tiny, Sampling(), "root ::= [z-a]")
    with pytest.raises(GrammarEndsError):
        sampler.draw(np.zeros(tiny.vocab_size, np.float32))


@pytest.mark.parametrize(
    ("grammar", "reason"),
    [
        ('word ::= "a"', "does not contain a 'root' symbol"),
        ("root ::= nowhere", "parse"),
        ('root ::= "a', "parse"),
        ("}{][", "parse"),
        ('root ::= root "a" | "a"', "left recursion"),
        ('root ::= x\nx ::= y\ny ::= x "a"', "left recursion"),
    ],
)
def test_a_grammar_that_is_none_says_why(tiny: Weights, grammar: str, reason: str) -> None:
    with pytest.raises(BadGrammarError, match=f"The grammar can't be used: .*{reason}"):
        Sampler(tiny, Sampling(), grammar)
    assert Sampler(tiny, Sampling()).draw(logits_of(tiny, {5: 1.0})) == 5
