"""What a caller asks to see only. Nothing that memoryd guesses ever filters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from memoryd.ledger import FoundPassage


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Event times, aware, both ends counted in, and a speaker."""

    since: datetime | None = None
    until: datetime | None = None
    speaker: str | None = None

    @property
    def active(self) -> bool:
        """Whether it leaves anything out."""
        return any((self.since, self.until, self.speaker))

    def admits(self, passage: FoundPassage) -> bool:
        """Whether a turn of the passage lies in the times, and one is the speaker's."""
        in_time = any(
            (self.since is None or turn.time >= self.since)
            and (self.until is None or turn.time <= self.until)
            for turn in passage.turns
        )
        return in_time and (
            self.speaker is None
            or any(turn.speaker.casefold() == self.speaker.casefold() for turn in passage.turns)
        )
