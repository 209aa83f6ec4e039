"""The date words of a question, Korean and English, as stretches of time.

    asked on Thursday 2026-03-12
    "지난주 화요일에 뭐 먹었지?"            ──▶  [2026-03-03 00:00, 2026-03-04 00:00)
    "what did we cook in early March?"  ──▶  [2026-03-01 00:00, 2026-03-11 00:00)

    digits, korean, english: tables of readings ──▶ reading: the longest words win
                       │
                       └─ stretches, choice, amounts, feasts: the calendar

Words count from `now`, in its own zone. Weeks begin on Monday; a month or a day without a year is the latest one
that has begun; a vague word is a stretch about as wide as people are vague ("두 달 전": two weeks to either side).
A date that no calendar has (2월 31일) names nothing, nor does what only looks like a date (the verb "may",
다음 달리기).

dateparser 1.5.0 was tried: it reads none of 사흘 전, 두 달 전 and 그저께, makes 지난주 of "지난주 화요일", takes "may",
"we" and "the sun" for dates, and needs 16 to 20 ms for 200 characters.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from memoryd.date_words.digits import DIGITS
from memoryd.date_words.english import ENGLISH
from memoryd.date_words.korean import KOREAN
from memoryd.date_words.reading import named
from memoryd.korean import normalise

# Characters that are looked at: a bound on the work, far beyond any question.
LONGEST = 2_000
READINGS = (*DIGITS, *KOREAN, *ENGLISH)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time that a question names: [since, until), both aware.

    Attributes:
        words: those of the question that name it, white space made single spaces.
    """

    since: datetime
    until: datetime
    words: str

    def distance(self, moment: datetime) -> timedelta:
        """How far an aware moment lies outside; zero inside."""
        return max(self.since - moment, moment - self.until, timedelta())


def spans(text: str, now: datetime) -> tuple[Span, ...]:
    """The stretches of time that a text names, in the order of their words; none overlap in their words.

    Only the first `LONGEST` characters are looked at. The first feast that moves (설, Easter) takes about half a
    second, for its calendar is loaded then.

    Args:
        now: aware; the moment and the zone that the words count from.
    """
    # Single spaces, so that no pattern has to try runs of white space.
    plain = " ".join(normalise(text[:LONGEST]).split())
    return tuple(
        Span(stretch.since.replace(tzinfo=now.tzinfo), stretch.until.replace(tzinfo=now.tzinfo), words)
        for words, stretch in named(plain, READINGS, now.replace(tzinfo=None))
    )
