"""What words look like is read from the vectors of the real embedder, with how sure that is."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from memoryd.emotions import LINES, EmotionReader, authored_lines, circumplex
from memoryd.korean import hangul_share
from memoryd.mood_words import EMOTIONS, NEUTRAL
from memoryd.testing import FakeEmbedder

if TYPE_CHECKING:
    from pathlib import Path

    from memoryd.embedder import PromptedEmbedder

SAID = {
    "joy": ["우리 학교 합창단이 금상을 받았어 만세!", "We finally launched the boat and it floats, hooray!"],
    "sadness": ["외할머니 댁 마루에 이제 아무도 없어", "The chair across from me has been empty since March"],
    "anger": ["왜 자꾸 남의 물건을 함부로 쓰는 거야", "He broke my window and had the nerve to laugh"],
    "fear": ["밤새 누가 창문을 두드려서 꼼짝도 못 했어", "What if the doctor says it has spread?"],
    "neutral": ["복사 용지는 2층 캐비닛에 있어요", "The bus to the harbour leaves at 9:40"],
}


@pytest.fixture(scope="module")
def reader(embedder: PromptedEmbedder, models_folder: Path) -> EmotionReader:
    return EmotionReader(embedder, kept_in=models_folder)


@pytest.mark.parametrize("emotion", SAID)
def test_korean_and_english_lines_are_read_for_what_they_speak_of(
    emotion: str, reader: EmotionReader, embedder: PromptedEmbedder
) -> None:
    likely = reader.read(embedder.embed_passages(SAID[emotion]), SAID[emotion])
    assert [EMOTIONS[each] for each in likely.argmax(axis=1)] == [emotion, emotion]
    np.testing.assert_allclose(likely.sum(axis=1), 1, rtol=1e-4)


def test_vectors_alone_do(reader: EmotionReader, embedder: PromptedEmbedder) -> None:
    likely = reader.read(embedder.embed_passages(SAID["sadness"]))
    assert (likely.argmax(axis=1) == EMOTIONS.index("sadness")).all()


def test_sad_words_lie_low_and_glad_ones_high(reader: EmotionReader, embedder: PromptedEmbedder) -> None:
    sad, glad, angry, plain = (
        circumplex(reader.read(embedder.embed_passages(SAID[each]), SAID[each])).mean(axis=0)
        for each in ("sadness", "joy", "anger", "neutral")
    )
    assert sad[0] < -0.4 < 0.4 < glad[0]
    assert angry[1] > 0.4
    assert abs(plain).max() < 0.3


def test_nothing_to_read_gives_nothing(reader: EmotionReader) -> None:
    assert reader.read(np.zeros((0, 384), np.float32), []).shape == (0, len(EMOTIONS))


def test_a_fit_is_kept_and_read_again_to_the_same_numbers(tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    vectors = embedder.embed_passages(["호수", "lake"])
    first = EmotionReader(embedder, kept_in=tmp_path).read(vectors, ["호수", "lake"])
    (file,) = tmp_path.iterdir()
    made = file.stat().st_mtime_ns
    np.testing.assert_array_equal(
        EmotionReader(embedder, kept_in=tmp_path).read(vectors, ["호수", "lake"]), first
    )
    assert file.stat().st_mtime_ns == made


def test_a_torn_file_is_made_again(tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    vectors = embedder.embed_passages(["호수"])
    first = EmotionReader(embedder, kept_in=tmp_path).read(vectors)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:1000])
    np.testing.assert_array_equal(EmotionReader(embedder, kept_in=tmp_path).read(vectors), first)


def test_the_lines_are_many_and_of_both_languages_for_each_emotion() -> None:
    lines = authored_lines(LINES.read_text(encoding="utf-8"))
    assert len({line for _, line in lines}) == len(lines)
    korean = Counter(emotion for emotion, line in lines if hangul_share(line) > 0.5)
    english = Counter(emotion for emotion, line in lines if hangul_share(line) == 0)
    assert set(korean) == set(english) == set(range(len(EMOTIONS)))
    assert min(korean.values()) > 100
    assert min(english.values()) > 60
    assert EMOTIONS[NEUTRAL] == "neutral"
