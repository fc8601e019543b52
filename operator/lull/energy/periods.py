"""Calendar periods in a time zone, with days of 23 and 25 hours; and what was used in the present and the last one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Final
from zoneinfo import ZoneInfo

import numpy as np

from lull.model.arrays import F64, Bools


class Period(StrEnum):
    """A period of the calendar; weeks begin on Monday."""

    HOUR = "Hour"
    DAY = "Day"
    WEEK = "Week"
    MONTH = "Month"


PERIODS: Final = tuple(Period)


def start_of(period: Period, at_s: float, zone: ZoneInfo) -> float:
    """When the period began that holds the moment, in seconds since the epoch.

    A day whose midnight the clock leaps over begins with the leap; one whose midnight comes twice, with the first.
    """
    local = datetime.fromtimestamp(at_s, UTC).astimezone(zone)
    if period is Period.HOUR:
        return at_s - (local.minute * 60.0 + local.second + at_s % 1.0)
    first = local.date()
    if period is Period.WEEK:
        first -= timedelta(days=first.weekday())
    elif period is Period.MONTH:
        first = first.replace(day=1)
    return datetime(first.year, first.month, first.day, tzinfo=zone).timestamp()


def end_of(period: Period, at_s: float, zone: ZoneInfo) -> float:
    """When the period ends that holds the moment: the first moment of the next one."""
    if period is Period.HOUR:
        return start_of(period, at_s, zone) + 3600.0
    # no day is as long as 36 hours, and no month as long as 33 days less a few hours
    beyond_s = {Period.DAY: 1.25, Period.WEEK: 7.5, Period.MONTH: 31.5}[period] * 86_400.0
    return start_of(period, start_of(period, at_s, zone) + beyond_s, zone)


def pieces(period: Period, start_s: float, end_s: float, zone: ZoneInfo) -> Iterator[tuple[float, float]]:
    """The periods that a stretch of time lies in: when each began, and its share of the stretch."""
    at_s = start_s
    while at_s < end_s:
        until_s = min(end_of(period, at_s, zone), end_s)
        yield start_of(period, at_s, zone), (until_s - at_s) / (end_s - start_s)
        at_s = until_s


class PeriodBook:
    """Joules of each model in the present period and in the one before, for every kind of period.

    Args:
        width: number of models.
        zone: whose calendar.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("starts_s", "joules", "measured_j")

    def __init__(self, width: int, zone: ZoneInfo) -> None:
        self.zone = zone
        self.starts_s: F64 = np.full((len(PERIODS), width), np.nan)
        """When the present period of each kind began; NaN = nothing was ever entered."""
        self.joules: F64 = np.zeros((2, len(PERIODS), width))
        """Of the present period, and of the one before."""
        self.measured_j: F64 = np.zeros((2, len(PERIODS), width))

    def enter(self, start_s: float, end_s: float, joules: F64, measured_j: F64, chosen: Bools) -> None:
        """Adds what the chosen models used in a stretch of time, spread evenly over it; each argument (M,)."""
        for kind, period in enumerate(PERIODS):
            for began_s, share in pieces(period, start_s, end_s, self.zone):
                self._turn(kind, began_s, chosen)
                self.joules[0, kind] += np.where(chosen, share * joules, 0.0)
                self.measured_j[0, kind] += np.where(chosen, share * measured_j, 0.0)

    def present(self, period: Period, now_s: float) -> tuple[F64, F64]:
        """Joules so far in the period that holds the moment, and those measured, (M,); NaN = nothing entered yet."""
        kind = PERIODS.index(period)
        is_now = self.starts_s[kind] == start_of(period, now_s, self.zone)
        return np.where(is_now, self.joules[0, kind], np.nan), np.where(is_now, self.measured_j[0, kind], np.nan)

    def previous(self, period: Period, now_s: float) -> tuple[F64, F64]:
        """Joules of the period before that, and those measured, (M,); NaN = nothing of it is known."""
        kind = PERIODS.index(period)
        began_s = start_of(period, start_of(period, now_s, self.zone) - 1.0, self.zone)
        is_last = self.starts_s[kind] == began_s
        is_closed = self.starts_s[kind] == start_of(period, now_s, self.zone)

        def last(of: F64) -> F64:
            return np.where(is_last, of[0, kind], np.where(is_closed, of[1, kind], np.nan))

        return last(self.joules), last(self.measured_j)

    def _turn(self, kind: int, began_s: float, chosen: Bools) -> None:
        """Begins a new period for those whose present one is older."""
        turns = chosen & ~(self.starts_s[kind] >= began_s)
        if not turns.any():
            return
        before_s = start_of(PERIODS[kind], began_s - 1.0, self.zone)
        is_next = self.starts_s[kind] == before_s
        for of in (self.joules, self.measured_j):
            of[1, kind] = np.where(turns, np.where(is_next, of[0, kind], np.nan), of[1, kind])
            of[0, kind] = np.where(turns, 0.0, of[0, kind])
        self.starts_s[kind] = np.where(turns, began_s, self.starts_s[kind])
