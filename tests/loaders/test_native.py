from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders import Role, Turn, UnreadableError, load

SEOUL = timezone(timedelta(hours=9))
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
TURNS = st.fixed_dictionaries(
    {"text": WORDS},
    optional={
        "id": WORDS,
        "speaker": WORDS,
        "role": st.sampled_from([role.value for role in Role]),
        "time": st.datetimes(
            datetime(1900, 1, 1),  # noqa: DTZ001  (hypothesis wants naive bounds)
            datetime(2100, 1, 1),  # noqa: DTZ001  (the same)
            timezones=st.sampled_from([UTC, SEOUL]),
        ).map(datetime.isoformat),
        "citations": st.lists(WORDS),
        "mood": st.integers(),
    },
)


def _lines(*records: object) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def _turns(data: bytes, name: str = "day0315/talk.jsonl") -> tuple[Turn, ...]:
    (conversation,) = load(name, data).conversations
    return conversation.turns


def test_a_full_line_keeps_every_field() -> None:
    record = {
        "id": "t1",
        "conversation": "c1",
        "time": "2026-03-15T21:04:00+09:00",
        "role": "assistant",
        "speaker": "에코",
        "text": "기억하고 있어.",
        "citations": ["p7", "p9"],
    }
    loaded = load("a.jsonl", _lines(record))
    assert loaded.format == "native"
    assert loaded.conversations[0].id == "c1"
    assert loaded.conversations[0].turns == (
        Turn(
            id="t1",
            index=0,
            role=Role.ASSISTANT,
            speaker="에코",
            text="기억하고 있어.",
            time=datetime(2026, 3, 15, 21, 4, tzinfo=SEOUL),
            citations=("p7", "p9"),
        ),
    )


def test_text_alone_is_enough() -> None:
    (turn,) = _turns(_lines({"text": "안녕"}))
    assert turn == Turn(id="day0315/talk.jsonl:1", index=0, role=Role.USER, speaker="user", text="안녕")


def test_null_and_empty_fields_are_missing_ones() -> None:
    record = {"text": "안녕", "id": None, "speaker": "", "time": None, "role": None, "citations": None}
    assert _turns(_lines(record)) == _turns(_lines({"text": "안녕"}))


def test_a_number_is_an_id_by_its_digits() -> None:
    (turn,) = _turns(_lines({"id": 7, "text": "안녕"}))
    assert turn.id == "7"


def test_conversations_come_in_order_of_first_appearance() -> None:
    data = _lines(
        {"conversation": "b", "text": "하나"},
        {"conversation": "a", "text": "둘"},
        {"conversation": "b", "text": "셋"},
        {"text": "넷"},
    )
    loaded = load("talk.jsonl", data)
    said = {one.id: [turn.text for turn in one.turns] for one in loaded.conversations}
    assert said == {"b": ["하나", "셋"], "a": ["둘"], "talk.jsonl": ["넷"]}
    assert list(said) == ["b", "a", "talk.jsonl"]


def test_a_torn_last_line_keeps_the_others() -> None:
    whole = _lines({"text": "하나"}, {"text": "둘"})
    torn = '{"text": "쓰다 만 말'.encode()
    for cut in range(1, len(torn) + 1):
        assert [turn.text for turn in _turns(whole + torn[:cut])] == ["하나", "둘"]


def test_a_torn_character_does_not_spoil_english_lines() -> None:
    data = _lines({"text": "one"}) + '{"text": "혼'.encode()[:-1]
    assert [turn.text for turn in _turns(data)] == ["one"]


def test_a_whole_last_line_needs_no_line_end() -> None:
    assert [turn.text for turn in _turns(_lines({"text": "하나"}).rstrip())] == ["하나"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "쓰다 만', "not valid JSON"),
        ("[1]", "must be a JSON object"),
        ('{"role": "user"}', '"text" is missing'),
        ('{"text": 3}', '"text" is missing'),
        ('{"text": "a", "time": "어제"}', "ISO 8601"),
        ('{"text": "a", "time": 1700000000}', '"time" must be a string'),
        ('{"text": "a", "role": "echo"}', '"role" must be one of user'),
        ('{"text": "a", "role": []}', '"role" must be one of user'),
        ('{"text": "a", "speaker": {}}', '"speaker" must be a string'),
        ('{"text": "a", "conversation": true}', '"conversation" must be a string'),
        ('{"text": "a", "citations": ["p1", 2]}', '"citations" must be'),
    ],
)
def test_a_damaged_line_is_named_by_its_number(line: str, reason: str) -> None:
    data = _lines({"text": "하나"}) + b"\n" + line.encode() + b"\n" + _lines({"text": "둘"})
    with pytest.raises(UnreadableError, match=reason) as caught:
        load("talk.jsonl", data)
    assert caught.value.line == 3


def test_a_whole_last_line_without_text_is_damaged_not_torn() -> None:
    with pytest.raises(UnreadableError) as caught:
        load("talk.jsonl", _lines({"text": "하나"}) + b'{"role": "user"}')
    assert caught.value.line == 2


def test_a_paragraph_separator_inside_a_text_is_no_line_end() -> None:
    (turn,) = _turns(_lines({"text": "앞\u2028뒤\x85끝"}))
    assert turn.text == "앞\u2028뒤\x85끝"


@given(st.lists(TURNS, min_size=1, max_size=6, unique_by=lambda turn: str(turn.get("id", turn))))
def test_what_is_written_is_what_is_read(records: list[dict[str, object]]) -> None:
    turns = _turns(_lines(*records))
    assert len(turns) == len(records)
    for turn, record in zip(turns, records, strict=True):
        assert turn.text == record["text"]
        assert turn.id == record.get("id", f"day0315/talk.jsonl:{turn.index + 1}")
        assert turn.role == record.get("role", "user")
        assert turn.speaker == record.get("speaker", turn.role)
        assert (turn.time.isoformat() if turn.time else None) == record.get("time")
        assert turn.citations == (
            tuple(cast("list[str]", record["citations"])) if "citations" in record else None
        )


def test_the_first_title_is_the_conversations_and_anything_else_is_none() -> None:
    lines = _lines(
        {"text": "하나", "conversation": "a", "title": ["?"]},
        {"text": "둘", "conversation": "a", "title": "숫자"},
        {"text": "셋", "conversation": "b"},
        {"text": "넷", "conversation": "a", "title": "다른 제목"},
    )
    assert [(each.id, each.title) for each in load("a.jsonl", lines).conversations] == [
        ("a", "숫자"),
        ("b", ""),
    ]
