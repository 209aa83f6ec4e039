from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from memoryd.korean import Words
from memoryd.ledger import terms
from memoryd.ledger.terms import COLUMNS, MEANING, Term, TermCounts, affordable
from tests.memoryd.ledger.made import passage_id, put

if TYPE_CHECKING:
    import sqlite3

    import numpy as np
    from numpy.typing import NDArray

    from memoryd.ledger import Ledger

SHARED = ("",)
A = "day0315/a.txt"


@pytest.fixture
def counted(ledger: Ledger) -> Ledger:
    """`the` in nine passages, `cat` in three, `tofu` in one."""
    for number in range(9):
        words = "the" + " cat" * (number < 3) + " tofu" * (number == 0)
        put(ledger, f"day0315/{number}.txt", words)
    return ledger


def found(ledger: Ledger, words: str) -> list[str]:
    return [place.passage_id for place in ledger.search.lexical(Words(words, ""), SHARED, 100)[0]]


def best_share(ledger: Ledger, words: str) -> float:
    (best,), shares = ledger.search.lexical(Words(words, ""), SHARED, 1)
    return shares.of([best.row])[best.row]


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
    monkeypatch.setattr(terms, "MOST_OF_ONE", 5)
    monkeypatch.setattr(terms, "FEW", 3)
    last = [passage_id(f"day0315/{number}.txt", "the") for number in range(4, 9)]
    assert sorted(found(counted, "the")) == sorted(last)


def test_a_word_that_only_early_passages_have_is_counted_and_found(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terms, "FEW", 3)
    monkeypatch.setattr(terms, "MOST_MATCHES", 30)
    for number in range(40):
        put(ledger, f"day0315/{number:02d}.txt", "runpod" if number < 10 else "tofu")
    with ledger._database.read() as connection:
        (term,) = TermCounts().of(connection, Words("runpod", ""))
    assert term.matches == 10
    assert len(found(ledger, "runpod")) == 10


def test_a_remembered_count_is_counted_again_after_a_while(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terms, "FEW", 3)
    monkeypatch.setattr(terms, "MOST_MATCHES", 6)
    for number in range(10):
        put(ledger, f"day0315/{number}.txt", "cat roomba", f"other {number}")
    put(ledger, "day0316/last.txt", "last cat")
    assert len(found(ledger, "last roomba")) == 1
    for number in range(8):
        ledger.files.remove(f"day0315/{number}.txt")
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + terms.REMEMBERED_S)
    assert len(found(ledger, "last roomba")) == 3


def test_gaps_between_row_numbers_make_no_word_rarer(ledger: Ledger) -> None:
    for number in range(40):
        put(ledger, "day0315/a.txt", f"the {number}")
        put(ledger, "day0315/b.txt", f"the {number}")
    with ledger._database.read() as connection:
        (term,) = TermCounts().of(connection, Words("the", ""))
    assert term.matches == 2
    assert term.weight < 0.1


@pytest.mark.parametrize("word", ['"', '\u200b"', 'a"b', 'tofu"', "\0", "to\0fu", "tofu\0"])
def test_no_word_ends_the_string_that_it_stands_in(ledger: Ledger, word: str) -> None:
    put(ledger, "day0315/a.txt", "tofu")
    assert len(found(ledger, word)) <= 1


def test_among_equals_those_that_came_in_last_come_first(counted: Ledger) -> None:
    assert found(counted, "cat")[:2] == [
        passage_id("day0315/2.txt", "the cat"),
        passage_id("day0315/1.txt", "the cat"),
    ]


def test_a_bigram_says_less_than_a_word(ledger: Ledger) -> None:
    for number in range(20):
        put(ledger, f"day0315/{number}.txt", f"note {number}")
    put(ledger, "day0316/a.txt", "tofu")
    put(ledger, "day0316/b.txt", "운동")
    _, shares = ledger.search.lexical(Words("tofu", "운동"), SHARED, 2)
    less = COLUMNS["bigrams"]
    assert sorted(shares.shares.tolist()) == pytest.approx([less / (1 + less), 1 / (1 + less)])
    assert less < 1


