"""Exports as other programs made them, counted by other means than the loaders, against what the loaders read.

The samples are not ours to hand on: their folder is named by the environment variable MEMORYD_EXPORT_SAMPLES, and
the rows hold counts only. Without it, the same checker runs over a folder of files written here.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loaders import UnreadableError, load

if TYPE_CHECKING:
    from collections.abc import Sequence

SAMPLES = "MEMORYD_EXPORT_SAMPLES"


@dataclass(frozen=True, slots=True)
class Row:
    """What a file holds.

    Attributes:
        path: below the samples' folder.
        turns: of each conversation, in order.
        speakers: how many there are.
        first: the earliest time in UTC to the second; None where the file knows no zone.
        last: the latest one.
        untimed: turns without any time.
    """

    path: str
    format: str
    turns: tuple[int, ...]
    speakers: int
    first: str | None = None
    last: str | None = None
    untimed: int = 0


CONVONAUT, BAKERY = (
    "chatgpt/convonaut/conversations.json",
    "claude/claude-chat-viewer/claude-bakery-chat.json",
)
VIEWER, CHATS = "claude/claude-chat-viewer", "claude/claude-chat-viewer/sampleConversations"
KAKAO, WHATSAPP = "kakaotalk/kakaotalk-chat-analyzer", "whatsapp/chat-miner"
TABLE = [
    Row(
        "chatgpt/chat-history-pypi/chatgpt_2026_sample.json",
        "chatgpt",
        (2, 2, 1),
        3,
        "2024-10-27T03:33:21",
        "2024-11-19T07:06:45",
    ),
    Row(CONVONAUT, "chatgpt", (5,) * 7, 2, "2023-06-15T01:26:22", "2023-06-15T01:26:32"),
    Row(
        "chatgpt/download_your_data/synthetic-openai-export.zip",
        "chatgpt zip",
        (5, 4),
        2,
        "2026-05-01T10:00:00",
        "2026-06-20T09:06:00",
    ),
    Row(
        "chatgpt/realazthat_chatgpt2graph/conversations.json",
        "chatgpt",
        (42,),
        3,
        "2023-09-21T19:57:53",
        "2023-09-22T08:23:04",
    ),
    Row(
        "claude/chat-history-pypi/claude_2026_sample.json",
        "claude",
        (4,),  # a question, a tool's call and its result, an answer
        3,
        "2025-12-02T21:17:10",
        "2025-12-02T21:17:12",
    ),
    Row(BAKERY, "claude", (4,), 2, "2024-10-29T15:59:38", "2024-10-29T16:02:16"),
    Row(
        f"{VIEWER}/conversation-rendering-tests.json",
        "claude",
        (10,),
        2,
        "2024-01-15T10:00:00",
        "2024-01-15T10:09:00",
    ),
    Row(
        f"{VIEWER}/conversation-with-errors.json",
        "claude",
        (10,),
        2,
        "2024-01-15T10:00:00",
        "2024-01-15T10:09:00",
    ),
    Row(  # five entries, two of them without messages
        f"{VIEWER}/conversations-multiple-errors.json",
        "claude",
        (1, 1, 2),
        2,
        "2024-01-15T10:00:00",
        "2024-01-15T10:01:00",
    ),
    Row(f"{VIEWER}/conversations.json", "claude", (2, 4), 2, "2024-12-01T10:00:00", "2024-12-02T14:16:00"),
    Row(f"{CHATS}/api.json", "claude", (2,), 2, "2024-01-12T11:00:00", "2024-01-12T11:15:00"),
    Row(f"{CHATS}/business-strategy.json", "claude", (6,), 2, "2024-03-12T16:00:00", "2024-03-12T16:40:00"),
    Row(f"{CHATS}/cooking.json", "claude", (6,), 2, "2024-03-18T19:00:00", "2024-03-18T19:35:00"),
    Row(f"{CHATS}/creative-writing.json", "claude", (6,), 2, "2024-03-15T14:00:00", "2024-03-15T14:45:00"),
    Row(f"{CHATS}/data.json", "claude", (2,), 2, "2024-01-16T09:00:00", "2024-01-16T09:10:00"),
    Row(f"{CHATS}/debugging.json", "claude", (4,), 2, "2024-01-13T15:00:00", "2024-01-13T15:30:00"),
    Row(f"{CHATS}/history.json", "claude", (6,), 2, "2024-03-20T11:00:00", "2024-03-20T11:45:00"),
    Row(f"{CHATS}/math-tutoring.json", "claude", (4,), 2, "2024-03-10T09:00:00", "2024-03-10T09:30:00"),
    Row(f"{CHATS}/python.json", "claude", (4,), 2, "2024-01-15T10:00:00", "2024-01-15T10:15:00"),
    Row(f"{CHATS}/webdev.json", "claude", (2,), 2, "2024-01-14T14:00:00", "2024-01-14T14:10:00"),
    Row(
        "claude_code/claude-code-log/session_b.jsonl",
        "claude-code",
        (3,),
        2,
        "2025-06-14T12:00:00",
        "2025-06-14T12:01:00",
    ),
    Row(
        "claude_code/claude-code-log/todowrite_examples.jsonl",
        "claude-code",
        (11,),
        3,
        "2025-06-14T10:00:00",
        "2025-06-14T10:04:01",
    ),
    Row(
        "gemini/chat-history-pypi/gemini_2026_sample.json",
        "gemini",
        (3, 2),
        3,
        "2024-12-24T00:26:40",
        "2024-12-24T00:43:20",
    ),
    Row(
        "instagram/chat-miner/test_export.json", "meta", (2,), 2, "2019-12-24T11:23:00", "2020-01-17T20:49:00"
    ),
    Row(f"{KAKAO}/keyword-golden.csv", "kakaotalk", (50,), 3),
    Row(f"{KAKAO}/open-chat-room.csv", "kakaotalk", (6,), 4),
    Row(f"{KAKAO}/vibecoding-room-sample.csv", "kakaotalk", (312,), 5),
    Row("kakaotalk/kakaotalk-viewer/demo-chat-android.txt", "kakaotalk", (9,), 4),
    Row("signal/chat-miner/test_export.txt", "signal", (2,), 2),
    Row(
        "slack/slack-export-viewer/testarchive.zip",
        "slack",
        (102, 56),
        7,
        "2016-01-15T05:55:18",
        "2016-03-29T12:33:06",
    ),
    Row(
        "telegram/chat-miner/test_batch_export.json",
        "telegram",
        (2,),
        2,
        "2018-12-05T10:39:10",
        "2018-12-05T10:49:24",
    ),
    Row(
        "telegram/chat-miner/test_single_export.json",
        "telegram",
        (2,),
        2,
        "2018-12-05T10:39:10",
        "2018-12-05T10:49:24",
    ),
    Row(f"{WHATSAPP}/test_[mmddyy]_24hrs.txt", "whatsapp", (9,), 6),
    Row(f"{WHATSAPP}/test_ddmmyy_24hrs.txt", "whatsapp", (9,), 6),
    Row(f"{WHATSAPP}/test_mmddyy_24hrs.txt", "whatsapp", (9,), 6),
    Row(f"{WHATSAPP}/test_mmddyyyy_12hrs.txt", "whatsapp", (9,), 6),
    Row(f"{WHATSAPP}/test_yyyymmdd_24hrs.txt", "whatsapp", (9,), 6),
]


def _read(folder: Path, row: Row) -> Row | str:
    """The row as the loaders see it; times only where the row has them, as elsewhere they are this machine's."""
    try:
        loaded = load(row.path, (folder / row.path).read_bytes())
    except (UnreadableError, OSError) as error:
        return f"{row.path}: {error}"
    turns = [turn for conversation in loaded.conversations for turn in conversation.turns]
    times = sorted(turn.time.astimezone(UTC) for turn in turns if turn.time)
    zoned = row.first is not None and times
    return Row(
        path=row.path,
        format=loaded.format,
        turns=tuple(len(conversation.turns) for conversation in loaded.conversations),
        speakers=len({turn.speaker for turn in turns}),
        first=f"{times[0]:%Y-%m-%dT%H:%M:%S}" if zoned else None,
        last=f"{times[-1]:%Y-%m-%dT%H:%M:%S}" if zoned else None,
        untimed=sum(turn.time is None for turn in turns),
    )


