"""A line that is written is read back as it was said."""

from __future__ import annotations

import json
from datetime import datetime

import loaders
from memoryd.native_line import native_line

WHEN = datetime.fromisoformat("2026-03-15T21:04:00.000123+09:00")


def test_a_line_is_read_back_as_it_was_said() -> None:
    text = '한 줄.\n"둘째 줄"\u2028'
    line = native_line(
        id="t1",
        conversation="c1",
        time=WHEN,
        role="assistant",
        speaker="에코",
        text=text,
        citations=("p_1", "p_2"),
        title="두부",
        identity_version=3,
    )
    assert line.count("\n") == 1
    loaded = loaders.load("day0315/a.jsonl", line.encode())
    (conversation,) = loaded.conversations
    (turn,) = conversation.turns
    assert (loaded.format, conversation.id, conversation.title) == ("native", "c1", "두부")
    assert (turn.id, turn.role, turn.speaker, turn.text) == ("t1", "assistant", "에코", text)
    assert (turn.time, turn.citations) == (WHEN, ("p_1", "p_2"))
    assert json.loads(line)["identity_version"] == 3


def test_what_is_not_there_is_left_out() -> None:
    line = native_line(id="t1", conversation="c1", time=None, role="user", speaker="지훈", text="응")
    assert json.loads(line) == {
        "id": "t1",
        "conversation": "c1",
        "role": "user",
        "speaker": "지훈",
        "text": "응",
    }