def test_a_passage_without_the_sound_of_a_word_lacks_nothing(ledger: Ledger) -> None:
    put(ledger, "day0315/a.txt", "runpod")
    assert best_share(ledger, "runpod") == 1.0
    (_,), shares = ledger.search.lexical(Words("runpod", "ㄹㄴㅍㄷ"), SHARED, 1)
    assert shares.shares.tolist() == [1.0]


def share(ledger: Ledger, words: str, *meanings: tuple[str, tuple[str, ...]]) -> float:
    (best,), shares = ledger.search.lexical(Words(words, "", meanings), SHARED, 1)
    return shares.of([best.row])[best.row]


def test_what_a_word_is_in_the_other_language_is_found_and_says_less(counted: Ledger) -> None:
    put(counted, "day0316/a.txt", "goyangi dubu")
    both = ("tofu", ("dubu", "sundubu"))
    _, shares = counted.search.lexical(Words("tofu", "", (both,)), SHARED, 5)
    assert sorted(shares.shares.tolist()) == pytest.approx([MEANING, 1.0], rel=0.2)
    assert MEANING < 1


def test_a_passage_without_the_other_languages_word_lacks_nothing(counted: Ledger) -> None:
    put(counted, "day0316/a.txt", "goyangi")
    assert share(counted, "tofu", ("tofu", ("goyangi",))) == share(counted, "tofu") == 1


def test_a_word_that_only_the_other_language_has_counts_by_that_one_alone(counted: Ledger) -> None:
    """In a memory in Korean, each English word would be the rarest of all, and every share next to nothing."""
    put(counted, "day0316/a.txt", "eollukmal dongmurwon")
    put(counted, "day0317/a.txt", "saja dongmurwon")
    asked = ("zebra zoo", ("zebra", ("eollukmal",)), ("zoo", ("dongmurwon", "sapari")))
    assert share(counted, *asked) == pytest.approx(1.0)
    # "zoo" is said itself here, so nothing stands in its place; "zebra" is not.
    put(counted, "day0318/a.txt", "zoo")
    assert 0.5 < share(counted, *asked) < 1


def test_words_that_mean_the_same_count_once(counted: Ledger) -> None:
    put(counted, "day0316/a.txt", "cancel canceling")
    put(counted, "day0317/a.txt", "booked")
    asked = ("tofu booked", ("tofu", ("cancel", "cancelled", "canceled")))
    _, shares = counted.search.lexical(Words(asked[0], "", asked[1:]), SHARED, 5)
    alone = share(counted, "tofu booked", ("tofu", ("cancel",)))
    assert shares.shares.max() == pytest.approx(alone)


def test_a_word_that_says_nothing_counts_where_somebody_says_it(counted: Ledger) -> None:
    assert share(counted, "tofu zebra", ("zebra", ())) == 1
    assert share(counted, "tofu cat", ("cat", ())) == share(counted, "tofu cat") == 1
    put(counted, "day0316/a.txt", "zebra")
    assert share(counted, "tofu zebra", ("zebra", ())) < 1


def test_a_word_that_neither_language_has_lowers_every_share(counted: Ledger) -> None:
    assert share(counted, "tofu zebra", ("zebra", ("eollukmal",))) == best_share(counted, "tofu zebra") < 1


def test_a_word_that_no_passage_has_lowers_every_share(counted: Ledger) -> None:
    assert 0 < best_share(counted, "tofu zebra") < best_share(counted, "tofu") == 1


def test_a_word_that_was_asked_for_before_it_was_said_is_found_once_it_is(ledger: Ledger) -> None:
    for number in range(30):
        put(ledger, f"day0315/{number}.txt", "cat")
    assert found(ledger, "busan") == []
    put(ledger, "day0316/a.txt", "moved to busan")
    assert len(found(ledger, "busan")) == 1


