"""Words of a text: morphemes see through particles, bigrams find fragments, and nothing is lost."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.korean import (
    Words,
    WordSplitter,
    bigrams,
    estimate_tokens,
    hangul_share,
    latin_words,
    normalise,
    sentences,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

TEXTS = (
    st.text(st.sampled_from("가나다 보리 서울대학교abcXYZ 019.!?。…\n\t \"'”’)](,-_「」ㅋㅏ山é")) | st.text()
)


def bare(texts: Sequence[str]) -> str:
    """What is left without white space."""
    return "".join("".join(texts).split())


# Sentences


@given(TEXTS)
def test_sentences_keep_every_word_and_every_quotation_mark(text: str) -> None:
    assert bare(sentences(text)) == bare([text])


@given(TEXTS)
def test_no_sentence_is_empty_or_has_white_space_around_it(text: str) -> None:
    assert all(sentence and sentence == sentence.strip() for sentence in sentences(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("보리가 잤어. 귀여웠어!", ["보리가 잤어.", "귀여웠어!"]),
        ("정말? 응… 그래。 알았어", ["정말?", "응…", "그래。", "알았어"]),
        ("첫 줄\n둘째 줄\n\n셋째", ["첫 줄", "둘째 줄", "셋째"]),
        ('그는 "갔어." 하고 말했다.', ['그는 "갔어."', "하고 말했다."]),
        ("(정말이야!) 응.", ["(정말이야!)", "응."]),
        ("version 3.5 is out", ["version 3.5 is out"]),
        ("3.14는 원주율", ["3.14는 원주율"]),
        ("", []),
        ("  \n \t", []),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


# Measures


def test_korean_is_denser_in_tokens_than_english_of_the_same_length() -> None:
    assert estimate_tokens("가" * 100) == 75
    assert estimate_tokens("a" * 100) == 30
    assert estimate_tokens("") == 0


@given(TEXTS, TEXTS)
def test_a_longer_text_is_never_estimated_shorter(text: str, more: str) -> None:
    assert 0 <= estimate_tokens(text) <= estimate_tokens(text + more)


@pytest.mark.parametrize(
    ("text", "share"),
    [("안녕", 1.0), ("hello", 0.0), ("안녕 ok", 0.5), ("", 0.0), ("2026 — 3!", 0.0), ("안녕 2026!", 1.0)],
)
def test_the_share_of_hangul_is_counted_over_letters_alone(text: str, share: float) -> None:
    assert hangul_share(text) == share


@given(TEXTS)
def test_the_share_of_hangul_is_a_share(text: str) -> None:
    assert 0.0 <= hangul_share(text) <= 1.0


def test_hangul_written_as_letters_counts_as_hangul() -> None:
    assert hangul_share(unicodedata.normalize("NFD", "보리는 고양이")) == 1.0


# Bigrams and Latin words


def test_bigrams_overlap_and_stop_at_what_is_not_hangul() -> None:
    assert bigrams("서울대 갔다a나") == ["서울", "울대", "갔다", "나"]
    assert bigrams("hello 2026") == []


@given(st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), min_size=2))
def test_bigrams_of_a_word_put_together_are_the_word(word: str) -> None:
    pairs = bigrams(word)
    assert pairs[0][0] + "".join(pair[1] for pair in pairs) == word


def test_latin_words_are_lower_cased_and_numbers_stay() -> None:
    assert latin_words("RunPod에서 v2를 GPU 24GB로! snake_case") == [
        "runpod",
        "v2",
        "gpu",
        "24gb",
        "snake",
        "case",
    ]


# Both columns, with the real Kiwi


@pytest.mark.parametrize(
    ("one", "other", "morpheme"),
    [
        ("역사를 배웠다", "역사가 길다", "역사"),
        ("보리에게 사료를 줬다", "보리랑 놀았다", "보리"),
        ("학교에서 만났다", "학교까지 걸었다", "학교"),
        ("아침을 먹었어", "저녁은 먹을 거야", "먹"),
    ],
)
def test_a_word_is_the_same_under_every_particle_and_ending(
    splitter: WordSplitter, one: str, other: str, morpheme: str
) -> None:
    assert morpheme in splitter.words(one).morphemes.split()
    assert morpheme in splitter.words(other).morphemes.split()


def test_particles_and_endings_are_no_words(splitter: WordSplitter) -> None:
    found = splitter.words("역사를 봤어").morphemes.split()
    assert found == ["역사", "보"]


def test_a_part_of_a_compound_is_found_by_its_bigram(splitter: WordSplitter) -> None:
    whole, part = splitter.words("서울대학교에 갔다"), splitter.words("서울")
    assert set(part.morphemes.split()).isdisjoint(whole.morphemes.split())
    assert set(part.bigrams.split()) <= set(whole.bigrams.split())


def test_mixed_text_has_its_latin_words_beside_its_morphemes(splitter: WordSplitter) -> None:
    found = splitter.words("RunPod에서 A100을 빌렸어").morphemes.split()
    assert {"runpod", "a100"} <= set(found)


def test_hangul_as_letters_and_as_syllables_has_the_same_words(splitter: WordSplitter) -> None:
    text = "보리의 예방접종"
    assert splitter.words(unicodedata.normalize("NFD", text)) == splitter.words(text)
    assert normalise(unicodedata.normalize("NFD", text)) == text


def test_text_without_hangul_never_waits_for_kiwi() -> None:
    words = WordSplitter()
    assert words.words("The Vet, April 3") == Words("the vet april 3", "")
    assert words._kiwi is None


def test_the_version_names_what_made_the_columns(splitter: WordSplitter) -> None:
    assert splitter.version.startswith("kiwi ")
    assert splitter.version.count(".") >= 2


@given(TEXTS)
@settings(deadline=None)
def test_words_of_any_text_hold_no_quotes(splitter: WordSplitter, text: str) -> None:
    found = splitter.words(text)
    assert '"' not in found.morphemes + found.bigrams