def _disagreements(folder: Path, rows: Sequence[Row]) -> list[object]:
    """What the loaders read otherwise than the rows say, and files that have no row."""
    known = {row.path for row in rows}
    files = (
        path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("LICENSE")
    )
    unknown = [path for file in files if (path := file.relative_to(folder).as_posix()) not in known]
    return [*(read for row in rows if (read := _read(folder, row)) != row), *unknown]


OURS = [
    Row("chats/수민.txt", "kakaotalk", (3,), 3),
    Row("chatgpt.zip", "chatgpt zip", (1, 2), 2, "2026-03-15T12:04:00", "2026-03-15T12:05:00"),
    Row("result.json", "telegram", (2,), 2, "2026-03-15T12:04:00", "2026-03-15T12:04:00", untimed=1),
]


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """A folder with a file for each row of OURS, and a licence."""
    (tmp_path / "chats").mkdir()
    (tmp_path / "chats" / "수민.txt").write_text(
        "수민 님과 카카오톡 대화\n저장한 날짜 : 2026년 3월 16일 오전 8:00\n\n\n2026년 3월 15일 오후 9:04\n"
        "2026년 3월 15일 오후 9:04, 지훈 : 안녕\n2026년 3월 15일 오후 9:05, 수민 : 응\n"
        "2026년 3월 15일 오후 9:06, 수민님이 나갔습니다.\n"
    )
    said = [
        {"author": {"role": role}, "content": {"parts": ["안녕"]}, "create_time": 1_773_576_240 + 60 * n}
        for n, role in enumerate(("user", "assistant"))
    ]
    entries = [
        {"mapping": {"a": {"message": said[0]}}},
        {
            "mapping": {"a": {"message": said[0]}, "b": {"message": said[1], "parent": "a"}},
            "current_node": "b",
        },
    ]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("conversations.json", json.dumps(entries))
        archive.writestr("user.json", "{}")
    (tmp_path / "chatgpt.zip").write_bytes(packed.getvalue())
    messages = [
        {"id": 1, "type": "message", "date_unixtime": "1773576240", "from": "지훈", "text": "안녕"},
        {"id": 2, "type": "message", "from": "수민", "text": "응"},
    ]
    chat = {"type": "personal_chat", "id": 77, "messages": messages}
    (tmp_path / "result.json").write_text(json.dumps(chat))
    (tmp_path / "LICENSE").write_text("…")
    return tmp_path


