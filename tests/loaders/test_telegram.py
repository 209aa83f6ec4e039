from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders import Conversation, Role, Turn, UnreadableError, load
from loaders.base import Source
from loaders.telegram import TelegramLoader

FIRST = 1_773_576_240  # 2026-03-15 12:04:00 UTC
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["a", "message", "12", "(no)"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "a"]), inner, max_size=3)
    ),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        "id",
        "type",
        "date",
        "date_unixtime",
        "from",
        "from_id",
        "actor",
        "action",
        "members",
        "text",
        "text_entities",
        "photo",
        "file",
        "media_type",
        "forwarded_from",
        "reply_to_message_id",
        "poll",
        "contact_information",
        "location_information",
        "duration",
        "title",
    ]
)


def _message(number: int, text: object = "", **fields: Any) -> dict[str, Any]:
    return {
        "id": number,
        "type": "message",
        "date_unixtime": str(FIRST + 60 * number),
        "from": "수민",
        "from_id": "user77",
        "text": text,
        **fields,
    }


def _chat(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": "수민", "type": "personal_chat", "id": 77, "messages": list(messages), **fields}


def _loaded(export: object) -> tuple[Conversation, ...]:
    loaded = load("day0315/result.json", json.dumps(export).encode())
    assert loaded.format == "telegram"
    return loaded.conversations


def _turns(*messages: dict[str, Any]) -> tuple[Turn, ...]:
    (conversation,) = _loaded(_chat(*messages))
    return conversation.turns


def _text(**fields: Any) -> str:
    (turn,) = _turns(_message(1, **fields))
    return turn.text


def test_a_chat_is_read_with_speakers_times_and_ids() -> None:
    (conversation,) = _loaded(_chat(_message(1, "안녕"), _message(2, "응\n그래", **{"from": "지훈"})))
    assert (conversation.id, conversation.title) == ("telegram-77", "수민")
    assert [(turn.id, turn.speaker, turn.role, turn.text) for turn in conversation.turns] == [
        ("telegram-77:m1", "수민", Role.USER, "안녕"),
        ("telegram-77:m2", "지훈", Role.USER, "응\n그래"),
    ]
    assert conversation.turns[0].time == datetime(2026, 3, 15, 12, 5, tzinfo=UTC)


def test_an_account_has_a_conversation_for_each_chat() -> None:
    saved = {"type": "saved_messages", "id": 1, "messages": [_message(1, "메모")]}
    unnamed = {"messages": [_message(1, "어디였더라")]}
    export = {
        "about": "…",
        "chats": {"list": [_chat(_message(1, "안녕")), saved, _chat(id=3)]},
        "left_chats": {"list": [unnamed]},
    }
    assert [(one.id, one.title, len(one.turns)) for one in _loaded(export)] == [
        ("telegram-77", "수민", 1),
        ("telegram-1", "saved messages", 1),
        ("day0315/result.json#4", "", 1),
    ]


def test_both_clocks_together_tell_the_zone() -> None:
    (seoul, odd, wall) = _turns(
        _message(0, "서울", date="2026-03-15T21:04:00"),
        _message(1, "틀림", date="2020-01-01T00:00:00"),
        _message(2, "옛 판", date="2026-03-15T21:06:00", date_unixtime=None),
    )
    assert seoul.time == datetime(2026, 3, 15, 12, 4, tzinfo=UTC)
    assert seoul.time.utcoffset() == timedelta(hours=9)
    assert odd.time == datetime(2026, 3, 15, 12, 5, tzinfo=UTC)
    assert wall.time == datetime(2026, 3, 15, 21, 6).astimezone()


@pytest.mark.parametrize("moment", [None, "", "어제", "9" * 40, "-5", True, 1e300])
def test_a_message_without_a_usable_time_is_kept(moment: object) -> None:
    (turn,) = _turns(_message(1, "안녕", date_unixtime=moment))
    assert turn.time is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (["봐 ", {"type": "bold", "text": "여기"}, "!"], "봐 여기!"),
        ([{"type": "text_link", "text": "여기", "href": "https://a.example"}], "여기 (https://a.example)"),
        ([{"type": "link", "text": "https://a.example"}, 3, None], "https://a.example"),
    ],
)
def test_pieces_with_styles_are_put_together(text: object, expected: str) -> None:
    assert _text(text=text) == expected


