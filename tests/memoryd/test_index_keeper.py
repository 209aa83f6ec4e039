"""Chroma is kept in step with the ledger: proven at start, fed from the outbox, made anew when it can't be trusted."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from memoryd import index_keeper
from memoryd.chroma.vector_files import HEADER, METADATA
from memoryd.errors import IndexDamagedError, IndexUnavailableError, StoreError
from memoryd.index_keeper import PIPELINE
from memoryd.ledger import FileState
from memoryd.testing import FakeVectorIndex
from tests.memoryd.index_bench import ALL, OWN, PATH, read_all
from tests.memoryd.ledger.made import passage_id, put, row, vector, waiting
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from memoryd.ledger import Ledger
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


# Proof at start


def test_an_index_in_step_is_used_as_it_is(bench: Bench) -> None:
    read_all(bench)
    bench.in_step()
    keeper = bench.keeper()
    assert keeper.degraded() == "the vector index is being checked"
    keeper.start()
    until(keeper.proven.is_set)
    assert keeper.degraded() is None
    assert keeper.generation == 1
    assert bench.server.folders == ["g0001", "g0001"]


def test_what_waits_hides_no_vector_of_a_passage_that_is_gone(bench: Bench) -> None:
    """As after the ledger's log was deleted: Chroma is ahead of it, by as many as wait."""
    read_all(bench)
    bench.in_step()
    bench.indexes[1].vectors[""]["p_gone"] = vector("gone")
    put(bench.ledger, PATH, "one", "two", "three", "four")
    assert bench.ledger.outbox.count() == 1
    keeper = bench.keeper()
    with pytest.raises(IndexDamagedError, match="Chroma holds 5 vectors of 4"):
        keeper._turn()
    assert not keeper.proven.is_set()


@pytest.mark.parametrize("owner", ["", "jihoon"])
def test_counts_that_disagree_begin_a_generation_that_is_filled_from_the_ledger(
    bench: Bench, owner: str
) -> None:
    read_all(bench)
    bench.in_step()
    bench.indexes[1].vectors[owner].popitem()
    keeper = bench.keeper()
    keeper.start()
    until(lambda: keeper.generation == 2 and keeper.degraded() is None)
    assert bench.held(2) == ALL
    assert [folder.name for folder in bench.folder.iterdir()] == ["g0002"]
    assert keeper.index is cast("Any", bench.indexes[2])


def test_an_index_that_does_not_find_what_it_holds_is_made_anew(bench: Bench) -> None:
    read_all(bench)
    bench.in_step()
    for held in bench.indexes[1].vectors.values():
        for passage in held:
            held[passage] = np.float32(-1.0) * held[passage]
    keeper = bench.keeper()
    keeper.start()
    until(lambda: keeper.generation == 2 and keeper.degraded() is None)
    assert bench.held(2) == ALL


def test_a_torn_file_is_found_though_all_that_is_there_finds_itself(bench: Bench) -> None:
    """Chroma takes a header that ends early, and never finds some of what is put in after it."""
    read_all(bench)
    bench.in_step()
    segment = bench.folder / "g0001" / "segment"
    segment.mkdir(parents=True)
    (segment / METADATA).touch()
    (segment / HEADER).write_bytes(b"\1\0\0\0")
    keeper = bench.keeper()
    with pytest.raises(IndexDamagedError, match=r"segment/header.bin has 4 bytes of 100\."):
        keeper._turn()
    keeper.start()
    until(lambda: keeper.generation == 2 and keeper.degraded() is None)
    assert bench.held(2) == ALL
    assert [folder.name for folder in bench.folder.iterdir()] == ["g0002"]


def test_a_child_s_files_are_looked_at_once_and_not_while_it_may_write(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Path] = []

    def look(folder: Path) -> str:
        looked.append(folder)
        return ""

    monkeypatch.setattr(index_keeper, "torn", look)
    read_all(bench)
    keeper = bench.keeper()
    bench.indexes[1].broken = True
    with pytest.raises(IndexUnavailableError):
        keeper._turn()
    bench.indexes[1].broken = False
    keeper._turn()
    keeper.doubt()
    keeper._turn()
    assert looked == [bench.folder / "g0001"]


