"""Each data set's shape, on tiny authored inputs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from bench.datasets import limit_questions, load_memories, write_memory

if TYPE_CHECKING:
    from pathlib import Path

    from bench.datasets import Memory

LOCOMO = {
    "sample_id": "conv-1",
    "conversation": {
        "speaker_a": "Ana",
        "speaker_b": "Ben",
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_1": [
            {"speaker": "Ana", "dia_id": "D1:1", "text": "I adopted a parrot."},
            {"speaker": "Ben", "dia_id": "D1:2", "text": "Look at mine!", "blip_caption": "a grey parrot"},
        ],
        "session_2_date_time": "12:05 am on 9 June, 2023",
        "session_2": [{"speaker": "Ben", "dia_id": "D2:1", "text": "We moved to Lyon."}],
        "session_3_date_time": "9:00 am on 1 July, 2023",
    },
    "qa": [
        {"question": "What did Ana adopt?", "answer": "a parrot", "evidence": ["D1:1"], "category": 4},
        {
            "question": "Who has a bird?",
            "answer": "both",
            "evidence": ["D1:01; D:1:2", "D2:1"],
            "category": 1,
        },
        {"question": "What does Ana drive?", "answer": "", "evidence": ["D1:1"], "category": 5},
        {"question": "Why?", "answer": "", "evidence": ["D"], "category": 3},
    ],
}
LONGMEMEVAL = [
    {
        "question_id": "q1",
        "question_type": "single-session-user",
        "question": "Which tea do I drink?",
        "question_date": "2023/04/23 (Sun) 13:41",
        "haystack_dates": ["2023/01/21 (Sat) 18:13", "2023/02/02 (Thu) 08:00"],
        "haystack_session_ids": ["s1", "s2"],
        "haystack_sessions": [
            [
                {"role": "user", "content": "Only oolong for me.", "has_answer": True},
                {"role": "assistant", "content": "Noted.", "has_answer": False},
            ],
            [{"role": "user", "content": "It rains."}],
        ],
        "answer_session_ids": ["s1"],
    },
    {
        "question_id": "q2",
        "question_type": "single-session-user",
        "question": "How is the weather?",
        "question_date": "2023/04/24 (Mon) 13:41",
        "haystack_dates": ["2023/02/02 (Thu) 08:00"],
        "haystack_session_ids": ["s2"],
        "haystack_sessions": [[{"role": "user", "content": "It rains.", "has_answer": True}]],
        "answer_session_ids": ["s2"],
    },
    {"question_id": "q3_abs"},
]
KORQUAD = {
    "data": [
        {
            "paragraphs": [
                {
                    "context": "보리는 고양이다.",
                    "qas": [{"id": "k1", "question": "보리는 무엇인가?", "answers": []}],
                },
                {
                    "context": "첼로는 현이 넷이다.",
                    "qas": [{"id": "k2", "question": "첼로의 현은 몇 개인가?", "answers": []}],
                },
            ]
        }
    ]
}
KO_MEMORY = {
    "conversations": [
        {
            "id": "c1",
            "day": "day0301",
            "turns": [
                {
                    "id": "c1:1",
                    "role": "user",
                    "speaker": "지훈",
                    "time": "2026-03-01T09:00:00+09:00",
                    "text": "모임은 3시야",
                },
                {
                    "id": "c1:2",
                    "role": "user",
                    "speaker": "지훈",
                    "time": "2026-03-01T09:30:00+09:00",
                    "text": "아니다, 4시",
                },
            ],
        }
    ],
    "questions": [
        {
            "id": "q1",
            "question": "모임이 몇 시야?",
            "evidence": ["c1:2"],
            "stale": ["c1:1"],
            "type": "knowledge_update",
            "asked_at": "2026-03-02T09:00:00+09:00",
        },
        {"id": "q2", "question": "누가 오지?", "evidence": [], "type": "abstention"},
    ],
}


def load(folder: Path, kind: str, data: object) -> Memory:
    file = folder / "data.json"
    file.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    (memory,) = load_memories(kind, file)
    return memory


def test_locomo_sessions_are_dated_and_pictures_speak_through_their_captions(tmp_path: Path) -> None:
    memory = load(tmp_path, "locomo", [LOCOMO])
    first, second = memory.conversations
    assert (first.id, first.day) == ("session_1", "day0508")
    assert first.turns[0].time == datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
    assert second.turns[0].time == datetime(2023, 6, 9, 0, 5, tzinfo=UTC)
    assert first.turns[1].text == "Look at mine! [image: a grey parrot]"


def test_locomo_evidence_is_split_and_mended_and_unanswerable_questions_left_out(tmp_path: Path) -> None:
    memory = load(tmp_path, "locomo", [LOCOMO])
    one, both = memory.questions
    assert one.evidence == {"D1:1"}
    assert one.sessions == {"session_1"}
    assert both.evidence == {"D1:1", "D1:2", "D2:1"}
    assert both.sessions == {"session_1", "session_2"}


def test_each_locomo_sample_is_a_memory_of_its_own_and_can_be_chosen(tmp_path: Path) -> None:
    file = tmp_path / "locomo.json"
    file.write_text(json.dumps([LOCOMO, LOCOMO | {"sample_id": "conv-2"}]), encoding="utf-8")
    assert [memory.name for memory in load_memories("locomo", file)] == ["conv-1", "conv-2"]
    assert [memory.name for memory in load_memories("locomo", file, samples=["conv-2"])] == ["conv-2"]
    with pytest.raises(ValueError, match="conv-9"):
        load_memories("locomo", file, samples=["conv-9"])


def test_longmemeval_is_one_memory_and_a_shared_session_stands_in_it_once(tmp_path: Path) -> None:
    memory = load(tmp_path, "longmemeval", LONGMEMEVAL)
    assert [(conversation.id, conversation.day) for conversation in memory.conversations] == [
        ("s1", "day0121"),
        ("s2", "day0202"),
    ]
    first, second = memory.questions
    assert first.evidence == {"s1:0"}
    assert first.sessions == {"s1"}
    assert first.asked_at == datetime(2023, 4, 23, 13, 41, tzinfo=UTC)
    assert second.evidence == {"s2:0"}


def test_korquad_paragraphs_are_notes_of_one_turn(tmp_path: Path) -> None:
    memory = load(tmp_path, "korquad", KORQUAD)
    assert [len(conversation.turns) for conversation in memory.conversations] == [1, 1]
    assert memory.questions[1].sessions == {memory.conversations[1].id}
    assert memory.questions[1].evidence == {memory.conversations[1].turns[0].id}


def test_ko_memory_keeps_types_stale_turns_and_the_moment_of_asking(tmp_path: Path) -> None:
    memory = load(tmp_path, "ko_memory", KO_MEMORY)
    update, abstention = memory.questions
    assert update.stale == {"c1:1"}
    assert update.sessions == {"c1"}
    assert update.asked_at == datetime.fromisoformat("2026-03-02T09:00:00+09:00")
    assert abstention.evidence == frozenset()


def test_conversations_are_written_in_the_native_format(tmp_path: Path) -> None:
    memory = load(tmp_path, "ko_memory", KO_MEMORY)
    assert write_memory(memory.conversations, tmp_path / "memory") == 1
    lines = (tmp_path / "memory/day0301/c1.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[1]) == {
        "id": "c1:2",
        "conversation": "c1",
        "role": "user",
        "speaker": "지훈",
        "time": "2026-03-01T09:30:00+09:00",
        "text": "아니다, 4시",
    }


def test_a_turn_without_a_time_is_written_without_one(tmp_path: Path) -> None:
    memory = load(tmp_path, "korquad", KORQUAD)
    write_memory(memory.conversations, tmp_path)
    (first, *_) = sorted(tmp_path.rglob("*.jsonl"))
    assert "time" not in json.loads(first.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("limit", "expected"), [(1, ["k1"]), (2, ["k1", "k2"]), (9, ["k1", "k2"])])
def test_a_limit_takes_questions_and_leaves_the_memory_whole(
    tmp_path: Path, limit: int, expected: list[str]
) -> None:
    memory = load(tmp_path, "korquad", KORQUAD)
    (limited,) = limit_questions([memory], limit)
    assert [question.id for question in limited.questions] == expected
    assert limited.conversations == memory.conversations
