"""When something was said: a turn's own time, else what its day folder stands for; never today's."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from memoryd.ledger import TurnRow

if TYPE_CHECKING:
    from loaders import Conversation

DAY_FOLDER = re.compile(r"day(?:(?P<digits>\d{4,})|last)\Z")
# How far a day folder may lie after its file's time: clocks differ, and plans are written down early.
FORWARD = timedelta(days=31)
LATEST_S = 2**63 / 1e9


def day_of(path: str) -> str:
    """The day folder that a path below `memory/` lies in."""
    return path.split("/", maxsplit=1)[0]


def folder_time(day: str, mtime: float) -> datetime:
    """The moment that a day folder stands for: MMDD in the year nearest the file's time, or YYYYMMDD.

    Nothing was said in the future: a day more than a month after the file's time is taken a year earlier.
    `daylast`, and digits that are no date, stand for the file's own day. Midnight in the machine's zone.

    Args:
        day: the day folder's name.
        mtime: when the file was written, seconds since 1970.
    """
    written = datetime.fromtimestamp(min(mtime, LATEST_S)).astimezone()
    match = DAY_FOLDER.match(day)
    digits = (match and match["digits"]) or ""
    dates: list[date] = []
    # 29 February is up to eight years away.
    years = range(written.year - 8, written.year + 2)
    spelled = [digits] if len(digits) == 8 else [f"{year:04d}{digits}" for year in years if len(digits) == 4]
    for each in spelled:
        with suppress(
            ValueError, OverflowError
        ):  # 0230 is no date in any year, and year 1 begins in none's zone
            day_spelled = date(int(each[:4]), int(each[4:6]), int(each[6:8]))
            datetime.combine(day_spelled, time()).astimezone()
            dates.append(day_spelled)
    past = [each for each in dates if each <= written.date() + FORWARD]
    nearest = min(past, key=lambda each: abs(each - written.date()), default=written.date())
    return datetime.combine(nearest, time()).astimezone()


def dated(conversation: Conversation, fallback: datetime) -> tuple[TurnRow, ...]:
    """The turns with a time each: one without takes that of the turn before it, else of the first that has one.

    Args:
        fallback: where no turn has a time.
    """
    last = next((turn.time for turn in conversation.turns if turn.time), fallback)
    turns = []
    for turn in conversation.turns:
        last = turn.time or last
        turns.append(
            TurnRow(
                id=turn.id,
                conversation_id=conversation.id,
                index=turn.index,
                role=turn.role,
                speaker=turn.speaker,
                time=last,
                text=turn.text,
                citations=turn.citations,
            )
        )
    return tuple(turns)
