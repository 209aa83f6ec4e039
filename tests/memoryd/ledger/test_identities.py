"""Identity versions never change; replays are logged, newest first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from memoryd.ledger import IdentityRow, Ledger, ReplayRow

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 3, 15, 4, tzinfo=UTC)


def add(ledger: Ledger, text: str) -> IdentityRow:
    return ledger.identities.add(
        digest="d" * 64, text=text, tokens=12, missing=("origin_id.txt",), created_at=NOW
    )


def replay(number: int, *, state: str = "done", error: str | None = None) -> ReplayRow:
    return ReplayRow(
        state=state,
        trigger="schedule",
        started_at=NOW + timedelta(days=number),
        seconds=1.5,
        turns=number,
        kept=3,
        changed=bool(number % 2),
        identity_version=number or None,
        digest=None if error else "d" * 64,
        error=error,
    )


def test_before_the_first_replay_there_is_no_identity(ledger: Ledger) -> None:
    assert ledger.identities.latest() is None
    assert ledger.identities.get(1) is None
    assert ledger.identities.replays() == []


def test_versions_count_up_from_one_and_the_last_is_in_force(ledger: Ledger) -> None:
    first, second = add(ledger, "나는 에코다."), add(ledger, "나는 에코이고 보리를 안다.")
    assert (first.version, second.version) == (1, 2)
    assert ledger.identities.latest() == second
    assert ledger.identities.get(1) == first
    assert first == IdentityRow(
        version=1, digest="d" * 64, created_at=NOW, tokens=12, missing=("origin_id.txt",), text="나는 에코다."
    )


def test_versions_go_on_after_the_ledger_is_opened_again(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    first = add(ledger, "one")
    ledger.close()
    again = Ledger(tmp_path)
    assert again.identities.get(1) == first
    assert add(again, "two").version == 2
    again.close()


def test_replays_come_back_newest_first_as_they_were(ledger: Ledger) -> None:
    told = [replay(0), replay(1), replay(2, state="failed", error="the disk was full")]
    for each in told:
        ledger.identities.log_replay(each)
    assert ledger.identities.replays() == told[::-1]
    assert ledger.identities.replays(limit=1) == told[:1:-1]
