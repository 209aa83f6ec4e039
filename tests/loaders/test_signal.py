from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.base import Conversation, Source
from loaders.signal import SignalLoader

SIGTOP = """\
Conversation: 저녁 모임

From: 수민 (+82 10 1234 5678)
Type: incoming
Sent: Fri, 15 Mar 2024 21:04:05 +0900
Received: Fri, 15 Mar 2024 21:04:07 +0900
Attachment: 역.jpg (image/jpeg, 52311 bytes)
Reaction: 👍 from 지훈

> From: You
> Sent: Fri, 15 Mar 2024 21:00:00 +0900
>
> 어디야?

여기야.

From: the north exit

From: You
Type: outgoing
Sent: Fri, 15 Mar 2024 21:05:00 +0900

응
둘째 줄

Type: call-history
Sent: unknown
Received: Fri, 15 Mar 2024 21:06:00 +0900

From: 수민 (+82 10 1234 5678)
Type: incoming
Sent: yesterday
Received: unknown
"""


def _source(text: str) -> Source:
    return Source(name="day0316/chat.md", data=text.encode("utf-8", "replace"), text=text)


def _conversation(text: str) -> Conversation:
    source = _source(text)
    assert SignalLoader().sniff(source)
    (conversation,) = SignalLoader().load(source)
    assert conversation.id == "day0316/chat.md"
    return conversation


def _rows(text: str) -> list[tuple[str, str, str, str]]:
    return [
        ("" if turn.time is None else f"{turn.time:%m-%d %H:%M:%S}", turn.role.value, turn.speaker, turn.text)
        for turn in _conversation(text).turns
    ]


def test_signal_export_stamps_every_message() -> None:
    text = (
        "[2024-03-15, 21:04] 수민: 안녕  \n"
        "둘째 줄: 여기\n"
        "(- 지훈: 👍 -)\n"
        "[2024-03-15, 21:05] Me: \n"
        "\n"
        "> 안녕\n"
        "\n"
        "응![역.jpg](./media/역.jpg)  \n"
        "[2024-03-15, 21:06] Me: (This message was deleted)\n"
        "[2024-03-15, 21:07] 수민: Missed voice call  \n"
        "[2024-03-15, 21:08] No-Sender:   \n"
        "[2024-03-15, 21:09] 수민: Missed calls are fine\n"
    )
    assert _rows(text) == [
        ("03-15 21:04:00", "user", "수민", "안녕  \n둘째 줄: 여기\n(- 지훈: 👍 -)"),
        ("03-15 21:05:00", "user", "Me", "> 안녕\n\n응![역.jpg](./media/역.jpg)  "),
        ("03-15 21:06:00", "system", "Me", "(This message was deleted)"),
        ("03-15 21:07:00", "system", "수민", "Missed voice call  "),
        ("03-15 21:08:00", "system", "No-Sender", "[no text]"),
        ("03-15 21:09:00", "user", "수민", "Missed calls are fine"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "[2024-03-15 21:04:05] Me: hello\n",
        "[2024-03-15 21:04:05] Jane Doe: hello\n[2024-03-15 21:04:06] 수민: 응\n",
        "[2024-03-15, 21:04] Jane: hello\n",
    ],
)
def test_newer_stamps_and_chats_without_oneself_are_read(text: str) -> None:
    assert _conversation(text).turns[0].text == "hello"


def test_a_day_that_does_not_exist_costs_only_the_time() -> None:
    assert _rows("[2024-02-31, 21:04] Me: hello\n") == [("", "user", "Me", "hello")]


def test_sigtop_writes_fields_above_the_words() -> None:
    conversation = _conversation(SIGTOP)
    assert conversation.title == "저녁 모임"
    assert conversation.remarks != ()
    assert [(turn.role.value, turn.speaker, turn.text) for turn in conversation.turns] == [
        (
            "user",
            "수민 (+82 10 1234 5678)",
            """\
> From: You
> Sent: Fri, 15 Mar 2024 21:00:00 +0900
>
> 어디야?

여기야.

From: the north exit
[attachment: 역.jpg (image/jpeg, 52311 bytes)]
[reaction: 👍 from 지훈]""",
        ),
        ("user", "You", "응\n둘째 줄"),
        ("system", "system", "[call-history]"),
        ("user", "수민 (+82 10 1234 5678)", "[no text]"),
    ]
    assert [turn.time for turn in conversation.turns] == [
        datetime(2024, 3, 15, 12, 4, 5, tzinfo=UTC),
        datetime(2024, 3, 15, 12, 5, tzinfo=UTC),
        datetime(2024, 3, 15, 12, 6, tzinfo=UTC),
        None,
    ]


@pytest.mark.parametrize(
    "text",
    [
        "[2024-03-15 21:04:05] ERROR: disk full\n[2024-03-15 21:04:06] nginx: started\n",
        "[2024-03-15 21:04:05] nginx: started\n[2024-03-15 21:04:06] postgres: started\n",
        "[2024-03-15, 21:04] INFO: started\n",
        "[2024-03-15, 21:04:05] Jane Doe: WhatsApp\n",
        "[2024-03-15, 9:04 PM] Jane Doe: WhatsApp\n",
        "[15/03/24, 21:04:05] Me: WhatsApp\n",
        "# chat\n[2024-03-15, 21:04] Me: quoted\n",
        "Conversation: with my father\n\nHe said little.\n",
        "From: a\nTo: b\nSubject: c\n\nmail\n",
        "나: 응\n수민: 응\n",
        "",
    ],
)
def test_other_texts_are_left_to_others(text: str) -> None:
    assert not SignalLoader().sniff(_source(text))


_PIECES = st.sampled_from(
    [*SIGTOP.split("\n"), "[2024-03-15, 21:04] Me: hello", "[9999-99-99, 99:99] : ", "Sent: 99"]
)


@given(lines=st.lists(_PIECES | st.text(max_size=12), max_size=16), head=st.booleans())
def test_any_text_is_read(lines: list[str], head: bool) -> None:
    source = _source("\n".join(["Conversation: a\n\nType: b", *lines] if head else lines))
    SignalLoader().sniff(source)
    (conversation,) = SignalLoader().load(source)
    assert all(turn.text.strip() for turn in conversation.turns)


def test_long_files_cost_no_time() -> None:
    for text in (
        "Conversation: a\n\n" + "Type: b\n\n" * 20_000,
        "Conversation: a\n" + "\n" * 200_000,
        "Conversation: a\n\nType: b\nSent: c\n" + "Reaction: d\n" * 50_000,
        "[2024-03-15, 21:04] " + ":a" * 100_000,
    ):
        SignalLoader().sniff(_source(text))
        SignalLoader().load(_source(text))
