"""Question sets in one shape: memories of dated conversations, and questions with the turns that answer them.

locomo ───────┐
longmemeval ──┤
korquad ──────┼──▶ Memory(conversations, questions) ──write_memory──▶ memory/dayMMDD/<session>.jsonl
ko_memory ────┘
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from memoryd.native_line import native_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

KINDS = ("locomo", "longmemeval", "korquad", "ko_memory")
LOCOMO_UNANSWERABLE = 5
# KorQuAD's paragraphs have no date; they share this day folder.
UNDATED_DAY = "day0101"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One utterance; `time` is aware, or None where the data set has none."""

    id: str
    role: str
    speaker: str
    text: str
    time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A session: its id, its day folder and its turns in order."""

    id: str
    day: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question and what answers it.

    Attributes:
        evidence: ids of the turns that answer it; empty where the data set says that nothing does.
        sessions: ids of the conversations that hold them.
        asked_at: the moment that its time words refer to, aware.
        stale: ids of older turns that the evidence supersedes.
    """

    id: str
    text: str
    evidence: frozenset[str]
    sessions: frozenset[str]
    type: str
    asked_at: datetime | None = None
    stale: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What one daemon remembers, and the questions that are asked against it alone."""

    name: str
    conversations: tuple[Conversation, ...]
    questions: tuple[Question, ...]


def load_memories(kind: str, path: Path, *, samples: Collection[str] = ()) -> list[Memory]:
    """Reads a data set.

    Args:
        kind: one of `KINDS`.
        path: the data set's JSON file.
        samples: LoCoMo's sample ids to take (`conv-26`); empty for all.

    Raises:
        ValueError: a sample that the file does not have.
    """
    data = json.loads(path.read_text(encoding="utf-8"))
    readers: dict[str, Callable[[Any], list[Memory]]] = {
        "locomo": _locomo,
        "longmemeval": _longmemeval,
        "korquad": _korquad,
        "ko_memory": _ko_memory,
    }
    memories = readers[kind](data)
    missing = set(samples) - {memory.name for memory in memories}
    if missing:
        raise ValueError(f"{path} has no sample {', '.join(sorted(missing))}.")
    return [memory for memory in memories if not samples or memory.name in samples]


def limit_questions(memories: Sequence[Memory], limit: int) -> list[Memory]:
    """Keeps `limit` questions in all, evenly spread; the memories stay whole, so none gets easier."""
    total = sum(len(memory.questions) for memory in memories)
    kept = {number * total // limit for number in range(limit)} if limit < total else set(range(total))
    limited, seen = [], 0
    for memory in memories:
        chosen = tuple(q for number, q in enumerate(memory.questions, seen) if number in kept)
        seen += len(memory.questions)
        if chosen:
            limited.append(replace(memory, questions=chosen))
    return limited


def write_memory(conversations: Sequence[Conversation], folder: Path) -> int:
    """Writes each conversation as a native JSON Lines file below `folder`; returns how many files."""
    for conversation in conversations:
        file = folder / conversation.day / f"{conversation.id}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = [
            native_line(
                id=turn.id,
                conversation=conversation.id,
                time=turn.time,
                role=turn.role,
                speaker=turn.speaker,
                text=turn.text,
            )
            for turn in conversation.turns
        ]
        file.write_text("".join(lines), encoding="utf-8")
    return len(conversations)


def _day(time: datetime) -> str:
    return f"day{time:%m%d}"


def _locomo(data: list[Any]) -> list[Memory]:
    """Two people over months; a turn's picture speaks through its caption (arXiv 2402.17753)."""
    memories = []
    for sample in data:
        talk = sample["conversation"]
        numbers = [int(key.removeprefix("session_")) for key in talk if re.fullmatch(r"session_\d+", key)]
        conversations = tuple(
            _locomo_session(talk, number) for number in sorted(numbers) if talk[f"session_{number}"]
        )
        known = {turn.id for conversation in conversations for turn in conversation.turns}
        questions = []
        for number, item in enumerate(sample["qa"]):
            # A few strings hold two ids ("D8:6; D9:17"), a slip ("D:11:26") or leading zeros.
            pairs = [pair for text in item["evidence"] for pair in re.findall(r"D:?(\d+):(\d+)", text)]
            evidence = {f"D{int(session)}:{int(turn)}" for session, turn in pairs} & known
            if item["category"] == LOCOMO_UNANSWERABLE or not evidence:
                continue
            sessions = {f"session_{turn.removeprefix('D').split(':')[0]}" for turn in evidence}
            questions.append(
                Question(
                    id=f"{sample['sample_id']}:{number}",
                    text=item["question"],
                    evidence=frozenset(evidence),
                    sessions=frozenset(sessions),
                    type=str(item["category"]),
                )
            )
        memories.append(
            Memory(name=sample["sample_id"], conversations=conversations, questions=tuple(questions))
        )
    return memories


