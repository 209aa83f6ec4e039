from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from memoryd.day_digests import MOST_TURNS, DayDigests
from memoryd.identity import DIGEST_LINE, digest_line
from memoryd.ledger.digests import DigestRow
from memoryd.testing import FakeClock
from tests.memoryd.parts import SHARED, Home, line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOON = datetime(2026, 3, 20, 12, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.ledger.close()


@pytest.fixture
def digests(home: Home) -> DayDigests:
    return DayDigests(ledger=home.ledger, owners=SHARED, clock=FakeClock(NOON))


def say(home: Home, day: int, *texts: str, folder: str = "", role: str = "user") -> None:
    lines = [
        line(
            text, time=f"2026-03-{day:02d}T21:00:00+00:00", conversation=f"c{day}", role=role, speaker="지훈"
        )
        for text in texts
    ]
    home.remember(f"day03{day:02d}/{folder}talk.jsonl", "".join(lines))


def row(day: str, key: str, text: str = "두부가 왔다.") -> DigestRow:
    return DigestRow(day=day, key=key, text=text, model="llama", turns=1, read=1)


def test_the_last_days_that_are_over_are_told_each_with_its_turns(home: Home, digests: DayDigests) -> None:
    for day in range(10, 21):
        say(home, day, f"{day}일의 말", "또 한마디")
    days = digests.days()
    assert [each.day for each in days] == [f"2026-03-{day}" for day in range(13, 20)]
    assert [turn.text for turn in days[0].turns] == ["13일의 말", "또 한마디"]
    assert days[0].turns[0].passage
    assert (days[0].turns[0].path, days[0].turns[0].conversation_id) == ("day0313/talk.jsonl", "c13")


@pytest.mark.parametrize(("zone", "over"), [("+09:00", True), ("+00:00", False), ("-08:00", False)])
def test_a_day_is_over_where_it_was_said(home: Home, zone: str, over: bool) -> None:
    """At seven in the evening in Greenwich it is the next day in Seoul."""
    said = line("아침의 말", time=f"2026-03-19T08:00:00{zone}", conversation="c19")
    home.remember("day0319/talk.jsonl", said)
    at = FakeClock(datetime(2026, 3, 19, 19, tzinfo=UTC))
    assert bool(DayDigests(ledger=home.ledger, owners=SHARED, clock=at).days()) is over


def test_what_is_said_today_or_dated_later_crowds_no_day_out(
    home: Home, digests: DayDigests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memoryd.day_digests.MOST_TURNS", 3)
    say(home, 19, "어제의 말")
    say(home, 20, "오늘", "오늘", "오늘", "오늘")
    say(home, 28, "다음 주", "다음 주", "다음 주")
    assert [each.day for each in digests.days()] == ["2026-03-19"]


def test_what_tools_said_and_what_is_anothers_own_is_no_part_of_a_day(
    home: Home, digests: DayDigests
) -> None:
    say(home, 17, "exit code 0", role="tool")
    say(home, 18, "나만의 비밀", folder="jihun/")
    say(home, 19, "네, 기억할게요.", role="assistant")
    assert [turn.text for day in digests.days() for turn in day.turns] == ["네, 기억할게요."]


def test_a_day_whose_beginning_lies_too_far_back_is_left_out(
    home: Home, digests: DayDigests, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_TURNS > 3
    monkeypatch.setattr("memoryd.day_digests.MOST_TURNS", 3)
    say(home, 17, "하나", "둘")
    say(home, 18, "셋", "넷")
    assert [each.day for each in digests.days()] == ["2026-03-18"]


def test_a_digest_is_known_until_something_else_is_said_that_day(home: Home, digests: DayDigests) -> None:
    say(home, 18, "두부는 회색 고양이야.")
    say(home, 19, "내일은 회의가 있다.")
    newest, oldest = digests.missing()
    assert (newest.day, oldest.day) == ("2026-03-19", "2026-03-18")
    assert digests.save(row(oldest.day, oldest.key))
    assert [each.row.text for each in digests.known()] == ["두부가 왔다."]
    assert digests.known()[0].first.text == "두부는 회색 고양이야."
    assert [each.day for each in digests.missing()] == ["2026-03-19"]
    say(home, 18, "두부는 회색 고양이야.", "이제 다섯 살이야.")
    assert not digests.known()
    assert len(digests.missing()) == 2


def test_a_file_that_was_moved_costs_no_digest(home: Home, digests: DayDigests) -> None:
    say(home, 18, "두부는 회색 고양이야.")
    (day,) = digests.missing()
    (home.root / "day0318" / "talk.jsonl").unlink()
    home.ingest.read(["day0318/talk.jsonl"])
    home.remember(
        "day0318/moved.jsonl",
        line("두부는 회색 고양이야.", time="2026-03-18T21:00:00+00:00", conversation="c18", speaker="지훈"),
    )
    assert [each.key for each in digests.missing()] == [day.key]


def test_a_digest_of_what_is_no_longer_said_is_not_kept(home: Home, digests: DayDigests) -> None:
    """An erasure, or an edit, while the model wrote."""
    say(home, 18, "비밀번호는 오리너구리야.")
    (day,) = digests.missing()
    say(home, 18, "아무것도 아니야.")
    assert not digests.save(row(day.day, day.key, "비밀번호는 오리너구리다."))
    assert not home.ledger.digests.of_days([day.day])


def test_a_digest_that_is_told_no_more_is_dropped(home: Home, digests: DayDigests) -> None:
    say(home, 10, "오래전 말")
    (old,) = digests.missing()
    assert digests.save(row(old.day, old.key))
    digests.missing()
    assert home.ledger.digests.of_days([old.day])
    for number in range(12, 20):
        say(home, number, f"{number}일의 말")
    digests.missing()
    assert not home.ledger.digests.of_days([old.day])


def test_a_digests_line_names_the_model_and_how_much_it_read(home: Home, digests: DayDigests) -> None:
    say(home, 18, "두부는 회색 고양이야.")
    (day,) = digests.missing()
    digests.save(row(day.day, day.key)._replace(turns=40, read=10))
    made = digest_line(digests.known()[0])
    assert made.text == "- 2026-03-18, llama (말 40번 중 10번): 두부가 왔다."
    assert DIGEST_LINE.match(made.text)
    assert (made.day, made.path, made.passage) == ("2026-03-18", "day0318/talk.jsonl", day.turns[0].passage)
