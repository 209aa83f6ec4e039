"""A generation in which too much was deleted is made anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memoryd import index_keeper
from memoryd.chroma import ChromaIndex, ChromaServer
from memoryd.index_keeper import IndexKeeper
from tests.memoryd.index_bench import OWN, PATH
from tests.memoryd.ledger.made import EMBEDDER, passage_id, put
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.memoryd.index_bench import Bench


@pytest.fixture
def soon_worn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_keeper, "FEWEST_DELETED", 3)


def many(number: int) -> list[str]:
    return [f"text {place}" for place in range(number)]


@pytest.mark.usefixtures("soon_worn")
def test_too_many_deletions_over_several_runs_begin_a_generation(bench: Bench, tmp_path: Path) -> None:
    """On a real Chroma; each run deletes three of what began as thirty."""
    server = ChromaServer(max_file_bytes=2**30)

    def open_index(generation: int) -> ChromaIndex:
        return ChromaIndex(
            server,
            instance="worn",
            embedder=EMBEDDER,
            dimension=8,
            generation=generation,
            sync_threshold=1000,
        )

    def run(left: int, generation: int) -> dict[str, int]:
        put(bench.ledger, PATH, *many(left))
        keeper = IndexKeeper(
            ledger=bench.ledger,
            server=server,
            open_index=open_index,
            embedder_id=EMBEDDER,
            folder=tmp_path / "chroma",
            fingerprint="pipeline 1",
            batch_size=100,
            catching_up=lambda: False,
        )
        keeper.start()
        try:
            until(lambda: keeper.degraded() is None and not bench.ledger.outbox.count())
            until(lambda: keeper.generation == generation and keeper.degraded() is None)
            assert keeper.index.ids("") == {passage_id(PATH, text) for text in many(left)}
            return keeper._deleted()
        finally:
            keeper.stop()

    assert [run(30, 1), run(27, 1), run(24, 1), run(21, 2)] == [{}, {"": 3}, {"": 6}, {}]


def test_few_deletions_wear_nothing(bench: Bench) -> None:
    put(bench.ledger, PATH, *many(10))
    keeper = bench.keeper(batch_size=100)
    keeper.feed()
    put(bench.ledger, PATH, *many(1))
    keeper.feed()
    keeper._replace_worn()
    assert (keeper.generation, keeper._deleted()) == (1, {"": 9})


@pytest.mark.usefixtures("soon_worn")
def test_each_owners_index_wears_by_itself(bench: Bench) -> None:
    put(bench.ledger, PATH, *many(100))
    put(bench.ledger, OWN, *many(8), owner="jihoon")
    bench.in_step()
    keeper = bench.keeper(batch_size=1000)
    put(bench.ledger, OWN, *many(4), owner="jihoon")
    keeper.feed()
    keeper._replace_worn()
    assert (keeper.generation, keeper._deleted()) == (2, {})


@pytest.mark.usefixtures("soon_worn")
def test_what_a_new_generation_never_had_does_not_wear_it(bench: Bench) -> None:
    put(bench.ledger, PATH, *many(10))
    bench.in_step()
    keeper = bench.keeper(fingerprint="pipeline 2")
    keeper.start()
    put(bench.ledger, PATH, *[f"another cut {place}" for place in range(10)])
    until(lambda: keeper.degraded() is None)
    assert (keeper.generation, keeper._deleted()) == (2, {})
