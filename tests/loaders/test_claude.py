from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.base import Role, Source, Turn, UnreadableError
from loaders.claude import ClaudeLoader
from loaders.decode import decode

if TYPE_CHECKING:
    from loaders.base import Conversation

MESSAGE_KEYS = [
    "uuid",
    "sender",
    "content",
    "text",
    "created_at",
    "parent_message_uuid",
    "attachments",
    "files",
]
BLOCK_KEYS = ["type", "text", "name", "input", "source", "file_name", "extracted_content", "title"]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["a", "text", "tool_use", "human"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*MESSAGE_KEYS, *BLOCK_KEYS]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


def _source(value: object, name: str = "conversations.json") -> Source:
    return decode(name, json.dumps(value).encode())


def _conversation(messages: list[Any], **fields: Any) -> Conversation:
    (conversation,) = ClaudeLoader().load(_source([{"uuid": "c1", "chat_messages": messages, **fields}]))
    return conversation


def _texts(*messages: dict[str, Any]) -> list[str]:
    return [turn.text for turn in _conversation(list(messages)).turns]


def test_a_conversation_is_read_in_order() -> None:
    messages = [
        {
            "uuid": "m1",
            "sender": "human",
            "created_at": "2026-03-15T12:04:00.5Z",
            "text": "헌 글",
            "content": [{"type": "text", "text": "기억나?\n어제 말이야."}],
        },
        {"uuid": "m2", "sender": "assistant", "created_at": "어제", "text": "Of course. 🙂", "content": []},
    ]
    conversation = _conversation(messages, name="첫 만남")
    assert (conversation.id, conversation.title, conversation.remarks) == ("c1", "첫 만남", ())
    assert conversation.turns == (
        Turn(
            id="c1:m1",
            index=0,
            role=Role.USER,
            speaker="user",
            text="기억나?\n어제 말이야.",
            time=datetime(2026, 3, 15, 12, 4, 0, 500_000, tzinfo=UTC),
        ),
        Turn(id="c1:m2", index=1, role=Role.ASSISTANT, speaker="assistant", text="Of course. 🙂"),
    )


def test_one_conversation_by_itself_is_read_too() -> None:
    source = _source({"chat_messages": [{"sender": "human", "text": "안녕"}]}, "day0315/talk.json")
    assert ClaudeLoader().sniff(source)
    (conversation,) = ClaudeLoader().load(source)
    assert (conversation.id, conversation.turns[0].id) == ("day0315/talk.json", "day0315/talk.json:1")


def test_a_tools_result_is_a_turn_of_the_tools() -> None:
    message = {
        "uuid": "m",
        "sender": "assistant",
        "content": [
            {"type": "thinking", "thinking": "찾아볼까"},
            {"type": "text", "text": "찾아볼게."},
            {"type": "tool_use", "name": "web", "message": "Looking", "input": {"q": "날씨", "n": [1]}},
            {
                "type": "tool_result",
                "name": "web",
                "content": [{"type": "text", "text": "맑음"}, {"type": "image"}],
            },
            {"type": "tool_result", "content": [], "message": "Failed"},
            {"type": "text", "text": "맑대."},
        ],
    }
    conversation = _conversation([message])
    assert [(turn.id, turn.role, turn.speaker, turn.text) for turn in conversation.turns] == [
        ("c1:m", Role.ASSISTANT, "assistant", "찾아볼게.\n[tool: web] Looking\nq: 날씨\nn: [1]"),
        ("c1:m#2", Role.TOOL, "web", "맑음\n[image]"),
        ("c1:m#3", Role.TOOL, "tool", "Failed"),
        ("c1:m#4", Role.ASSISTANT, "assistant", "맑대."),
    ]
    assert conversation.remarks == ("1 block of thinking was left out",)


def test_attachments_bring_their_text_and_files_their_names() -> None:
    message = {
        "sender": "human",
        "text": "봐 줘",
        "attachments": [
            {"file_name": "a.txt", "extracted_content": "줄 하나\n줄 둘"},
            {"extracted_content": "붙인 글"},
        ],
        "files": [
            {"file_name": "a.txt"},
            {"file_kind": "image", "file_name": "고양이.png"},
            {"file_kind": "image"},
        ],
    }
    assert _texts(message) == [
        "봐 줘\n[file: a.txt]\n줄 하나\n줄 둘\n[file]\n붙인 글\n[image: 고양이.png]\n[image]"
    ]
    assert _texts({"sender": "human", "files_v2": [{"file_name": "b.pdf"}]}) == ["[file: b.pdf]"]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"content": None}, "헌 글"),
        ({"content": [{"type": "text", "text": None}]}, "헌 글"),
        ({"content": [{"type": "text", "text": 12}]}, "헌 글"),
        ({"content": "한 줄"}, "한 줄"),
        ({"content": [{"type": "새것", "title": "제목"}]}, "헌 글\n[새것: 제목]"),
        (
            {"content": [{"type": "document", "source": {"type": "text", "data": "본문"}}]},
            "헌 글\n[document]\n본문",
        ),
        ({"content": [{"type": "tool_use", "name": "a", "input": 3}]}, "헌 글\n[tool: a]\ninput: 3"),
        (
            {
                "content": [{"type": "tool_use", "name": "a"}],
                "text": "```\nThis block is not supported on your current device yet.\n```",
            },
            "[tool: a]",
        ),
    ],
)
def test_missing_or_odd_content_loses_no_words(fields: dict[str, Any], text: str) -> None:
    assert _texts({"sender": "human", "text": "헌 글", **fields}) == [text]


