from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders import Conversation, Role, Turn, UnreadableError, load
from loaders.base import Source
from loaders.discord import DiscordLoader

JIHUN = {"id": "11", "name": "jihun", "nickname": "지훈", "isBot": False}
SUMIN = {"id": "22", "name": "sumin", "isBot": False}
BOT = {"id": "33", "name": "날씨", "isBot": True}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["a", "Reply", "<@11>", "1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "name", "url", "messageId", "content"]), inner, max_size=3)
    ),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        "id",
        "type",
        "timestamp",
        "content",
        "author",
        "attachments",
        "embeds",
        "mentions",
        "reference",
        "stickers",
    ]
)


def _message(number: int, content: str = "", author: dict[str, Any] = JIHUN, **fields: Any) -> dict[str, Any]:
    return {
        "id": str(number),
        "type": "Default",
        "timestamp": f"2026-03-15T21:{number:02}:00.123+09:00",
        "content": content,
        "author": author,
        "attachments": [],
        "embeds": [],
        "reactions": [],
        **fields,
    }


def _loaded(*messages: object, channel: object = None) -> Conversation:
    export = {
        "guild": {"id": "9", "name": "산책 모임"},
        "channel": channel or {"id": "901", "type": "GuildTextChat", "name": "잡담"},
        "dateRange": {"after": None, "before": None},
        "messages": list(messages),
        "messageCount": len(messages),
    }
    loaded = load("잡담.json", json.dumps(export).encode())
    assert loaded.format == "discord"
    (conversation,) = loaded.conversations
    return conversation


def _turns(*messages: object) -> tuple[Turn, ...]:
    return _loaded(*messages).turns


def _text(**fields: Any) -> str:
    (turn,) = _turns(_message(1, **fields))
    return turn.text


def test_a_channel_is_read_with_speakers_times_and_ids() -> None:
    conversation = _loaded(_message(1, "안녕"), _message(2, "응", SUMIN))
    assert (conversation.id, conversation.title) == ("discord-901", "산책 모임 / 잡담")
    assert [(turn.id, turn.speaker, turn.role, turn.text) for turn in conversation.turns] == [
        ("discord-901:1", "지훈", Role.USER, "안녕"),
        ("discord-901:2", "sumin", Role.USER, "응"),
    ]
    time = conversation.turns[0].time
    assert time == datetime(2026, 3, 15, 12, 1, 0, 123_000, tzinfo=UTC)
    assert time.utcoffset() == timedelta(hours=9)


def test_an_export_that_begins_with_the_newest_is_put_in_order() -> None:
    assert [turn.text for turn in _turns(_message(2, "둘"), _message(1, "하나"))] == ["하나", "둘"]


def test_a_bot_speaks_as_a_tool() -> None:
    (turn,) = _turns(_message(1, "내일 맑음", BOT))
    assert (turn.role, turn.speaker) == (Role.TOOL, "날씨")


@pytest.mark.parametrize("kind", ["GuildMemberJoin", "ChannelPinnedMessage", "Call", "ThreadCreated", "24"])
def test_what_discord_tells_is_the_systems(kind: str) -> None:
    (told, silent) = _turns(_message(1, "Joined the server.", type=kind), _message(2, type=kind))
    assert (told.role, told.speaker, told.text) == (Role.SYSTEM, "지훈", "Joined the server.")
    assert (silent.role, silent.text) == (Role.SYSTEM, f"[{kind}]")