def test_a_doubt_does_not_begin_the_asking_of_all_vectors_again(bench: Bench) -> None:
    read_all(bench)
    keeper = bench.keeper(batch_size=100)
    for _ in range(4):
        keeper._turn()
    assert keeper._asked is None
    keeper.doubt()
    keeper._turn()
    assert keeper._asked is None


def test_a_difference_that_the_outbox_explains_is_no_fault(bench: Bench) -> None:
    read_all(bench)
    bench.in_step()
    put(bench.ledger, "day0316/new.txt", "four")
    keeper = bench.keeper()
    keeper.start()
    until(lambda: keeper.degraded() is None and not bench.ledger.outbox.count())
    assert keeper.generation == 1
    assert bench.held(1)[""] == ALL[""] | {passage_id("day0316/new.txt", "four")}


def test_a_folder_that_chroma_cant_open_is_made_anew_once(bench: Bench) -> None:
    read_all(bench)
    bench.in_step()
    keeper = bench.keeper()
    bench.indexes[1].broken = True
    keeper.start()
    bench.server.failed_starts = index_keeper.FAILED_STARTS
    until(lambda: keeper.generation == 2 and keeper.degraded() is None)
    assert bench.held(2) == ALL


def test_a_child_that_is_alive_and_answers_nothing_is_started_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by `bench.faults --damage`: a child did not get over a full disk, and recall stayed degraded."""
    monkeypatch.setattr(index_keeper, "UNUSABLE_S", 0.0)
    read_all(bench)
    bench.in_step()
    started = len(bench.server.folders)
    keeper = bench.keeper()
    bench.indexes[1].broken = True
    keeper.start()
    until(lambda: bench.server.folders[started:] == ["g0001", "g0001"])
    bench.indexes[1].broken = False
    until(lambda: keeper.degraded() is None)
    assert keeper.generation == 1


def test_an_index_over_which_the_next_child_answers_nothing_either_is_made_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by `bench.faults --damage`: over a truncated file a child was alive, started again, and silent again."""
    monkeypatch.setattr(index_keeper, "UNUSABLE_S", 0.0)
    monkeypatch.setattr(index_keeper, "RETRY_SECONDS", 0.01)
    read_all(bench)
    bench.in_step()
    started = len(bench.server.folders)
    keeper = bench.keeper()
    bench.indexes[1].broken = True
    keeper.start()
    until(lambda: keeper.generation == 2 and keeper.degraded() is None)
    assert bench.server.folders[started:] == ["g0001", "g0001", "g0002"]
    assert bench.held(2) == ALL


def test_a_new_index_over_which_nothing_answers_is_left_time_before_another_is_made(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_keeper, "UNUSABLE_S", 0.0)
    monkeypatch.setattr(index_keeper, "RETRY_SECONDS", 0.01)
    read_all(bench)
    keeper = bench.keeper()
    asked = threading.Semaphore(0)

    def fail() -> None:
        asked.release()
        raise IndexUnavailableError("broken")

    bench.open_index(1).broken = True
    monkeypatch.setattr(bench.open_index(2), "_reach", fail)
    keeper.start()
    for _ in range(20):
        assert asked.acquire(timeout=10)
    assert bench.server.folders == ["g0001", "g0001", "g0002"]
    keeper._next_rebuild = 0.0  # as after the pause
    until(lambda: keeper.generation == 3 and keeper.degraded() is None)


