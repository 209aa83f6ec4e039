"""Moods from what was said: they fade over hours, are each person's own, and come back after a restart."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from memoryd.ledger import Ledger
from memoryd.ledger.vectors import Spoken
from memoryd.mood import Moods, moods
from memoryd.mood_words import EMOTIONS, in_words
from memoryd.testing import FakeClock
from memoryd.users import User
from tests.memoryd.parts import Home, line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from memoryd.embedder import PromptedEmbedder
    from memoryd.mood_words import Mood
    from memoryd.testing import FakeEmbedder

HOUR = 3600.0
ORIGIN = User(id="jihun")
SAD = "할머니가 돌아가셨어. 너무 보고 싶고 눈물만 나."
GLAD = "합격했어!! 너무 신나서 춤췄어 ㅋㅋㅋ"


def read(*said: tuple[str, str, str, float]) -> list[Mood]:
    """Moods of 에코 and 지훈 from (role, speaker, emotion, hours ago), newest first, each emotion for sure."""
    turns = [
        Spoken(
            epoch=-ago * HOUR,
            time="",
            role=role,
            speaker=who,
            text="…",
            path="",
            conversation_id="",
            passage="",
            vector=np.zeros(2, np.float32),
        )
        for role, who, _, ago in said
    ]
    emotions = np.eye(len(EMOTIONS), dtype=np.float32)[[EMOTIONS.index(each) for _, _, each, _ in said]]
    ages = np.array([ago * HOUR for *_, ago in said])
    return moods(turns, emotions, ages, being="에코", person="지훈")


def test_a_mood_fades_to_neutral_over_hours() -> None:
    now, later, next_day = (read(("user", "지훈", "sadness", ago))[0] for ago in (0, 3, 24))
    assert (now.emotion, later.sure < now.sure) == ("sadness", True)
    assert now.valence < later.valence < next_day.valence < 0
    assert next_day.emotion == "neutral"


def test_what_is_said_last_counts_most() -> None:
    (mood,) = read(("user", "지훈", "joy", 0), ("user", "지훈", "sadness", 9))
    assert mood.emotion == "joy"
    assert mood.emotions["sadness"] > 0
    assert sum(mood.emotions.values()) == pytest.approx(1)


def test_the_beings_mood_is_its_own_and_takes_a_part_of_what_people_say() -> None:
    being, person = read(("assistant", "에코", "affection", 0), ("user", "지훈", "sadness", 0))
    assert (being.who, being.being, being.emotion) == ("에코", True, "affection")
    assert 0 < being.emotions["sadness"] < being.emotions["affection"]
    assert (person.who, person.being, person.emotion, person.turns) == ("지훈", False, "sadness", 1)


def test_each_person_has_a_mood_of_their_own_and_the_one_who_asks_comes_first() -> None:
    said = [("user", "민아", "anger", 0), ("user", "Bram", "joy", 1), ("user", "지훈", "fear", 2)]
    assert [(mood.who, mood.emotion) for mood in read(*said)] == [
        ("지훈", "fear"),
        ("민아", "anger"),
        ("Bram", "joy"),
    ]


class Life:
    """A home that the real embedder reads, and a clock."""

    def __init__(self, folder: Path, embedder: PromptedEmbedder, kept_in: Path) -> None:
        self.home = Home(folder, max_tokens=200, embedder=cast("FakeEmbedder", embedder))
        self.clock = FakeClock()
        self.embedder, self.kept_in = embedder, kept_in

    def say(self, path: str, text: str, *, speaker: str = ORIGIN.id) -> None:
        self.home.remember(path, line(text, speaker=speaker, time=self.clock.now().isoformat()))

    def moods(self, ledger: Ledger | None = None) -> Moods:
        made = Moods(
            ledger=ledger or self.home.ledger,
            embedder=self.embedder,
            clock=self.clock,
            being="에코",
            kept_in=self.kept_in,
        )
        made.learn()
        return made


@pytest.fixture
def life(tmp_path: Path, embedder: PromptedEmbedder, models_folder: Path) -> Iterator[Life]:
    life = Life(tmp_path, embedder, models_folder)
    yield life
    life.home.ledger.close()


def test_what_was_said_is_read_and_told_in_one_sentence(life: Life) -> None:
    life.say("day0315/jihun/talk.jsonl", SAD)
    (mood,) = life.moods().of(ORIGIN)
    assert (mood.who, mood.emotion) == (ORIGIN.id, "sadness")
    assert mood.valence < -0.3
    sentence = in_words(life.moods().of(ORIGIN), ORIGIN.id)
    assert f"jihun: 슬픔 (sadness, {mood.sure:.0%} sure)" in sentence
    assert "\n" not in sentence


def test_a_prompt_is_told_of_nobody_but_the_being_and_the_one_who_asks(life: Life) -> None:
    life.say("day0315/talk.jsonl", SAD, speaker="minah")
    assert [mood.who for mood in life.moods().of(ORIGIN)] == ["minah"]
    assert in_words(life.moods().of(ORIGIN), ORIGIN.id) == ""


def test_after_a_restart_the_mood_is_the_same(life: Life) -> None:
    life.say("day0315/jihun/talk.jsonl", GLAD)
    before = life.moods().of(ORIGIN)
    assert before[0].emotion == "joy"
    again = Ledger(life.home.folder / "state")
    assert life.moods(again).of(ORIGIN) == before
    again.close()


def test_what_was_said_days_ago_is_not_looked_at(life: Life) -> None:
    life.say("day0315/jihun/talk.jsonl", SAD)
    life.clock.pass_seconds(timedelta(days=3).total_seconds())
    assert life.moods().of(ORIGIN) == []
    assert in_words(life.moods().of(ORIGIN), ORIGIN.id) == ""


def test_words_that_a_user_may_not_see_are_in_no_mood_of_theirs(life: Life) -> None:
    life.say("day0315/jihun/talk.jsonl", SAD)
    assert life.moods().of(User(id="minah")) == []


def test_before_it_has_learned_there_are_no_moods(life: Life) -> None:
    life.say("day0315/jihun/talk.jsonl", SAD)
    unlearned = Moods(ledger=life.home.ledger, embedder=life.embedder, clock=life.clock, being="에코")
    assert unlearned.of(ORIGIN) == []
    assert in_words(unlearned.of(ORIGIN), ORIGIN.id) == ""


def test_a_note_is_nobody() -> None:
    assert read(("user", "note", "joy", 0)) == []
