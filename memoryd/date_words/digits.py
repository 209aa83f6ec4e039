"""Dates in digits, the year first: 2025-03-05, 2025.3.5, 2025/03/05, 2025. 3. 5."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from memoryd.date_words.reading import reading
from memoryd.date_words.stretches import Stretch, days

if TYPE_CHECKING:
    from datetime import datetime

    from memoryd.date_words.reading import Words


def _date(words: Words, _now: datetime) -> Stretch:
    return days(date(int(words["year"]), int(words["month"]), int(words["day"])))


# No part of a longer number: a version, an address, a telephone number.
DIGITS = (
    reading(
        ("19", "20"),
        r"(?<![\w.+-])(?P<year>(?:19|20)\d\d)(?P<sign>[-/]|\. ?)(?P<month>\d{1,2})(?P=sign)(?P<day>\d{1,2})"
        r"(?![-/.]?\d)",
        _date,
    ),
)
