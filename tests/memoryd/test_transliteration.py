"""Names by their sound: the same in Hangul and in Latin letters, and not the same for every word."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memoryd.transliteration import KNOWN, hangul_key, latin_keys, sound_keys

WRITTEN_IN_BOTH = re.findall(
    r"\S+",
    """
    런포드 RunPod    디스코드 Discord    미나 Mina    지훈 Jihoon    온기 Ongi    도윤 Doyun    보리 Bori
    쿠버네티스 Kubernetes    구글 Google    네이버 Naver    넷플릭스 Netflix    아마존 Amazon    노션 Notion
    스벨트 Svelte    장고 Django    리눅스 Linux    삼성 Samsung    서울 Seoul    부산 Busan    강남 Gangnam
    정우 Jungwoo    수진 Sujin    토마스 Thomas    카카오 Kakao    데이비드 David    제미나이 Gemini    크롬 Chrome
    스타벅스 Starbucks    인스타그램 Instagram    테슬라 Tesla    로스터스 Roasters    프로젝트 project
    하드웨어 hardware    에스프레소 espresso    런던 London    베를린 Berlin    세종 Sejong    서연 Seoyeon
""",
)
APART = re.findall(
    r"\S+",
    """
    런던 RunPod    도쿄 Docker    미나 Minority    지훈 John    서울 Sole    구글 Giggle    디스코 Discord
    부산 Person    노션 Nation    리눅스 Lenses    강남 Gannon    마이크 Make    크롬 Cream    보리 Ferry    온기 Onion
""",
)


def pairs(words: list[str]) -> list[tuple[str, str]]:
    return list(zip(words[::2], words[1::2], strict=True))


@pytest.mark.parametrize(("hangul", "latin"), pairs(WRITTEN_IN_BOTH))
def test_a_name_sounds_alike_in_both_scripts(hangul: str, latin: str) -> None:
    assert hangul_key(hangul) in latin_keys(latin.lower())


@pytest.mark.parametrize(("hangul", "latin"), pairs(APART))
def test_other_words_sound_different(hangul: str, latin: str) -> None:
    assert hangul_key(hangul) not in latin_keys(latin.lower())


@pytest.mark.parametrize("known", KNOWN)
def test_a_well_known_name_sounds_as_its_latin_word(known: str) -> None:
    assert set(sound_keys(known, [])) & set(sound_keys(f"{KNOWN[known]}를", []))


@pytest.mark.parametrize("word", ["a", "io", "sea", "you", "ㅋㅋ"])
def test_what_has_no_two_consonants_has_no_sound(word: str) -> None:
    assert latin_keys(word) == ()


@pytest.mark.parametrize("word", ["나", "이", "아이", "우유"])
def test_a_short_korean_word_has_no_sound(word: str) -> None:
    assert hangul_key(word) == ""


def test_a_name_is_found_under_the_ending_it_is_called_with() -> None:
    assert sound_keys("", ["지훈이"]) == sound_keys("", ["지훈"])
    assert sound_keys("", ["영희"]) != sound_keys("", ["영"])


def test_in_english_only_capitalised_words_are_names() -> None:
    assert sound_keys("what does the discord bot cost", []) == []
    assert sound_keys("What does the Discord bot cost", []) == list(latin_keys("discord"))
    assert sound_keys("GPUS AND NASA", []) == []
    assert sound_keys("discord 봇", []) == list(latin_keys("discord"))


@given(st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3)))
def test_a_sound_is_written_in_letters_that_no_word_is_written_in(word: str) -> None:
    assert set(hangul_key(word)) <= set("ㄱㄴㄷㄹㅁㅂㅅㅈㅊㅋㅌㅍㅎㅏㅣㅗ")


@given(st.text(string.ascii_lowercase))
def test_a_latin_word_has_at_most_three_sounds(word: str) -> None:
    keys = latin_keys(word)
    assert len(set(keys)) == len(keys) <= 3
    assert all(set(key) <= set("ㄱㄴㄷㄹㅁㅂㅅㅈㅊㅋㅌㅍㅎㅏㅣㅗ") for key in keys)
