"""What the JSON exports of chat services share: messages into time order, and a note of what a reply answers.

    지훈: 점심 뭐 먹지?                                   수민: [reply to 지훈: "점심 뭐 먹지?"]
    은비: 회의 두 시로 옮겼어요.             ──▶               국밥!
    수민: 국밥!   (a reply to the first)

A reply that stands right under what it answers needs no note.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from loaders.assemble import Utterance

_BEFORE_ALL: Final = datetime.min.replace(tzinfo=UTC)
_QUOTED: Final = 60  # characters of what is answered: enough to know it by


def in_time_order(said: Iterable[Utterance]) -> list[Utterance]:
    """By time, equals as they stood; one without a time stays behind the one that it followed."""
    placed: list[tuple[datetime, Utterance]] = []
    last = _BEFORE_ALL
    for one in said:
        last = one.time or last
        placed.append((last, one))
    return [one for _, one in sorted(placed, key=lambda pair: pair[0])]


def reply_note(speaker: str | None, text: str) -> str:
    """The line above a reply that names whom and what it answers."""
    line = " ".join(text[: 4 * _QUOTED].split())
    quoted = line if len(line) <= _QUOTED else f"{line[: _QUOTED - 1].rstrip()}…"
    return (
        f'[reply to {speaker or "someone"}: "{quoted}"]' if quoted else f"[reply to {speaker or 'someone'}]"
    )
