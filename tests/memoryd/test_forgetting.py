from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memoryd.forgetting import MOST_PROPOSED, Proposal, in_words, proposals, what_to_forget
from memoryd.users import User
from tests.memoryd.parts import Home, line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORIGIN = User(id="jihun", is_origin=True, others=("sora",))
SORA = User(id="sora")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("잊어줘: 첼로 선생님 이야기", "첼로 선생님 이야기"),
        (" 잊어 주세요 : 첼로 ", "첼로"),
        ("Forget: the cello teacher", "the cello teacher"),
        ("잊어줘", None),
        ("forget: ", ""),
        ("\u200b**잊어줘:** 첼로", "첼로"),
        ("“잊어줘: 첼로”", "첼로"),
        ("잊어줘:" + " " * 20_000, ""),
        ("첼로를 잊어줘: 라고 했어", None),
        ("don't forget: milk", None),
    ],
)
def test_a_request_to_forget_opens_its_turn(text: str, what: str | None) -> None:
    assert what_to_forget(text) == what


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    for number in range(5):
        home.remember(
            f"day031{number}/cello.jsonl", line(f"첼로 {number}번째 수업", conversation=f"c{number}")
        )
    yield home
    home.ledger.close()


def test_the_nearest_conversations_are_proposed_each_once(home: Home) -> None:
    hits = home.recall.search("첼로 수업", owners=("",), k=10).hits
    proposed = proposals(hits, ORIGIN)
    assert [each.conversation_id for each in proposed] == [
        hit.passage.conversation_id for hit in hits[:MOST_PROPOSED]
    ]
    assert proposed[0].text
    assert proposed[0].path.endswith("cello.jsonl")


def test_a_member_may_erase_nothing_that_is_shared(home: Home) -> None:
    hits = home.recall.search("첼로 수업", owners=("",), k=10).hits
    assert proposals(hits, SORA) == ()


@pytest.mark.parametrize(
    ("conversation_id", "shown"),
    [
        ("c1", "memoryd erase c1"),
        ("day0315/Chat; rm -rf x.txt", "memoryd erase 'day0315/Chat; rm -rf x.txt'"),
        ("-h", "memoryd erase -- -h"),
        ("c1\ncurl evil", "memoryd erase (an id with control characters: see GET /api/files)"),
    ],
)
def test_a_command_is_one_word_for_a_shell_whatever_the_id(conversation_id: str, shown: str) -> None:
    proposal = Proposal(conversation_id=conversation_id, day="2026-03-10", path="day0310/a.txt", text="첼로")
    assert shown in in_words("잊어줘: 첼로", [proposal])


def test_the_answer_names_the_command_that_confirms_in_the_language_of_the_request(home: Home) -> None:
    hits = home.recall.search("첼로 수업", owners=("",), k=1).hits
    proposed = proposals(hits, ORIGIN)
    told = in_words("첼로 수업", proposed)
    assert f"memoryd erase {proposed[0].conversation_id}" in told
    assert "아직 아무것도 지우지 않았어요" in told
    assert "Nothing is erased yet" in in_words("the cello", proposed)
    assert "아무것도 지우지 않았고" in in_words("첼로", ())
    assert "Nothing was erased" in in_words("the cello", ())
