"""An answer comes with its memories, and the exchange is a memory itself, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memoryd_client import AskAnswer, Recalled, Token
from tests.end_to_end.conversation import ASKED_EN, ASKED_KO, DROPPED, TURNS

if TYPE_CHECKING:
    from tests.end_to_end.running import Running


@pytest.mark.parametrize(("question", "turn", "words"), [ASKED_KO, ASKED_EN])
def test_an_answer_is_right_and_cites_its_passage(
    shared: Running, question: str, turn: str, words: str
) -> None:
    with shared.client() as client:
        answer = client.ask(question)
    assert words in answer.answer
    assert answer.model == "bundled"
    assert answer.note is not None
    assert "built-in" in answer.note
    assert answer.identity_version >= 1
    assert answer.degraded is None
    assert answer.saved
    cited = next(each for each in answer.citations if turn in {ref.id for ref in each.turns})
    assert cited.path == DROPPED
    assert 0 < answer.timings.recall_ms < answer.timings.first_token_ms <= answer.timings.total_ms


def test_a_streamed_answer_comes_memories_first_and_is_the_same_in_the_end(shared: Running) -> None:
    with shared.client() as client:
        recalled, *tokens, whole = client.ask_stream(ASKED_EN[0])
    assert isinstance(recalled, Recalled)
    assert isinstance(whole, AskAnswer)
    assert whole.citations == recalled.citations
    assert "".join(token.text for token in tokens if isinstance(token, Token)) == whole.answer


def test_the_exchange_is_on_disk_searchable_and_once_there_after_a_kill(fresh: Running) -> None:
    fresh.drop(DROPPED, TURNS)
    fresh.start_ready()
    question, _, words = ASKED_KO
    with fresh.client() as client:
        answer = client.ask(question)
    fresh.kill()  # at once: the exchange may not be in the ledger yet
    (file,) = fresh.memory.glob("day*/origin/*.jsonl")
    assert answer.conversation_id in file.name
    asked, answered = fresh.exchanges()
    assert (asked["role"], asked["text"]) == ("user", question)
    assert (answered["role"], answered["text"]) == ("assistant", answer.answer)
    assert {each.passage_id for each in answer.citations} <= set(answered["citations"])
    assert answered["identity_version"] == answer.identity_version

    fresh.start_ready()
    with fresh.client() as client:
        kept = client.conversation(answer.conversation_id)
        status = client.status()
        found = client.search(question, k=3)
        again = client.ask(question)
    assert [turn.text for turn in kept.turns] == [question, answer.answer]
    assert kept.paths == [file.relative_to(fresh.memory).as_posix()]
    assert (status.counts.turns, status.counts.files_indexed) == (len(TURNS) + 2, 2)
    assert status.counts.embedded_texts == status.counts.vectors
    assert answer.conversation_id in {hit.conversation_id for hit in found.hits}
    # The question that was asked before is no memory of its own answer.
    assert words in again.answer
    assert all(each.text.rstrip() != f"origin: {question}" for each in again.citations)
