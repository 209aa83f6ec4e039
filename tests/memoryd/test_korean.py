"""Words of a text: morphemes see through particles, bigrams find fragments, and nothing is lost."""

from __future__ import annotations

import sqlite3
import unicodedata
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.kiwi import KiwiProcess
from memoryd.korean import (
    Words,
    WordSplitter,
    bigrams,
    compatible,
    estimate_tokens,
    hangul_share,
    joined_bigrams,
    latin_words,
    normalise,
    plain_words,
    sentences,
)
from memoryd.ledger.erasures import WORDS

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


def test_a_lone_syllable_is_joined_to_its_neighbours_beyond_a_space() -> None:
    assert joined_bigrams("할 수 있다") == ["할", "할수", "수", "수잇", "잇다"]
    assert joined_bigrams("물 병") == ["물", "물병", "병"]
    assert joined_bigrams("온기 로스터스") == ["온기", "로스", "스터", "터스"]
    assert joined_bigrams("물, 병") == joined_bigrams("물  병") == joined_bigrams("물a병") == ["물", "병"]


def test_full_width_letters_are_ordinary_ones_and_lone_hangul_letters_stay() -> None:
    assert compatible("ＧＰＵ １２３ ㈜ ㅋㅋㅏ ㄱ") == "GPU 123 (주) ㅋㅋㅏ ㄱ"
    assert compatible(unicodedata.normalize("NFD", "보리 ㅋㅋ")) == "보리 ㅋㅋ"


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
    assert "서울" in part.bigrams.split()
    assert "서울" in whole.bigrams.split()


def test_mixed_text_has_its_latin_words_beside_its_morphemes(splitter: WordSplitter) -> None:
    found = splitter.words("RunPod에서 A100을 빌렸어").morphemes.split()
    assert {"runpod", "a100"} <= set(found)


def test_hangul_as_letters_and_as_syllables_has_the_same_words(splitter: WordSplitter) -> None:
    text = "보리의 예방접종"
    assert splitter.words(unicodedata.normalize("NFD", text)) == splitter.words(text)
    assert normalise(unicodedata.normalize("NFD", text)) == text


def test_text_without_hangul_never_waits_for_kiwi() -> None:
    kiwi = KiwiProcess()
    assert WordSplitter(kiwi).words("the vet, April 3") == Words("the vet april 3", "ㅏㅂㄹㅣㄹ")
    assert kiwi.pid is None


def test_the_version_names_what_made_the_columns(splitter: WordSplitter) -> None:
    assert splitter.version.startswith("kiwi ")
    assert splitter.version.count(".") >= 2


@given(TEXTS)
@settings(deadline=None)
def test_words_of_any_text_hold_no_quotes_and_are_always_the_same(splitter: WordSplitter, text: str) -> None:
    found = splitter.words(text)
    assert '"' not in found.morphemes + found.bigrams
    assert all(words == " ".join(words.split()) for words in (found.morphemes, found.bigrams))
    assert splitter.words(text) == found
    assert splitter.words(unicodedata.normalize("NFD", text)) == splitter.words(normalise(text))


@given(TEXTS)
@settings(deadline=None)
def test_both_columns_hold_the_plain_words_in_one_row(splitter: WordSplitter, text: str) -> None:
    found, plain = splitter.words(text), plain_words(text)
    assert plain.morphemes in found.morphemes
    assert plain.bigrams in found.bigrams


# Through the index


def meets(splitter: WordSplitter, question: str, passage: str) -> bool:
    """Whether a question finds a passage by any of its words, in an index like the ledger's."""
    kept, asked = splitter.words(passage), splitter.words(question)
    terms = [f'morphemes:"{word}"' for word in asked.morphemes.split()]
    terms += [f'bigrams:"{word}"' for word in asked.bigrams.split()]
    with closing(sqlite3.connect(":memory:")) as index:
        index.execute(WORDS)
        index.execute("INSERT INTO words VALUES (?, ?)", (kept.morphemes, kept.bigrams))
        matching = index.execute("SELECT count(*) FROM words WHERE words MATCH ?", (" OR ".join(terms),))
        return bool(matching.fetchone()[0])


MEETING = [
    # Spelling
    ("리팩토링", "리펙토링"),
    ("캘린더", "켈린더"),
    ("쥬스", "주스"),
    ("챠트", "차트"),
    ("까페", "카페"),
    ("쇼파", "소파"),
    ("웬지", "왠지"),
    ("되요", "돼요"),
    ("메세지", "메시지"),
    ("컨텐츠", "콘텐츠"),
    ("데이타", "데이터"),
    ("리더쉽", "리더십"),
    # Numbers and Latin words
    ("6,800,000원", "680만 원"),
    ("6800000", "6,800,000원"),
    ("680만", "6800000"),
    ("5만 4천 원", "54,000"),
    ("1억 2천만", "120000000"),
    ("3.5", "3.5를 썼다"),
    ("2.1", "v2.1로 올렸다"),
    ("v2.1", "2.1"),
    ("gpu", "GPU를 샀다"),
    ("GPU", "ＧＰＵ를 샀다"),
    ("5090", "RTX5090을 샀다"),
    ("RTX5090", "RTX 5090"),
    ("RTX 5090", "rtx5090이 왔다"),
    ("3.5 GB", "3.5GB"),
    # Two scripts
    ("런포드", "RunPod costs 2 dollars"),
    ("runpod 얼마", "런포드에서 빌렸어"),
    ("디스코드", "a Discord bot"),
    ("discord 봇", "디스코드에 올렸다"),
    ("깃허브", "GitHub"),
    ("python을", "파이썬으로 짰다"),
    ("도커", "Docker"),
    ("Docker", "도커로 띄웠다"),
    ("미나", "Mina"),
    ("Jihoon", "지훈이랑 갔다"),
    ("Roasters", "온기 로스터스"),
    # Spacing
    ("온기 로스터스", "온기로스터스"),
    ("온기로스터스", "온기 로스터스"),
    ("할수있다", "할 수 있다"),
    ("할 수 있다", "할수있다"),
    ("물병", "물 병"),
    ("물 병", "물병"),
]


@pytest.mark.parametrize(("question", "passage"), MEETING)
def test_what_is_written_differently_meets_in_the_index(
    splitter: WordSplitter, question: str, passage: str
) -> None:
    assert meets(splitter, question, passage)


@pytest.mark.parametrize(
    ("question", "passage"),
    [
        ("내", "네"),
        ("개", "게"),
        ("재작", "제자"),
        ("달", "탈"),
        ("6,800,000", "681만"),
        ("3.5", "3.6"),
        ("3.5", "5.3"),
        ("RTX5090", "GTX4090"),
        ("A100", "H100"),
        ("런던", "RunPod"),
        ("미나", "Monday"),
        ("서울", "Sole"),
        ("지훈", "John"),
        ("Discard", "도서관"),
        ("물, 병", "물병"),
    ],
)
def test_what_only_looks_alike_stays_apart(splitter: WordSplitter, question: str, passage: str) -> None:
    assert not meets(splitter, question, passage)