def test_an_unknown_sender_stays_unknown() -> None:
    turns = _conversation([{"text": "누구?"}, {"sender": "수민", "text": "나"}, None, 3]).turns
    assert [(turn.speaker, turn.text) for turn in turns] == [("unknown", "누구?"), ("수민", "나")]


def test_the_shown_branch_is_kept_where_every_message_has_a_parent() -> None:
    messages = [
        {"uuid": "1", "parent_message_uuid": "0", "sender": "human", "text": "물음"},
        {"uuid": "2", "parent_message_uuid": "1", "sender": "assistant", "text": "헌 답"},
        {"uuid": "3", "parent_message_uuid": "1", "sender": "assistant", "text": "새 답"},
    ]
    conversation = _conversation(messages, current_leaf_message_uuid="3")
    assert [turn.text for turn in conversation.turns] == ["물음", "새 답"]
    assert conversation.remarks == ("1 message on a branch that is not shown was left out",)
    assert len(_conversation(messages).turns) == 3
    del messages[0]["parent_message_uuid"]
    assert len(_conversation(messages, current_leaf_message_uuid="3").turns) == 3


def test_parents_in_a_circle_end() -> None:
    messages = [{"uuid": "1", "parent_message_uuid": "1", "sender": "human", "text": "물음"}]
    assert len(_conversation(messages, current_leaf_message_uuid="1").turns) == 1


def test_an_entry_without_messages_loses_no_others() -> None:
    entries = [{"name": "빈 것"}, None, {"chat_messages": [{"sender": "human", "text": "안녕"}]}]
    conversations = ClaudeLoader().load(_source(entries, "a.json"))
    assert [(one.id, len(one.turns)) for one in conversations] == [
        ("a.json#1", 0),
        ("a.json#2", 0),
        ("a.json#3", 1),
    ]


def test_a_file_without_any_messages_is_refused() -> None:
    with pytest.raises(UnreadableError, match="chat_messages"):
        ClaudeLoader().load(_source([{"chat_messages": None}]))


def test_an_export_cut_in_the_middle_is_damaged() -> None:
    data = json.dumps([{"chat_messages": [{"text": "안녕"}]}])[:-4]
    with pytest.raises(UnreadableError, match="not valid JSON"):
        ClaudeLoader().load(decode("a.json", data.encode()))


@pytest.mark.parametrize(
    "text",
    [
        '나는 "chat_messages": 를 봤다',
        '[{"mapping": {"x": {"chat_messages": []}}}]',
        '{"text": "안녕"}',
        "[]",
        "{",
    ],
)
def test_other_files_are_not_sniffed(text: str) -> None:
    assert not ClaudeLoader().sniff(Source(name="conversations.json", data=b"", text=text))
    assert not ClaudeLoader().sniff(Source(name="conversations.json", data=b"", text=None))


def test_a_tools_input_nested_deeply_is_read_or_refused() -> None:
    deep = "[" * 900 + "]" * 900
    text = f'[{{"chat_messages": [{{"content": [{{"type": "tool_use", "input": {{"a": {deep}}}}}]}}]}}]'
    try:
        ClaudeLoader().load(decode("a.json", text.encode()))
    except UnreadableError as error:
        assert "nested" in error.reason  # noqa: PT017


@given(messages=st.lists(JSON, max_size=4), leaf=JSON)
def test_any_messages_are_read(messages: list[Any], leaf: object) -> None:
    ClaudeLoader().load(
        _source([{"chat_messages": messages, "current_leaf_message_uuid": leaf, "uuid": leaf, "name": leaf}]),
    )


@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        source = decode("a.json", b'[{"chat_messages": ' + data)
        assert ClaudeLoader().sniff(source)
        ClaudeLoader().load(source)
    except UnreadableError:
        pass
