"""English date words: days, weeks, months, seasons and years, and the words that only look like them."""

from __future__ import annotations

import pytest

from tests.memoryd.date_words.asked import stretches


@pytest.mark.parametrize(
    ("question", "stretch"),
    [
        # Days.
        ("What did I do today?", "2026-03-12 2026-03-13"),
        ("What did I eat yesterday?", "2026-03-11 2026-03-12"),
        ("the day before yesterday", "2026-03-10 2026-03-11"),
        ("yesterday morning", "2026-03-11T04:00 2026-03-11T12:00"),
        ("last night's dream", "2026-03-11T18:00 2026-03-12T06:00"),
        ("this morning", "2026-03-12T04:00 2026-03-12T12:00"),
        ("tonight", "2026-03-12T18:00 2026-03-13T06:00"),
        ("Tomorrow?", "2026-03-13 2026-03-14"),
        ("the other day", "2026-03-04 2026-03-11"),
        # So long ago.
        ("an hour ago", "2026-03-12T13:30 2026-03-12T14:30"),
        ("3 days ago", "2026-03-09 2026-03-10"),
        ("Three days ago", "2026-03-09 2026-03-10"),
        ("a couple of days ago", "2026-03-09 2026-03-11"),
        ("2-3 days ago", "2026-03-09 2026-03-11"),
        ("a week ago", "2026-03-03 2026-03-08"),
        ("two weeks ago", "2026-02-22 2026-03-03"),
        ("two weeks back", "2026-02-22 2026-03-03"),
        ("a few weeks ago", "2026-01-27 2026-03-03"),
        ("a month ago", "2026-02-02 2026-02-23"),
        ("two or three months ago", "2025-11-20 2026-01-28"),
        ("half a year ago", "2025-07-29 2025-10-28"),
        ("a year and a half ago", "2024-04-29 2025-01-27"),
        ("several years ago", "2017-06-11 2023-12-12"),
        # The last so many.
        ("over the past two weeks", "2026-02-26 2026-03-13"),
        ("in the last few months", "2025-10-12 2026-03-13"),
        ("this past week", "2026-03-05 2026-03-13"),
        # Weeks.
        ("last week", "2026-03-02 2026-03-09"),
        ("this week", "2026-03-09 2026-03-16"),
        ("next week", "2026-03-16 2026-03-23"),
        ("earlier this week", "2026-03-09 2026-03-12"),
        ("the week before last", "2026-02-23 2026-03-02"),
        ("last week Tuesday", "2026-03-03 2026-03-04"),
        ("last week on Tuesday", "2026-03-03 2026-03-04"),
        ("Tuesday last week", "2026-03-03 2026-03-04"),
        ("Tuesday of last week", "2026-03-03 2026-03-04"),
        ("last Tuesday", "2026-03-10 2026-03-11"),
        ("last Friday night", "2026-03-06T18:00 2026-03-07T06:00"),
        ("on Tuesday", "2026-03-10 2026-03-11"),
        ("on Thursday", "2026-03-05 2026-03-06"),
        ("next Tuesday", "2026-03-17 2026-03-18"),
        ("last weekend", "2026-03-07 2026-03-09"),
        ("over the weekend", "2026-03-07 2026-03-09"),
        ("the weekend before last", "2026-02-28 2026-03-02"),
        # Months.
        ("since March 5", "2026-03-05 2026-03-06"),
        ("the evening of March 5", "2026-03-05 2026-03-06"),
        ("around May 5th", "2025-05-05 2025-05-06"),
        ("last month", "2026-02-01 2026-03-01"),
        ("the month before last", "2026-01-01 2026-02-01"),
        ("at the beginning of this month", "2026-03-01 2026-03-11"),
        ("next month", "2026-04-01 2026-05-01"),
        ("in March", "2026-03-01 2026-04-01"),
        ("in march", "2026-03-01 2026-04-01"),
        ("in May", "2025-05-01 2025-06-01"),
        ("the December trip", "2025-12-01 2026-01-01"),
        ("early March", "2026-03-01 2026-03-11"),
        ("mid-February", "2026-02-11 2026-02-21"),
        ("late in February", "2026-02-21 2026-03-01"),
        ("the end of February", "2026-02-21 2026-03-01"),
        ("the middle of January", "2026-01-11 2026-01-21"),
        ("last March", "2025-03-01 2025-04-01"),
        ("the last week of February", "2026-02-22 2026-03-01"),
        ("March 5", "2026-03-05 2026-03-06"),
        ("March 5th", "2026-03-05 2026-03-06"),
        ("Thursday, March 5", "2026-03-05 2026-03-06"),
        ("5 March", "2026-03-05 2026-03-06"),
        ("the 5th of March", "2026-03-05 2026-03-06"),
        ("on may 5", "2025-05-05 2025-05-06"),
        ("Sept. 3rd", "2025-09-03 2025-09-04"),
        ("5th of May 2023", "2023-05-05 2023-05-06"),
        ("May 5, 2023", "2023-05-05 2023-05-06"),
        ("May 2023", "2023-05-01 2023-06-01"),
        ("February 29", "2024-02-29 2024-03-01"),
        # Seasons and years.
        ("last summer", "2025-06-01 2025-09-01"),
        ("this winter", "2025-12-01 2026-03-01"),
        ("in the fall", "2025-09-01 2025-12-01"),
        ("spring of 2023", "2023-03-01 2023-06-01"),
        ("fall 2023", "2023-09-01 2023-12-01"),
        ("the summer of last year", "2025-06-01 2025-09-01"),
        ("last year", "2025-01-01 2026-01-01"),
        ("this year", "2026-01-01 2027-01-01"),
        ("the year before last", "2024-01-01 2025-01-01"),
        ("late last year", "2025-10-01 2026-01-01"),
        ("in 2023", "2023-01-01 2024-01-01"),
        ("early 2023", "2023-01-01 2023-04-01"),
    ],
)
def test_words_name_a_stretch(question: str, stretch: str) -> None:
    assert stretches(question) == [stretch]


