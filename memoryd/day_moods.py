"""How the being has been feeling, day by day, as its words and those of the people with it read: for the identity.

newest turns of the owners ──passages' vectors──▶ emotions ──▶ each day's strongest ──▶ a line with its source
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from memoryd.mood import CALM, being_weights
from memoryd.mood_words import EMOTIONS, NEUTRAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memoryd.emotions import EmotionReader
    from memoryd.ledger import Ledger
    from memoryd.ledger.vectors import Spoken

DAYS = 7
MOST_TURNS = 2000
# An emotion with less of a day than this is not told: the day was calm.
LEAST_SHARE = 0.2
# Shares are told in tenths: vectors that were computed on another machine differ in their last digits.
STEP = 10


class DayMood(NamedTuple):
    """A day's mood, and where it shows most.

    Attributes:
        emotion: the strongest but neutral.
        percent: its share of the day, in tens.
        turns: that were read.
        turn: the one that says it most.
    """

    day: str
    emotion: str
    percent: int
    turns: int
    turn: Spoken


class DayMoods:
    """Reads days of one ledger.

    Args:
        embedder: the id of the embedder whose vectors are read.
        being: the being's name, as its turns have it.
    """

    def __init__(self, *, ledger: Ledger, reader: EmotionReader, embedder: str, being: str) -> None:
        self._ledger = ledger
        self._reader = reader
        self._embedder = embedder
        self._being = being

    def of(self, owners: Sequence[str]) -> list[DayMood]:
        """The last days on which somebody spoke, oldest first, without the calm ones."""
        turns = self._ledger.vectors.spoken(self._embedder, owners, -np.inf, MOST_TURNS)
        days: dict[str, list[Spoken]] = defaultdict(list)
        for turn in turns:
            days[turn.time[:10]].append(turn)
        if len(turns) == MOST_TURNS and len(days) > 1:
            # Its earlier turns are not among these.
            del days[min(days)]
        read = [self._day(day, days[day]) for day in sorted(days)[-DAYS:]]
        return [day for day in read if day is not None]

    def _day(self, day: str, said: Sequence[Spoken]) -> DayMood | None:
        weights = being_weights(said, self._being)
        counted = int((weights > 0).sum())
        if not counted:
            return None
        emotions = self._reader.read(np.stack([turn.vector for turn in said]), [turn.text for turn in said])
        felt = weights[:, None] * emotions
        sums = felt.sum(axis=0)
        sums[NEUTRAL] = 0.0
        best = int(sums.argmax())
        share = float(sums[best] / (weights.sum() + CALM))
        if share < LEAST_SHARE:
            return None
        return DayMood(
            day=day,
            emotion=EMOTIONS[best],
            percent=round(share * 100 / STEP) * STEP,
            turns=counted,
            turn=said[int(felt[:, best].argmax())],
        )
