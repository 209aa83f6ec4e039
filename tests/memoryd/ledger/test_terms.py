from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memoryd.korean import Words
from memoryd.ledger import terms
from memoryd.ledger.terms import Term, affordable
from tests.memoryd.ledger.made import put

if TYPE_CHECKING:
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
    assert len(found(counted, "the")) == 9


def test_a_word_that_no_passage_has_lowers_every_share(counted: Ledger) -> None:
    (_, whole), *_ = counted.search.lexical(Words("tofu", ""), SHARED, 1)
    (_, part), *_ = counted.search.lexical(Words("tofu zebra", ""), SHARED, 1)
    assert 0 < part < whole <= 1


def test_counts_follow_the_memory_as_it_grows(ledger: Ledger) -> None:
    put(ledger, "day0315/a.txt", "cat")
    (_, alone), *_ = ledger.search.lexical(Words("cat tofu", ""), SHARED, 1)
    for number in range(20):
        put(ledger, f"day0316/{number}.txt", "tofu house")
    (_, later), *_ = ledger.search.lexical(Words("cat tofu", ""), SHARED, 1)
    assert later > alone
