from __future__ import annotations

import logging
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from memoryd.config import cron_trigger
from memoryd.errors import ReplayError
from memoryd.schedule import Schedule

SEOUL = ZoneInfo("Asia/Seoul")


def _never() -> None:
    raise AssertionError("no replay is due")


def _next_run(cron: str, timezone: str = "Asia/Seoul") -> datetime | None:
    schedule = Schedule(cron=cron, timezone=timezone, replay=_never)
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
    schedule = Schedule(cron="", timezone="", replay=_never)
    schedule.start()
    assert schedule.next_run() is None
    schedule.stop()


def test_nothing_is_due_before_the_start() -> None:
    assert Schedule(cron="0 4 * * *", timezone="", replay=_never).next_run() is None


def test_the_machines_own_zone_is_used_where_none_is_named() -> None:
    due = _next_run("0 4 * * *", timezone="")
    assert due is not None
    assert due.astimezone().hour == 4


def test_a_failed_replay_is_logged_and_the_schedule_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ReplayError("the disk is full")

    schedule = Schedule(cron="0 4 * * *", timezone="Asia/Seoul", replay=fail)
    schedule.start()
    try:
        with caplog.at_level(logging.ERROR):
            schedule._run()
        assert "the disk is full" in caplog.text
        assert schedule.next_run() is not None
    finally:
        schedule.stop()


def test_a_scheduled_run_replays_once() -> None:
    replays: list[str] = []
    Schedule(cron="0 4 * * *", timezone="", replay=lambda: replays.append("schedule"))._run()
    assert replays == ["schedule"]
