from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memoryd.recall import pack, written
from tests.memoryd.recall.hits import hit


def test_a_memory_is_written_with_its_date_source_and_speaker() -> None:
    assert written(hit("두부가 왔어.", 10).passage) == "[2026-03-10 · day0310/a.txt]\n지훈: 두부가 왔어."


def test_packed_memories_stand_in_time_order() -> None:
    hits = [hit("가장 가까운 것.", 12), hit("다음.", 10), hit("마지막.", 11)]
    assert [each.passage.id for each in pack(hits, budget=1000, count_tokens=len)] == ["p10", "p11", "p12"]


@given(st.lists(st.integers(1, 60), max_size=8), st.integers(0, 200))
def test_packed_memories_fit_the_budget_and_the_best_that_fits_is_there(
    lengths: list[int], budget: int
) -> None:
    hits = [hit("가" * length, day) for day, length in enumerate(lengths, start=10)]
    packed = pack(hits, budget=budget, count_tokens=len)
    assert sum(len(written(each.passage)) for each in packed) <= budget
    fitting = [each for each in hits if len(written(each.passage)) <= budget]
    assert not fitting or fitting[0] in packed


def test_a_memory_too_long_for_the_budget_makes_room_for_the_next() -> None:
    hits = [hit("가" * 500, 10), hit("짧아.", 11)]
    assert [each.passage.id for each in pack(hits, budget=100, count_tokens=len)] == ["p11"]
