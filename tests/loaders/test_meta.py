from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders import Conversation, Role, Turn, UnreadableError, load
from loaders.base import Source
from loaders.meta import MetaLoader

FIRST = 1_773_576_240_000  # 2026-03-15 12:04:00 UTC
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["a", "Ã¬", "\ud83d", "Call"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["uri", "link", "name"]), inner, max_size=3)
    ),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        "sender_name",
        "timestamp_ms",
        "content",
        "photos",
        "share",
        "reactions",
        "call_duration",
        "type",
        "sticker",
    ]
)


def _twice(text: str) -> str:
    """As Meta writes it: each byte of UTF-8 a character."""
    return text.encode().decode("latin-1")


def _message(minute: float, content: str = "", sender: str = "지훈", **fields: Any) -> dict[str, Any]:
    said = {"content": _twice(content)} if content else {}
    return {"sender_name": _twice(sender), "timestamp_ms": FIRST + int(60_000 * minute), **said, **fields}


def _loaded(name: str, *messages: object, **fields: Any) -> Conversation:
    chat = {"participants": [{"name": _twice("지훈")}], "messages": list(messages), **fields}
    loaded = load(name, json.dumps(chat).encode())
    assert loaded.format == "meta"
    (conversation,) = loaded.conversations
    return conversation


def _turns(*messages: object) -> tuple[Turn, ...]:
    return _loaded("message_1.json", *messages).turns


def _text(**fields: Any) -> str:
    (turn,) = _turns(_message(0, **fields))
    return turn.text


def test_a_chat_is_put_in_order_and_its_encoding_undone() -> None:
    conversation = _loaded(
        "messages/inbox/a/message_1.json",
        _message(2, "좋아 👍", sender="수민"),
        _message(1, "내일 볼까?"),
        title=_twice("산책 모임"),
        thread_path="inbox/walk_123",
    )
    assert (conversation.id, conversation.title) == ("inbox/walk_123", "산책 모임")
    assert [(turn.speaker, turn.role, turn.text) for turn in conversation.turns] == [
        ("지훈", Role.USER, "내일 볼까?"),
        ("수민", Role.USER, "좋아 👍"),
    ]
    assert conversation.turns[0].time == datetime(2026, 3, 15, 12, 5, tzinfo=UTC)


def test_of_messages_of_one_millisecond_the_later_in_the_file_is_the_older() -> None:
    assert [turn.text for turn in _turns(_message(1, "둘"), _message(1, "하나"))] == ["하나", "둘"]


@pytest.mark.parametrize("text", ["Café au lait", "이미 바른 글", "Ã 뒤에 한글", "a\ud83db", "plain"])
def test_text_that_is_right_already_is_not_touched(text: str) -> None:
    (turn,) = _turns({"sender_name": "a", "timestamp_ms": FIRST, "content": text})
    assert turn.text == text.replace("\ud83d", "\N{REPLACEMENT CHARACTER}")


def test_the_files_of_a_long_chat_are_told_apart() -> None:
    path = {"thread_path": "inbox/walk_123"}
    assert _loaded("a/message_1.json", _message(0, "가"), **path).id == "inbox/walk_123"
    assert _loaded("a/message_2.json", _message(0, "가"), **path).id == "inbox/walk_123#2"
    assert _loaded("a/message_2.json", _message(0, "가")).id == "a/message_2.json"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"photos": [{"uri": "photos/1.jpg"}, {"uri": "photos/2.jpg"}]}, "[photo: 1.jpg]\n[photo: 2.jpg]"),
        ({"content": "봐", "videos": [{"uri": "videos/1.mp4"}]}, "봐\n[video: 1.mp4]"),
        ({"audio_files": [{"uri": "audio/1.m4a"}]}, "[voice message: 1.m4a]"),
        ({"gifs": [{}]}, "[gif]"),
        ({"files": [{"uri": _twice("files/계약서.pdf")}]}, "[file: 계약서.pdf]"),
        ({"sticker": {"uri": "stickers/7.png"}}, "[sticker: 7.png]"),
        (
            {"content": "이거 봐", "share": {"link": "https://a.example", "share_text": _twice("좋은 글")}},
            "이거 봐\n[shared: 좋은 글 https://a.example]",
        ),
        ({"content": "https://a.example", "share": {"link": "https://a.example"}}, "https://a.example"),
        ({"share": {"original_content_owner": "cat.pics"}}, "[shared: by cat.pics]"),
        ({"content": "Liked a message"}, "Liked a message"),
    ],
)
def test_what_is_no_text_is_noted(fields: dict[str, Any], expected: str) -> None:
    assert _text(**fields) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"content": "The call ended.", "call_duration": 95}, "The call ended.\n[call: 95 s]"),
        ({"call_duration": 0, "missed": True}, "[call: missed]"),
        ({"call_duration": 0}, "[call]"),
        ({"content": "지훈 left the group.", "type": "Unsubscribe"}, "지훈 left the group."),
        ({"is_unsent": True}, "[message taken back]"),
    ],
)
def test_calls_and_notices_are_the_systems(fields: dict[str, Any], expected: str) -> None:
    (turn,) = _turns(_message(0, **fields))
    assert (turn.role, turn.speaker, turn.text) == (Role.SYSTEM, "지훈", expected)


