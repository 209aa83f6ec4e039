"""The cells' account."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llm.engine.cells import Cells


def test_a_reservation_is_set_and_not_added_to() -> None:
    cells = Cells(100)
    assert cells.reserve("one", 60)
    assert cells.reserve("one", 70)
    assert (cells.of("one"), cells.used, cells.free) == (70, 70, 30)
    assert cells.reserve("one", 100)


def test_what_is_not_there_is_not_reserved_and_nothing_changes() -> None:
    cells = Cells(100)
    assert cells.reserve("one", 60)
    assert not cells.reserve("two", 41)
    assert not cells.reserve("one", 101)
    assert (cells.of("one"), cells.of("two"), cells.free) == (60, 0, 40)


def test_a_reservation_moves_whole() -> None:
    cells = Cells(100)
    cells.reserve("one", 60)
    cells.move("one", "two")
    assert (cells.of("one"), cells.of("two")) == (0, 60)
    cells.move("nobody", "one")
    cells.release("two")
    cells.release("two")
    assert cells.used == 0


@given(
    st.integers(0, 50),
    st.lists(st.tuples(st.sampled_from("rrfm"), st.integers(0, 3), st.integers(0, 3), st.integers(0, 60))),
)
def test_the_account_is_never_over_total_nor_negative(
    total: int, steps: list[tuple[str, int, int, int]]
) -> None:
    cells = Cells(total)
    known: dict[int, int] = {}
    for what, owner, other, count in steps:
        if what == "r":
            fits = sum(known.values()) - known.get(owner, 0) + count <= total
            assert cells.reserve(owner, count) == fits
            if fits:
                known[owner] = count
        elif what == "f":
            cells.release(owner)
            known.pop(owner, None)
        elif owner != other and other not in known:
            cells.move(owner, other)
            known[other] = known.pop(owner, 0)
        assert cells.used == sum(known.values())
        assert 0 <= cells.used <= total
        assert cells.free == total - cells.used
        assert all(cells.of(each) == known.get(each, 0) for each in range(4))
