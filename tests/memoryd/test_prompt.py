"""What a model reads, put together from what fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llm import Message
from memoryd.at_hand import AtHand, Said
from memoryd.prompt import (
    MEMORIES_HEADING,
    MOOD_HEADING,
    QUESTION_HEADING,
    TEMPLATE_TOKENS,
    Beside,
    Room,
    make_prompt,
)
from memoryd.testing import FakeGenerator
from memoryd.users import User
from tests.memoryd.parts import SHARED, Home, line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from memoryd.prompt import Prompt

JIHUN = User(id="jihun")
IDENTITY = Message(role="system", speaker="에코", text="나는 에코다.\n")
QUESTION = "고양이 두부와 강아지 보리는 어때?"
OLD = "두부는 지붕에서 자는 회색 고양이야."
NEW = "보리는 마당에서 노는 갈색 강아지야."
ROOM = Room(memories=100, answer=50)


class Desk:
    """A memory of two statements, and a conversation."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.at_hand = AtHand(home.ledger)
        self.generator = FakeGenerator()

    def prompt(self, question: str = QUESTION, room: Room = ROOM, mood: str = "") -> Prompt:
        found = self.home.recall.memories(question, owners=SHARED, count=5)
        return make_prompt(
            self.generator,
            identity=IDENTITY,
            at_hand=self.at_hand,
            user=JIHUN,
            conversation_id="c1",
            question=question,
            hits=found.hits,
            room=room,
            beside=Beside(mood=mood),
            explain=True,
        )

    def answered(self, prompt: Prompt) -> None:
        """Keeps the question as it was read, and a reply."""
        reply = Said(role="assistant", speaker="에코", text="둘 다 잘 있어.")
        self.at_hand.add(JIHUN, "c1", [prompt.asked, reply])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    home = Home(tmp_path, max_tokens=200)
    home.remember("day0312/dog.jsonl", line(NEW, speaker="지훈"))
    home.remember("day0310/cat.jsonl", line(OLD, speaker="지훈"))
    yield Desk(home)
    home.ledger.close()


def _places(text: str, *parts: str) -> list[int]:
    return [text.index(part) for part in parts]


def test_memories_stand_above_the_question_in_the_order_of_their_times(desk: Desk) -> None:
    prompt = desk.prompt()
    system, asked = prompt.messages
    assert system == IDENTITY
    places = _places(asked.text, MEMORIES_HEADING, OLD, NEW, QUESTION_HEADING, QUESTION)
    assert places == sorted(places)
    assert (prompt.asked.text, prompt.asked.read) == (QUESTION, asked.text)
    assert prompt.asked.shown == {hit.passage.id for hit in prompt.hits}


def test_without_memories_the_question_stands_alone(desk: Desk) -> None:
    for path in ("day0310/cat.jsonl", "day0312/dog.jsonl"):
        desk.home.ledger.files.remove(path)
    assert [message.text for message in desk.prompt().messages[1:]] == [QUESTION]


def test_a_memory_that_does_not_fit_is_neither_shown_nor_cited(desk: Desk) -> None:
    prompt = desk.prompt(room=Room(memories=12, answer=50))
    (hit,) = prompt.hits
    assert [text in prompt.messages[-1].text for text in (OLD, NEW)].count(True) == 1
    assert prompt.asked.shown == {hit.passage.id}


def test_the_next_prompt_repeats_the_one_before_and_shows_only_what_is_new(desk: Desk) -> None:
    first = desk.prompt()
    desk.answered(first)
    desk.home.remember("day0313/bird.jsonl", line("앵무새 초록이는 고양이 두부와 친해.", speaker="지훈"))
    second = desk.prompt("고양이 두부와 앵무새 초록이는 어때?")
    assert second.messages[: len(first.messages)] == first.messages
    assert "앵무새 초록이는 고양이 두부와 친해." in second.messages[-1].text
    assert OLD not in second.messages[-1].text
    assert {hit.passage.path for hit in second.hits} >= {"day0310/cat.jsonl", "day0313/bird.jsonl"}