def test_entities_stand_in_for_a_text_that_is_missing() -> None:
    message = _message(1, text_entities=[{"type": "plain", "text": "안녕"}])
    del message["text"]
    assert _turns(message)[0].text == "안녕"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"photo": "photos/역.jpg", "text": "봐"}, "[photo: 역.jpg]\n봐"),
        ({"photo": "(File not included. Change data exporting settings to download.)"}, "[photo]"),
        ({"file": "(File not included…)", "media_type": "sticker", "sticker_emoji": "😀"}, "[sticker: 😀]"),
        ({"file": "v/a.ogg", "media_type": "voice_message", "duration_seconds": 3}, "[voice message: a.ogg]"),
        ({"file": "f/1.pdf", "file_name": "계약서.pdf"}, "[file: 계약서.pdf]"),
        (
            {"file": "f/1.mp3", "media_type": "audio_file", "performer": "가수", "title": "노래"},
            "[audio file: 가수 – 노래]",
        ),
        (
            {"contact_information": {"first_name": "은비", "last_name": "", "phone_number": "010"}},
            "[contact: 은비 010]",
        ),
        (
            {"location_information": {"latitude": 37.5, "longitude": 127.0}, "place_name": "역"},
            "[location: 역, 37.5, 127.0]",
        ),
        (
            {
                "poll": {
                    "question": "언제?",
                    "answers": [{"text": "토", "voters": 2}, {"text": "일", "voters": 0}],
                }
            },
            "[poll: 언제? / 토 (2) / 일 (0)]",
        ),
        ({"game_title": "장기"}, "[game: 장기]"),
        ({"invoice_information": {"title": "책"}}, "[invoice: 책]"),
        ({"forwarded_from": "은비", "text": "소식"}, "[forwarded from 은비]\n소식"),
        ({"forwarded_from": None, "text": "소식"}, "[forwarded]\n소식"),
    ],
)
def test_what_is_no_text_is_noted(fields: dict[str, Any], expected: str) -> None:
    assert _text(**fields) == expected


def test_a_message_of_an_unknown_kind_says_so() -> None:
    (turn,) = _turns({"id": 1, "type": "unsupported"})
    assert turn.text.startswith("[a message of a kind")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"action": "phone_call", "duration_seconds": 95, "discard_reason": "hangup"},
            "[phone call: 95 s, hangup]",
        ),
        ({"action": "invite_members", "members": ["은비", None]}, "[invite members: 은비, someone]"),
        ({"action": "edit_group_title", "title": "산책"}, "[edit group title: 산책]"),
        ({"action": "pin_message"}, "[pin message]"),
        ({"information_text": "환영"}, "[환영]"),
        ({}, "[service message]"),
    ],
)
def test_service_messages_are_the_systems(fields: dict[str, Any], expected: str) -> None:
    (turn,) = _turns({"id": 1, "type": "service", "actor": "수민", "text": "", **fields})
    assert (turn.role, turn.speaker, turn.text) == (Role.SYSTEM, "수민", expected)


def test_a_reply_says_what_it_answers_unless_that_stands_right_above() -> None:
    texts = [
        turn.text
        for turn in _turns(
            _message(1, "점심?"),
            _message(2, "국밥", reply_to_message_id=1),
            _message(3, "아니 국수", reply_to_message_id=1),
            _message(4, "뭐든", reply_to_message_id=99),
            _message(5, "그래 국수", reply_to_message_id=3),
        )
    ]
    assert texts == [
        "점심?",
        "국밥",
        '[reply to 수민: "점심?"]\n아니 국수',
        "뭐든",
        '[reply to 수민: "아니 국수"]\n그래 국수',
    ]


def test_a_deleted_account_goes_by_its_id() -> None:
    (turn,) = _turns(_message(1, "안녕", **{"from": None}))
    assert turn.speaker == "user77"


def test_ids_that_come_twice_are_given_once() -> None:
    assert [turn.id for turn in _turns(_message(1, "가"), _message(1, "나"))] == [
        "telegram-77:m1",
        "telegram-77:2",
    ]


def test_reactions_are_left_out_with_a_word() -> None:
    (conversation,) = _loaded(_chat(_message(1, "좋지?", reactions=[{"emoji": "👍"}, {"emoji": "❤"}])))
    assert conversation.remarks == ("reactions were left out (2)",)


def test_control_characters_as_telegram_writes_them_are_read() -> None:
    data = json.dumps(_chat(_message(1, r"C:\\x41 @@ 끝"))).replace("@@", r"\x1F")
    (turn,) = load("result.json", data.encode()).conversations[0].turns
    assert turn.text == "C:\\\\x41 \x1f 끝"


@pytest.mark.parametrize(
    "data", [b'{"type": "personal_chat", "messages": [{"id": 1', b'{"messages": [], "from_id": 1}']
)
def test_a_damaged_export_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        load("result.json", data)


def test_an_export_without_chats_says_what_is_missing() -> None:
    data = b'{"about": "x", "profile": {"messages": [], "from_id": 1}}'
    with pytest.raises(UnreadableError, match="Telegram Desktop"):
        load("result.json", data)


@pytest.mark.parametrize(
    "text",
    [
        '{"messages": []}',
        '[{"type": "personal_chat", "messages": []}]',
        'result.json: "messages": [ "from_id": 1',
    ],
)
def test_what_only_looks_like_telegram_is_not_claimed(text: str) -> None:
    assert not TelegramLoader().sniff(Source(name="result.json", data=b"", text=text))


@given(messages=st.lists(st.dictionaries(FIELDS, JSON, max_size=6) | JSON, max_size=4), chat=JSON)
def test_any_messages_are_read_or_refused(messages: list[Any], chat: object) -> None:
    export = {"type": "personal_chat", "id": chat, "name": chat, "messages": messages}
    try:
        assert _loaded(export)
    except UnreadableError:
        return
