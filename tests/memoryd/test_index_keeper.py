"""Chroma is kept in step with the ledger: fed from the outbox, and filled anew in a new generation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from memoryd.errors import IndexUnavailableError, StoreError
from memoryd.index_keeper import PIPELINE
from memoryd.ledger import FileState
from memoryd.testing import FakeVectorIndex
from tests.memoryd.index_bench import ALL, OWN, PATH, read_all
from tests.memoryd.ledger.made import passage_id, put, row, vector, waiting
from tests.waiting import until

if TYPE_CHECKING:
    from tests.memoryd.index_bench import Bench


# Feeding


def test_what_the_ledger_committed_reaches_the_index_batch_by_batch(bench: Bench) -> None:
    read_all(bench)
    keeper = bench.keeper(batch_size=3)
    assert [keeper.feed(), keeper.feed(), keeper.feed()] == [3, 1, 0]
    assert bench.held(1) == ALL
    np.testing.assert_array_equal(bench.indexes[1].vectors[""][passage_id(PATH, "one")], vector("one"))
    assert waiting(bench.ledger) == []


def test_what_a_file_no_longer_says_leaves_the_index(bench: Bench) -> None:
    read_all(bench)
    keeper = bench.keeper(batch_size=100)
    keeper.feed()
    put(bench.ledger, PATH, "one")
    bench.ledger.files.remove(OWN)
    keeper.feed()
    assert bench.held(1) == {"": {passage_id(PATH, "one")}}


def test_put_in_taken_out_and_put_in_again_within_a_batch_ends_as_it_is_now(bench: Bench) -> None:
    read_all(bench)
    bench.ledger.files.remove(PATH)
    put(bench.ledger, PATH, "three")
    bench.keeper(batch_size=100).feed()
    assert bench.held(1) == ALL | {"": {passage_id(PATH, "three")}}


def test_an_unreachable_index_loses_nothing(bench: Bench) -> None:
    read_all(bench)
    before = waiting(bench.ledger)
    keeper = bench.keeper()
    bench.indexes[1].broken = True
    with pytest.raises(IndexUnavailableError):
        keeper.feed()
    assert waiting(bench.ledger) == before


def test_the_thread_outlives_an_unreachable_index_and_says_why_until_then(bench: Bench) -> None:
    read_all(bench)
    keeper = bench.keeper()
    bench.indexes[1].broken = True
    keeper.start()
    until(lambda: keeper.degraded() == "The fake index is broken, as the test asked.")
    assert bench.ledger.outbox.count() == 4
    bench.indexes[1].broken = False
    until(lambda: keeper.degraded() is None)
    until(lambda: not bench.ledger.outbox.count())
    assert bench.held(1) == ALL


def test_stopping_feeds_what_is_left_and_ends_chroma(bench: Bench) -> None:
    keeper = bench.keeper()
    keeper.start()
    until(keeper.proven.is_set)
    read_all(bench)
    keeper.stop()
    assert waiting(bench.ledger) == []
    assert bench.held(1) == ALL
    assert bench.server.stopped


def test_stopping_while_chroma_is_away_keeps_the_outbox(bench: Bench) -> None:
    read_all(bench)
    keeper = bench.keeper()
    bench.indexes[1].broken = True
    keeper.start()
    keeper.stop()
    assert bench.ledger.outbox.count() == 4


def test_a_keeper_that_was_never_started_can_be_stopped(bench: Bench) -> None:
    bench.keeper().stop()
    assert bench.server.stopped


# A new generation


def test_building_says_how_far_it_is_and_ends_when_all_is_fed(bench: Bench) -> None:
    read_all(bench)
    bench.in_step()
    keeper = bench.keeper()
    bench.open_index(2).broken = True
    keeper.start()
    until(keeper.proven.is_set)
    assert keeper.rebuild() == 2
    assert keeper.degraded() == "the vector index is being made anew (0 of 4 passages)"
    bench.indexes[2].broken = False
    until(lambda: keeper.degraded() is None)
    assert bench.held(2) == ALL


def test_building_goes_on_after_a_restart(bench: Bench) -> None:
    read_all(bench)
    bench.in_step()
    bench.keepers[-1].rebuild()
    keeper = bench.keeper()
    assert keeper.degraded() == "the vector index is being made anew (0 of 4 passages)"
    keeper.start()
    until(lambda: keeper.degraded() is None)
    assert keeper.generation == 2
    assert bench.held(2) == ALL


def test_building_is_not_over_while_files_are_yet_to_be_tried(bench: Bench) -> None:
    read_all(bench)
    bench.catching_up = True
    keeper = bench.keeper()
    keeper.start()
    keeper.rebuild()
    until(lambda: not bench.ledger.outbox.count() and bench.held(2) == ALL)
    assert keeper.degraded() == "the vector index is being made anew (4 of 4 passages)"
    bench.catching_up = False
    until(lambda: keeper.degraded() is None)


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_rebuild_that_is_cut_short_never_passes_for_whole(
    bench: Bench, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found here: a kill before the outbox was filled left an empty generation that called itself whole."""
    read_all(bench)
    bench.in_step()
    steps = iter(range(3))

    def cut_short(patch: pytest.MonkeyPatch, target: object, name: str) -> None:
        real = getattr(target, name)

        def call(*arguments: object) -> object:
            if next(steps) == step:
                raise KeyboardInterrupt
            return real(*arguments)

        patch.setattr(target, name, call)

    keeper = bench.keeper()
    with monkeypatch.context() as patch:
        cut_short(patch, bench.ledger, "remember")
        cut_short(patch, bench.ledger.outbox, "refill")
        with pytest.raises(KeyboardInterrupt):
            keeper.rebuild()
    after = bench.keeper()
    after.start()
    until(lambda: after.proven.is_set() and after.degraded() is None and not bench.ledger.outbox.count())
    assert bench.held(after.generation) == ALL


