from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from loaders.base import Source, UnreadableError
from loaders.parsing import epoch_time, is_json, parse_json, parse_time


def test_a_time_keeps_its_own_offset() -> None:
    assert parse_time("2026-03-15T21:04:00+09:00").utcoffset() == timedelta(hours=9)
    assert parse_time("2026-03-15T12:04:00Z") == datetime(2026, 3, 15, 12, 4, tzinfo=UTC)


def test_a_time_without_offset_is_this_machines() -> None:
    time = parse_time("2026-03-15T21:04:00")
    assert time.tzinfo is not None
    assert time == datetime(2026, 3, 15, 21, 4).astimezone()


@pytest.mark.parametrize(
    "text", ["", "어제", "2026-13-01", "0001-01-01T00:00:00+09:00", "9999-12-31T23:59:59-09:00"]
)
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UnreadableError, match="ISO 8601"):
        parse_time(text)


def test_epoch_seconds_become_utc() -> None:
    assert epoch_time(1_700_000_000.5) == datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", [None, True, "1700000000", float("nan"), float("inf"), 1e300, 10**400, -1e18]
)
def test_what_is_no_moment_has_no_time(value: object) -> None:
    assert epoch_time(value) is None


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "9" * 5_000])
def test_unusable_json_is_unreadable(text: str) -> None:
    with pytest.raises(UnreadableError, match="JSON"):
        parse_json(text)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.txt", '{"a": 1}', True),
        ("a.txt", "[단계] 시작", False),
        ("a.json", "[단계] 시작", True),
        ("a.json", "42", False),
    ],
)
def test_json_is_known_by_its_content_and_a_broken_one_by_its_name(
    name: str, text: str, *, expected: bool
) -> None:
    assert is_json(Source(name=name, data=b"", text=text)) is expected