def _locomo_session(talk: dict[str, Any], number: int) -> Conversation:
    stated = " ".join(talk[f"session_{number}_date_time"].split())
    time = datetime.strptime(stated, "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)
    turns = tuple(
        Turn(id=turn["dia_id"], role="user", speaker=turn["speaker"], text=_with_picture(turn), time=time)
        for turn in talk[f"session_{number}"]
    )
    return Conversation(id=f"session_{number}", day=_day(time), turns=turns)


def _with_picture(turn: dict[str, Any]) -> str:
    caption = turn.get("blip_caption")
    return f"{turn['text']} [image: {caption}]" if caption else str(turn["text"])


def _longmemeval(data: list[Any]) -> list[Memory]:
    """All questions' sessions as one memory; one that several share is written once (arXiv 2410.10813)."""
    conversations: dict[str, Conversation] = {}
    questions = []
    for item in data:
        if item["question_id"].endswith("_abs"):
            continue
        evidence = set()
        sessions = zip(
            item["haystack_session_ids"], item["haystack_dates"], item["haystack_sessions"], strict=True
        )
        for session_id, date, said in sessions:
            time = _longmemeval_time(date)
            turns = tuple(
                Turn(
                    id=f"{session_id}:{index}",
                    role=turn["role"],
                    speaker=turn["role"],
                    text=turn["content"],
                    time=time,
                )
                for index, turn in enumerate(said)
            )
            conversations.setdefault(session_id, Conversation(id=session_id, day=_day(time), turns=turns))
            evidence |= {f"{session_id}:{index}" for index, turn in enumerate(said) if turn.get("has_answer")}
        questions.append(
            Question(
                id=item["question_id"],
                text=item["question"],
                evidence=frozenset(evidence),
                sessions=frozenset(item["answer_session_ids"]),
                type=item["question_type"],
                asked_at=_longmemeval_time(item["question_date"]),
            )
        )
    whole = Memory(
        name="longmemeval", conversations=tuple(conversations.values()), questions=tuple(questions)
    )
    return [whole]


def _longmemeval_time(stated: str) -> datetime:
    """`2023/01/21 (Sat) 18:13`; the zone is not said, so UTC stands in."""
    without_weekday = re.sub(r"\s*\(\w+\)\s*", " ", stated)
    return datetime.strptime(without_weekday, "%Y/%m/%d %H:%M").replace(tzinfo=UTC)


def _korquad(data: dict[str, Any]) -> list[Memory]:
    """Each paragraph is a note of one turn; a question's evidence is its paragraph."""
    conversations: list[Conversation] = []
    questions: list[Question] = []
    for article in data["data"]:
        for paragraph in article["paragraphs"]:
            name = f"paragraph_{len(conversations):05d}"
            turn = Turn(id=f"{name}:1", role="user", speaker="user", text=paragraph["context"])
            conversations.append(Conversation(id=name, day=UNDATED_DAY, turns=(turn,)))
            questions += [
                Question(
                    id=item["id"],
                    text=item["question"],
                    evidence=frozenset({turn.id}),
                    sessions=frozenset({name}),
                    type="paragraph",
                )
                for item in paragraph["qas"]
            ]
    return [Memory(name="korquad", conversations=tuple(conversations), questions=tuple(questions))]


def _ko_memory(data: dict[str, Any]) -> list[Memory]:
    """A life in Korean and English conversations that are already in memoryd's own shape."""
    conversations = tuple(
        Conversation(
            id=item["id"],
            day=item["day"],
            turns=tuple(
                Turn(
                    id=turn["id"],
                    role=turn["role"],
                    speaker=turn["speaker"],
                    text=turn["text"],
                    time=datetime.fromisoformat(turn["time"]),
                )
                for turn in item["turns"]
            ),
        )
        for item in data["conversations"]
    )
    session_of = {turn.id: conversation.id for conversation in conversations for turn in conversation.turns}
    questions = tuple(
        Question(
            id=item["id"],
            text=item["question"],
            evidence=frozenset(item["evidence"]),
            sessions=frozenset(session_of[turn] for turn in item["evidence"]),
            type=item["type"],
            asked_at=datetime.fromisoformat(item["asked_at"]) if "asked_at" in item else None,
            stale=frozenset(item.get("stale", ())),
        )
        for item in data["questions"]
    )
    return [Memory(name="ko_memory", conversations=conversations, questions=questions)]
