"""Conversations are on disk, whole lines only, before anyone is told so."""

from __future__ import annotations

import errno
import json
import os
import resource
import threading
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import loaders
from memoryd.errors import StoreError
from memoryd.journal import Journal, Utterance, new_conversation_id

if TYPE_CHECKING:
    from collections.abc import Iterator

SEOUL = timezone(timedelta(hours=9))
WHEN = datetime(2026, 3, 15, 21, 4, tzinfo=SEOUL)
PATH = "day0315/jihoon/2026-03-15_c1.jsonl"


def said(text: str, *, role: str = "user", speaker: str = "지훈", minutes: int = 0) -> Utterance:
    return Utterance(role=role, speaker=speaker, text=text, time=WHEN + timedelta(minutes=minutes))


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    (tmp_path / "memory").mkdir()
    return tmp_path / "memory"


@pytest.fixture
def journal(memory: Path) -> Journal:
    return Journal(memory)


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """A disk that is full at `size` bytes a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def texts(file: Path) -> list[str]:
    return [json.loads(line)["text"] for line in file.read_text(encoding="utf-8").splitlines()]


# Append


def test_a_folder_that_may_not_be_entered_is_a_store_error(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "is_symlink", refuse)
    with pytest.raises(StoreError, match="Permission denied"):
        journal.append("jihoon", "c1", [said("안녕")])


@pytest.mark.parametrize("linked", ["day0315", "day0315/jihoon", PATH])
def test_nothing_is_written_through_a_link(
    memory: Path, journal: Journal, tmp_path: Path, linked: str
) -> None:
    """The watcher reads none: what was acknowledged would not be found after the state is made anew."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere if linked != PATH else elsewhere.parent).mkdir(exist_ok=True)
    (memory / linked).parent.mkdir(parents=True, exist_ok=True)
    (memory / linked).symlink_to(elsewhere)
    with pytest.raises(StoreError, match=f"{linked} is a link, and memoryd reads none"):
        journal.append("jihoon", "c1", [said("안녕")])
    assert not elsewhere.exists() or not list(elsewhere.iterdir())


def test_turns_are_appended_as_lines_of_the_native_format(journal: Journal, memory: Path) -> None:
    reply = Utterance(
        role="assistant",
        speaker="에코",
        text="4월 3일이에요.",
        time=WHEN,
        citations=("p_1", "p_2"),
        identity_version=3,
    )
    assert journal.append("jihoon", "c1", [said("보리 예방접종은 언제야?"), reply]) == PATH
    question, answer = (json.loads(line) for line in (memory / PATH).read_text("utf-8").splitlines())
    assert question == {
        "id": question["id"],
        "conversation": "c1",
        "time": "2026-03-15T21:04:00+09:00",
        "role": "user",
        "speaker": "지훈",
        "text": "보리 예방접종은 언제야?",
    }
    assert (answer["citations"], answer["identity_version"]) == (["p_1", "p_2"], 3)
    assert question["id"] != answer["id"]


def test_what_is_written_is_read_back_by_the_loaders_as_it_was_said(journal: Journal, memory: Path) -> None:
    lines = ['줄\n바꿈과 "따옴표"', "emoji 🐈 \u2028 separator", "  spaces  "]
    for number, text in enumerate(lines):
        journal.append("jihoon", "c1", [said(text, minutes=number)])
    (conversation,) = loaders.load(PATH, (memory / PATH).read_bytes()).conversations
    assert conversation.id == "c1"
    assert [turn.text.strip() for turn in conversation.turns] == [text.strip() for text in lines]
    assert [turn.time for turn in conversation.turns] == [WHEN + timedelta(minutes=n) for n in range(3)]


def test_a_conversation_goes_on_in_its_file_of_the_day(journal: Journal, memory: Path) -> None:
    journal.append("jihoon", "c1", [said("하나")])
    journal.append("jihoon", "c1", [said("둘", minutes=1)])
    after_midnight = journal.append("jihoon", "c1", [said("셋", minutes=180)])
    assert texts(memory / PATH) == ["하나", "둘"]
    assert after_midnight == "day0316/jihoon/2026-03-16_c1.jsonl"


def test_korean_names_of_users_and_conversations_stay_readable(journal: Journal, memory: Path) -> None:
    path = journal.append("지훈", "보리 이야기/첫째", [said("안녕")])
    assert path == "day0315/지훈/2026-03-15_보리_이야기_첫째.jsonl"
    line = (memory / path).read_text(encoding="utf-8")
    assert json.loads(line)["conversation"] == "보리 이야기/첫째"
    assert "안녕" in line


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", "/", "a\0b", "a\nb"])
def test_no_conversation_id_leads_out_of_its_folder(journal: Journal, memory: Path, name: str) -> None:
    path = journal.append("jihoon", name, [said("안녕")])
    assert (memory / path).resolve().parent == memory / "day0315" / "jihoon"


