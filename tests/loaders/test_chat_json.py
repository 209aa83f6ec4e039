from __future__ import annotations

from datetime import UTC, datetime

from loaders.assemble import Utterance
from loaders.base import Role
from loaders.chat_json import in_time_order, reply_note


def _said(text: str, minute: int | None) -> Utterance:
    time = None if minute is None else datetime(2026, 3, 15, 21, minute, tzinfo=UTC)
    return Utterance(role=Role.USER, text=text, time=time)


def test_messages_come_by_time_and_equals_as_they_stood() -> None:
    said = [_said("셋", 3), _said("하나", 1), _said("둘", 2), _said("둘 뒤", 2)]
    assert [one.text for one in in_time_order(said)] == ["하나", "둘", "둘 뒤", "셋"]


def test_one_without_a_time_stays_behind_the_one_that_it_followed() -> None:
    said = [_said("처음", None), _said("둘", 2), _said("둘에 이어", None), _said("하나", 1)]
    assert [one.text for one in in_time_order(said)] == ["처음", "하나", "둘", "둘에 이어"]


def test_a_note_quotes_what_is_answered_in_one_short_line() -> None:
    assert reply_note("지훈", "점심\n뭐 먹지?") == '[reply to 지훈: "점심 뭐 먹지?"]'
    assert reply_note(None, " ") == "[reply to someone]"
    long = reply_note("수민", "가나다 " * 10_000)
    assert long.endswith('…"]')
    assert len(long) < 90