@pytest.mark.parametrize(
    ("now", "question", "stretch"),
    [
        ("2026-01-01 00:30", "yesterday", "2025-12-31 2026-01-01"),
        ("2026-01-01 00:30", "last month", "2025-12-01 2026-01-01"),
        ("2026-03-14 09:00", "over the weekend", "2026-03-14 2026-03-16"),
        ("2026-03-16 09:00", "last weekend", "2026-03-14 2026-03-16"),
        ("2026-12-31 09:00", "two months ago", "2026-10-16 2026-11-16"),
        ("2026-07-01 09:00", "last summer", "2025-06-01 2025-09-01"),
    ],
)
def test_words_count_from_the_day_of_asking(now: str, question: str, stretch: str) -> None:
    assert stretches(question, now) == [stretch]


@pytest.mark.parametrize(
    "question",
    [
        "It may rain in a second.",
        "May I ask what I said?",
        "This may be the one.",
        "We may 5 times a year.",
        "They march on and on.",
        "Did I march 5 miles?",
        "April came by with June.",
        "An august body.",
        "What is in Jan's house?",
        "The sun is up.",
        "The second one, please.",
        "the last time we met",
        "the last one",
        "the last day of school",
        "the last week of school",
        "Where did I fall?",
        "the fall of Rome",
        "spring cleaning",
        "It takes a day back home.",
        "a while ago",
        "every Friday",
        "Black Friday",
        "on Fridays",
        "in 2000 steps",
        "1999 bottles",
        "the decade",
        "the mayor",
    ],
)
def test_words_that_only_look_like_dates_name_nothing(question: str) -> None:
    assert stretches(question) == []


@pytest.mark.parametrize(
    "question", ["February 30", "Feb 31st 2024", "31 April", "February 29, 2023", "March 0"]
)
def test_dates_that_no_calendar_has_name_nothing(question: str) -> None:
    assert stretches(question) == []
