"""Files are replaced, refused and removed whole, each in one commit."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from memoryd.errors import StoreError
from memoryd.korean import Words
from memoryd.ledger import FileState, Ledger, NewFile, Signature
from tests.memoryd.ledger.made import (
    SHARED,
    START,
    conversation,
    empty_outbox,
    file,
    passage,
    passage_id,
    put,
    row,
    waiting,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PATH = "day0315/talk.txt"
ELSEWHERE = "day0316/other.txt"


def found(ledger: Ledger, *morphemes: str, owners: Sequence[str] = SHARED) -> list[str]:
    """Ids of the passages that have one of these words."""
    return [each.passage_id for each in ledger.search.lexical(Words(" ".join(morphemes), ""), owners, 100)[0]]


def rows_of(ledger: Ledger) -> dict[str, int]:
    """Passage id → its row's number."""
    with ledger._database.read() as connection:
        rows = connection.execute("SELECT passage_id, id FROM passages").fetchall()
    return {each["passage_id"]: each["id"] for each in rows}


# Replace


def test_a_new_file_is_there_with_turns_passages_words_and_outbox(ledger: Ledger) -> None:
    put(ledger, PATH, "hello bori", "good night")
    stored = ledger.files.get(PATH)
    assert stored is not None
    assert (stored.state, stored.turns, stored.passages) == (FileState.INDEXED, 2, 2)
    assert found(ledger, "bori") == [passage_id(PATH, "hello bori")]
    assert waiting(ledger) == [
        (passage_id(PATH, "hello bori"), "", True),
        (passage_id(PATH, "good night"), "", True),
    ]


def test_unchanged_passages_keep_their_rows_and_cost_nothing(ledger: Ledger) -> None:
    put(ledger, PATH, "one", "two")
    before = rows_of(ledger)
    empty_outbox(ledger)
    put(ledger, PATH, "one", "two", "three")
    after = rows_of(ledger)
    assert {each: after[each] for each in before} == before
    assert waiting(ledger) == [(passage_id(PATH, "three"), "", True)]
    assert found(ledger, "one") == [passage_id(PATH, "one")]


def test_what_a_file_no_longer_says_is_gone_everywhere(ledger: Ledger) -> None:
    put(ledger, PATH, "one", "two")
    empty_outbox(ledger)
    put(ledger, PATH, "one")
    assert list(rows_of(ledger)) == [passage_id(PATH, "one")]
    assert found(ledger, "two") == []
    assert waiting(ledger) == [(passage_id(PATH, "two"), "", False)]
    stored = ledger.files.conversation("c1")
    assert stored is not None
    assert [turn.text for turn in stored.turns] == ["one"]


def test_reading_a_file_again_doubles_nothing(ledger: Ledger) -> None:
    for _ in range(3):
        put(ledger, PATH, "one", "two")
    totals = ledger.files.totals()
    assert (totals.indexed, totals.conversations, totals.turns, totals.passages) == (1, 1, 2, 2)


def test_a_kept_passage_points_to_its_turns_new_places_and_sources(ledger: Ledger) -> None:
    kept = passage("hello", path=PATH, citations=("p_1",))
    talk = conversation(["hello"], path=PATH)
    ledger.files.replace(
        NewFile(row=row(PATH), day="day0315", conversations=(replace(talk, passages=(kept,)),))
    )
    longer = conversation(["hello", "", "again"], path=PATH)
    moved = replace(kept, last=2, citations=("p_2",))
    ledger.files.replace(
        NewFile(row=row(PATH), day="day0315", conversations=(replace(longer, passages=(moved,)),))
    )
    (shown,) = ledger.search.get([kept.id], SHARED)
    assert [turn.index for turn in shown.turns] == [0, 1, 2]
    assert shown.citations == ("p_2",)


def test_a_file_that_changes_its_owner_leaves_the_old_owners_index(ledger: Ledger) -> None:
    put(ledger, PATH, "one")
    empty_outbox(ledger)
    put(ledger, PATH, "one", owner="jihoon")
    assert waiting(ledger) == [
        (passage_id(PATH, "one"), "", False),
        (passage_id(PATH, "one"), "jihoon", True),
    ]
    assert found(ledger, "one") == []
    assert found(ledger, "one", owners=["jihoon"]) == [passage_id(PATH, "one")]


