"""Vocabularies: of the true size, with the specials where the true models have them."""

from __future__ import annotations

import pytest

from bench.gguf_shapes import MAKES
from bench.gguf_vocabulary import byte_level, sentence_piece


@pytest.mark.parametrize(
    ("make", "size", "places"),
    [
        ("llama-3.1-8b", 128_256, {"<|begin_of_text|>": 128_000, "<|eot_id|>": 128_009}),
        ("mixtral-8x7b", 32_000, {"<unk>": 0, "<s>": 1, "</s>": 2, "<0x00>": 3, "<0xFF>": 258}),
        ("r1-distill-qwen-7b", 152_064, {"<｜end▁of▁sentence｜>": 151_643, "<think>": 151_648}),
    ],
)
def test_the_true_size(make: str, size: int, places: dict[str, int]) -> None:
    vocabulary = MAKES[make].vocabulary()
    assert len(vocabulary.tokens) == len(set(vocabulary.tokens)) == len(vocabulary.types) == size
    assert {token: vocabulary.tokens.index(token) for token in places} == places


@pytest.mark.parametrize("make", MAKES)
def test_every_merge_and_every_score_is_a_tokens(make: str) -> None:
    vocabulary = MAKES[make].small_vocabulary()
    known = set(vocabulary.tokens)
    for merge in vocabulary.merges:
        left, right = merge.split(" ")
        assert {left, right, left + right} <= known
    assert len(vocabulary.scores) in {0, len(vocabulary.tokens)}
    assert not vocabulary.merges or not vocabulary.scores


def test_what_no_text_is_made_of() -> None:
    assert sentence_piece().unsayable == [0, 1, 2]
    padded = byte_level((), pre="qwen2", bos="a", eos="b", text_tokens=300, size=303)
    assert padded.tokens[300:] == ("[PAD300]", "[PAD301]", "[PAD302]")
    assert padded.unsayable == [300, 301, 302]
