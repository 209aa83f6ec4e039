"""Hits and candidates, made up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from memoryd.ledger import FoundPassage, Place
from memoryd.passages import Kind
from memoryd.recall import Hit, Why
from memoryd.recall.ranking import Ranked
from tests.memoryd.parts import turn

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOTHING = Why(cosine=0.0, words=0.0, neighbours=0.0, time=0.0, person=0.0, meaning_rank=None, words_rank=None)


def hit(text: str, day: int, score: float = 1.0) -> Hit:
    """A passage of one turn in March."""
    said = turn(text, day=day)
    passage = FoundPassage(
        id=f"p{day}",
        owner="",
        kind=Kind.SAID,
        text=f"지훈: {text}",
        path=f"day03{day}/a.txt",
        day=f"day03{day}",
        time=said.time,
        conversation_id="c1",
        citations=(),
        turns=(said,),
    )
    return Hit(passage=passage, covers=(passage.id,), score=score, why=NOTHING)


def place(row: int, *, conversation: int = 1, first: int | None = None, hours: float = 0.0) -> Place:
    """A passage of one turn, so many hours after the first of March."""
    turn_index = row if first is None else first
    return Place(
        row=row,
        passage_id=f"p{row}",
        conversation=conversation,
        first=turn_index,
        last=turn_index,
        kind=Kind.SAID,
        time=BEGIN + timedelta(hours=hours),
    )


def ranked(row: int, score: float, *, hours: float = 0.0) -> Ranked:
    """A candidate with a score."""
    return Ranked(place=place(row, hours=hours), score=score, why=NOTHING)