def test_a_stale_file_sends_all_its_passages_to_the_new_generation(ledger: Ledger) -> None:
    put(ledger, PATH, "one", "two")
    empty_outbox(ledger)
    ledger.files.mark_all_stale()
    assert ledger.files.stale() == 1
    put(ledger, PATH, "one", "two")
    assert ledger.files.stale() == 0
    assert waiting(ledger) == [(passage_id(PATH, "one"), "", True), (passage_id(PATH, "two"), "", True)]


def test_a_stale_files_words_are_made_anew_by_the_analyser_of_now(ledger: Ledger) -> None:
    """Found here: after a change of Kiwi's version, unchanged passages kept the words of the old one."""

    def written(morphemes: str) -> NewFile:
        kept = passage("역사를 봤어", path=PATH, morphemes=morphemes)
        talk = replace(conversation(["역사를 봤어"], path=PATH), passages=(kept,))
        return NewFile(row=row(PATH), day="day0315", conversations=(talk,))

    ledger.files.replace(written("역사를"))
    ledger.files.mark_all_stale()
    assert found(ledger, "역사를")
    ledger.files.replace(written("역사"))
    assert found(ledger, "역사")
    assert not found(ledger, "역사를")


# Refuse


def test_a_refused_file_is_listed_with_reason_and_line_and_keeps_what_it_had(ledger: Ledger) -> None:
    put(ledger, PATH, "one")
    refused = replace(row(PATH, state=FileState.QUARANTINED), reason="not JSON", line=7, format=None)
    ledger.files.refuse(refused, "day0315")
    stored = ledger.files.get(PATH)
    assert stored is not None
    assert (stored.state, stored.reason, stored.line) == (FileState.QUARANTINED, "not JSON", 7)
    assert (stored.turns, stored.passages) == (1, 1)
    assert found(ledger, "one")


def test_a_mended_file_loses_its_reason(ledger: Ledger) -> None:
    ledger.files.refuse(replace(row(PATH, state=FileState.SKIPPED), reason="empty"), "day0315")
    put(ledger, PATH, "one")
    stored = ledger.files.get(PATH)
    assert stored is not None
    assert (stored.state, stored.reason) == (FileState.INDEXED, None)


def test_what_a_stale_and_now_damaged_file_had_goes_into_the_new_generation_too(ledger: Ledger) -> None:
    """Found here: such passages were missing from the new generation, which called itself whole."""
    put(ledger, PATH, "one")
    empty_outbox(ledger)
    ledger.files.mark_all_stale()
    ledger.files.refuse(row(PATH, state=FileState.QUARANTINED), "day0315")
    assert waiting(ledger) == [(passage_id(PATH, "one"), "", True)]


def test_a_stale_file_that_could_not_be_read_is_written_anew_once_it_can_be(ledger: Ledger) -> None:
    """Nobody waits for it, and what it had is sent once; but it was made by the pipeline from before."""
    put(ledger, PATH, "one")
    ledger.files.mark_all_stale()
    for _ in range(2):
        empty_outbox(ledger)
        ledger.files.refuse(row(PATH, state=FileState.QUARANTINED), "day0315")
        assert ledger.files.stale() == 0
    assert waiting(ledger) == []
    put(ledger, PATH, "one")
    assert waiting(ledger) == [(passage_id(PATH, "one"), "", True)]
    ledger.files.mark_all_stale()
    assert ledger.files.stale() == 1


def test_refusing_a_file_that_is_up_to_date_sends_nothing(ledger: Ledger) -> None:
    put(ledger, PATH, "one")
    empty_outbox(ledger)
    ledger.files.refuse(row(PATH, state=FileState.QUARANTINED), "day0315")
    assert waiting(ledger) == []


# Remove


def test_a_removed_file_takes_everything_of_it_along_and_nothing_else(ledger: Ledger) -> None:
    put(ledger, PATH, "one", "two")
    put(ledger, ELSEWHERE, "one")
    empty_outbox(ledger)
    assert ledger.files.remove(PATH)
    assert ledger.files.get(PATH) is None
    assert found(ledger, "one", "two") == [passage_id(ELSEWHERE, "one")]
    assert waiting(ledger) == [(passage_id(PATH, "one"), "", False), (passage_id(PATH, "two"), "", False)]
    assert ledger.files.totals().turns == 1


def test_removing_what_is_not_there_says_so(ledger: Ledger) -> None:
    assert not ledger.files.remove(PATH)
    assert waiting(ledger) == []


def test_vectors_outlive_their_file_so_that_a_renamed_one_costs_nothing(ledger: Ledger) -> None:
    put(ledger, PATH, "one")
    ledger.files.remove(PATH)
    put(ledger, "day0315/renamed.txt", "one")
    assert ledger.vectors.embedded_texts() == ledger.vectors.count() == 1


