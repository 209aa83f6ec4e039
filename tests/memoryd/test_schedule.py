from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from memoryd.clock import SystemClock
from memoryd.config import cron_trigger
from memoryd.errors import ReplayError
from memoryd.schedule import LOOK_SECONDS, Schedule
from memoryd.testing import FakeClock

SEOUL = ZoneInfo("Asia/Seoul")


def _never() -> None:
    raise AssertionError("no replay is due")


def _next_run(cron: str, timezone: str = "Asia/Seoul") -> datetime | None:
    schedule = Schedule(cron=cron, timezone=timezone, replay=_never, clock=SystemClock())
    schedule.start()
    try:
        return schedule.next_run()
    finally:
        schedule.stop()


def test_the_replay_is_due_at_four_in_the_morning_in_seoul() -> None:
    due = _next_run("0 4 * * *")
    assert due is not None
    local = due.astimezone(SEOUL)
    assert (local.hour, local.minute, local.second) == (4, 0, 0)
    assert timedelta() < due - datetime.now(SEOUL) <= timedelta(days=1)


@pytest.mark.parametrize(
    ("weekday", "days"),
    [
        ("0", {"Sunday"}),
        ("7", {"Sunday"}),
        ("1", {"Monday"}),
        ("6", {"Saturday"}),
        ("sun", {"Sunday"}),
        ("5-7", {"Friday", "Saturday", "Sunday"}),
        ("0-1", {"Sunday", "Monday"}),
        ("2,4", {"Tuesday", "Thursday"}),
        ("*/3", {"Sunday", "Wednesday", "Saturday"}),
    ],
)
def test_weekdays_are_counted_as_cron_counts_them(weekday: str, days: set[str]) -> None:
    trigger = cron_trigger(f"0 4 * * {weekday}", "Asia/Seoul")
    fired: set[str] = set()
    moment = datetime(2026, 3, 15, tzinfo=SEOUL)
    for _ in range(7):
        moment = trigger.get_next_fire_time(None, moment) + timedelta(seconds=1)
        fired.add(moment.strftime("%A"))
    assert fired == days


@pytest.mark.parametrize("cron", ["0 4 * * 8", "0 4 * * 3-1", "0 4 * *", "0 4 * * monday-ish", "61 4 * * *"])
def test_what_is_no_schedule_is_refused(cron: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        cron_trigger(cron)


def test_an_empty_cron_never_starts() -> None:
    schedule = Schedule(cron="", timezone="", replay=_never, clock=SystemClock())
    schedule.start()
    assert schedule.next_run() is None
    schedule.stop()


def test_nothing_is_due_before_the_start() -> None:
    assert Schedule(cron="0 4 * * *", timezone="", replay=_never, clock=SystemClock()).next_run() is None


def test_the_machines_own_zone_is_used_where_none_is_named() -> None:
    due = _next_run("0 4 * * *", timezone="")
    assert due is not None
    assert due.astimezone().hour == 4


def test_a_failed_replay_is_logged_and_the_schedule_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ReplayError("the disk is full")

    schedule = Schedule(cron="0 4 * * *", timezone="Asia/Seoul", replay=fail, clock=SystemClock())
    schedule.start()
    try:
        with caplog.at_level(logging.ERROR):
            schedule._replay_once()
        assert "the disk is full" in caplog.text
        assert schedule.next_run() is not None
    finally:
        schedule.stop()


class Night:
    """A schedule for four in the morning, on a clock that the test sets; `replays` is when each ran."""

    def __init__(self) -> None:
        self.clock = FakeClock(datetime(2026, 3, 15, 3, 59, tzinfo=UTC))
        self.replays: list[datetime] = []
        self.schedule = Schedule(
            cron="0 4 * * *",
            timezone="UTC",
            replay=lambda: self.replays.append(self.clock.now()),
            clock=self.clock,
        )
        self.schedule._trigger = cron_trigger("0 4 * * *", "UTC")
        self.schedule.step()

    def pass_hours(self, hours: float) -> None:
        """As the thread does: looks, and waits as long as it was told."""
        left = hours * 3600
        while left > 0:
            pause = min(left, max(1.0, self.schedule.step()))
            assert pause <= LOOK_SECONDS
            self.clock.pass_seconds(pause)
            left -= pause
        self.schedule.step()


def test_a_night_has_one_replay() -> None:
    night = Night()
    night.pass_hours(49)
    assert [moment.isoformat() for moment in night.replays] == [
        "2026-03-15T04:00:00+00:00",
        "2026-03-16T04:00:00+00:00",
        "2026-03-17T04:00:00+00:00",
    ]


def test_a_clock_set_forward_by_years_catches_up_once_and_goes_on() -> None:
    night = Night()
    night.clock.jump(timedelta(days=3650))
    night.pass_hours(24.5)
    assert [f"{moment:%Y %H:%M}" for moment in night.replays] == ["2036 03:59", "2036 04:00", "2036 04:00"]


def test_a_clock_set_back_by_years_goes_on_from_the_time_that_it_is_now() -> None:
    night = Night()
    night.pass_hours(1)
    night.clock.jump(timedelta(days=-3650))
    night.pass_hours(25)
    assert len(night.replays) == 2
    assert night.replays[1].year == 2016
    due = night.schedule.next_run()
    assert due is not None
    assert due - night.clock.now() < timedelta(days=1)