def test_what_was_said_in_the_conversation_itself_is_no_memory_beside_it(desk: Desk) -> None:
    desk.at_hand.add(JIHUN, "c1", [Said(role="user", speaker="지훈", text=OLD)])
    prompt = desk.prompt()
    assert OLD not in prompt.messages[-1].text
    assert "day0310/cat.jsonl" in {hit.passage.path for hit in prompt.hits}


def test_a_conversation_that_does_not_fit_as_it_was_read_goes_on_as_it_was_said(desk: Desk) -> None:
    desk.answered(first := desk.prompt())
    question = "갈색 강아지와 회색 고양이?"
    fits = sum(len(f"{each.speaker}: {each.text}".split()) for each in desk.prompt(question).messages[1:])
    desk.generator.context_tokens = ROOM.answer + TEMPLATE_TOKENS + 2 + fits
    assert desk.prompt(question).messages[1] == first.messages[-1]
    desk.generator.context_tokens -= 1
    cut = desk.prompt(question)
    assert first.messages[-1] not in cut.messages
    assert {hit.passage.id for hit in cut.hits} == cut.asked.shown


def test_the_mood_stands_between_the_memories_and_the_question(desk: Desk) -> None:
    mood = "지난 몇 시간 동안의 말은 이렇게 읽힌다 – jihun: 기쁨 (joy, 71% sure)."
    prompt = desk.prompt(mood=mood)
    system, asked = prompt.messages
    assert system == IDENTITY
    places = _places(asked.text, MEMORIES_HEADING, OLD, MOOD_HEADING, mood, QUESTION_HEADING, QUESTION)
    assert places == sorted(places)
    desk.answered(prompt)
    assert desk.prompt().messages[:2] == prompt.messages


def test_without_memories_the_mood_stands_above_the_question(desk: Desk) -> None:
    asked = desk.prompt(room=Room(memories=0, answer=50), mood="jihun: 기쁨.").messages[-1]
    assert asked.text == f"{MOOD_HEADING}\njihun: 기쁨.\n\n{QUESTION_HEADING}\n{QUESTION}"


# The report.


def test_the_report_says_what_each_part_takes_and_nothing_is_missing_in_it(desk: Desk) -> None:
    count = desk.generator.count_tokens
    prompt = desk.prompt(mood="지훈: 기쁨 (joy, 80 % sure)")
    report = prompt.report
    assert report is not None
    assert report.identity == count(IDENTITY.text)
    assert report.question == count(QUESTION)
    parts = (report.memories, report.mood, report.question)
    assert all(parts)
    # Headings and what joins the parts is all that comes to them.
    assert sum(parts) <= count(prompt.messages[-1].text) <= sum(parts) + 30
    assert (report.memories_left_out, report.memories_in_conversation, report.turns_left_out) == (0, 0, 0)
    desk.answered(prompt)
    again = desk.prompt().report
    assert again is not None
    assert (again.memories, again.memories_in_conversation) == (0, 2)
    assert again.conversation > 0


def test_the_report_names_what_did_not_fit(desk: Desk) -> None:
    report = desk.prompt(room=Room(memories=1, answer=50)).report
    assert report is not None
    assert (report.memories, report.memories_left_out) == (0, 2)


def test_the_report_counts_the_turns_that_did_not_fit(desk: Desk) -> None:
    for number in range(12):
        said = Said(role="user", speaker="jihun", text=f"{number} " + "오늘도 긴 이야기를 했다 " * 80)
        desk.at_hand.add(JIHUN, "c1", [said, Said(role="assistant", speaker="에코", text="그랬군요.")])
    report = desk.prompt(room=Room(memories=1, answer=desk.generator.context_tokens // 2)).report
    assert report is not None
    assert report.turns_left_out > 0