def test_reactions_are_left_out_with_a_word() -> None:
    conversation = _loaded("a.json", _message(0, "좋지?", reactions=[{"reaction": "x", "actor": "y"}]))
    assert conversation.remarks == ("reactions were left out (1)",)


def test_chats_with_end_to_end_encryption_are_read_in_their_own_shape() -> None:
    chat = {
        "participants": ["지훈", "수민"],
        "threadName": "수민_3",
        "messages": [
            {"isUnsent": False, "media": [], "senderName": "수민", "text": "응", "timestamp": FIRST + 60_000},
            {"isUnsent": True, "media": [], "senderName": "지훈", "text": "", "timestamp": FIRST + 30_000},
            {
                "isUnsent": False,
                "media": [{"uri": "./media/1.jpg"}],
                "senderName": "지훈",
                "timestamp": FIRST,
            },
        ],
    }
    (conversation,) = load("수민.json", json.dumps(chat).encode()).conversations
    assert (conversation.id, conversation.title) == ("수민.json", "수민_3")
    assert [(turn.speaker, turn.text) for turn in conversation.turns] == [
        ("지훈", "[attachment: 1.jpg]"),
        ("지훈", "[message taken back]"),
        ("수민", "응"),
    ]
    assert conversation.turns[0].time == datetime(2026, 3, 15, 12, 4, tzinfo=UTC)


@pytest.mark.parametrize("moment", [None, "어제", True, float("nan"), 10**400, -1e30])
def test_a_message_without_a_usable_time_is_kept(moment: object) -> None:
    (turn,) = _turns(_message(0, "안녕") | {"timestamp_ms": moment})
    assert (turn.text, turn.time) == ("안녕", None)


def test_a_message_without_a_sender_is_kept() -> None:
    turns = _turns(_message(0, "안녕"), {"content": "누구지", "timestamp_ms": FIRST + 1}, "글", None)
    assert [(turn.speaker, turn.text) for turn in turns] == [("지훈", "안녕"), ("user", "누구지")]


def test_a_damaged_file_is_unreadable() -> None:
    data = json.dumps({"messages": [_message(0, "안녕")]}).encode()
    with pytest.raises(UnreadableError, match="not valid JSON"):
        load("message_1.json", data[:-3])
    with pytest.raises(UnreadableError, match="download your information again"):
        load("message_1.json", b'{"a": {"messages": [{"sender_name": "", "timestamp_ms": 1}]}}')


@pytest.mark.parametrize(
    "text", ['{"messages": [], "sender_name": "x"}', '[{"messages": [], "sender_name": 1}]']
)
def test_what_only_looks_like_meta_is_not_claimed(text: str) -> None:
    assert not MetaLoader().sniff(Source(name="message_1.json", data=b"", text=text))


@given(messages=st.lists(st.dictionaries(FIELDS, JSON, max_size=6) | JSON, max_size=4), other=JSON)
def test_any_messages_are_read_or_refused(messages: list[Any], other: object) -> None:
    mark = {"sender_name": other, "timestamp_ms": other}
    chat = {"messages": [mark, *messages], "title": other, "thread_path": other}
    try:
        assert load("a/message_2.json", json.dumps(chat).encode()).format == "meta"
    except UnreadableError:
        return
