from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memoryd.date_words import Span
from memoryd.passages import Kind
from memoryd.recall import weights
from memoryd.recall.ranking import WordShares, nearness, rank, score
from tests.memoryd.recall.hits import BEGIN, NOTHING, place

if TYPE_CHECKING:
    from memoryd.ledger import Place

DAY = timedelta(days=1)


MARCH_SECOND = Span(since=BEGIN + DAY, until=BEGIN + 2 * DAY, words="3월 2일")


def shared(found: list[tuple[Place, float]]) -> WordShares:
    by_row = {place.row: share for place, share in found}
    return WordShares([place for place, _ in found], lambda rows: {row: by_row.get(row, 0.0) for row in rows})


def test_a_share_is_the_passages_own_and_that_of_the_better_neighbour() -> None:
    shares = shared([(place(1), 0.5), (place(5), 0.3)])
    assert shares.of([1, 2]) == {1: 0.5, 2: 0.0}
    assert (shares.beside(place(1)), shares.beside(place(2))) == (0.0, 0.5)
    assert shares.beside(place(3)) == 0.5  # over a turn without words
    assert shares.beside(place(6)) == 0.3
    assert shares.beside(place(8)) == 0.0


def test_a_passage_that_is_not_among_the_best_has_its_share_too() -> None:
    shares = shared([(place(1), 0.5)])
    assert shares.beside(place(8)) == 0.0


def test_neighbours_are_of_the_same_conversation() -> None:
    shares = shared([(place(1, conversation=7), 0.5)])
    assert shares.beside(place(2, conversation=8)) == 0.0


def test_pieces_of_one_exchange_are_no_neighbours() -> None:
    shares = shared([(place(10, first=4), 0.4), (place(11, first=4), 0.2)])
    assert shares.beside(place(10, first=4)) == 0.0
    answer = place(12, first=5)._replace(kind=Kind.ANSWER)
    assert shares.beside(answer) == 0.0
    assert shared([(answer, 0.4)]).beside(place(11, first=4)) == 0.0


def test_a_neighbour_is_seen_over_the_pieces_between() -> None:
    pieces = [place(row, first=row) for row in (2, 3)]
    shares = shared([(place(1), 0.9), (pieces[0]._replace(last=3), 0.2), (pieces[1], 0.7)])
    assert shares.beside(pieces[0]._replace(last=3)) == 0.9


@pytest.mark.parametrize(
    ("days", "near"), [(1.5, 1.0), (1.0, 1.0), (0.0, 3**-0.5), (4.0, 1 / 3), (6.0, 1 / 9)]
)
def test_nearness_falls_outside_of_the_named_time(days: float, near: float) -> None:
    assert nearness(BEGIN + days * DAY, [MARCH_SECOND]) == pytest.approx(near)


def test_no_named_time_is_near_to_nothing() -> None:
    assert nearness(BEGIN, []) == 0.0


def test_the_score_is_the_weighted_sum_and_orders_the_candidates() -> None:
    shares = shared([(place(2), 0.5)])
    found = rank(
        [place(1, hours=30), place(2), place(8)],
        cosines={1: 0.4, 2: 0.4, 8: 0.9},
        meaning_ranks={8: 1},
        shares=shares,
        spans=[MARCH_SECOND],
    )
    by_row = {each.place.row: each for each in found}
    assert by_row[1].score == pytest.approx(0.4 + weights.NEIGHBOURS * 0.5 + weights.TIME + weights.PERSON)
    expected = 0.4 + weights.WORDS * 0.5 + weights.TIME * 3**-0.5 + weights.PERSON
    assert by_row[2].score == pytest.approx(expected)
    assert (by_row[8].why.meaning_rank, by_row[8].why.words_rank) == (1, None)
    assert by_row[2].why.words_rank == 1
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)


def test_equal_scores_keep_the_order_of_ids() -> None:
    found = rank([place(2), place(1)], cosines={}, meaning_ranks={}, shares=shared([]), spans=[])
    assert [each.place.passage_id for each in found] == ["p1", "p2"]


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_nothing_that_speaks_for_a_passage_lowers_it(
    cosine: float, words: float, neighbours: float, time: float
) -> None:
    why = NOTHING._replace(cosine=cosine, words=words, neighbours=neighbours, time=time)
    assert score(why) >= cosine


def test_an_assistants_words_alone_weigh_less_than_a_persons() -> None:
    places = [place(1)._replace(kind=Kind.ANSWER), place(2)]
    said = rank(places, cosines={1: 0.5, 2: 0.5}, meaning_ranks={}, shares=shared([]), spans=[])
    assert [each.place.row for each in said] == [2, 1]
    assert said[0].score - said[1].score == pytest.approx(weights.PERSON)
