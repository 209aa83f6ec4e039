"""A damaged ledger: found out, kept aside, and what is whole in it carried over into a new one."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from memoryd.errors import LedgerDamagedError, StoreError
from memoryd.ledger import Ledger, Recovery, ReplayRow, salvage
from memoryd.testing import FakeClock
from tests.memoryd.ledger.made import EMBEDDER, START, key, put, vector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAGE = 4096
TEXTS = [f"text {number}" for number in range(400)]
DIMENSION = 384
NAME = "ledger.sqlite3"


@dataclass
class Made:
    """A ledger with something of everything in it, and what that was."""

    folder: Path
    instance: str

    @property
    def file(self) -> Path:
        return self.folder / NAME

    def tear(self, *pages: int, with_bytes: bytes = b"\xa5") -> None:
        """Overwrites pages, counted from 0."""
        with self.file.open("r+b") as out:
            for page in pages:
                out.seek(page * PAGE)
                out.write((with_bytes * PAGE)[:PAGE])

    def kept(self) -> list[Path]:
        return sorted(self.folder.glob("ledger.damaged-*.sqlite3"))


@pytest.fixture
def made(tmp_path: Path) -> Made:
    folder = tmp_path / "state"
    ledger = Ledger(folder)
    instance = ledger.instance()
    ledger.remember("generation", "3")
    for number in range(8):
        texts = TEXTS[number * 50 : number * 50 + 50]
        ledger.vectors.save(EMBEDDER, {key(text): vector(text, DIMENSION) for text in texts})
        put(ledger, f"day0315/talk{number}.txt", *texts)
    for version in (1, 2):
        ledger.identities.add(
            digest=str(version) * 64, text=f"나는 에코다 {version}", tokens=9, missing=["x"], created_at=START
        )
        ledger.identities.log_replay(replay(version))
    ledger.close()
    return Made(folder=folder, instance=instance)


def replay(version: int) -> ReplayRow:
    return ReplayRow(
        state="done",
        trigger="boot",
        started_at=START,
        seconds=float(version),
        turns=10,
        kept=5,
        changed=True,
        identity_version=version,
        digest=str(version) * 64,
    )


def vectors(ledger: Ledger) -> dict[bytes, bytes]:
    with ledger._database.read() as connection:
        rows = connection.execute("SELECT key, vector FROM vectors WHERE embedder = ?", (EMBEDDER,))
        return {row["key"]: row["vector"] for row in rows}


ALL = {key(text): vector(text, DIMENSION).tobytes() for text in TEXTS}


def assert_the_small_tables_are_there(ledger: Ledger, made: Made) -> None:
    assert ledger.instance() == made.instance
    assert ledger.setting("generation") == "3"
    assert [row.seconds for row in ledger.identities.replays()] == [2.0, 1.0]
    latest = ledger.identities.latest()
    assert latest is not None
    assert (latest.version, latest.text, latest.missing) == (2, "나는 에코다 2", ("x",))
    # A number is never used twice.
    again = ledger.identities.add(digest="3" * 64, text="", tokens=0, missing=[], created_at=START)
    assert again.version == 3


def garbage_header(made: Made) -> None:
    made.tear(0)


def half_of_the_header(made: Made) -> None:
    with made.file.open("r+b") as out:
        out.write(b"\0" * 64)


def a_cut_off_end(made: Made) -> None:
    with made.file.open("r+b") as out:
        out.truncate(made.file.stat().st_size - 5 * PAGE - 100)


@pytest.mark.parametrize("fault", [garbage_header, half_of_the_header, a_cut_off_end])
def test_a_damaged_ledger_is_recovered_at_the_start_and_kept_beside_the_new_one(
    made: Made, fault: Callable[[Made], None]
) -> None:
    fault(made)
    damaged = made.file.read_bytes()
    ledger = Ledger(made.folder, FakeClock(datetime(2026, 3, 15, 21, 4, tzinfo=UTC)))
    found = vectors(ledger)
    assert found.items() <= ALL.items()
    assert len(found) >= len(ALL) - 5
    assert ledger.vectors.embedded_texts() == len(ALL)
    assert_the_small_tables_are_there(ledger, made)
    assert ledger.files.known() == {}
    (kept,) = made.kept()
    assert kept.name == "ledger.damaged-20260315T210400.sqlite3"
    assert kept.read_bytes() == damaged
    assert "was damaged" in ledger.recovered
    assert str(kept) in ledger.recovered
    assert f"{len(found)} vectors, 2 identities, 2 replays were carried over" in ledger.recovered
    ledger.close()
    again = Ledger(made.folder)
    assert again.recovered == ""
    again.close()


def test_vectors_are_found_on_their_pages_and_nothing_is_embedded_twice(made: Made) -> None:
    made.tear(0)
    ledger = Ledger(made.folder)
    assert vectors(ledger) == ALL
    assert ledger.vectors.missing(EMBEDDER, list(ALL)) == set()
    ledger.close()


@pytest.mark.parametrize("content", [b"\0", b"junk"])
def test_a_torn_page_costs_what_stood_on_it_and_brings_nothing_wrong(made: Made, content: bytes) -> None:
    whole = made.file.read_bytes()
    pages = len(whole) // PAGE
    rng = np.random.default_rng(0)
    for page in rng.choice(pages, 6, replace=False):
        made.file.write_bytes(whole)
        made.tear(int(page), with_bytes=content)
        ledger = Ledger(made.folder)
        if not ledger.recovered:
            ledger.check(lambda: False)
            assert ledger.damage or vectors(ledger)
        if ledger.damage:
            assert ledger.recover(1)
        if ledger.recovered:
            assert vectors(ledger).items() <= ALL.items()
            assert len(vectors(ledger)) >= len(ALL) - 10
            assert salvage.is_whole(made.file)
        ledger.close()


def undecodable(made: Made) -> None:
    """A page torn within a long text leaves a row that SQLite finds nothing wrong with."""
    with closing(sqlite3.connect(made.file)) as connection:
        connection.execute("UPDATE identities SET text = CAST(x'eb82a5a5' AS TEXT) WHERE version = 1")
        connection.commit()
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)


def test_a_text_torn_in_its_middle_is_damage_at_the_start(made: Made) -> None:
    undecodable(made)
    ledger = Ledger(made.folder)
    assert "Could not decode" in ledger.recovered
    assert vectors(ledger) == ALL
    assert (latest := ledger.identities.latest()) is not None
    assert latest.text == "나는 에코다 2"
    ledger.close()
    assert salvage.is_whole(made.file)


def test_zeros_in_what_an_identity_was_made_of_are_damage_at_the_start(made: Made) -> None:
    with closing(sqlite3.connect(made.file)) as connection:
        connection.execute("UPDATE identities SET made_of = CAST(x'7b220000' AS TEXT) WHERE version = 1")
        connection.commit()
    assert not salvage.is_whole(made.file)
    ledger = Ledger(made.folder)
    assert "no JSON" in ledger.recovered
    assert ledger.identities.get(1) is None
    assert (latest := ledger.identities.latest()) is not None
    assert latest.version == 2
    ledger.close()
    assert salvage.is_whole(made.file)


def test_a_text_torn_in_its_middle_is_damage_when_it_is_met(made: Made) -> None:
    ledger = Ledger(made.folder)
    undecodable(made)
    with pytest.raises(LedgerDamagedError, match="Could not decode"):
        ledger.identities.get(1)
    assert ledger.damaged.is_set()
    assert ledger.recover(1) is Recovery.ANEW
    assert ledger.identities.get(1) is None
    assert vectors(ledger) == ALL
    ledger.close()


def test_a_log_deleted_after_a_kill_leaves_an_older_ledger_that_opens(made: Made, tmp_path: Path) -> None:
    ledger = Ledger(made.folder)
    ledger.remember("later", "yes")
    killed = tmp_path / "killed"
    shutil.copytree(made.folder, killed)
    ledger.close()
    (killed / f"{NAME}-wal").unlink()
    opened = Ledger(killed)
    assert opened.unclean
    assert opened.recovered == ""
    assert opened.setting("later") is None
    assert vectors(opened) == ALL
    opened.check(lambda: False)
    assert not opened.damage
    opened.close()


def test_what_stands_in_the_log_alone_is_carried_over_too(made: Made, tmp_path: Path) -> None:
    ledger = Ledger(made.folder)
    # Too little for the file to grow: its first page is not in the log, and SQLite can't do without it.
    ledger.remember("late", "yes")
    killed = Made(tmp_path / "killed", made.instance)
    shutil.copytree(made.folder, killed.folder)
    ledger.close()
    killed.tear(0)
    opened = Ledger(killed.folder)
    assert opened.recovered
    assert opened.setting("late") == "yes"
    assert vectors(opened) == ALL
    opened.close()


@pytest.mark.parametrize("fault", [garbage_header, a_cut_off_end])
def test_that_something_was_erased_is_carried_over(made: Made, fault: Callable[[Made], None]) -> None:
    ledger = Ledger(made.folder)
    begun = ledger.erasures.begin("c1", by="jihun", at=START, turns=3)
    ledger.erasures.finish(begun.id, at=START, fragments=7, found=0)
    records = ledger.erasures.all()
    ledger.close()
    fault(made)
    ledger = Ledger(made.folder)
    assert ledger.recovered
    assert ledger.erasures.all() == records
    assert len(vectors(ledger)) >= len(ALL) - 5
    assert ledger.identities.latest() is not None
    ledger.close()


@pytest.mark.parametrize("cut", [False, True])
def test_while_an_erasure_is_not_done_nothing_that_it_may_erase_is_carried_over(
    made: Made, cut: bool
) -> None:
    ledger = Ledger(made.folder)
    begun = ledger.erasures.begin("c1", by="jihun", at=START, turns=3)
    if cut:
        ledger.erasures.cut(begun, targets={}, removed=[], scrubbed=str)
    ledger.close()
    made.tear(0)
    ledger = Ledger(made.folder)
    assert [row.id for row in ledger.erasures.unfinished()] == [begun.id]
    assert "0 vectors, 0 identities, 2 replays were carried over" in ledger.recovered
    assert vectors(ledger) == {}
    assert ledger.identities.latest() is None
    again = ledger.identities.add(digest="3" * 64, text="", tokens=0, missing=[], created_at=START)
    assert again.version == 3
    ledger.close()


def test_copies_are_removed_with_their_logs_and_the_ledger_stays(made: Made) -> None:
    made.tear(0)
    ledger = Ledger(made.folder, FakeClock(datetime(2026, 3, 15, 21, 4, tzinfo=UTC)))
    for name in (
        "ledger.damaged-20260315T210400.sqlite3-wal",
        "ledger.sqlite3.new",
        "ledger.sqlite3.new-wal",
    ):
        (made.folder / name).write_bytes(b"something of it")
    assert ledger.remove_copies() == (
        "ledger.damaged-20260315T210400.sqlite3",
        "ledger.damaged-20260315T210400.sqlite3-wal",
        "ledger.sqlite3.new",
        "ledger.sqlite3.new-wal",
    )
    assert ledger.remove_copies() == ()
    assert vectors(ledger) == ALL
    ledger.close()


def test_a_copy_that_cant_be_removed_is_said(made: Made) -> None:
    ledger = Ledger(made.folder)
    (made.folder / "ledger.damaged-20260315T210400.sqlite3").mkdir()
    with pytest.raises(StoreError, match="It may hold what is being erased"):
        ledger.remove_copies()
    ledger.close()


def test_an_emptied_ledger_is_damage_and_no_new_one(made: Made) -> None:
    made.file.write_bytes(b"")
    ledger = Ledger(made.folder)
    assert "it is empty" in ledger.recovered
    assert vectors(ledger) == {}
    assert len(made.kept()) == 1
    ledger.close()


def test_two_damaged_ledgers_in_one_second_are_both_kept(made: Made) -> None:
    clock = FakeClock()
    for _ in range(2):
        made.tear(0)
        Ledger(made.folder, clock).close()
    assert len(made.kept()) == 2


def test_a_kill_while_it_is_recovered_begins_again(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made.tear(0)
    for step in ("_insert_by_shape", "_set_aside", "sync_folder"):
        with monkeypatch.context() as patch:

            def killed(*_: object) -> None:
                raise KeyboardInterrupt

            patch.setattr(salvage, step, killed)
            with pytest.raises(KeyboardInterrupt):
                Ledger(made.folder)
    ledger = Ledger(made.folder)
    assert vectors(ledger) == ALL
    assert_the_small_tables_are_there(ledger, made)
    assert len(made.kept()) == 1
    ledger.close()


# While it runs


def test_damage_met_by_a_reader_is_noted_and_recovered_in_place(made: Made) -> None:
    ledger = Ledger(made.folder)
    ledger._database._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    made.tear(*range(1, made.file.stat().st_size // PAGE, 2), with_bytes=b"\xff")
    assert not ledger.damaged.is_set()
    fresh = sqlite3.connect(made.file)  # has none of the pages in its cache
    fresh.row_factory = sqlite3.Row
    ledger._database._readers.put(fresh)
    with pytest.raises(LedgerDamagedError, match="is recovered without your help"):
        vectors(ledger)
    assert ledger.damaged.is_set()
    assert "malformed" in ledger.damage
    assert ledger.recover(1) is Recovery.ANEW
    assert not ledger.damaged.is_set()
    assert vectors(ledger).items() <= ALL.items()
    put(ledger, "day0315/new.txt", "new")
    assert list(ledger.files.known()) == ["day0315/new.txt"]
    assert len(made.kept()) == 1
    ledger.close()


def test_nobody_comes_in_while_it_is_recovered_and_readers_at_work_are_waited_for(made: Made) -> None:
    ledger = Ledger(made.folder)
    with ledger._database.read() as connection:
        ledger._database.found_damaged("a test")
        assert ledger.recover(0) is Recovery.BUSY
        assert connection.execute("SELECT count(*) FROM vectors").fetchone()[0] == len(ALL)
        with pytest.raises(LedgerDamagedError, match="is being recovered"):
            ledger.files.known()
        with pytest.raises(LedgerDamagedError, match="is being recovered"):
            ledger.remember("a", "b")
    assert ledger.recover(0) is Recovery.WHOLE
    assert "nothing in it was lost" in ledger.recovered
    assert len(ledger.files.known()) == 8
    assert made.kept() == []
    ledger.close()


@pytest.mark.parametrize("end", ["-wal", "-shm"])
def test_a_log_deleted_while_it_is_in_use_loses_nothing(made: Made, end: str) -> None:
    ledger = Ledger(made.folder)
    ledger.remember("before", "yes")
    (made.folder / f"{NAME}{end}").unlink()
    with pytest.raises(LedgerDamagedError, match="deleted or replaced while it was in use"):
        ledger.remember("after", "no")
    assert ledger.recover(1) is Recovery.WHOLE
    assert "nothing in it was lost" in ledger.recovered
    assert ledger.setting("before") == "yes"
    ledger.remember("after", "yes")
    ledger.close()
    opened = Ledger(made.folder)
    assert (opened.setting("before"), opened.setting("after")) == ("yes", "yes")
    opened.close()


def test_a_ledger_deleted_while_it_is_in_use_is_made_anew(made: Made) -> None:
    ledger = Ledger(made.folder)
    made.file.unlink()
    with pytest.raises(LedgerDamagedError, match="deleted or replaced"):
        ledger.remember("after", "no")
    assert ledger.recover(1) is Recovery.ANEW
    ledger.remember("after", "yes")
    assert ledger.setting("after") == "yes"
    ledger.close()


def test_a_state_folder_that_is_gone_is_no_damage(made: Made) -> None:
    ledger = Ledger(made.folder)
    away = made.folder.with_name("away")
    made.folder.rename(away)
    made.folder.mkdir()
    with pytest.raises(StoreError, match="Mount or move it back"):
        ledger.remember("after", "no")
    assert not ledger.damaged.is_set()
    assert "another one stands in its place" in ledger.trouble
    made.folder.rmdir()
    away.rename(made.folder)
    ledger.probe()
    assert ledger.trouble == ""
    ledger.close()


def test_no_room_for_a_new_ledger_leaves_the_damaged_one_until_there_is(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.tear(0)
    damaged = made.file.read_bytes()
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL

    def no_room(*_: object) -> None:
        raise full

    with monkeypatch.context() as patch:
        patch.setattr(salvage, "_carry_over", no_room)
        with pytest.raises(StoreError, match="free some room there; memoryd tries again by itself"):
            Ledger(made.folder)
    assert made.file.read_bytes() == damaged
    ledger = Ledger(made.folder)
    assert vectors(ledger) == ALL
    ledger.close()


def test_a_ledger_made_anew_that_cant_be_opened_at_once_is_new_all_the_same(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(made.folder)
    made.file.unlink()
    with pytest.raises(LedgerDamagedError):
        ledger.remember("a", "b")
    with monkeypatch.context() as patch:

        def refuse() -> None:
            raise StoreError("The disk is full.")

        patch.setattr(ledger._database, "open", refuse)
        with pytest.raises(StoreError):
            ledger.recover(1)
    assert ledger.recover(1) is Recovery.ANEW
    assert "was damaged" in ledger.recovered
    ledger.close()