def test_exports_are_read_as_counted(ours: Path) -> None:
    """Our own, and those that others made where the environment names their folder."""
    assert _disagreements(ours, OURS) == []
    if SAMPLES in os.environ:
        assert _disagreements(Path(os.environ[SAMPLES]), TABLE) == []


@pytest.mark.parametrize(
    "wrong",
    [
        Row("result.json", "telegram", (3,), 2, "2026-03-15T12:04:00", "2026-03-15T12:04:00", untimed=1),
        Row("result.json", "telegram", (2,), 2, "2026-03-15T21:04:00", "2026-03-15T12:04:00", untimed=1),
        Row("result.json", "meta", (2,), 2, "2026-03-15T12:04:00", "2026-03-15T12:04:00", untimed=1),
        Row("missing.json", "meta", (2,), 2),
    ],
)
def test_the_checker_sees_what_is_wrong(ours: Path, wrong: Row) -> None:
    right = [row for row in OURS if row.path != wrong.path]
    assert len(_disagreements(ours, [*right, wrong])) == 1


def test_the_checker_sees_a_file_without_a_row(ours: Path) -> None:
    assert _disagreements(ours, OURS[1:]) == ["chats/수민.txt"]


def test_the_checker_sees_a_file_that_is_unreadable(ours: Path) -> None:
    (ours / "result.json").write_text('{"type": "personal_chat", "messages": [')
    (told,) = _disagreements(ours, OURS)
    assert str(told).startswith("result.json: line 1: not valid JSON")
