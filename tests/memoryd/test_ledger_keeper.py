"""The ledger is opened as soon as the disk allows, and seen to while everything else goes on."""

from __future__ import annotations

import shutil
import threading
from typing import TYPE_CHECKING

import pytest

from memoryd import ledger_keeper
from memoryd.errors import LedgerDamagedError, StoreError
from memoryd.index_keeper import GENERATION, PIPELINE
from memoryd.ledger import Ledger
from memoryd.ledger_keeper import SALVAGED, LedgerKeeper
from memoryd.testing import FakeClock
from tests.memoryd.ledger.made import put
from tests.waiting import PATIENCE_S, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    ledger = Ledger(folder)
    put(ledger, "day0315/talk.txt", *[f"text {number}" for number in range(50)])
    ledger.close()
    return folder


@pytest.fixture
def keeper(state: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LedgerKeeper]:
    monkeypatch.setattr(ledger_keeper, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(ledger_keeper, "WATCH_SECONDS", 0.01)
    made = LedgerKeeper(state, clock=FakeClock())
    yield made
    made.stop()
    if made.ledger is not None:
        made.ledger.close()


def opened(keeper: LedgerKeeper) -> Ledger:
    ledger = keeper.open()
    assert ledger is not None
    return ledger


def never() -> None:
    raise AssertionError("there was nothing to recover")


def test_a_whole_ledger_is_ready_and_says_nothing(keeper: LedgerKeeper) -> None:
    assert keeper.state() == ("loading", "")
    opened(keeper)
    keeper.watch(never)
    assert keeper.state() == ("ready", "")


def test_it_is_opened_as_soon_as_it_can_be(keeper: LedgerKeeper, state: Path) -> None:
    away = state.with_name("away")
    state.rename(away)
    state.write_text("in the way")
    thread = threading.Thread(target=keeper.open)
    thread.start()
    until(lambda: keeper.fault)
    assert keeper.state()[0] == "failed"
    assert str(state) in keeper.state()[1]
    state.unlink()
    away.rename(state)
    thread.join(PATIENCE_S)
    assert keeper.state() == ("ready", "")
    assert keeper.ledger is not None
    assert len(keeper.ledger.files.known()) == 1


def test_an_opening_that_never_succeeds_ends_with_the_daemon(keeper: LedgerKeeper, state: Path) -> None:
    shutil.rmtree(state)
    state.write_text("in the way")
    thread = threading.Thread(target=keeper.open)
    thread.start()
    until(lambda: keeper.fault)
    keeper.stop()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert keeper.ledger is None


def test_a_ledger_recovered_at_the_start_begins_a_generation_that_chroma_never_had(
    keeper: LedgerKeeper, state: Path
) -> None:
    (state / "chroma" / "g0007").mkdir(parents=True)
    (state / "ledger.sqlite3").write_bytes(b"")
    ledger = opened(keeper)
    assert ledger.setting(GENERATION) == "7"  # the index's keeper begins the next one for another pipeline
    assert ledger.setting(PIPELINE) == SALVAGED
    name, detail = keeper.state()
    assert name == "ready"
    assert "The ledger was damaged" in detail
    assert "the files are read again" in detail


def test_damage_while_it_runs_is_recovered_and_the_files_are_read_again(
    keeper: LedgerKeeper, state: Path
) -> None:
    ledger = opened(keeper)
    again = threading.Event()
    keeper.watch(again.set)
    (state / "ledger.sqlite3").unlink()
    with pytest.raises(LedgerDamagedError):
        ledger.remember("a", "b")
    assert again.wait(PATIENCE_S)
    assert ledger.files.known() == {}
    assert "deleted or replaced" in keeper.state()[1]
    ledger.remember("a", "b")


def test_reading_the_files_again_is_begun_until_it_succeeds(keeper: LedgerKeeper, state: Path) -> None:
    """Found by a review: where it failed once, the new ledger stayed empty."""
    ledger = opened(keeper)
    again = threading.Event()
    tries: list[tuple[str, str]] = []

    def fails_at_first() -> None:
        tries.append(keeper.state())
        if len(tries) < 3:
            raise StoreError("The disk is full.")
        again.set()

    keeper.watch(fails_at_first)
    (state / "ledger.sqlite3").unlink()
    with pytest.raises(LedgerDamagedError):
        ledger.remember("a", "b")
    assert again.wait(PATIENCE_S)
    assert tries[2][0] == "degraded"
    assert "That does not begin yet: The disk is full." in tries[2][1]
    until(lambda: keeper.state()[0] == "ready")


def test_a_generation_that_the_disk_refuses_at_the_start_is_begun_on_the_next_try(
    keeper: LedgerKeeper, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (state / "ledger.sqlite3").write_bytes(b"")
    remember = Ledger.remember
    refused: list[str] = []

    def refuse_once(ledger: Ledger, name: str, value: str) -> None:
        if not refused:
            refused.append(name)
            raise StoreError("The disk is full.")
        remember(ledger, name, value)

    monkeypatch.setattr(Ledger, "remember", refuse_once)
    assert opened(keeper).setting(PIPELINE) == SALVAGED


def test_a_deleted_log_costs_nothing_and_has_no_file_read_again(keeper: LedgerKeeper, state: Path) -> None:
    ledger = opened(keeper)
    keeper.watch(never)
    (state / "ledger.sqlite3-wal").unlink()
    with pytest.raises(LedgerDamagedError):
        ledger.remember("a", "b")
    until(lambda: not ledger.damage)
    assert len(ledger.files.known()) == 1
    assert "nothing in it was lost" in keeper.state()[1]


def test_after_an_unclean_end_all_of_the_ledger_is_checked(keeper: LedgerKeeper, state: Path) -> None:
    (state / "ledger.sqlite3-in-use").touch()  # as a kill leaves it
    page = 4096
    with (state / "ledger.sqlite3").open("r+b") as file:
        # The words of passages, which no start looks at.
        pages = [at for at in range(0, (state / "ledger.sqlite3").stat().st_size, page) if at]
        for at in pages:
            file.seek(at)
            if b"text 37" in file.read(page):
                file.seek(at)
                file.write(b"\0" * page)
                break
    ledger = opened(keeper)
    again = threading.Event()
    keeper.watch(again.set)
    if not ledger.recovered:
        assert again.wait(PATIENCE_S)
    assert ledger.recovered


def test_trouble_passes_once_the_disk_takes_writes_again(keeper: LedgerKeeper) -> None:
    ledger = opened(keeper)
    ledger._database.trouble = "The disk is full."
    assert keeper.state() == ("degraded", "The disk is full.")
    keeper.watch(never)
    until(lambda: keeper.state() == ("ready", ""))
