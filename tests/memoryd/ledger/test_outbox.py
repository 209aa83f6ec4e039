"""The outbox names passages, oldest change first, and says what is true of each now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memoryd.ledger import Ledger
from tests.memoryd.ledger.made import EMBEDDER, empty_outbox, passage_id, put, waiting

if TYPE_CHECKING:
    from pathlib import Path

PATH = "day0315/talk.txt"
ONE, TWO = passage_id(PATH, "one"), passage_id(PATH, "two")


def test_changes_come_oldest_first_and_a_few_at_a_time(ledger: Ledger) -> None:
    put(ledger, PATH, "one", "two")
    first = ledger.outbox.batch(EMBEDDER, 1)
    assert [each.passage_id for each in first] == [ONE]
    assert ledger.outbox.batch(EMBEDDER, 1) == first
    ledger.outbox.clear([each.seq for each in first])
    assert waiting(ledger) == [(TWO, "", True)]
    assert ledger.outbox.count() == 1


def test_a_passage_deleted_before_chroma_took_it_is_a_deletion(ledger: Ledger) -> None:
    put(ledger, PATH, "one")
    ledger.files.remove(PATH)
    assert waiting(ledger) == [(ONE, "", False), (ONE, "", False)]


def test_a_passage_that_came_back_is_put_in_whatever_was_noted_first(ledger: Ledger) -> None:
    put(ledger, PATH, "one")
    ledger.files.remove(PATH)
    put(ledger, PATH, "one")
    assert set(waiting(ledger)) == {(ONE, "", True)}


def test_a_passage_without_a_vector_of_this_embedder_is_not_put_in(ledger: Ledger) -> None:
    put(ledger, PATH, "one")
    (each,) = ledger.outbox.batch("fake-2", 10)
    assert each.vector is None


def test_a_refill_names_every_passage_once_and_drops_what_waited(ledger: Ledger) -> None:
    put(ledger, PATH, "one", "two")
    put(ledger, "day0315/jihoon/own.txt", "own", owner="jihoon")
    ledger.files.remove(PATH)
    put(ledger, PATH, "two")
    assert ledger.outbox.refill() == 2
    assert sorted(waiting(ledger)) == [
        (passage_id("day0315/jihoon/own.txt", "own"), "jihoon", True),
        (TWO, "", True),
    ]


def test_what_chroma_should_hold_is_counted_by_owner_and_embedder(ledger: Ledger) -> None:
    put(ledger, PATH, "one", "two")
    put(ledger, "day0315/jihoon/own.txt", "own", owner="jihoon")
    empty_outbox(ledger)
    assert ledger.outbox.expected(EMBEDDER) == {"": 2, "jihoon": 1}
    assert ledger.outbox.expected("fake-2") == {}


def test_numbers_are_never_used_twice_even_when_all_is_taken(tmp_path: Path) -> None:
    """A change noted between reading a batch and clearing it must not be cleared with it."""
    ledger = Ledger(tmp_path)
    put(ledger, PATH, "one")
    taken = ledger.outbox.batch(EMBEDDER, 10)
    ledger.outbox.clear([each.seq for each in taken])
    ledger.close()
    again = Ledger(tmp_path)
    put(again, PATH, "one", "two")
    assert min(each.seq for each in again.outbox.batch(EMBEDDER, 10)) > max(each.seq for each in taken)
    again.close()
