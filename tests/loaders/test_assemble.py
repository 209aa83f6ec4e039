from __future__ import annotations

from loaders.assemble import Utterance, assemble, own_id, without_blank_edges
from loaders.base import Role, Source


def test_blank_utterances_take_no_place() -> None:
    said = [Utterance(role=Role.USER, text=text) for text in ("안녕", " \n", "잘 가")]
    turns = assemble("c1", said).turns
    assert [(turn.id, turn.index, turn.text) for turn in turns] == [("c1:1", 0, "안녕"), ("c1:2", 1, "잘 가")]


def test_a_speaker_without_a_name_is_the_role() -> None:
    (turn,) = assemble("c1", [Utterance(role=Role.ASSISTANT, text="응")]).turns
    assert turn.speaker == "assistant"


def test_half_a_surrogate_pair_can_be_stored() -> None:
    said = [Utterance(role=Role.USER, text="a\ud83d", id="\ud83d", speaker="\ud83d")]
    conversation = assemble("\ud83d", said, title="\ud83d")
    assert conversation.turns[0].text == "a\N{REPLACEMENT CHARACTER}"
    assert {conversation.id, conversation.title, conversation.turns[0].id} == {"\N{REPLACEMENT CHARACTER}"}


def test_the_name_with_its_folders_names_a_conversation() -> None:
    assert own_id(Source(name="day0315/첫 대화.txt", data=b"", text="")) == "day0315/첫 대화.txt"
    assert own_id(Source(name="", data=b"", text="")) == "conversation"


def test_only_blank_lines_at_the_edges_go() -> None:
    assert without_blank_edges(["", " ", "  들여 쓴 줄", "", "끝  ", ""]) == "  들여 쓴 줄\n\n끝  "
    assert not without_blank_edges(["", " "])
