from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from memoryd.day_moods import DayMoods
from memoryd.emotions import EmotionReader
from memoryd.gists import LedgerGists
from memoryd.identity import FEELING, make_identity
from memoryd.life import Life
from memoryd.manifests import Manifests
from tests.memoryd.parts import SHARED, Home, line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from memoryd.embedder import PromptedEmbedder
    from memoryd.testing import FakeEmbedder

JOY = "와 진짜 너무 행복해!! 오늘 최고의 날이야 ㅎㅎ"
SAD = "너무 슬퍼서 하루 종일 울었어 ㅠㅠ"


class Days:
    """A home of dated turns that the real embedder and reader read."""

    def __init__(self, folder: Path, embedder: PromptedEmbedder, kept_in: Path) -> None:
        self.home = Home(folder, max_tokens=200, embedder=cast("FakeEmbedder", embedder))
        self.moods = DayMoods(
            ledger=self.home.ledger,
            reader=EmotionReader(embedder, kept_in=kept_in),
            embedder=embedder.id,
            being="에코",
        )

    def say(self, day: int, *texts: str) -> None:
        lines = [
            line(text, time=f"2026-03-{day:02d}T21:00:00+09:00", conversation=f"c{day}") for text in texts
        ]
        self.home.remember(f"day03{day:02d}/talk.jsonl", "".join(lines))


@pytest.fixture
def days(tmp_path: Path, embedder: PromptedEmbedder, models_folder: Path) -> Iterator[Days]:
    days = Days(tmp_path, embedder, models_folder)
    yield days
    days.home.ledger.close()


def test_each_day_is_told_by_what_was_strongest_in_it_with_its_source(days: Days) -> None:
    days.say(10, JOY, "점심은 국수를 먹었다.")
    days.say(12, SAD)
    told = days.moods.of(SHARED)
    assert [(each.day, each.emotion) for each in told] == [("2026-03-10", "joy"), ("2026-03-12", "sadness")]
    assert (told[0].turn.text, told[0].turns) == (JOY, 2)
    assert told[0].turn.passage
    assert all(each.percent % 10 == 0 for each in told)


def test_a_calm_day_is_not_told(days: Days) -> None:
    days.say(10, "회의는 세 시에 시작한다.", "자료는 공유 폴더에 있다.")
    assert days.moods.of(SHARED) == []


def test_another_owners_words_are_not_read(days: Days) -> None:
    days.home.remember("day0310/jihun/talk.jsonl", line(SAD, conversation="own"))
    assert days.moods.of(SHARED) == []
    assert len(days.moods.of(("jihun",))) == 1


def test_an_identity_tells_the_days_below_its_memories(days: Days) -> None:
    days.say(12, SAD)
    gists = LedgerGists(days.home.ledger, SHARED)
    gists.make_missing()
    life = Life(gists, lambda ids: days.home.ledger.vectors.of_passages("none", ids), origin="jihun")
    manifests = Manifests(texts={"echo_identity.txt": "나는 에코다."}, missing=())
    made = make_identity(manifests, life, budget=900, settings={}, moods=days.moods.of(SHARED))
    (feeling,) = [each for each in made.lines if each.kind == FEELING]
    assert feeling.text.startswith("- 2026-03-12: 슬픔 (sadness) ")
    assert feeling.text.endswith("말 1번 (day0312/talk.jsonl)")
    assert feeling.passage
    assert feeling.text in made.text
