from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders import Conversation, Role, UnreadableError, load
from loaders.base import Source
from loaders.slack import SlackLoader

FIRST = 1_773_576_240  # 2026-03-15 12:04:00 UTC
USERS = [
    {"id": "U0A1", "name": "jihun", "profile": {"display_name": "지훈"}},
    {"id": "U0B2", "name": "sumin", "profile": {"display_name": "", "real_name": "박수민"}},
]
CHANNELS = [{"id": "C0G", "name": "잡담", "members": ["U0A1", "U0B2"]}]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["a", "U0A1", "<@U0A1>", "1.2"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "name", "text", "profile", "type"]), inner, max_size=3)
    ),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        "ts",
        "user",
        "text",
        "subtype",
        "thread_ts",
        "attachments",
        "blocks",
        "files",
        "file",
        "bot_profile",
        "comment",
    ]
)


def _message(minute: int, text: str = "", user: str = "U0A1", **fields: Any) -> dict[str, Any]:
    return {"type": "message", "user": user, "text": text, "ts": _ts(minute), **fields}


def _ts(minute: int) -> str:
    return f"{FIRST + 60 * minute}.000100"


def _zip(files: dict[str, object]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in files.items():
            archive.writestr(name, value if isinstance(value, bytes) else json.dumps(value))
    return packed.getvalue()


def _export(files: dict[str, object]) -> tuple[Conversation, ...]:
    loaded = load("day0315/slack.zip", _zip({"users.json": USERS, "channels.json": CHANNELS, **files}))
    assert loaded.format == "slack"
    return loaded.conversations


def _channel(*messages: object) -> Conversation:
    (conversation,) = _export({"잡담/2026-03-15.json": list(messages)})
    return conversation


def _texts(*messages: object) -> list[str]:
    return [turn.text for turn in _channel(*messages).turns]


def test_a_channel_is_read_with_people_times_and_ids() -> None:
    conversation = _channel(_message(0, "<@U0B2> 봐"), _message(1, "응", "U0B2"))
    assert (conversation.id, conversation.title) == ("C0G", "#잡담")
    assert [(turn.id, turn.speaker, turn.role, turn.text) for turn in conversation.turns] == [
        (f"C0G:{_ts(0)}", "지훈", Role.USER, "@박수민 봐"),
        (f"C0G:{_ts(1)}", "박수민", Role.USER, "응"),
    ]
    assert conversation.turns[0].time == datetime(2026, 3, 15, 12, 4, 0, 100, tzinfo=UTC)


def test_days_are_put_together_in_order_and_talks_are_named_by_their_people() -> None:
    conversations = _export(
        {
            "dms.json": [{"id": "D0C3", "members": ["U0A1", "U0B2"]}],
            "groups.json": [{"id": "G0P", "name": "비밀"}],
            "mpims.json": [{"id": "G0M", "name": "mpdm-a--b-1", "members": ["U0B2", "U9Z"]}],
            "canvases.json": [],
            "잡담/2026-03-16.json": [_message(2000, "둘째 날")],
            "잡담/2026-03-15.json": [_message(0, "첫날")],
            "D0C3/2026-03-15.json": [_message(0, "둘이")],
            "비밀/2026-03-15.json": [_message(0, "몰래")],
            "mpdm-a--b-1/2026-03-15.json": [_message(0, "셋이")],
            "지운 방/2026-03-15.json": [_message(0, "남은 말")],
            "잡담/canvas_in_the_conversation.json": [_message(0, "아님")],
        }
    )
    assert [(one.id, one.title, [turn.text for turn in one.turns]) for one in conversations] == [
        ("C0G", "#잡담", ["첫날", "둘째 날"]),
        ("D0C3", "지훈, 박수민", ["둘이"]),
        ("G0P", "#비밀", ["몰래"]),
        ("G0M", "박수민, U9Z", ["셋이"]),
        ("day0315/slack.zip/지운 방", "지운 방", ["남은 말"]),
    ]


def test_an_export_packed_with_its_folder_is_read() -> None:
    files: dict[str, object] = {"백업/users.json": USERS, "백업/잡담/2026-03-15.json": [_message(0, "안녕")]}
    loaded = load("a.zip", _zip(files))
    assert (loaded.format, loaded.conversations[0].turns[0].speaker) == ("slack", "지훈")


@pytest.mark.parametrize(
    "subtype", ["channel_join", "channel_topic", "bot_add", "pinned_item", "huddle_thread"]
)
def test_what_slack_tells_is_the_systems(subtype: str) -> None:
    (turn,) = _channel(_message(0, "<@U0A1> has joined the channel", subtype=subtype)).turns
    assert (turn.role, turn.speaker, turn.text) == (Role.SYSTEM, "지훈", "@지훈 has joined the channel")


@pytest.mark.parametrize(
    ("fields", "speaker"),
    [
        ({"subtype": "bot_message", "username": "배포", "user": ""}, "배포"),
        ({"subtype": "bot_message", "bot_id": "B0", "user": None}, "B0"),
        ({"bot_id": "B0", "bot_profile": {"name": "배포"}, "user": "U9"}, "배포"),
    ],
)
def test_programs_speak_as_tools(fields: dict[str, Any], speaker: str) -> None:
    (turn,) = _channel({**_message(0, "끝"), **fields}).turns
    assert (turn.role, turn.speaker) == (Role.TOOL, speaker)


def test_a_person_whom_the_list_lacks_goes_by_what_the_message_says() -> None:
    told = _message(0, "가", "U9", user_profile={"display_name": "은비"})
    comment = {**_message(2, "다"), "user": None, "subtype": "file_comment", "comment": {"user": "U0B2"}}
    turns = _channel(told, _message(1, "나", "U9"), comment, {"text": "라"}).turns
    assert [turn.speaker for turn in turns] == ["은비", "U9", "박수민", "user"]


def test_replies_stand_in_time_order_and_say_what_they_answer() -> None:
    parent = _message(0, "점심?", thread_ts=_ts(0), replies=[])
    first = _message(1, "국밥", "U0B2", thread_ts=_ts(0))
    other = _message(2, "회의 옮겼어요", "U0B2")
    late = _message(3, "국수", "U0B2", thread_ts=_ts(0))
    later = _message(4, "결정", thread_ts=_ts(0))
    orphan = _message(5, "뭐였지", thread_ts="1.000000")
    assert _texts(parent, late, later, first, other, orphan) == [
        "점심?",
        "국밥",
        "회의 옮겼어요",
        '[reply to 지훈: "점심?"]\n국수',
        "결정",
        "뭐였지",
    ]


def test_a_message_that_two_files_hold_is_kept_once_and_two_of_one_time_are_both_kept() -> None:
    conversation = _channel(_message(0, "가"), _message(0, "가"), _message(0, "나"))
    assert [turn.text for turn in conversation.turns] == ["가", "나"]
    assert len({turn.id for turn in conversation.turns}) == 2


def test_reactions_are_left_out_with_a_word() -> None:
    reacted = _message(0, "좋지?", reactions=[{"name": "+1", "count": 3}])
    assert _channel(reacted).remarks == ("reactions were left out (1)",)


def test_the_file_of_a_day_is_read_on_its_own() -> None:
    day = [_message(1, "응", "U0B2"), _message(0, "안녕", user_profile={"real_name": "지훈"})]
    loaded = load("day0315/2026-03-15.json", json.dumps(day).encode())
    assert loaded.format == "slack"
    (conversation,) = loaded.conversations
    assert conversation.id == "day0315/2026-03-15.json"
    assert [(turn.speaker, turn.text) for turn in conversation.turns] == [("지훈", "안녕"), ("U0B2", "응")]


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "message", "ts": "1773576240.000100"}',
        '[{"type": "message", "text": "안녕"}]',
        '[{"type": "event", "ts": "1773576240.000100"}]',
        '[{"type": "message", "ts": 1773576240.0001}]',
    ],
)
def test_what_only_looks_like_a_day_is_not_claimed(text: str) -> None:
    assert not SlackLoader().sniff(Source(name="slack/2026-03-15.json", data=b"", text=text))


