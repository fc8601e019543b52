"""Calendar periods, with days that have 23 and 25 hours."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.energy.periods import Period, PeriodBook, end_of, pieces, start_of

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ("Europe/Berlin", "America/Havana", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia", "Africa/Cairo")
DAYS = (Period.DAY, Period.WEEK, Period.MONTH)


def at(text: str, zone: ZoneInfo = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


@pytest.mark.parametrize(
    ("period", "moment", "start", "hours"),
    [
        pytest.param(Period.DAY, "2026-11-22T15:00", "2026-11-22T00:00", 24, id="a day"),
        pytest.param(Period.DAY, "2026-03-29T12:00", "2026-03-29T00:00", 23, id="the day without an hour"),
        pytest.param(Period.DAY, "2026-10-25T12:00", "2026-10-25T00:00", 25, id="the day with one more"),
        pytest.param(Period.WEEK, "2026-10-25T12:00", "2026-10-19T00:00", 169, id="a week begins on Monday"),
        pytest.param(Period.MONTH, "2026-10-31T23:59", "2026-10-01T00:00", 745, id="October"),
        pytest.param(Period.MONTH, "2026-02-10T00:00", "2026-02-01T00:00", 672, id="February"),
        pytest.param(Period.MONTH, "2026-12-31T12:00", "2026-12-01T00:00", 744, id="the end of a year"),
        pytest.param(Period.HOUR, "2026-11-22T15:59:59", "2026-11-22T15:00", 1, id="an hour"),
    ],
)
def test_periods_follow_the_calendar(period: Period, moment: str, start: str, hours: float) -> None:
    assert start_of(period, at(moment), BERLIN) == at(start)
    assert end_of(period, at(moment), BERLIN) - at(start) == hours * 3600.0


def test_a_day_whose_midnight_is_leapt_over_begins_with_the_leap() -> None:
    zone = ZoneInfo("America/Sao_Paulo")
    assert start_of(Period.DAY, at("2018-11-04T12:00", zone), zone) == at("2018-11-04T01:00", zone)


@given(
    st.sampled_from(ZONES),
    st.integers(1_000_000_000, 2_000_000_000),
    st.sampled_from(DAYS),
)
def test_periods_join_without_gap_or_overlap(zone_name: str, moment: int, period: Period) -> None:
    zone = ZoneInfo(zone_name)
    start_s, end_s = start_of(period, moment, zone), end_of(period, moment, zone)
    assert start_s <= moment < end_s
    assert start_of(period, start_s, zone) == start_s
    assert start_of(period, end_s, zone) == end_s
    assert end_of(period, end_s - 1.0, zone) == end_s


@given(st.integers(1_700_000_000, 1_900_000_000), st.integers(1, 400_000), st.sampled_from(list(Period)))
def test_a_stretch_is_in_its_periods_whole(start_s: int, length_s: int, period: Period) -> None:
    shares = [share for _, share in pieces(period, start_s, start_s + length_s, BERLIN)]
    assert sum(shares) == pytest.approx(1.0)


def test_a_book_knows_the_present_and_the_last_period() -> None:
    book, both = PeriodBook(2, BERLIN), np.array([True, True])
    midnight_s = at("2026-10-25T00:00")
    book.enter(midnight_s - 30.0, midnight_s + 30.0, np.array([600.0, 60.0]), np.array([300.0, 0.0]), both)
    book.enter(
        midnight_s + 30.0, midnight_s + 90.0, np.array([100.0, 0.0]), np.array([100.0, 0.0]), np.array([True, False])
    )
    joules, measured_j = book.present(Period.DAY, midnight_s + 90.0)
    assert joules == pytest.approx([400.0, 30.0])
    assert measured_j == pytest.approx([250.0, 0.0])
    assert book.previous(Period.DAY, midnight_s + 90.0)[0] == pytest.approx([300.0, 30.0])
    assert book.present(Period.MONTH, midnight_s + 90.0)[0] == pytest.approx([700.0, 60.0])


def test_a_period_without_an_entry_is_unknown_and_not_zero() -> None:
    book, one = PeriodBook(1, BERLIN), np.array([True])
    day_s = at("2026-11-20T00:00")
    book.enter(day_s, day_s + 60.0, np.array([5.0]), np.array([5.0]), one)
    assert np.isnan(book.previous(Period.DAY, day_s)[0]).all()
    assert np.isnan(book.present(Period.DAY, day_s + 86_400.0)[0]).all()
    assert book.previous(Period.DAY, day_s + 86_400.0)[0] == pytest.approx([5.0])
    book.enter(day_s + 3 * 86_400.0, day_s + 3 * 86_400.0 + 60.0, np.array([7.0]), np.array([7.0]), one)
    assert np.isnan(book.previous(Period.DAY, day_s + 3 * 86_400.0)[0]).all(), "the day between was never entered"


def test_the_25_hours_of_a_day_add_up() -> None:
    book, one = PeriodBook(1, BERLIN), np.array([True])
    start_s = at("2026-10-24T22:00")
    for minute in range(30 * 60):
        book.enter(start_s + 60.0 * minute, start_s + 60.0 * (minute + 1), np.array([1.0]), np.array([1.0]), one)
    assert book.previous(Period.DAY, start_s + 30 * 3600.0)[0] == pytest.approx([25 * 60.0])
