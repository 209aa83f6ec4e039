"""Turns become passages: an exchange where it fits, cut at sentence ends where it doesn't, nothing left out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memoryd.ledger import TurnRow
from memoryd.passages import Kind, Passage, exchanges, make_passages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memoryd.embedder import PromptedEmbedder

START = datetime(2026, 3, 15, 21, 4, tzinfo=UTC)
LONGEST = 32


def said(*lines: tuple[str, str] | tuple[str, str, tuple[str, ...]]) -> list[TurnRow]:
    """(speaker, text, citations) as turns, a minute apart."""
    return [
        TurnRow(
            id=f"t{index}",
            index=index,
            conversation_id="c1",
            role="user",
            speaker=line[0],
            time=START + timedelta(minutes=index),
            text=line[1],
            citations=line[2] if len(line) == 3 else None,
        )
        for index, line in enumerate(lines)
    ]


def count(texts: Sequence[str]) -> list[int]:
    """Tokens are words here."""
    return [len(text.split()) for text in texts]


def characters(texts: Sequence[str]) -> list[int]:
    """Or, as dense as Korean can be, characters."""
    return [len("".join(text.split())) for text in texts]


def cut(turns: Sequence[TurnRow], longest: int = LONGEST, path: str = "day0315/a.txt") -> list[Passage]:
    return make_passages(path, "c1", turns, count_tokens=count, max_tokens=longest)


def groups(turns: Sequence[TurnRow]) -> list[str]:
    """Who speaks in each exchange."""
    return [" ".join(turn.speaker for turn in group) for group in exchanges(turns)]


def bare(text: str) -> str:
    return "".join(text.split())


# Exchanges


@pytest.mark.parametrize(
    ("speakers", "expected"),
    [
        ("A B A B", ["A B", "A B"]),
        ("A A B A", ["A A B", "A"]),
        ("A B B A B", ["A B B", "A B"]),
        ("A A A", ["A A A"]),
        ("A B C A C B", ["A B C", "A C B"]),
        ("A B C B C", ["A B C B C"]),
        ("A", ["A"]),
        ("", []),
    ],
)
def test_an_exchange_ends_when_its_opener_speaks_again_after_an_answer(
    speakers: str, expected: list[str]
) -> None:
    assert groups(said(*((speaker, "응.") for speaker in speakers.split()))) == expected


def test_a_turn_without_words_is_no_part_of_an_exchange() -> None:
    turns = said(("지훈", " \n"), ("지훈", "보리 봤어?"), ("에코", ""), ("에코", "네."))
    assert [[turn.index for turn in group] for group in exchanges(turns)] == [[1, 3]]


def test_a_short_exchange_is_one_passage_with_its_speakers_names() -> None:
    (passage,) = cut(said(("지훈", "보리 예방접종 언제야?"), ("에코", "4월 3일이에요.")))
    assert passage.text == "지훈: 보리 예방접종 언제야?\n에코: 4월 3일이에요."
    assert passage.embedded == passage.text
    assert (passage.first, passage.last, passage.time) == (0, 1, START)
    assert passage.kind is Kind.SAID


# Replies


def test_a_reply_built_from_memories_stands_apart_with_what_it_was_built_from() -> None:
    question, reply, thanks = cut(
        said(("지훈", "언제였지?"), ("에코", "3월 10일이요.", ("p_1", "p_2")), ("지훈", "고마워."))
    )
    assert (question.kind, question.text) == (Kind.SAID, "지훈: 언제였지?")
    assert (reply.kind, reply.text, reply.citations) == (Kind.REPLY, "에코: 3월 10일이요.", ("p_1", "p_2"))
    assert (thanks.kind, thanks.citations) == (Kind.SAID, None)


def test_what_another_program_answered_stays_with_its_question() -> None:
    assert len(cut(said(("지훈", "안녕?"), ("에코", "안녕하세요.")))) == 1


def test_an_answer_from_no_memories_is_a_reply_still() -> None:
    question, reply = cut(said(("지훈", "고양이 이름이 뭐지?"), ("에코", "기억이 없어요.", ())))
    assert (question.kind, reply.kind) == (Kind.SAID, Kind.REPLY)


def test_every_piece_of_a_long_reply_is_a_reply() -> None:
    pieces = cut(said(("에코", "하나 둘 셋. " * 30, ("p_1",))))
    assert len(pieces) > 2
    assert {(piece.kind, piece.citations) for piece in pieces} == {(Kind.REPLY, ("p_1",))}


# Long turns


def test_a_long_turn_is_cut_at_sentence_ends() -> None:
    pieces = cut(said(("지훈", " ".join(f"문장 {n} 번은 여기서 끝나." for n in range(40)))))
    assert len(pieces) > 4
    for piece in pieces:
        assert all(line.endswith("끝나.") for line in piece.text.splitlines())


def test_a_sentence_longer_than_a_passage_is_cut_at_a_space() -> None:
    words = [f"낱말{n}" for n in range(200)]
    pieces = cut(said(("지훈", " ".join(words))))
    assert " ".join(piece.text for piece in pieces).replace("지훈: ", "").split() == words


def test_the_opening_stands_over_later_pieces_only() -> None:
    turns = said(("지훈", "보리 이야기 해 줘."), ("에코", "보리는 잘 지내요. " * 30))
    first, *later = cut(turns)
    assert first.embedded == first.text
    assert first.text.startswith("지훈: 보리 이야기 해 줘.")
    assert len(later) > 1
    for piece in later:
        assert piece.embedded == f"지훈: 보리 이야기 해 줘.\n{piece.text}"
        assert piece.text.startswith("에코: ")


def test_a_long_opening_is_shortened() -> None:
    turns = said(("지훈", "아주 긴 이야기의 첫머리 " * 60))
    for piece in cut(turns)[1:]:
        opening = piece.embedded.partition("\n")[0]
        assert opening.startswith("지훈: 아주 긴")
        assert count([opening])[0] <= LONGEST // 3


def test_a_piece_names_the_turns_that_it_covers() -> None:
    turns = said(*((who, f"{who} 말하기를 " + "그렇고 그런 이야기. " * 6) for who in "ABCB"))
    pieces = cut(turns)
    assert pieces[0].first == 0
    assert pieces[-1].last == 3
    for before, after in pairwise(pieces):
        assert before.first <= before.last
        assert after.first in {before.last, before.last + 1}
        assert after.time == turns[after.first].time


# Properties

TURNS = st.lists(
    st.tuples(
        st.sampled_from(["지훈", "에코", "Mia Kim"]),
        st.lists(
            st.sampled_from(["보리가", "잤어.", "hello", "정말?", '"응."', "\n", "긴" * 30]), max_size=60
        ).map(" ".join),
        st.sampled_from([(), (), (), ("p_1",)]),
    ),
    max_size=8,
)


@given(TURNS, st.integers(LONGEST, 90), st.sampled_from([count, characters]))
def test_no_passage_is_longer_than_allowed_with_its_names_and_its_opening(
    lines: list[tuple[str, str, tuple[str, ...]]], longest: int, measure: object
) -> None:
    assert callable(measure)
    passages = make_passages("a", "c", said(*lines), count_tokens=measure, max_tokens=longest)
    assert all(measure([passage.embedded])[0] <= longest for passage in passages)


@given(TURNS, st.sampled_from([count, characters]))
def test_every_word_of_every_turn_is_in_a_passage_in_order(
    lines: list[tuple[str, str, tuple[str, ...]]], measure: object
) -> None:
    assert callable(measure)
    turns = said(*lines)
    passages = make_passages("a", "c", turns, count_tokens=measure, max_tokens=LONGEST)
    kept = "".join(bare(passage.text) for passage in passages)
    for turn in turns:
        name = bare(f"{turn.speaker}:")
        for character in [name, *bare(turn.text)] if turn.text.strip() else []:
            # A piece that begins within a turn repeats the name.
            if not kept.startswith(character):
                assert kept.startswith(name)
                kept = kept.removeprefix(name)
            assert kept.startswith(character)
            kept = kept.removeprefix(character)
    assert kept == ""


@given(TURNS)
def test_every_turn_with_words_is_covered_by_a_passage_and_nothing_else_is(
    lines: list[tuple[str, str, tuple[str, ...]]],
) -> None:
    turns = said(*lines)
    covered = {index for passage in cut(turns) for index in range(passage.first, passage.last + 1)}
    assert {turn.index for turn in turns if turn.text.strip()} <= covered <= {turn.index for turn in turns}


@given(TURNS)
def test_ids_are_distinct_and_the_same_every_time(lines: list[tuple[str, str, tuple[str, ...]]]) -> None:
    passages = cut(said(*lines))
    assert cut(said(*lines)) == passages
    ids = [passage.id for passage in passages]
    assert len(set(ids)) == len(ids)


# Ids and vector keys


def test_the_same_words_in_another_file_are_another_passage_with_the_same_vector() -> None:
    turns = said(("지훈", "보리가 잤어."))
    (here,), (there,) = cut(turns, path="day0315/a.txt"), cut(turns, path="day0316/a.txt")
    assert here.id != there.id
    assert here.vector_key == there.vector_key


def test_an_exchange_added_at_the_end_leaves_the_ids_before_it() -> None:
    turns = said(("지훈", "하나?"), ("에코", "둘."), ("지훈", "셋?"), ("에코", "넷."))
    assert [passage.id for passage in cut(turns)][:1] == [passage.id for passage in cut(turns[:2])]


def test_other_words_or_another_time_are_another_passage() -> None:
    (turn,) = said(("지훈", "보리가 잤어."))
    same, reworded, moved = (
        cut([each])[0].id
        for each in (
            turn,
            replace(turn, text="보리가 놀았어."),
            replace(turn, time=START + timedelta(days=1)),
        )
    )
    assert len({same, reworded, moved}) == 3


# With the real tokenizer


def test_real_tokens_stay_within_the_embedders_own_limit(embedder: PromptedEmbedder) -> None:
    korean = "보리는 오늘도 창가에서 햇볕을 쬐다가 무릎에 올라와 잤어. 예방접종은 4월 3일이라고 했지! "
    english = "The vet said salmon food is fine for now. "
    turns = said(("지훈", korean * 20), ("Echo", english * 60), ("지훈", "응" * 900))
    for longest in (32, 100, embedder.max_tokens):
        passages = make_passages("a", "c", turns, count_tokens=embedder.count_tokens, max_tokens=longest)
        assert max(embedder.count_tokens([passage.embedded for passage in passages])) <= longest


# A long answer


def test_what_was_asked_stands_apart_from_a_long_answer_to_it() -> None:
    answer = " ".join(f"Sentence number {n} of the answer." for n in range(20))
    turns = said(("지훈", "What is the capital of Peru?"), ("Echo", answer))
    turns[1] = replace(turns[1], role="assistant")
    question, *rest = cut(turns)
    assert (question.text, question.kind) == ("지훈: What is the capital of Peru?", Kind.SAID)
    assert len(rest) > 1
    assert {each.kind for each in rest} == {Kind.ANSWER}
    assert all(each.embedded.startswith("지훈: What is the capital of Peru?\nEcho: ") for each in rest)


def test_short_turns_of_a_long_exchange_stay_together() -> None:
    long = " ".join(f"Sentence number {n} here." for n in range(20))
    turns = said(("a", "one two"), ("b", "three four"), ("c", long), ("b", "five six"), ("c", "seven"))
    texts = [each.text for each in cut(turns)]
    assert texts[0] == "a: one two\nb: three four"
    assert texts[-1] == "b: five six\nc: seven"
    assert all(text.startswith("c: Sentence number") for text in texts[1:-1])


def test_a_text_too_short_to_be_too_long_is_not_counted() -> None:
    def never(texts: Sequence[str]) -> list[int]:
        raise AssertionError(texts)

    turns = said(("지훈", "짧은 말이야."), ("에코", "네."))
    (whole,) = make_passages("day0315/a.txt", "c1", turns, count_tokens=never, max_tokens=100)
    assert whole.text == "지훈: 짧은 말이야.\n에코: 네."