@pytest.mark.parametrize(
    "files",
    [
        {"users.json": USERS},
        {"잡담/2026-03-15.json": []},
        {"users.json": USERS, "사진/2026-03-15.jpg": b"x"},
        {"a/users.json": USERS, "b/c/2026-03-15.json": []},
    ],
)
def test_what_only_looks_like_an_export_is_not_claimed(files: dict[str, object]) -> None:
    assert not SlackLoader().sniff(Source(name="slack.zip", data=_zip(files), text=None))


def test_no_bytes_are_no_export() -> None:
    for data in (b"", b"\xff\xfe", b"PK\x03\x04"):
        assert not SlackLoader().sniff(Source(name="slack.zip", data=data, text=None))


def test_a_damaged_file_in_the_export_is_named() -> None:
    with pytest.raises(
        UnreadableError, match=r"'잡담/2026-03-15\.json' in the zip archive: line 1: not valid JSON"
    ):
        _export({"잡담/2026-03-15.json": b'[{"ts": '})
    with pytest.raises(UnreadableError, match="no JSON list"):
        _export({"users.json": {"a": 1}, "잡담/2026-03-15.json": []})


@given(messages=st.lists(st.dictionaries(FIELDS, JSON, max_size=6) | JSON, max_size=4), other=JSON)
def test_any_messages_are_read_or_refused(messages: list[Any], other: object) -> None:
    files = {"users.json": other, "channels.json": [other], "잡담/2026-03-15.json": messages}
    try:
        load("a.zip", _zip(files))
    except UnreadableError:
        return