def test_a_common_words_count_is_remembered_until_the_memory_has_grown(
    counted: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terms, "FEW", 3)
    asked: list[str] = []
    count = terms._count

    def noted(connection: sqlite3.Connection, match: str, hidden: NDArray[np.int64] | None) -> int:
        asked.append(match)
        return count(connection, match, hidden)

    monkeypatch.setattr(terms, "_count", noted)
    for _ in range(2):
        found(counted, "the tofu")
    assert asked == ['morphemes:"the"', 'morphemes:"tofu"', 'morphemes:"tofu"']
    put(counted, "day0316/a.txt", *[f"the {n}" for n in range(5)])
    found(counted, "the")
    assert asked[-1] == 'morphemes:"the"'


@pytest.mark.parametrize("hidden", [0, 5])
def test_whether_a_count_is_remembered_tells_nothing_of_what_is_hidden(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, hidden: int
) -> None:
    monkeypatch.setattr(terms, "FEW", 3)
    put(ledger, "day0315/jun/a.txt", "tofu", *[f"the {n}" for n in range(hidden)], owner="jun")
    for number in range(20):
        put(ledger, f"day0315/mina/{number}.txt", "the" if number == 0 else "cat", owner="mina")
    counts = TermCounts()

    def matches() -> int:
        with ledger._database.read() as connection:
            (term,) = counts.of(connection, Words("the", ""), terms.hidden_rows(connection, ["jun"]))
        return term.matches

    assert matches() == 1
    put(ledger, "day0316/mina/a.txt", "the", owner="mina")
    assert matches() == 1
    put(ledger, "day0316/mina/b.txt", "the one", "the other", owner="mina")
    assert matches() == 4


def test_what_every_third_passage_has_adds_next_to_nothing(ledger: Ledger) -> None:
    for number in range(60):
        put(ledger, f"day0315/{number}.txt", "the" if number % 5 < 2 else "cat", *["tofu"] * (number == 0))
    _, shares = ledger.search.lexical(Words("the tofu", ""), SHARED, 1)
    assert 0 < min(shares.shares.tolist()) < 0.05


def test_others_passages_take_no_place_of_ones_own(ledger: Ledger) -> None:
    for number in range(20):
        put(ledger, f"day0315/jihoon/{number}.txt", f"tofu {number}", owner="jihoon")
    put(ledger, "day0315/mina/a.txt", "a long talk about many things and tofu", owner="mina")
    places, _ = ledger.search.lexical(Words("tofu", ""), ["mina"], 5)
    assert [place.passage_id for place in places] == [
        passage_id("day0315/mina/a.txt", "a long talk about many things and tofu")
    ]


def test_counts_follow_the_memory_as_it_grows(ledger: Ledger) -> None:
    put(ledger, A, "cat")
    alone = best_share(ledger, "cat tofu")
    for number in range(20):
        put(ledger, f"day0316/{number}.txt", "tofu house")
    (cat,) = ledger.search.named([passage_id(A, "cat")], SHARED)
    _, shares = ledger.search.lexical(Words("cat tofu", ""), SHARED, 1)
    assert shares.of([cat.row])[cat.row] > alone


@pytest.mark.parametrize("few", [terms.FEW, 3])
def test_what_is_hidden_from_a_reader_changes_no_share(
    counted: Ledger, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Else a score would tell that somebody else has said the same word."""
    monkeypatch.setattr(terms, "FEW", few)
    question = Words("tofu cat zebra", "")

    def seen(*owners: str) -> list[tuple[str, float]]:
        places, shares = counted.search.lexical(question, owners, 100)
        return [(place.passage_id, shares.of([place.row])[place.row]) for place in places]

    before = seen("")
    for number in range(20):
        put(counted, f"day0315/jun/{number}.txt", f"tofu zebra {number}", owner="jun")
    assert seen("") == seen("", "minji") == before
    assert len(seen("", "jun")) == len(before) + 20
