"""SQLite under the ledger: commits whole or not at all, and says what is wrong with a file."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import threading
from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from memoryd.errors import LedgerDamagedError, StoreError
from memoryd.ledger import Ledger, database
from memoryd.ledger.database import MIGRATIONS, Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTING = "INSERT INTO settings VALUES (?, 'x')"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite3"


@pytest.fixture
def opened(file: Path) -> Iterator[Database]:
    made = Database(file)
    yield made
    made.close()


def names(opened: Database) -> list[str]:
    with opened.read() as connection:
        return [row["name"] for row in connection.execute("SELECT name FROM settings ORDER BY name")]


# Transactions


def test_a_transaction_is_there_once_it_is_done(opened: Database) -> None:
    with opened.write() as connection:
        connection.execute(SETTING, ("one",))
        assert names(opened) == []
    assert names(opened) == ["one"]


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt])
def test_a_transaction_that_fails_leaves_nothing_and_the_fault_is_told(
    opened: Database, fault: type[BaseException]
) -> None:
    with pytest.raises(fault), opened.write() as connection:  # noqa: PT012  (a transaction of two steps)
        connection.execute(SETTING, ("one",))
        raise fault
    assert names(opened) == []
    with opened.write() as connection:
        connection.execute(SETTING, ("two",))
    assert names(opened) == ["two"]


def test_a_write_that_sqlite_refuses_names_the_ledger(opened: Database, file: Path) -> None:
    with pytest.raises(StoreError) as caught, opened.write() as connection:  # noqa: PT012
        connection.execute(SETTING, ("one",))
        connection.execute(SETTING, ("one",))
    assert str(file) in str(caught.value)
    assert isinstance(caught.value.__cause__, sqlite3.Error)
    assert names(opened) == []


def test_writers_wait_for_each_other_and_none_is_lost(opened: Database) -> None:
    def write(who: int) -> None:
        for number in range(10):
            with opened.write() as connection:
                connection.execute(SETTING, (f"{who} {number}",))

    threads = [threading.Thread(target=write, args=(who,)) for who in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(names(opened)) == 30


def test_a_commit_outlives_a_power_cut(opened: Database) -> None:
    with opened.read() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1


# Migrations


def test_a_new_file_gets_every_migration_and_keeps_the_number(opened: Database) -> None:
    with opened.read() as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)


def test_opening_again_migrates_nothing(file: Path) -> None:
    for _ in range(2):
        opened = Database(file)
        with opened.write() as connection:
            connection.execute("INSERT OR REPLACE INTO settings VALUES ('one', 'x')")
        assert names(opened) == ["one"]
        opened.close()


def test_an_older_ledger_gets_what_it_lacks(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Database(file).close()
    monkeypatch.setattr(database, "MIGRATIONS", (*MIGRATIONS, "CREATE TABLE later (x);"))
    opened = Database(file)
    with opened.read() as connection:
        assert connection.execute("SELECT count(*) FROM later").fetchone()[0] == 0
        assert connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS) + 1
    opened.close()


def older(file: Path, number: int = 20) -> list[tuple[str, bytes, bytes]]:
    """Makes a ledger of the version before vectors had row numbers; returns its vectors."""
    vectors = [("e5", hashlib.sha256(bytes([at])).digest(), bytes([at]) * 1536) for at in range(number)]
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript("".join(MIGRATIONS[:4]) + "PRAGMA user_version = 4;")
        connection.executemany("INSERT INTO vectors VALUES (?, ?, ?)", vectors)
        connection.commit()
    return sorted(vectors)


def test_vectors_of_an_older_ledger_are_kept(file: Path) -> None:
    vectors = older(file)
    opened = Database(file)
    with opened.read() as connection:
        assert [tuple(row) for row in connection.execute("SELECT * FROM vectors ORDER BY key")] == vectors
    opened.close()


def test_an_older_ledger_that_is_torn_is_damaged_and_not_rewritten(file: Path) -> None:
    older(file, number=200)
    content = bytearray(file.read_bytes())
    # A leaf of the tree of vectors: its rows grow from the page's end.
    leaf = next(
        at for at in range(0, len(content), 4096) if content[at] == 10 and b"e5" in content[at : at + 4096]
    )
    content[leaf + 2048 : leaf + 4096] = bytes(2048)
    file.write_bytes(content)
    with pytest.raises(LedgerDamagedError, match="damaged"):
        Database(file)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 4


def test_an_older_ledger_without_room_to_rewrite_it_says_how_much_it_takes(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older(file)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000))
        with pytest.raises(StoreError, match=r"takes 1 MiB of room; 0 MiB are free\. Free some"):
            Database(file)
    Database(file).close()


def test_a_migration_that_fails_leaves_nothing_of_itself(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Database(file).close()
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", (*MIGRATIONS, "CREATE TABLE half (x); NONSENSE;"))
        with pytest.raises(StoreError, match="can't be opened"):
            Database(file)
    opened = Database(file)
    with opened.read() as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
        assert not connection.execute("SELECT * FROM sqlite_master WHERE name = 'half'").fetchall()
    opened.close()


def test_a_ledger_of_a_newer_memoryd_is_refused_and_left_alone(file: Path) -> None:
    Database(file).close()
    plain = sqlite3.connect(file)
    plain.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    plain.close()
    before = file.read_bytes()
    with pytest.raises(StoreError, match=r"made by a newer memoryd\. Install that version or newer"):
        Database(file)
    assert file.read_bytes() == before


# Damage


def test_a_file_that_is_no_database_is_damage(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"not a database at all, but long enough to be looked at " * 100)
    with pytest.raises(LedgerDamagedError) as caught:
        Database(file)
    assert str(file) in str(caught.value)
    assert "recovered without your help" in str(caught.value)


def test_damaged_pages_are_found_at_the_start(file: Path) -> None:
    Database(file).close()
    data = bytearray(file.read_bytes())
    data[4096 : len(data)] = b"\xff" * (len(data) - 4096)
    file.write_bytes(data)
    with pytest.raises(LedgerDamagedError):
        Database(file)


@pytest.mark.parametrize("statement", ["PRAGMA user_version = 0", "DROP TABLE vectors", "DROP TABLE lexical"])
def test_a_ledger_without_its_version_or_a_table_is_damaged(file: Path, statement: str) -> None:
    Database(file).close()
    plain = sqlite3.connect(file)
    plain.execute(statement)
    plain.close()
    with pytest.raises(LedgerDamagedError):
        Database(file)


# A disk that a person must see to is no damage


def test_a_full_disk_is_said_with_its_remedy_until_there_is_room(opened: Database) -> None:
    (pages,) = opened._writer.execute("PRAGMA page_count").fetchone()
    opened._writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="disk is full: free some room there"), opened.write() as connection:
        connection.execute("INSERT INTO settings VALUES ('long', ?)", ("x" * 100_000,))
    assert "tries again by itself" in opened.trouble
    assert not opened.damaged.is_set()
    opened._writer.execute("PRAGMA max_page_count = 1000000")
    with opened.write() as connection:
        connection.execute("INSERT INTO settings VALUES ('long', ?)", ("x" * 100_000,))
    assert opened.trouble == ""


def test_a_ledger_that_may_not_be_written_is_said_with_its_remedy(opened: Database) -> None:
    opened._writer.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match=r"chown -R \d+ "), opened.write() as connection:
        connection.execute(SETTING, ("one",))
    assert "chmod -R u+rwX" in opened.trouble
    opened._writer.execute("PRAGMA query_only = OFF")
    with opened.write() as connection:
        connection.execute(SETTING, ("one",))
    assert opened.trouble == ""


def test_a_ledger_without_permission_is_no_damage(unprivileged: Path) -> None:
    file = unprivileged / "ledger.sqlite3"
    Database(file).close()
    file.chmod(0o400)
    with pytest.raises(StoreError, match="chmod -R u") as caught:
        Database(file)
    assert not isinstance(caught.value, LedgerDamagedError)


def test_a_clean_end_is_told_from_a_kill(file: Path) -> None:
    first = Database(file)
    assert not first.unclean
    first.close()
    second = Database(file)
    assert not second.unclean
    second._writer.close()  # as a kill leaves it
    third = Database(file)
    assert third.unclean
    third.close()


def test_a_state_folder_that_cant_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file in the way")
    with pytest.raises(StoreError, match="can't be opened"):
        Ledger(tmp_path / "state")


def test_a_ledger_whose_folder_vanished_is_a_store_error_for_the_next_reader(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "state")
    shutil.rmtree(tmp_path / "state")
    with pytest.raises(StoreError, match="can't be read"):
        ledger.files.list()
    ledger.close()


# Settings


def test_a_remembered_value_is_replaced_and_an_unknown_one_is_none(ledger: Ledger) -> None:
    assert ledger.setting("generation") is None
    ledger.remember("generation", "1")
    ledger.remember("generation", "2")
    assert ledger.setting("generation") == "2"
