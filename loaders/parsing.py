"""JSON and times as files give them, with every failure an UnreadableError."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from loaders.base import UnreadableError

if TYPE_CHECKING:
    from loaders.base import Source

    Record = dict[str, object]


def parse_json(text: str) -> object:
    """Parse one JSON value.

    Raises:
        UnreadableError: broken, or nested deeper than Python goes.
    """
    try:
        value: object = json.loads(text)
    except json.JSONDecodeError as error:
        raise UnreadableError(
            f"not valid JSON ({error.msg}, column {error.colno})", line=error.lineno
        ) from error
    except ValueError as error:  # a number of thousands of digits
        raise UnreadableError(f"not usable JSON ({error})") from error
    except RecursionError as error:
        raise UnreadableError("JSON nested too deeply to be a conversation") from error
    return value


def is_json(source: Source) -> bool:
    """Whether the text is a JSON object or array; a broken one counts where the name says that it is JSON."""
    text = source.text or ""
    if not text.lstrip().startswith(("{", "[")):
        return False
    if source.suffix in {".json", ".jsonl", ".ndjson"}:
        return True
    try:
        parse_json(text)
    except UnreadableError:
        return False
    return True


def parse_time(text: str) -> datetime:
    """Parse an ISO 8601 time; one without an offset is in this machine's time zone.

    Returns:
        An aware time that survives a change to UTC.

    Raises:
        UnreadableError: no such time.
    """
    try:
        time = datetime.fromisoformat(text.strip())
        if time.tzinfo is None:
            time = time.astimezone()
        time.astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise UnreadableError(
            f'"{text[:40]}" is no ISO 8601 time such as 2026-03-15T21:04:00+09:00'
        ) from error
    return time


def wall_clock(time: datetime) -> datetime | None:
    """A naive time as this machine's clock on the wall showed it, made aware; None where UTC has no such date."""
    try:
        aware = time.astimezone()
        aware.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return aware


def record(value: object) -> Record:
    """The value where it is a JSON object, else an empty one."""
    return cast("Record", value) if isinstance(value, dict) else {}


def items(value: object) -> list[object]:
    """The value where it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def string(value: object) -> str:
    """The value where it is a JSON string, else an empty one."""
    return value if isinstance(value, str) else ""


def epoch_time(seconds: object) -> datetime | None:
    """The UTC time of seconds since 1970, or None where that is no number or no date."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(seconds, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None
