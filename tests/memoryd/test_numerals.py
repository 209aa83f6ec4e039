"""Numbers and Latin words: one amount is one word, however it is written."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memoryd.numerals import number_variants, number_words

TEXTS = st.text(st.sampled_from("0123456789.,십백천만억조원 aBv가ㅋ-_/\"'")) | st.text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("6,800,000원", ["6800000"]),
        ("1,2,3", ["1", "2", "3"]),
        ("12,3456", ["12", "3456"]),
        ("3.5를", ["3.5"]),
        ("v2.1로", ["v2.1"]),
        ("3.5GB", ["3.5", "gb"]),
        ("2.4.1", ["2", "4", "1"]),
        ("2026.03.15", ["2026", "03", "15"]),
        ("The end. 2 more", ["the", "end", "2", "more"]),
        ("GPU를 RTX5090", ["gpu", "rtx5090"]),
        ("snake_case next.js", ["snake", "case", "next", "js"]),
        ("ㅋㅋ 가", []),
    ],
)
def test_words_stand_in_their_order_with_numbers_whole(text: str, words: list[str]) -> None:
    assert number_words(text) == words


@pytest.mark.parametrize(
    ("text", "variants"),
    [
        ("680만 원", ["6800000"]),
        ("1억 2천만 원", ["120000000"]),
        ("5만 4천 원", ["54000"]),
        ("5만4000원", ["54000"]),
        ("5만 4000원", ["54000"]),
        ("680만 20일에", ["6800000"]),
        ("1.5만", ["15000"]),
        ("3백만", ["3000000"]),
        ("0.00001만", []),
        ("RTX5090", ["rtx", "5090"]),
        ("rtx4090ti", ["rtx", "4090", "ti"]),
        ("24GB", ["24", "gb"]),
        ("v2.1", ["2.1"]),
        ("A100 v2 q4", []),
        ("3f8a9c0d1e", []),
        ("만 원", []),
    ],
)
def test_variants_are_what_else_a_number_is_asked_for_as(text: str, variants: list[str]) -> None:
    assert number_variants(text) == variants


@given(TEXTS)
def test_no_word_holds_what_would_end_it(text: str) -> None:
    for word in number_words(text) + number_variants(text):
        assert word
        assert not set(word) & set("\"' \t\n,")


@pytest.mark.parametrize(
    "text", ["a" * 50_000, "1" * 50_000, "1만" * 20_000, "1." * 20_000, "1,000" * 10_000]
)
def test_no_text_takes_long(text: str) -> None:
    begun = time.process_time()
    number_words(text)
    number_variants(text)
    assert time.process_time() - begun < 5