def test_two_writers_at_once_never_mix_their_lines(journal: Journal, memory: Path) -> None:
    def write(who: str) -> None:
        for _ in range(10):
            journal.append("jihoon", "c1", [said(who * 500)])

    threads = [threading.Thread(target=write, args=(who,)) for who in "가나다"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(texts(memory / PATH)) == [who * 500 for who in "가나다" for _ in range(10)]


def test_new_conversation_ids_are_distinct() -> None:
    made = {new_conversation_id() for _ in range(100)}
    assert len(made) == 100
    assert all(each.startswith("c_") and len(each) == 14 for each in made)


# On disk


def test_lines_and_new_names_are_synced_before_the_call_returns(
    journal: Journal, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, int]] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        name = str(Path(f"/proc/self/fd/{handle}").readlink())
        synced.append((name.removeprefix(str(memory)), os.fstat(handle).st_size))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    journal.append("jihoon", "c1", [said("안녕")])
    size = (memory / PATH).stat().st_size
    assert synced[0] == (f"/{PATH}", size)
    assert [name for name, _ in synced[1:]] == ["/day0315/jihoon", "/day0315", ""]
    synced.clear()
    journal.append("jihoon", "c1", [said("또")])
    assert synced == [(f"/{PATH}", (memory / PATH).stat().st_size)]


# After a crash


def test_half_a_line_left_by_a_crash_is_set_aside_and_not_joined_on(journal: Journal, memory: Path) -> None:
    journal.append("jihoon", "c1", [said("하나")])
    file = memory / PATH
    whole = file.read_bytes()
    torn = whole[: len(whole) // 2]
    file.write_bytes(whole + torn)
    journal.append("jihoon", "c1", [said("둘")])
    assert texts(file) == ["하나", "둘"]
    aside = file.with_name(f".{file.name}.torn")
    assert aside.read_bytes() == torn + b"\n"


def test_a_line_torn_inside_a_korean_letter_is_set_aside_too(journal: Journal, memory: Path) -> None:
    journal.append("jihoon", "c1", [said("하나")])
    file = memory / PATH
    with file.open("ab") as out:
        out.write('{"text": "둘'.encode()[:-1])
    journal.append("jihoon", "c1", [said("셋")])
    assert texts(file) == ["하나", "셋"]


def test_a_whole_line_that_lacks_only_its_end_is_kept(journal: Journal, memory: Path) -> None:
    journal.append("jihoon", "c1", [said("하나")])
    file = memory / PATH
    file.write_bytes(file.read_bytes().rstrip(b"\n"))
    journal.append("jihoon", "c1", [said("둘")])
    assert texts(file) == ["하나", "둘"]
    assert not file.with_name(f".{file.name}.torn").exists()


# When the disk refuses


def test_a_folder_that_cant_be_made_is_a_store_error_that_names_path_and_remedy(
    journal: Journal, memory: Path
) -> None:
    (memory / "day0315").write_text("a file where the folder belongs")
    with pytest.raises(StoreError) as caught:
        journal.append("jihoon", "c1", [said("안녕")])
    assert str(caught.value).startswith(f"The conversation could not be written to {PATH}: ")
    assert "Free the disk or mend its permissions; nothing of it was kept." in str(caught.value)


@pytest.mark.parametrize("length", [50, 100_000])
def test_a_disk_that_fills_up_in_the_middle_keeps_nothing_of_the_turn(
    journal: Journal, memory: Path, length: int
) -> None:
    """Found here: a short turn left its first part behind, for the watcher to read."""
    journal.append("jihoon", "c1", [said("하나")])
    before = (memory / PATH).read_bytes()
    with files_no_larger_than(len(before) + 20), pytest.raises(StoreError):
        journal.append("jihoon", "c1", [said("둘" * length)])
    assert (memory / PATH).read_bytes() == before
    journal.append("jihoon", "c1", [said("셋")])
    assert texts(memory / PATH) == ["하나", "셋"]


# Erasures


def test_those_who_are_about_to_write_can_see_what_was_erased_meanwhile(journal: Journal) -> None:
    journal.note_erased("c1", ["jihoon"])
    moment = journal.erasures
    assert journal.erased_since(moment, ["", "jihoon"]) == []
    journal.note_erased("c2", ["", "jihoon"])
    assert [each.id for each in journal.erased_since(moment, ["jihoon"])] == ["c2"]


def test_what_another_has_erased_is_hidden_from_those_who_never_saw_it(journal: Journal) -> None:
    journal.note_erased("c1", ["minji"])
    assert journal.erased_since(0, ["", "jun"]) == []


def test_nothing_is_written_while_it_is_held(journal: Journal, memory: Path) -> None:
    thread = threading.Thread(target=journal.append, args=("jihoon", "c1", [said("하나")]))
    with journal.held():
        thread.start()
        thread.join(0.1)
        assert thread.is_alive()
        assert not (memory / PATH).exists()
    thread.join(30)
    assert texts(memory / PATH) == ["하나"]


def test_a_conversations_files_are_known_by_their_names(journal: Journal) -> None:
    for name in ("c1", "c10", "a:b"):
        journal.append("jihoon", name, [said("하나")])
    assert journal.paths_of("c1") == [PATH]
    assert journal.paths_of("a:b") == ["day0315/jihoon/2026-03-15_a_b.jsonl"]
    assert journal.paths_of("nobody") == []