class IndexElsewhere(FakeVectorIndex):
    """On a server that keeps the collections of every generation."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped = 0

    def drop_others(self) -> None:
        self._reach()
        self.dropped += 1


def test_what_earlier_generations_left_on_a_server_elsewhere_goes_once_it_can_be_reached(
    bench: Bench,
) -> None:
    """Found by a review: only an erasure deleted them, and only where the server answered just then."""
    read_all(bench)
    first, second = bench.indexes[1], bench.indexes[2] = IndexElsewhere(), IndexElsewhere()
    first.broken = True
    keeper = bench.keeper()
    keeper.start()
    until(keeper.degraded)
    first.broken = False
    until(lambda: keeper.degraded() is None)
    keeper.rebuild()
    until(lambda: keeper.degraded() is None)
    assert (first.dropped, second.dropped) == (1, 1)


def test_a_ledger_that_refuses_in_an_idle_moment_does_not_end_the_feed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found here: the thread ended, and Chroma got nothing more."""
    keeper = bench.keeper()
    keeper.start()
    until(lambda: keeper.degraded() is None)
    with monkeypatch.context() as patch:

        def refuse() -> None:
            raise StoreError("The disk failed.")

        patch.setattr(keeper, "_finish_building", refuse)
        until(lambda: keeper.degraded() == "The disk failed.")
    read_all(bench)
    until(lambda: not bench.ledger.outbox.count())


# Another pipeline


def test_the_first_start_reads_nothing_again(bench: Bench) -> None:
    read_all(bench)
    keeper = bench.keeper()
    keeper.start()
    until(keeper.proven.is_set)
    assert bench.ledger.files.stale() == 0
    assert keeper.generation == 1


def test_the_same_pipeline_reads_nothing_again(bench: Bench) -> None:
    read_all(bench)
    bench.in_step()
    bench.in_step()
    assert bench.ledger.files.stale() == 0
    assert bench.keeper().generation == 1


def test_another_pipeline_marks_every_file_stale_and_begins_a_generation(bench: Bench) -> None:
    read_all(bench)
    bench.in_step()
    keeper = bench.keeper(fingerprint="pipeline 2")
    keeper.start()
    assert bench.ledger.files.stale() == 2
    assert keeper.generation == 2
    assert bench.server.folders[-1] == "g0002"
    until(keeper.proven.is_set)
    assert str(keeper.degraded()).startswith("the vector index is being made anew")
    read_all(bench)
    until(lambda: keeper.degraded() is None)
    assert bench.held(2) == ALL


def test_a_file_that_cant_be_read_keeps_no_generation_from_being_whole(bench: Bench) -> None:
    read_all(bench)
    bench.in_step()
    keeper = bench.keeper(fingerprint="pipeline 2")
    keeper.start()
    put(bench.ledger, PATH, "one", "two", "three")
    bench.ledger.files.refuse(row(OWN, owner="jihoon", state=FileState.QUARANTINED), "day0315")
    until(lambda: keeper.degraded() is None)
    assert bench.held(2) == ALL


def test_a_rebuild_in_a_ledger_that_was_made_anew_is_of_this_pipeline(bench: Bench) -> None:
    """Found by a review: the next start took it for another pipeline and read everything once more."""
    read_all(bench)
    bench.in_step()
    keeper = bench.keeper()
    keeper.start()
    bench.ledger.remember(PIPELINE, "salvaged")
    keeper.rebuild()
    until(lambda: keeper.degraded() is None)
    keeper.stop()
    bench.in_step()
    assert bench.ledger.files.stale() == 0
    assert keeper.generation == 2


def test_a_rereading_that_was_cut_off_goes_on_after_a_restart(bench: Bench) -> None:
    read_all(bench)
    bench.in_step()
    first = bench.keeper(fingerprint="pipeline 2")
    first.start()
    put(bench.ledger, PATH, "one", "two", "three")
    first.stop()
    assert bench.ledger.files.stale() == 1
    second = bench.keeper(fingerprint="pipeline 2")
    second.start()
    assert second.generation == 2
    put(bench.ledger, OWN, "own", owner="jihoon")
    until(lambda: second.degraded() is None)
    assert bench.held(2) == ALL
