"""What a model says of the last days: a digest a day, in its own words, kept until what was said that day changes.

newest turns of the owners ─▶ days that are over ─▶ key of each ─▶ a digest with that key? ── yes ─▶ the identity
                                                                       └── no ─▶ memoryd.digest_writer

Digests are no memories: they are in no file below `memory/`, in no passage, and no digest is written from another.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memoryd.clock import Clock
    from memoryd.ledger import Ledger
    from memoryd.ledger.digests import DayTurn, DigestRow

DAYS = 7
MOST_TURNS = 5000
# Part of each key: digests that another question was asked for are written again.
METHOD = 1


class Day(NamedTuple):
    """A day that is over, and what was said on it, oldest first."""

    day: str
    key: str
    turns: list[DayTurn]


class DayDigest(NamedTuple):
    """A day's digest, and the turn that the day began with."""

    row: DigestRow
    first: DayTurn


class DayDigests:
    """Digests of one ledger's days.

    Args:
        owners: whose turns they are written from.
    """

    def __init__(self, *, ledger: Ledger, owners: Sequence[str], clock: Clock) -> None:
        self._ledger = ledger
        self._owners = owners
        self._clock = clock

    def days(self) -> list[Day]:
        """The last days that are over and on which something was said, oldest first."""
        turns = self._ledger.digests.turns(self._owners, self._clock.now().timestamp(), MOST_TURNS)
        days: dict[str, list[DayTurn]] = defaultdict(list)
        for turn in turns:
            days[turn.time[:10]].append(turn)
        if len(turns) == MOST_TURNS and len(days) > 1:
            # Its earlier turns are not among these.
            del days[min(days)]
        return [Day(day, _key(day, days[day]), days[day]) for day in sorted(days)[-DAYS:]]

    def known(self) -> list[DayDigest]:
        """The digests that there are of what was said, as it is now; the newest day first."""
        days = self.days()
        rows = self._ledger.digests.of_days([each.day for each in days])
        return [
            DayDigest(rows[each.day], each.turns[0])
            for each in reversed(days)
            if each.day in rows and rows[each.day].key == each.key
        ]

    def missing(self) -> list[Day]:
        """The days that have no digest of what was said, as it is now; the newest first. Other digests are dropped."""
        days = self.days()
        self._ledger.digests.keep({each.day: each.key for each in days})
        rows = self._ledger.digests.of_days([each.day for each in days])
        return [each for each in reversed(days) if each.day not in rows or rows[each.day].key != each.key]

    def save(self, row: DigestRow) -> bool:
        """Keeps a digest, unless something else was said that day by now; says whether it did."""
        days = self.days()
        if all((each.day, each.key) != (row.day, row.key) for each in days):
            return False
        self._ledger.digests.save(row)
        return True


def _key(day: str, turns: Sequence[DayTurn]) -> str:
    digest = hashlib.sha256(f"{METHOD} {day}\n".encode())
    for turn in turns:
        digest.update(f"{turn.time}\0{turn.speaker}\0{turn.text}\0".encode(errors="surrogatepass"))
    return digest.hexdigest()
