"""Rows come off an SQLite file's pages as SQLite itself reads them."""

from __future__ import annotations

import shutil
import sqlite3
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.ledger.pages import rows

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False).filter(lambda number: not number.is_integer()),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9000),
    st.binary(max_size=9000),
)


@settings(deadline=None)  # each makes a file
@given(st.lists(st.tuples(VALUES, VALUES), max_size=12))
def test_every_row_is_found_whatever_its_values_and_length(
    tmp_path_factory: pytest.TempPathFactory, values: list[tuple[object, object]]
) -> None:
    file = tmp_path_factory.mktemp("pages") / "some.sqlite3"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE plain (a, b)")
        connection.execute("CREATE TABLE keyed (key INTEGER, a, b, PRIMARY KEY (key)) WITHOUT ROWID")
        connection.executemany("INSERT INTO plain VALUES (?, ?)", values)
        connection.executemany(
            "INSERT INTO keyed VALUES (?, ?, ?)", [(1000 + place, *pair) for place, pair in enumerate(values)]
        )
    connection.close()
    found = [row for row in rows(file) if len(row.values) in {2, 3}]
    assert sorted(row.number for row in found if len(row.values) == 2) == list(range(1, len(values) + 1))
    for row in found:
        if len(row.values) == 2:
            assert row.values == values[row.number - 1]
    keyed = {row.values[0]: row.values[1:] for row in found if len(row.values) == 3}
    assert keyed == {1000 + place: pair for place, pair in enumerate(values)}


@settings(deadline=None)  # each makes a file
@given(st.binary(max_size=3 * 4096))
def test_garbage_has_no_rows_and_is_no_trouble(
    tmp_path_factory: pytest.TempPathFactory, garbage: bytes
) -> None:
    file = tmp_path_factory.mktemp("pages") / "some.sqlite3"
    file.write_bytes(garbage)
    list(rows(file))


def test_rows_that_stand_in_the_log_alone_are_found_once_they_are_committed(tmp_path: Path) -> None:
    file = tmp_path / "some.sqlite3"
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE plain (a, b, c)")
    connection.execute("INSERT INTO plain VALUES ('old', 1, 2)")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("UPDATE plain SET a = 'new'")
    connection.execute("INSERT INTO plain VALUES (?, 3, 4)", ("long" * 3000,))
    copy = tmp_path / "killed.sqlite3"
    shutil.copy(file, copy)
    shutil.copy(f"{file}-wal", f"{copy}-wal")
    connection.close()
    found = [row.values for row in rows(copy) if len(row.values) == 3]
    assert found == [("new", 1, 2), ("long" * 3000, 3, 4)]
    log = (tmp_path / "killed.sqlite3-wal").read_bytes()
    (tmp_path / "killed.sqlite3-wal").write_bytes(log[:-100])  # its last commit is cut off
    assert [row.values for row in rows(copy) if len(row.values) == 3] == [("new", 1, 2)]


def test_a_page_that_says_it_is_a_tree_of_itself_ends(tmp_path: Path) -> None:
    file = tmp_path / "some.sqlite3"
    # A leaf with one cell whose row runs over onto page 1 for ever.
    page = bytearray(4096)
    page[0], page[4], page[8:10] = 0x0D, 1, (100).to_bytes(2, "big")
    page[100:105] = b"\xff\xff\xff\x7f\x01"
    file.write_bytes(b"\0" * 4096 + bytes(page))
    assert list(rows(file)) == []
