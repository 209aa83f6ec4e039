"""Spans: aware, in the zone of the one who asks, with the words that name them, and only from a text's beginning."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.date_words import LONGEST, Span, spans
from tests.memoryd.date_words.asked import NOW, SEOUL, moment


def test_a_span_says_since_when_until_when_and_by_which_words() -> None:
    assert spans("보리,  지난주\n화요일에 봤지?", moment(NOW)) == (
        Span(moment("2026-03-03"), moment("2026-03-04"), "지난주 화요일"),
    )


def test_days_are_those_of_the_zone_of_the_one_who_asks() -> None:
    late = datetime(2026, 3, 12, 20, 0, tzinfo=UTC)  # in Seoul it is the 13th already
    assert [span.since for span in spans("today", late)] == [datetime(2026, 3, 12, tzinfo=UTC)]
    assert [span.since for span in spans("today", late.astimezone(SEOUL))] == [moment("2026-03-13")]


def test_a_day_on_which_clocks_change_is_still_from_midnight_to_midnight() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    (span,) = spans("yesterday", datetime(2026, 3, 30, 9, 0, tzinfo=berlin))
    assert (span.since, span.until) == (
        datetime(2026, 3, 29, tzinfo=berlin),
        datetime(2026, 3, 30, tzinfo=berlin),
    )
    assert span.until.astimezone(UTC) - span.since.astimezone(UTC) == timedelta(hours=23)


def test_hangul_written_as_letters_is_read_too() -> None:
    assert [span.words for span in spans(unicodedata.normalize("NFD", "어제 뭐 했지"), moment(NOW))] == [
        "어제"
    ]


@pytest.mark.parametrize(
    ("when", "hours"),
    [
        ("2026-03-03 00:00", 0),
        ("2026-03-03 23:59", 0),
        ("2026-03-02 21:00", 3),
        ("2026-03-04 00:00", 0),
        ("2026-03-04 05:00", 5),
    ],
)
def test_the_distance_is_how_far_a_moment_lies_outside(when: str, hours: int) -> None:
    (span,) = spans("지난주 화요일", moment(NOW))
    assert span.distance(moment(when)) == timedelta(hours=hours)
    assert span.distance(moment(when).astimezone(UTC)) == timedelta(hours=hours)


def test_only_the_beginning_of_a_text_is_looked_at() -> None:
    begun = "가 " * (LONGEST // 2 - 3)
    assert len(spans(f"{begun}어제", moment(NOW))) == 1
    assert spans(f"{begun}가 가 가 어제", moment(NOW)) == ()
    assert len(spans("어제는 " * 2_500, moment(NOW))) == LONGEST // len("어제는 ")


@pytest.mark.parametrize(
    "piece", [" ", "한", "이십", "3월 ", "3월에에에", "last a couple of ", "2025-", "1", "지난 "]
)
def test_ten_thousand_characters_are_no_trouble(piece: str) -> None:
    assert len(spans(piece * (10_000 // len(piece)), moment(NOW))) <= LONGEST


def test_the_calendar_of_feasts_is_not_loaded_before_it_is_needed() -> None:
    look = "import sys, memoryd.date_words; print('holidays' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "False"


@settings(deadline=None)  # the first feast loads its calendar
@given(
    st.text(alphabet="지난이번다음주달월년일설날전초말두세3 125년.-/aeinMmarchylstwk'", max_size=60),
    st.datetimes(datetime(1950, 1, 1), datetime(2090, 1, 1), timezones=st.just(SEOUL)),  # noqa: DTZ001 - they get one
)
def test_any_text_at_any_time_names_stretches_that_begin_before_they_end(text: str, now: datetime) -> None:
    for span in spans(text, now):
        assert span.since < span.until
        assert span.words in " ".join(text.split())
