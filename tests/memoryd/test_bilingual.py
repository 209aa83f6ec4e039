from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import pytest

from memoryd.bilingual import FILE, meanings
from memoryd.korean import HANGUL_RUN, WordSplitter
from tests.memoryd.parts import SHARED, Home, line

if TYPE_CHECKING:
    from pathlib import Path

WORDS = WordSplitter()


@pytest.mark.parametrize(
    ("word", "other"),
    [
        ("cat", "고양이"),
        ("cats", "고양이"),
        ("고양이", "cat"),
        ("pharmacies", "약국"),
        ("boxes", "상자"),
        ("cooking", "요리"),
        ("moved", "이사"),
        ("stopped", "멈추"),
        ("swimming", "수영"),
        ("약국", "pharmacy"),
        ("비밀번호", "password"),
    ],
)
def test_everyday_words_are_known_however_they_are_inflected(word: str, other: str) -> None:
    ((asked, others),) = meanings([word])
    assert asked == word
    assert other in others


def test_each_word_is_told_once_in_the_order_of_the_question() -> None:
    assert [word for word, _ in meanings(["cat", "zzz", "dog", "cat"])] == ["cat", "dog"]


def test_a_short_word_is_not_cut_to_another() -> None:
    """ "ring" is no "r" and "bus" no "bu"."""
    assert meanings(["ring"]) == (("ring", ("반지",)),)
    assert meanings(["bus"]) == (("bus", ("버스",)),)


def test_every_line_has_words_of_both_languages() -> None:
    for line_ in (files("memoryd") / FILE).read_text(encoding="utf-8").splitlines():
        if line_.startswith("#"):
            continue
        english, korean = line_.split("\t")
        assert english.split(), line_
        assert korean.split(), line_
        assert english.isascii(), line_
        assert english == english.lower(), line_
        assert all(HANGUL_RUN.search(word) for word in korean.split()), line_


def test_the_function_words_of_a_question_mean_nothing() -> None:
    asked = WORDS.asked("How many users may it serve at most?")
    assert asked.morphemes == "how many users may it serve at most"
    assert [word for word, others in asked.meanings if not others] == ["how", "may", "it", "at"]
    assert ("users", ("사용자", "유저")) in asked.meanings


def test_a_question_in_korean_brings_english_and_its_inflected_words_their_stem() -> None:
    asked = dict(WORDS.asked("우리 고양이를 어디서 만났어?").meanings)
    assert asked["고양이"] == ("cat", "kitten")
    assert "meet" in asked["만나"]


def test_a_word_of_three_syllables_is_looked_for_as_the_index_has_it() -> None:
    """The index folds spellings that sound alike: 냉장고 stands in it as 넹장고."""
    (fridge,) = WORDS.words("냉장고").morphemes.split()
    assert dict(meanings([fridge]))[fridge] == ("refrigerator", "fridge")
    assert fridge in dict(meanings(["fridge"]))["fridge"]


def test_a_korean_word_of_one_syllable_is_looked_for_and_not_looked_up() -> None:
    """배 is a pear, a boat and a stomach."""
    assert meanings(["배"]) == ()
    assert "배" in dict(meanings(["boat"]))["boat"]


@pytest.mark.parametrize("text", ["hates", "hated", "wines", "planes", "skies", "using", "cares"])
def test_an_ending_is_not_taken_for_more_than_it_is(text: str) -> None:
    others = dict(meanings([text])).get(text, ())
    assert not {"모자", "이기", "계획", "스키", "차"} & set(others)


def test_a_name_has_no_endings() -> None:
    asked = dict(WORDS.asked("What did James eat in Korea on the stairs?").meanings)
    assert "james" not in asked
    assert asked["korea"] == ("한국",)
    assert asked["stairs"] == ("계단",)


@pytest.mark.parametrize(
    ("question", "kept"),
    [
        ("IT 회사 이름이 뭐야?", "it"),
        ("AS 센터 전화번호 뭐였지?", "as"),
        ("What happened in May?", "may"),
        ("Where in the US does Will live?", "us"),
        ("Where in the US does Will live?", "will"),
    ],
)
def test_what_only_looks_like_a_function_word_is_none(question: str, kept: str) -> None:
    assert (kept, ()) not in WORDS.asked(question).meanings


def test_a_memory_in_korean_is_found_by_a_question_in_english(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.remember(
        "day0310/a.jsonl", "".join(line(f"오늘 {place}에 갔다.", conversation=place) for place in PLACES)
    )
    hits = home.recall.search("Where was the pharmacy?", owners=SHARED, k=1).hits
    assert "약국" in hits[0].passage.text
    home.ledger.close()


PLACES = ("도서관", "우체국", "약국", "수영장", "시장")
