"""Asks a question at a moment and writes down the stretches that it names."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from memoryd.date_words import spans

SEOUL = timezone(timedelta(hours=9))
# Thursday afternoon.
NOW = "2026-03-12 15:00"


def moment(written: str) -> datetime:
    """A moment in Seoul."""
    return datetime.fromisoformat(written).replace(tzinfo=SEOUL)


def stretches(question: str, now: str = NOW) -> list[str]:
    """Each stretch as "since until", midnights as days."""
    return [f"{_written(span.since)} {_written(span.until)}" for span in spans(question, moment(now))]


def _written(when: datetime) -> str:
    return (
        when.strftime("%Y-%m-%d") if (when.hour, when.minute) == (0, 0) else when.strftime("%Y-%m-%dT%H:%M")
    )
