"""Chroma is proven before it is trusted; what speaks against an index makes it anew or starts its child again."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from memoryd import index_keeper
from memoryd.chroma.vector_files import HEADER, METADATA
from memoryd.errors import IndexDamagedError, IndexUnavailableError
from memoryd.testing import FakeVectorIndex
from tests.memoryd.index_bench import ALL, PATH, read_all
from tests.memoryd.ledger.made import passage_id, put, vector
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from memoryd.ledger import Ledger
    from tests.memoryd.index_bench import Bench


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


def test_of_a_server_elsewhere_nobody_tells_when_it_started_so_a_doubt_has_all_vectors_asked_for_again(
    bench: Bench,
) -> None:
    read_all(bench)
    bench.server.elsewhere = True
    keeper = bench.keeper(batch_size=100)
    for _ in range(4):
        keeper._turn()
    assert keeper._asked is None
    keeper.doubt()
    keeper._prove()
    assert keeper._asked == 0


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
