"""Periods by the clock on the wall: none is lost and none counts twice, whatever the clocks do."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.model.period import Calendar, CalendarPeriod, RollingPeriod, Span

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Santiago",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Havana",
    "Africa/Cairo",
]


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def span(calendar: Calendar, zone: str, now: str) -> tuple[str, float]:
    found = CalendarPeriod(calendar, ZoneInfo(zone)).span(at(now))
    return datetime.fromtimestamp(found.start_s, UTC).isoformat()[:16], found.length_s / 3600.0


@pytest.mark.parametrize(
    ("calendar", "zone", "now", "start", "hours"),
    [
        pytest.param(Calendar.HOUR, "UTC", "2026-01-05T10:40:00", "2026-01-05T10:00", 1.0, id="an hour"),
        pytest.param(Calendar.HOUR, "Asia/Kolkata", "2026-01-05T10:40:00", "2026-01-05T10:30", 1.0, id="half past"),
        pytest.param(Calendar.DAY, "UTC", "2026-01-05T10:40:00", "2026-01-05T00:00", 24.0, id="a day"),
        pytest.param(
            Calendar.DAY, "Europe/Berlin", "2026-01-05T23:30:00", "2026-01-05T23:00", 24.0, id="tomorrow there"
        ),
        pytest.param(Calendar.DAY, "Europe/Berlin", "2026-03-29T12:00:00", "2026-03-28T23:00", 23.0, id="clocks go on"),
        pytest.param(
            Calendar.DAY, "Europe/Berlin", "2026-10-25T12:00:00", "2026-10-24T22:00", 25.0, id="clocks go back"
        ),
        pytest.param(Calendar.HOUR, "Europe/Berlin", "2026-10-25T00:30:00", "2026-10-25T00:00", 1.0, id="02:30 once"),
        pytest.param(Calendar.HOUR, "Europe/Berlin", "2026-10-25T01:30:00", "2026-10-25T01:00", 1.0, id="02:30 again"),
        pytest.param(Calendar.WEEK, "UTC", "2026-01-11T23:59:59", "2026-01-05T00:00", 168.0, id="a week from Monday"),
        pytest.param(
            Calendar.WEEK, "Europe/Berlin", "2026-03-25T12:00:00", "2026-03-22T23:00", 167.0, id="a short week"
        ),
        pytest.param(Calendar.MONTH, "UTC", "2026-02-14T00:00:00", "2026-02-01T00:00", 672.0, id="February"),
        pytest.param(Calendar.MONTH, "UTC", "2026-12-31T00:00:00", "2026-12-01T00:00", 744.0, id="over the year's end"),
    ],
)
def test_a_period_of_the_calendar(calendar: Calendar, zone: str, now: str, start: str, hours: float) -> None:
    assert span(calendar, zone, now) == (start, hours)


@given(st.sampled_from(ZONES), st.sampled_from(list(Calendar)), st.integers(1_700_000_000, 1_800_000_000))
def test_periods_follow_each_other_without_gap_or_overlap(zone: str, calendar: Calendar, now_s: int) -> None:
    period = CalendarPeriod(calendar, ZoneInfo(zone))
    here = period.span(now_s)
    assert here.start_s <= now_s < here.end_s
    assert period.span(here.start_s) == here
    assert period.span(here.end_s - 1.0) == here
    assert period.span(here.end_s).start_s == here.end_s
    assert period.span(here.start_s - 1.0).end_s == here.start_s


def test_clocks_that_go_by_half_an_hour_cut_an_hour_short() -> None:
    """On Lord Howe, 02:00 became 01:30 on 2026-04-05, at 15:00 UTC of the day before."""
    period = CalendarPeriod(Calendar.HOUR, ZoneInfo("Australia/Lord_Howe"))
    before, after = period.span(at("2026-04-04T14:59:00")), period.span(at("2026-04-04T15:01:00"))
    assert before.end_s == after.start_s == at("2026-04-04T15:00:00")
    assert after.length_s == 1800.0


def test_a_rolling_period_ends_now() -> None:
    assert RollingPeriod(600.0).span(10_000.0) == Span(9400.0, 10_000.0)