@pytest.mark.parametrize("why", ["it does not answer yet", "its disk is full", "it is somebody else's"])
def test_a_child_that_could_not_do_better_is_left_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    monkeypatch.setattr(index_keeper, "UNUSABLE_S", 0.0)
    monkeypatch.setattr(index_keeper, "RETRY_SECONDS", 0.01)
    if why == "its disk is full":
        monkeypatch.setattr(index_keeper, "FULL_BYTES", 2**80)
    bench.server.answers = why != "it does not answer yet"
    bench.server.elsewhere = why == "it is somebody else's"
    asked = threading.Semaphore(0)

    def fail() -> None:
        asked.release()
        raise IndexUnavailableError("broken")

    keeper = bench.keeper()
    monkeypatch.setattr(bench.indexes[1], "_reach", fail)
    read_all(bench)
    keeper.start()
    for _ in range(5):
        assert asked.acquire(timeout=10)
    assert bench.server.folders == ["g0001"]


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


class DamagedIndex(FakeVectorIndex):
    """What Chroma is over torn files: it answers, and every answer says that it can't read them."""

    def count(self, owner: str) -> int:
        raise IndexDamagedError(f"Error loading hnsw index of {owner!r}")


def test_an_index_that_chroma_cannot_read_is_made_anew(bench: Bench) -> None:
    put(bench.ledger, PATH, "안녕")
    bench.indexes[1] = DamagedIndex()
    keeper = bench.keeper()
    keeper.start()
    until(lambda: keeper.generation == 2 and keeper.degraded() is None)
    assert bench.ledger.outbox.count() == 0


def test_an_index_that_recall_could_not_use_is_proven_again(bench: Bench) -> None:
    put(bench.ledger, PATH, "안녕")
    keeper = bench.keeper()
    keeper.start()
    until(lambda: keeper.degraded() is None)
    bench.indexes[1] = keeper.index = cast("Any", DamagedIndex())
    keeper.doubt()
    until(lambda: keeper.generation == 2 and keeper.degraded() is None)


def test_a_new_child_is_proven_before_it_is_trusted(bench: Bench) -> None:
    """Found here: only the daemon's own start had the index proven, not that of a new child."""
    read_all(bench)
    keeper = bench.keeper()
    keeper.start()
    until(lambda: keeper.degraded() is None and not bench.ledger.outbox.count())
    bench.indexes[1].vectors[""].popitem()
    bench.server.starts += 1
    until(lambda: keeper.generation == 2 and keeper.degraded() is None)
    assert bench.held(2) == ALL


def test_without_a_child_recall_is_told_so_at_once(bench: Bench) -> None:
    keeper = bench.keeper()
    keeper.start()
    until(lambda: keeper.degraded() is None)
    bench.server.answers = False
    assert keeper.degraded() == "the Chroma child does not answer yet"


def test_what_the_first_proof_did_not_ask_for_is_asked_for_in_idle_moments(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_keeper, "SAMPLES", 1)
    monkeypatch.setattr(index_keeper, "ASKED_AT_ONCE", 1)
    read_all(bench)
    bench.in_step()
    torn = bench.indexes[1].vectors[""]
    torn[passage_id(PATH, "one")] = vector("something else")
    keeper = bench.keeper()
    keeper.start()
    until(lambda: keeper.generation == 2 and keeper.degraded() is None)
    assert bench.held(2) == ALL
    np.testing.assert_array_equal(bench.indexes[2].vectors[""][passage_id(PATH, "one")], vector("one"))


class BusyIndex(FakeVectorIndex):
    """While it is counted, a file comes in."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    def count(self, owner: str) -> int:
        put(self._ledger, "day0316/new.txt", "four", "five")
        return super().count(owner)


def test_a_file_that_comes_in_while_the_index_is_proven_is_no_fault_of_the_index(bench: Bench) -> None:
    """Found here: a memory that was written to while the daemon started was indexed anew."""
    read_all(bench)
    bench.in_step()
    busy = BusyIndex(bench.ledger)
    busy.vectors = bench.indexes[1].vectors
    bench.indexes[1] = busy
    keeper = bench.keeper()
    keeper.start()
    until(lambda: keeper.degraded() is None and not bench.ledger.outbox.count())
    assert keeper.generation == 1