@pytest.mark.parametrize("kind", ["Default", "Reply", "19", "20", "21", "23"])
def test_what_people_say_is_theirs(kind: str) -> None:
    assert _turns(_message(1, "안녕", type=kind))[0].role is Role.USER


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"content": "봐", "attachments": [{"fileName": "역.PNG"}]}, "봐\n[photo: 역.PNG]"),
        (
            {"attachments": [{"fileName": "a.mp4"}, {"url": "https://a.example/b.ogg"}]},
            "[video: a.mp4]\n[audio: b.ogg]",
        ),
        ({"attachments": [{"fileName": "계약서.pdf"}, {}]}, "[file: 계약서.pdf]\n[file]"),
        ({"stickers": [{"name": "손 흔들기"}]}, "[sticker: 손 흔들기]"),
        (
            {
                "content": "https://a.example",
                "embeds": [{"url": "https://a.example", "title": "글", "description": "…"}],
            },
            "https://a.example\n[preview: 글\n…]",
        ),
        (
            {"author": BOT, "embeds": [{"title": "날씨", "fields": [{"name": "내일", "value": "맑음"}]}]},
            "날씨\n내일: 맑음",
        ),
        (
            {"forwardedMessage": {"content": "소식", "attachments": [{"fileName": "a.jpg"}]}},
            "[forwarded]\n소식\n[photo: a.jpg]",
        ),
        ({"content": "맑음", "interaction": {"name": "weather", "user": JIHUN}}, "[/weather by 지훈]\n맑음"),
        ({"content": "<@22> <@!99> <:wave:123>", "mentions": [SUMIN]}, "@sumin @99 :wave:"),
    ],
)
def test_what_comes_with_the_words_is_kept_or_noted(fields: dict[str, Any], expected: str) -> None:
    assert _text(**fields) == expected


def test_a_reply_says_what_it_answers_unless_that_stands_right_above() -> None:
    def answers(number: str) -> dict[str, Any]:
        return {"type": "Reply", "reference": {"messageId": number}}

    texts = [
        turn.text
        for turn in _turns(
            _message(3, "아니 국수", SUMIN, **answers("1")),
            _message(2, "국밥", SUMIN, **answers("1")),
            _message(1, "점심?"),
            _message(4, "뭐든", **answers("없음")),
            _message(5, "Pinned a message.", type="ChannelPinnedMessage", reference={"messageId": "1"}),
        )
    ]
    assert texts == ["점심?", "국밥", '[reply to 지훈: "점심?"]\n아니 국수', "뭐든", "Pinned a message."]


def test_ids_that_come_twice_are_given_once() -> None:
    ids = [turn.id for turn in _turns(_message(1, "가"), _message(1, "나"))]
    assert len(set(ids)) == 2


def test_reactions_are_left_out_with_a_word() -> None:
    assert _loaded(_message(1, "좋지?", reactions=[{"emoji": {}}])).remarks == (
        "reactions were left out (1)",
    )


def test_a_channel_without_an_id_is_named_after_the_file() -> None:
    conversation = _loaded(_message(1, "안녕"), channel={"name": "잡담"})
    assert (conversation.id, conversation.turns[0].id) == ("잡담.json", "잡담.json:1")


@pytest.mark.parametrize("moment", [None, "", "어제", 5])
def test_a_message_without_time_or_author_is_kept(moment: object) -> None:
    (turn,) = _turns(_message(1, "안녕", timestamp=moment) | {"author": None})
    assert (turn.text, turn.time, turn.speaker) == ("안녕", None, "user")


def test_a_damaged_export_is_unreadable() -> None:
    with pytest.raises(UnreadableError, match="not valid JSON"):
        load("a.json", b'{"guild": {}, "channel": {}, "messages": [{"id": ')
    with pytest.raises(UnreadableError, match="export the channel again"):
        load("a.json", b'{"guild": {}, "channel": {"messages": []}}')


def test_what_only_looks_like_discord_is_not_claimed() -> None:
    for text in ('{"guild": {}, "messages": []}', '[{"guild": {}, "channel": {}, "messages": []}]'):
        assert not DiscordLoader().sniff(Source(name="discord.json", data=b"", text=text))


@given(messages=st.lists(st.dictionaries(FIELDS, JSON, max_size=6) | JSON, max_size=4), other=JSON)
def test_any_messages_are_read_or_refused(messages: list[Any], other: object) -> None:
    export = {"guild": {"name": other}, "channel": {"id": other, "name": other}, "messages": messages}
    try:
        assert load("a.json", json.dumps(export).encode()).format == "discord"
    except UnreadableError:
        return
