"""Passages by their words, in Korean and in English, whatever a question holds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from memoryd.korean import Words, WordSplitter
from memoryd.ledger import Ledger, NewFile
from tests.memoryd.ledger.made import SHARED, conversation, passage, passage_id, put, row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PATH = "day0315/talk.txt"
MEMORIES = {
    "history": "역사를 배우러 서울대학교에 갔다.",
    "vet": "보리 다음 예방접종은 4월 3일이야.",
    "pod": "RunPod에서 A100을 두 시간 빌렸어.",
    "river": "We walked along the river and talked about running shoes.",
    "cafe": "Café crème in Paris",
}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, splitter: WordSplitter) -> Iterator[Ledger]:
    """A ledger with the memories above, words made by the real Kiwi. Nothing here writes to it."""
    ledger = Ledger(tmp_path_factory.mktemp("ledger"))
    texts = list(MEMORIES.values())
    passages = []
    for index, text in enumerate(texts):
        words = splitter.words(text)
        made = passage(text, path=PATH, index=index)
        passages.append(replace(made, morphemes=words.morphemes, bigrams=words.bigrams))
    talk = replace(conversation(texts, path=PATH), passages=tuple(passages))
    ledger.files.replace(NewFile(row=row(PATH), day="day0315", conversations=(talk,)))
    yield ledger
    ledger.close()


def found(ledger: Ledger, words: Words, owners: Sequence[str] = SHARED) -> list[str]:
    names = {passage_id(PATH, text): name for name, text in MEMORIES.items()}
    return [names[each.passage_id] for each in ledger.search.lexical(words, owners, 10)[0]]


# Words


@pytest.mark.parametrize(
    ("question", "memory"),
    [
        ("역사가 재미있어?", "history"),
        ("역사에 대해서", "history"),
        ("서울에 갔었나", "history"),
        ("보리는 언제 예방접종을 해?", "vet"),
        ("runpod 얼마였지", "pod"),
        ("A100", "pod"),
        ("4월 일정", "vet"),
        ("a RUNNER's shoe by the rivers", "river"),
        ("cafe creme", "cafe"),
    ],
)
def test_a_question_finds_its_memory_through_particles_cases_and_endings(
    full: Ledger, splitter: WordSplitter, question: str, memory: str
) -> None:
    assert found(full, splitter.words(question))[0] == memory


@pytest.mark.parametrize("question", ["고양이", "zebra", "", "?!", '"', "를"])
def test_a_question_without_a_shared_word_finds_nothing(
    full: Ledger, splitter: WordSplitter, question: str
) -> None:
    assert found(full, splitter.words(question)) == []


def test_scores_fall_and_more_shared_words_score_higher(full: Ledger, splitter: WordSplitter) -> None:
    best, shares = full.search.lexical(splitter.words("보리 예방접종 4월 river"), SHARED, 10)
    scores = list(shares.of([place.row for place in best]).values())
    assert scores == sorted(scores, reverse=True)
    assert best[0].passage_id == passage_id(PATH, MEMORIES["vet"])
    assert all(0 < score <= 1 for score in scores)
    gone = best[-1].row + 1000
    assert shares.of([gone]) == {gone: 0.0}


def test_no_more_are_given_than_asked_for(full: Ledger, splitter: WordSplitter) -> None:
    every_one = splitter.words("역사 예방접종 runpod river cafe")
    assert len(full.search.lexical(every_one, SHARED, 10)[0]) == 5
    assert len(full.search.lexical(every_one, SHARED, 2)[0]) == 2


def test_a_very_long_question_is_still_a_question(full: Ledger, splitter: WordSplitter) -> None:
    assert "river" in found(full, splitter.words("river " + " ".join(f"word{n}" for n in range(5000))))


# Nothing in a question is syntax


@given(
    st.text()
    | st.text(st.sampled_from("\"'*():^-+{}~ NEAROTDmorphemesbigrams가나다역사를보리"))
    | st.lists(st.sampled_from(['"', "NEAR(", "AND", "OR", "NOT", "morphemes:", "역사를", "^보리", "*"])).map(
        " ".join
    )
)
@example('역사" OR morphemes:"보리')
@example("NOT 역사 AND NEAR(보리, 3) *")
@example("\x00역사\x00")
@example("Ⅳ ½ ª ﷺ ㈜ 𝟘")
@settings(deadline=None)
def test_no_question_can_break_the_search(full: Ledger, splitter: WordSplitter, question: str) -> None:
    assert len(found(full, splitter.words(question))) <= len(MEMORIES)


def test_operators_are_words_like_any_other(full: Ledger, splitter: WordSplitter) -> None:
    assert found(full, splitter.words('NOT "river" AND NEAR(shoes)')) == ["river"]


# Owners


def test_owners_are_kept_apart(ledger: Ledger) -> None:
    put(ledger, "day0315/a.txt", "bori shared")
    put(ledger, "day0315/jihoon/b.txt", "bori own", owner="jihoon")
    put(ledger, "day0315/mia/c.txt", "bori secret", owner="mia")
    ids = [passage_id("day0315/a.txt", "bori shared"), passage_id("day0315/mia/c.txt", "bori secret")]

    def seen(*owners: str) -> set[str]:
        return {
            each.passage_id.rpartition(" ")[2]
            for each in ledger.search.lexical(Words("bori", ""), owners, 10)[0]
        }

    assert seen("") == {"shared"}
    assert seen("", "jihoon") == {"shared", "own"}
    assert seen("mia") == {"secret"}
    assert [each.text for each in ledger.search.get(ids, ["", "jihoon"])] == ["bori shared"]


# By id


def test_passages_come_in_the_order_of_their_ids_with_what_a_citation_needs(full: Ledger) -> None:
    ids = [passage_id(PATH, MEMORIES[name]) for name in ("vet", "history")]
    vet, history = full.search.get([ids[0], "p_gone", ids[1]], SHARED)
    assert [vet.id, history.id] == ids
    assert (vet.path, vet.day, vet.conversation_id, vet.owner) == (PATH, "day0315", "c1", "")
    assert [(turn.index, turn.text) for turn in vet.turns] == [(1, MEMORIES["vet"])]
    assert vet.time == vet.turns[0].time


# By time, by speaker, by what stands beside


def test_what_was_said_in_a_time_or_by_a_speaker_is_found(full: Ledger) -> None:
    everything = full.search.said(SHARED, 100)
    assert [each.first for each in everything] == list(range(len(MEMORIES)))
    second, third = everything[1].time, everything[2].time
    assert full.search.said(SHARED, 100, since=second, until=third) == everything[1:3]
    assert full.search.said(SHARED, 1, since=second) == everything[1:2]
    assert full.search.said(SHARED, 100, until=second) == everything[:2]
    (speaker,) = {turn.speaker for turn in full.search.get([everything[0].passage_id], SHARED)[0].turns}
    assert full.search.said(SHARED, 100, speaker=speaker.upper()) == everything
    assert full.search.said(SHARED, 100, speaker="nobody") == []
    assert full.search.said(["mia"], 100) == []


def test_what_stands_beside_comes_nearest_first(full: Ledger) -> None:
    everything = full.search.said(SHARED, 100)
    before, after = full.search.beside(everything[2], SHARED, 2)
    assert before == [everything[1], everything[0]]
    assert after == everything[3:5]
    assert full.search.beside(everything[0], SHARED, 1) == ([], everything[1:2])
    assert full.search.beside(everything[0], ["mia"], 1) == ([], [])


def test_places_are_found_by_their_ids(full: Ledger) -> None:
    everything = full.search.said(SHARED, 100)
    ids = [each.passage_id for each in everything]
    assert sorted(full.search.named([*ids, "p_gone"], SHARED)) == everything
    assert full.search.named(ids, ["mia"]) == []