# All or nothing


def test_a_replacement_that_fails_halfway_leaves_what_was_there(ledger: Ledger) -> None:
    put(ledger, PATH, "one")
    before = waiting(ledger)
    twice = conversation(["new", "new"], path=PATH)
    with pytest.raises(StoreError, match="refused a write"):
        ledger.files.replace(NewFile(row=row(PATH, size=99), day="day0315", conversations=(twice,)))
    stored = ledger.files.get(PATH)
    assert stored is not None
    assert (stored.signature.size, stored.turns) == (10, 1)
    assert found(ledger, "one")
    assert not found(ledger, "new")
    assert waiting(ledger) == before


def test_a_text_that_no_disk_can_hold_leaves_nothing_and_the_next_write_goes_on(ledger: Ledger) -> None:
    with pytest.raises(UnicodeEncodeError):
        ledger.files.replace(file(PATH, "fine", "\ud800"))
    assert ledger.files.get(PATH) is None
    put(ledger, PATH, "fine")
    assert found(ledger, "fine")


# Reading


def test_files_are_listed_by_path_and_by_state(ledger: Ledger) -> None:
    put(ledger, ELSEWHERE, "one")
    put(ledger, PATH, "two")
    ledger.files.refuse(row("day0317/empty.txt", state=FileState.SKIPPED), "day0317")
    assert [each.path for each in ledger.files.list()] == [PATH, ELSEWHERE, "day0317/empty.txt"]
    assert [each.path for each in ledger.files.list(FileState.SKIPPED)] == ["day0317/empty.txt"]
    assert ledger.files.list(FileState.QUARANTINED) == []
    assert ledger.files.known()[PATH] == Signature(10, 1, 1)


def test_a_conversation_over_two_files_is_one_in_event_order(ledger: Ledger) -> None:
    later = conversation(["third", "fourth"], path=PATH, day=1, title="보리 이야기")
    ledger.files.replace(NewFile(row=row(PATH, owner="jihoon"), day="day0315", conversations=(later,)))
    put(ledger, ELSEWHERE, "first", "second")
    stored = ledger.files.conversation("c1")
    assert stored is not None
    assert [turn.text for turn in stored.turns] == ["first", "second", "third", "fourth"]
    assert stored.title == "보리 이야기"
    assert stored.owners == {"", "jihoon"}
    assert stored.paths == (PATH, ELSEWHERE)


def test_an_unknown_conversation_is_none(ledger: Ledger) -> None:
    assert ledger.files.conversation("c_none") is None


def test_totals_count_states_and_name_the_last_moment(ledger: Ledger) -> None:
    assert ledger.files.totals().last_time is None
    put(ledger, PATH, "one", "two")
    ledger.files.refuse(row(ELSEWHERE, state=FileState.QUARANTINED), "day0316")
    totals = ledger.files.totals()
    assert (totals.indexed, totals.skipped, totals.quarantined) == (1, 0, 1)
    assert totals.last_time == START + timedelta(minutes=1)


def test_everything_is_there_after_the_ledger_is_opened_again(tmp_path: Path) -> None:
    first = Ledger(tmp_path)
    put(first, PATH, "hello bori")
    first.remember("generation", "3")
    shown = first.files.conversation("c1")
    first.close()
    second = Ledger(tmp_path)
    assert second.files.conversation("c1") == shown
    assert found(second, "bori") == [passage_id(PATH, "hello bori")]
    assert waiting(second) == [(passage_id(PATH, "hello bori"), "", True)]
    assert second.setting("generation") == "3"
    second.close()


def test_a_kill_between_two_commits_loses_only_what_was_not_committed(tmp_path: Path) -> None:
    """The file and its write-ahead log, copied as a power cut would leave them."""
    ledger = Ledger(tmp_path / "state")
    put(ledger, PATH, "one")
    with ledger._database.write() as connection:
        connection.execute("UPDATE files SET size = 77")
        copy = tmp_path / "after"
        copy.mkdir()
        for part in (tmp_path / "state").iterdir():
            if not part.name.endswith("-shm"):
                (copy / part.name).write_bytes(part.read_bytes())
    ledger.close()
    survivor = Ledger(copy)
    stored = survivor.files.get(PATH)
    assert stored is not None
    assert stored.signature.size == 10
    with survivor._database.read() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    survivor.close()
    assert sqlite3.sqlite_version_info >= (3, 35), "RETURNING needs SQLite 3.35"
