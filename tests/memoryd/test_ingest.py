from __future__ import annotations

import json
import os
import threading
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memoryd import ingest
from memoryd.day_folder import FORWARD, folder_time
from memoryd.errors import StoreError
from memoryd.ingest import StoppingError
from memoryd.ledger import FileRow, FileState, Signature
from tests.memoryd.parts import WORDS, Home, line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from memoryd.ledger import NewFile

LIMIT_S = 10.0
SEOUL = timezone(timedelta(hours=9))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.ledger.close()


def _row(home: Home, path: str) -> FileRow:
    row = home.ledger.files.get(path)
    assert row is not None
    return row


def _local_date(when: datetime) -> date:
    return when.astimezone().date()


# What becomes of each kind of file.


def test_native_lines_keep_ids_speakers_and_times(home: Home) -> None:
    home.remember(
        "day0315/a.jsonl",
        line("두부는 고양이야.", id="t1", conversation="c1", speaker="지훈", time="2026-03-15T21:04:00+09:00")
        + line("기억할게.", id="t2", conversation="c1", role="assistant", speaker="에코"),
    )
    first, second = home.turns()
    assert (first.id, first.conversation_id, first.speaker) == ("t1", "c1", "지훈")
    assert first.time == datetime(2026, 3, 15, 21, 4, tzinfo=SEOUL)
    assert (second.id, second.role, second.time) == ("t2", "assistant", first.time)
    assert _row(home, "day0315/a.jsonl") == FileRow(
        path="day0315/a.jsonl",
        signature=Signature.of((home.root / "day0315/a.jsonl").stat()),
        state=FileState.INDEXED,
        format="native",
        turns=2,
        passages=1,
    )


def test_a_pasted_transcript_becomes_turns_of_its_speakers(home: Home) -> None:
    home.remember("day0315/a.txt", "나의 말:\n두부 기억나지?\nChatGPT의 말:\n회색 고양이.\n나의 말:\n맞아.\n")
    assert [(turn.role, turn.text) for turn in home.turns()] == [
        ("user", "두부 기억나지?"),
        ("assistant", "회색 고양이."),
        ("user", "맞아."),
    ]
    assert _row(home, "day0315/a.txt").format == "transcript"


def test_notes_become_turns(home: Home) -> None:
    home.remember("day0315/a.md", "# 첼로\n활을 천천히 쓴다.\n# 수영\n물이 차가웠다.\n")
    assert home.said() == ["# 첼로\n활을 천천히 쓴다.", "# 수영\n물이 차가웠다."]
    assert _row(home, "day0315/a.md").format == "notes"


def test_a_chatgpt_export_becomes_turns(home: Home) -> None:
    home.remember("day0315/conversations.json", _export("c1"))
    assert [(turn.conversation_id, turn.text) for turn in home.turns()] == [("c1", "질문 0"), ("c1", "답 0")]
    assert _row(home, "day0315/conversations.json").format == "chatgpt"


def test_two_conversations_of_one_id_in_an_export_both_stay(home: Home) -> None:
    home.remember("day0315/conversations.json", _export("c1", "c1", "c1#2"))
    assert {turn.conversation_id for turn in home.turns()} == {"c1", "c1#2", "c1#2#2"}
    assert sorted(home.said()) == ["답 0", "답 1", "답 2", "질문 0", "질문 1", "질문 2"]


def test_an_export_may_hold_the_same_conversation_thrice_over(home: Home) -> None:
    (one,) = json.loads(_export("c1"))
    home.remember("day0315/conversations.json", json.dumps([one, one, {**one, "id": "c1#2"}]))
    assert home.ledger.files.totals().conversations == 3


def _export(*conversation_ids: str) -> str:
    def node(key: str, parent: str | None, role: str, text: str) -> dict[str, object]:
        content = {"content_type": "text", "parts": [text]}
        message = {"id": key, "author": {"role": role}, "content": content, "create_time": 1773532800}
        return {"id": key, "parent": parent, "message": message}

    entries = [
        {
            "id": conversation_id,
            "title": "",
            "current_node": "b",
            "mapping": {
                "a": node("a", None, "user", f"질문 {number}"),
                "b": node("b", "a", "assistant", f"답 {number}"),
            },
        }
        for number, conversation_id in enumerate(conversation_ids)
    ]
    return json.dumps(entries, ensure_ascii=False)


def test_an_empty_file_is_skipped(home: Home) -> None:
    home.remember("day0315/a.txt", "\n\n")
    row = _row(home, "day0315/a.txt")
    assert row.state is FileState.SKIPPED
    assert row.reason


