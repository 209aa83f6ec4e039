from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.answer_text import AnswerText, Thought


def said(answer: AnswerText, data: bytes, size: int = 1) -> list[str]:
    pieces = [answer.feed(data[at : at + size]) for at in range(0, len(data), size)]
    return [*pieces, answer.end()]


@given(text=st.text(st.characters(codec="utf-8")), size=st.integers(1, 7))
def test_the_pieces_are_the_text_however_its_bytes_come(text: str, size: int) -> None:
    assert "".join(said(AnswerText(), text.encode(), size)) == text.strip()


def test_a_syllable_is_never_split() -> None:
    assert said(AnswerText(), "가나".encode()) == ["", "", "가", "", "", "나", ""]


def test_a_syllable_that_the_limit_cuts_is_left_off() -> None:
    assert said(AnswerText(), "가나".encode()[:5]) == ["", "", "가", "", "", ""]


def test_bytes_that_are_no_text_are_seen() -> None:
    assert "".join(said(AnswerText(), b"a\xffb")) == "a\ufffdb"


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_stop_text_ends_the_answer_and_is_not_shown(size: int) -> None:
    answer = AnswerText(stop=("\n지훈:", "\nEcho:"))
    assert "".join(said(answer, "네, 맑아요.\n지훈: 그래?".encode(), size)) == "네, 맑아요."
    assert answer.stopped


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_stop_text_that_comes_first_leaves_nothing(size: int) -> None:
    answer = AnswerText(stop=("\n지훈:", "\nEcho:"))
    assert not "".join(said(answer, " \n지훈: 그래?".encode(), size))
    assert answer.stopped


def test_what_only_looked_like_a_stop_text_is_shown() -> None:
    answer = AnswerText(stop=("\n지훈:",))
    assert "".join(said(answer, "네\n지훈이가 왔어".encode())) == "네\n지훈이가 왔어"
    assert not answer.stopped


def test_the_first_of_several_stop_texts_counts() -> None:
    assert "".join(said(AnswerText(stop=("c", "b")), b"abc", 3)) == "a"


def test_what_may_be_a_stop_text_is_held_until_the_end() -> None:
    assert said(AnswerText(stop=("END",)), b"the EN") == ["t", "h", "e", "", "", "", " EN"]


def test_white_space_around_the_answer_is_left_off() -> None:
    assert said(AnswerText(), b" \n a b \n") == ["", "", "", "a", "", " b", "", "", ""]


@pytest.mark.parametrize("size", [1, 4, 100])
@pytest.mark.parametrize(
    ("thought", "text"),
    [
        (Thought.THINKING, "hm <b>\n</think>\n\n답은 셋."),
        (Thought.NOT_YET, "\n<think>hm</think>답은 셋."),
        (Thought.NOT_YET, "답은 셋."),
        (Thought.DONE, "답은 셋."),
    ],
)
def test_thinking_is_left_out(thought: Thought, text: str, size: int) -> None:
    answer = AnswerText(thought=thought)
    assert "".join(said(answer, text.encode(), size)) == "답은 셋."
    assert answer.thought is not Thought.THINKING


@pytest.mark.parametrize("size", [1, 4, 100])
@pytest.mark.parametrize("thought", [Thought.THINKING, Thought.NOT_YET])
def test_what_was_thought_is_told_apart(thought: Thought, size: int) -> None:
    answer = AnswerText(thought=thought)
    data = ("<think>" * (thought is Thought.NOT_YET) + "\n음, <b> 둘?\n</think>\n\n셋.").encode()
    thoughts = []
    for at in range(0, len(data), size):
        answer.feed(data[at : at + size])
        thoughts.append(answer.thoughts())
    assert "".join(thoughts) == "음, <b> 둘?"
    assert not answer.thoughts()


def test_a_thought_without_end_is_told_but_for_what_may_be_the_tag() -> None:
    answer = AnswerText(thought=Thought.THINKING)
    answer.feed("음 </thi".encode())
    assert answer.thoughts() == "음"


@pytest.mark.parametrize("text", ["the tag <think> opens", "<thin", "<", "<thing>"])
def test_a_tag_later_on_or_half_a_tag_is_text(text: str) -> None:
    assert "".join(said(AnswerText(thought=Thought.NOT_YET), text.encode())) == text


def test_thinking_without_end_says_so() -> None:
    answer = AnswerText(thought=Thought.NOT_YET)
    assert "".join(said(answer, b"<think>hm, hm, hm </thi")) == ""
    assert answer.thought is Thought.THINKING


def test_a_stop_text_inside_the_thinking_does_not_stop() -> None:
    answer = AnswerText(stop=("X",), thought=Thought.THINKING)
    assert "".join(said(answer, b"X</think>aXb")) == "a"


def test_a_long_stop_text_costs_no_more_than_a_short_one() -> None:
    answer = AnswerText(stop=("\n" + "가" * 200_000,))
    begun = time.process_time()
    assert "".join(said(answer, b"ab\n" * 50, 1)) == ("ab\n" * 50).strip()
    assert time.process_time() - begun < 1
