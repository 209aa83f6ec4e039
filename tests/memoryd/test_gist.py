from __future__ import annotations

import numpy as np
import pytest

from memoryd.gist import (
    FEWEST,
    NUMBERS,
    WORDS,
    dumps,
    make_gist,
    speaker_number,
    statements_of,
    stem,
    topic_numbers,
    word_numbers,
)
from memoryd.statements import Kind
from tests.memoryd.parts import turn


def test_a_gist_keeps_what_people_said_with_its_source() -> None:
    said = turn("두부는 회색 고양이야. 겁이 아주 많아.", day=10, conversation="c1")
    answer = turn("두부가 겁이 많군요.", day=10, conversation="c1", role="assistant", speaker="에코")
    gist = make_gist([said, answer], lambda each: f"p-{each.index}")
    assert gist.turns == 2
    assert [each.text for each in gist.statements] == ["두부는 회색 고양이야.", "겁이 아주 많아."]
    first = gist.statements[0]
    assert (first.speaker, first.day, first.conversation_id) == ("지훈", "2026-03-10", "c1")
    assert (first.passage, first.alone) == (f"p-{said.index}", True)


def test_who_is_not_alone_with_the_being_is_told_apart() -> None:
    gist = make_gist(
        [turn("저녁에 만두를 빚었어.", speaker="지훈"), turn("나도 만두를 좋아해.", speaker="수민")],
        lambda _: "p",
    )
    assert [each.alone for each in gist.statements] == [False, False]


def test_of_a_long_conversation_the_more_telling_part_stays_in_its_order() -> None:
    chatter = [turn(f"그냥 그런 하루였어 {number}", conversation="c1") for number in range(60)]
    rule = turn("절대 원본 사진을 지우지 마, 2019년 것까지 전부.", conversation="c1")
    gist = make_gist([*chatter[:30], rule, *chatter[30:]], lambda _: "p")
    assert FEWEST < len(gist.statements) < 20
    assert Kind.RULE in {each.kind for each in gist.statements}
    places = [each.place for each in gist.statements]
    assert places == sorted(places)


def test_all_of_a_turn_that_asks_to_be_kept_is_kept() -> None:
    said = turn("기억해: 여분 열쇠는 하나에게 있어. 현관 등은 고장 났어.")
    assert {each.kind for each in make_gist([said], lambda _: "p").statements} == {Kind.KEPT}


def test_a_gist_comes_back_as_it_was_kept() -> None:
    gist = make_gist(
        [turn("두부는 회색 고양이야."), turn("I love \ud55c\uad6d rainy mornings")], lambda _: "p"
    )
    stored = dumps(gist)
    assert statements_of(stored.body, [0, 1, 9]) == dict(enumerate(gist.statements))
    numbers = np.frombuffer(stored.numbers, NUMBERS)
    assert numbers["words"].tolist() == [len(words) for words in gist.words]
    assert numbers["speaker"].tolist() == [speaker_number("지훈")] * 2
    assert np.frombuffer(stored.words, "<u4").tolist() == [word for words in gist.words for word in words]


def test_a_changed_turn_changes_the_digest() -> None:
    one, other = turn("두부는 회색 고양이야."), turn("두부는 까만 고양이야.")
    digests = {
        make_gist(turns, lambda _: "p").digest for turns in ([one], [other], [one, other], [other, one])
    }
    assert len(digests) == 4


def test_words_are_counted_without_particles_and_numbers() -> None:
    assert set(word_numbers("보리는")) & set(word_numbers("보리가"))
    assert word_numbers("2026 15").tolist() == []
    numbers = word_numbers("보리가 창가에서 잤다 with a cat")
    assert numbers.tolist() == sorted(set(numbers.tolist()))
    assert numbers.max() < WORDS


def test_what_a_statement_may_be_about_leaves_out_empty_words() -> None:
    assert set(topic_numbers("그리고 보리는 오늘 병원에 갔어 with the vet")) == {
        "보리",
        "병원",
        "갔어",
        "vet",
    }


@pytest.mark.parametrize(
    ("run", "bare"), [("보리는", "보리"), ("병원에서", "병원"), ("나는", "나는"), ("고양이", "고양")]
)
def test_a_particle_at_the_end_goes_unless_a_syllable_alone_is_left(run: str, bare: str) -> None:
    assert stem(run) == bare