def test_a_damaged_file_is_quarantined_with_its_line(home: Home) -> None:
    home.remember("day0315/a.jsonl", line("하나.") + '{"text": \n' + line("셋."))
    row = _row(home, "day0315/a.jsonl")
    assert (row.state, row.line) == (FileState.QUARANTINED, 2)
    assert "JSON" in (row.reason or "")


def test_a_file_that_gets_damaged_keeps_its_earlier_reading(home: Home) -> None:
    home.remember("day0315/a.jsonl", line("두부는 고양이야."))
    home.remember("day0315/a.jsonl", line("두부는 고양이야.") + '{"text": \n' + line("셋."))
    assert home.said() == ["두부는 고양이야."]
    assert len(home.find("두부")) == 1
    home.remember("day0315/a.jsonl", line("두부는 고양이야.") + line("둘째 줄."))
    row = _row(home, "day0315/a.jsonl")
    assert (row.state, row.reason, row.line) == (FileState.INDEXED, None, None)
    assert home.said() == ["두부는 고양이야.", "둘째 줄."]


def test_a_link_is_skipped(home: Home) -> None:
    target = home.put("day0315/a.txt", "두부는 고양이야.")
    (home.root / "day0315/b.txt").symlink_to(target)
    home.read("day0315/b.txt")
    row = _row(home, "day0315/b.txt")
    assert row.state is FileState.SKIPPED
    assert "link" in (row.reason or "")
    assert home.said() == []


def test_a_pipe_is_skipped_and_never_opened(home: Home) -> None:
    (home.root / "day0315").mkdir()
    os.mkfifo(home.root / "day0315/pipe")
    home.read("day0315/pipe")
    assert _row(home, "day0315/pipe").reason == "it is no ordinary file"


def test_a_file_that_is_too_large_is_skipped_with_both_sizes(home: Home) -> None:
    home.remember("day0315/a.txt", "가" * 5000)
    row = _row(home, "day0315/a.txt")
    assert row.state is FileState.SKIPPED
    assert "15000" in (row.reason or "")
    assert "10000" in (row.reason or "")


@pytest.mark.parametrize("path", ["a.txt", "notes/a.txt", "day315/a.txt", "someday0315/a.txt"])
def test_a_file_in_no_day_folder_is_skipped(home: Home, path: str) -> None:
    home.remember(path, "두부는 고양이야.")
    row = _row(home, path)
    assert row.state is FileState.SKIPPED
    assert "day folder" in (row.reason or "")


def test_a_file_in_the_origins_folder_is_the_origins_own(home: Home) -> None:
    home.remember("day0315/jihun/a.txt", "비밀이야.")
    home.remember("day0315/trip/a.txt", "모두 봐도 돼.")
    assert [_row(home, path).owner for path in ("day0315/jihun/a.txt", "day0315/trip/a.txt")] == ["jihun", ""]


def test_a_name_that_is_no_utf8_is_read_and_listed_in_hexadecimal(home: Home) -> None:
    name = os.fsdecode("기록.txt".encode("cp949"))
    home.remember(f"day0315/{name}", "두부는 고양이야.")
    (row,) = home.ledger.files.list()
    assert row.path == r"day0315/\xb1\xe2\xb7\xcf.txt"
    (home.root / "day0315" / name).unlink()
    home.read(f"day0315/{name}")
    assert home.ledger.files.list() == []


# Together, ahead, in between.


