from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memoryd.korean import Words
from memoryd.ledger import terms
from memoryd.ledger.terms import Term, TermCounts, affordable
from tests.memoryd.ledger.made import passage_id, put

if TYPE_CHECKING:
    import sqlite3

    from memoryd.ledger import Ledger

SHARED = ("",)


@pytest.fixture
def counted(ledger: Ledger) -> Ledger:
    """`the` in nine passages, `cat` in three, `tofu` in one."""
    for number in range(9):
        words = "the" + " cat" * (number < 3) + " tofu" * (number == 0)
        put(ledger, f"day0315/{number}.txt", words)
    return ledger


def found(ledger: Ledger, words: str) -> list[str]:
    return [place.passage_id for place, _ in ledger.search.lexical(Words(words, ""), SHARED, 100)]


def test_the_rarest_terms_come_first_and_those_of_no_passage_last() -> None:
    some = [Term("tofu", 2.0, 1), Term("cat", 1.0, 3), Term("the", 0.1, 9), Term("zebra", 3.0, 0)]
    assert affordable(some) == some[:3]
    assert affordable([Term("zebra", 3.0, 0)]) == []


def test_terms_end_where_they_would_match_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    some = [Term("tofu", 2.0, 1), Term("cat", 1.0, 3), Term("the", 0.1, 9)]
    monkeypatch.setattr(terms, "MOST_MATCHES", 5)
    assert [term.match for term in affordable(some)] == ["tofu", "cat"]
    assert [term.match for term in affordable(some[2:])] == ["the"]


def test_a_common_word_finds_nothing_where_rarer_ones_fill_what_may_be_looked_at(
    counted: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(found(counted, "the cat tofu")) == 9
    monkeypatch.setattr(terms, "MOST_MATCHES", 5)
    assert len(found(counted, "the cat tofu")) == 3


def test_of_a_word_that_is_everywhere_the_last_passages_are_looked_at(
    counted: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terms, "MOST_MATCHES", 5)
    last = [passage_id(f"day0315/{number}.txt", "the") for number in range(3, 9)]
    assert sorted(found(counted, "the")) == sorted(last)


def test_a_common_words_count_is_reckoned_from_where_counting_ended(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        put(ledger, f"day0315/{number}.txt", "the" if number % 2 else "a")
    monkeypatch.setattr(terms, "MOST_COUNTED", 5)
    with ledger._database.read() as connection:
        (term,) = TermCounts().of(connection, Words("the", ""))
    assert term.matches == 20


def test_a_word_that_no_passage_has_lowers_every_share(counted: Ledger) -> None:
    (_, whole), *_ = counted.search.lexical(Words("tofu", ""), SHARED, 1)
    (_, part), *_ = counted.search.lexical(Words("tofu zebra", ""), SHARED, 1)
    assert 0 < part < whole <= 1


def test_a_word_that_was_asked_for_before_it_was_said_is_found_once_it_is(ledger: Ledger) -> None:
    for number in range(30):
        put(ledger, f"day0315/{number}.txt", "cat")
    assert found(ledger, "busan") == []
    put(ledger, "day0316/a.txt", "moved to busan")
    assert len(found(ledger, "busan")) == 1


def test_a_common_words_count_is_remembered_until_the_memory_has_grown(
    counted: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terms, "COMMON", 3)
    looked_up: list[str] = []
    count = terms._count

    def noted(connection: sqlite3.Connection, match: str, passages: int) -> int:
        looked_up.append(match)
        return count(connection, match, passages)

    monkeypatch.setattr(terms, "_count", noted)
    for _ in range(2):
        found(counted, "the tofu")
    assert looked_up == ['morphemes:"the"', 'morphemes:"tofu"', 'morphemes:"tofu"']
    put(counted, "day0316/a.txt", *[f"the {n}" for n in range(5)])
    found(counted, "the")
    assert looked_up[-1] == 'morphemes:"the"'


def test_others_passages_take_no_place_of_ones_own(ledger: Ledger) -> None:
    for number in range(20):
        put(ledger, f"day0315/jihoon/{number}.txt", f"tofu {number}", owner="jihoon")
    put(ledger, "day0315/mina/a.txt", "a long talk about many things and tofu", owner="mina")
    places = ledger.search.lexical(Words("tofu", ""), ["mina"], 5)
    assert [place.passage_id for place, _ in places] == [
        passage_id("day0315/mina/a.txt", "a long talk about many things and tofu")
    ]


def test_counts_follow_the_memory_as_it_grows(ledger: Ledger) -> None:
    put(ledger, "day0315/a.txt", "cat")
    (_, alone), *_ = ledger.search.lexical(Words("cat tofu", ""), SHARED, 1)
    for number in range(20):
        put(ledger, f"day0316/{number}.txt", "tofu house")
    (_, later), *_ = ledger.search.lexical(Words("cat tofu", ""), SHARED, 1)
    assert later > alone