def test_many_small_files_share_the_embedders_batches(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    embed = home.embedder.embed_passages

    def counted(texts: Sequence[str]) -> NDArray[np.float32]:
        calls.append(len(texts))
        return embed(texts)

    monkeypatch.setattr(home.embedder, "embed_passages", counted)
    paths = [f"day0315/{n}.txt" for n in range(8)]
    for path in paths:
        home.put(path, f"{path}의 이야기.")
    home.read(*paths)
    assert sum(calls) == 8
    assert max(calls) > 1
    assert len(home.said()) == 8


def test_one_file_that_fails_keeps_no_other_out(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    embed = home.embedder.embed_passages

    def choke(texts: Sequence[str]) -> NDArray[np.float32]:
        if any("독" in text for text in texts):
            raise ValueError("poison")
        return embed(texts)

    monkeypatch.setattr(home.embedder, "embed_passages", choke)
    for name, text in (("a", "하나."), ("b", "독."), ("c", "셋.")):
        home.put(f"day0315/{name}.txt", text)
    failed = home.ingest.read([f"day0315/{name}.txt" for name in ("a", "b", "c")])
    assert list(failed) == ["day0315/b.txt"]
    assert sorted(home.said()) == ["셋.", "하나."]


def _one_file_a_load(home: Home, monkeypatch: pytest.MonkeyPatch, files: int) -> list[str]:
    monkeypatch.setattr(ingest, "LOAD", 1)
    paths = [f"day0315/{number}.txt" for number in range(files)]
    for path in paths:
        home.put(path, f"{path}의 이야기.")
    return paths


def test_the_next_load_is_read_while_this_one_is_embedded_and_no_further_one(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = _one_file_a_load(home, monkeypatch, 6)
    was_read = {path: threading.Event() for path in paths}
    read, embed = ingest.read_file, home.embedder.embed_passages
    loads = iter(range(6))

    def note(file: Path, expected: Signature) -> bytes:
        was_read[f"day0315/{file.name}"].set()
        return read(file, expected)

    def look(texts: Sequence[str]) -> NDArray[np.float32]:
        load = next(loads)
        assert all(was_read[path].wait(LIMIT_S) for path in paths[load : load + 2])
        assert not any(was_read[path].is_set() for path in paths[load + 2 :])
        return embed(texts)

    monkeypatch.setattr(ingest, "read_file", note)
    monkeypatch.setattr(home.embedder, "embed_passages", look)
    home.read(*paths)
    assert len(home.said()) == 6


def test_a_file_is_committed_while_the_next_load_is_embedded(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = _one_file_a_load(home, monkeypatch, 3)
    committed: list[str] = []
    another = threading.Condition()
    replace, embed = home.ledger.files.replace, home.embedder.embed_passages

    def note(file: NewFile) -> None:
        replace(file)
        with another:
            committed.append(file.row.path)
            another.notify_all()

    def look(texts: Sequence[str]) -> NDArray[np.float32]:
        embedded = len(home.embedder.embedded)
        with another:
            assert another.wait_for(lambda: len(committed) == embedded, LIMIT_S)
        return embed(texts)

    monkeypatch.setattr(home.ledger.files, "replace", note)
    monkeypatch.setattr(home.embedder, "embed_passages", look)
    home.read(*paths)
    assert committed == paths


def test_others_go_between_while_a_long_file_is_cut(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.put("day0315/export.txt", "두부는 고양이야.")
    home.put("day0315/a.txt", "서윤이는 수영을 한다.")
    monkeypatch.setattr(ingest, "PAUSE_S", 0.01)
    count, was_read = home.embedder.count_tokens, threading.Event()

    def cut(texts: Sequence[str]) -> list[int]:
        if "두부" in texts[0]:
            assert was_read.wait(LIMIT_S)
        return count(texts)

    def between() -> None:
        if not was_read.is_set():
            home.read("day0315/a.txt")
            was_read.set()

    monkeypatch.setattr(home.embedder, "count_tokens", cut)
    assert home.ingest.read(["day0315/export.txt"], between) == {}
    assert was_read.is_set()
    assert len(home.said()) == 2


@pytest.mark.parametrize(("part", "words"), [("count_tokens", 200), ("words", 3)])
def test_stopping_does_not_wait_until_a_long_file_is_cut_or_split(
    home: Home, monkeypatch: pytest.MonkeyPatch, part: str, words: int
) -> None:
    said = [f"{number} " + "이야기 " * words for number in range(4)]
    home.put("day0315/a.jsonl", "".join(line(text, conversation=f"c{text[:2]}") for text in said))
    monkeypatch.setattr(ingest, "PAUSE_S", 0.01)
    owner: Any = home.embedder if part == "count_tokens" else WORDS
    does, calls, stopped = getattr(owner, part), [], threading.Event()

    def work(what: Any) -> Any:
        calls.append(what)
        assert stopped.wait(LIMIT_S)
        return does(what)

    def stop() -> None:
        if calls:
            # The call that is under way ends once the read has heard of it.
            threading.Timer(0.2, stopped.set).start()
            raise StoppingError

    monkeypatch.setattr(owner, part, work)
    assert home.ingest.read(["day0315/a.jsonl"], stop).keys() == {"day0315/a.jsonl"}
    assert len(calls) == 1
    assert home.said() == []


def test_stopping_comes_soon_and_keeps_the_vectors_that_are_made(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "PAUSE_S", LIMIT_S)
    home.put("day0315/a.jsonl", "".join(line(f"{n}번째 이야기.", conversation=f"c{n}") for n in range(10)))
    calls = iter(range(3))

    def stop() -> None:
        if next(calls) == 2:  # once before the load, once after each batch
            raise StoppingError

    failed = home.ingest.read(["day0315/a.jsonl", "day0315/b.jsonl"], stop)
    assert {path: type(error) for path, error in failed.items()} == {
        "day0315/a.jsonl": StoppingError,
        "day0315/b.jsonl": StoppingError,
    }
    assert home.said() == []
    assert 0 < home.ledger.vectors.count() == len(home.embedder.embedded) < 10
    home.read("day0315/a.jsonl")
    assert len(home.said()) == 10
    assert home.ledger.vectors.embedded_texts() == home.ledger.vectors.count() == 10


def test_vectors_are_committed_in_groups_as_they_come(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "SAVED_TOGETHER", 6)
    monkeypatch.setattr(ingest, "PAUSE_S", LIMIT_S)
    home.put("day0315/a.jsonl", "".join(line(f"{n}번째 이야기.", conversation=f"c{n}") for n in range(18)))
    counts: list[int] = []
    home.ingest.read(["day0315/a.jsonl"], lambda: counts.append(home.ledger.vectors.count()))
    assert counts == [0, 0, 8, 8, 16, 16]  # a batch of the fake's is four
    assert home.ledger.vectors.count() == 18


def test_a_crash_between_vectors_and_commit_embeds_nothing_twice(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.put("day0315/a.jsonl", "".join(line(f"{n}번째 이야기.", conversation=f"c{n}") for n in range(10)))

    def refuse(file: NewFile) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(home.ledger.files, "replace", refuse)
        with pytest.raises(StoreError):
            home.read("day0315/a.jsonl")
    assert home.said() == []
    home.read("day0315/a.jsonl")
    assert len(home.said()) == 10
    assert len(home.embedder.embedded) == len(set(home.embedder.embedded)) == 10
    assert home.ledger.vectors.embedded_texts() == home.ledger.vectors.count() == 10


def test_equal_texts_in_two_files_are_embedded_once(home: Home) -> None:
    home.remember("day0315/a.txt", "두부는 고양이야.")
    home.remember("day0316/b.txt", "두부는 고양이야.")
    assert len(home.embedder.embedded) == 1
    assert home.ledger.files.totals().passages == 2


# When it was said.


@pytest.mark.parametrize(
    ("day", "written", "said"),
    [
        ("day0315", "2026-03-16", "2026-03-15"),
        ("day0315", "2027-01-02", "2026-03-15"),
        ("day1225", "2026-01-10", "2025-12-25"),
        ("day0110", "2025-12-28", "2026-01-10"),
        ("day0301", "2026-01-10", "2025-03-01"),
        ("day20240229", "2026-03-16", "2024-02-29"),
        ("day0229", "2026-03-16", "2024-02-29"),
        ("day0230", "2026-03-16", "2026-03-16"),
        ("day03155", "2026-03-16", "2026-03-16"),
        ("daylast", "2026-03-16", "2026-03-16"),
        ("day00010101", "2026-03-15", "2026-03-15"),
    ],
)
def test_a_day_folder_stands_for_a_day(day: str, written: str, said: str) -> None:
    mtime = datetime.fromisoformat(f"{written}T12:00:00").timestamp()
    when = folder_time(day, mtime)
    assert when.tzinfo is not None
    assert when.replace(tzinfo=None) == datetime.fromisoformat(said)


@given(st.dates(date(1990, 1, 1), date(2100, 1, 1)), st.dates(date(1990, 1, 1), date(2100, 1, 1)))
def test_nothing_was_said_more_than_a_month_after_it_was_written(day: date, written: date) -> None:
    mtime = datetime(written.year, written.month, written.day, 12, tzinfo=UTC).timestamp()
    for name in (f"day{day:%m%d}", f"day{day:%Y%m%d}", "daylast"):
        assert folder_time(name, mtime).date() <= _local_date(datetime.fromtimestamp(mtime, UTC)) + FORWARD


def test_turns_without_a_time_take_the_day_folders(home: Home) -> None:
    home.remember("day0310/a.jsonl", line("하나.") + line("둘."))
    assert {_local_date(turn.time) for turn in home.turns()} == {date(2026, 3, 10)}


def test_turns_without_a_time_take_their_neighbours(home: Home) -> None:
    home.remember(
        "day0310/a.jsonl",
        line("하나.")
        + line("둘.", time="2026-03-09T10:00:00+09:00")
        + line("셋.")
        + line("넷.", time="2026-03-09T11:00:00+09:00"),
    )
    assert [turn.time.astimezone(SEOUL).hour for turn in home.turns()] == [10, 10, 10, 11]
    assert home.said() == ["하나.", "둘.", "셋.", "넷."]


def test_a_file_from_the_far_future_is_read(home: Home) -> None:
    file = home.put("day0310/a.txt", "두부는 창가에서 잔다.")
    os.utime(file, (10_500_000_000, 10_500_000_000))
    home.read("day0310/a.txt")
    assert home.ledger.files.totals().indexed == 1
