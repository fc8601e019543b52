"""When a budget's periods begin and end.

A zone is handed in as a value: its table of transitions is a file, and whoever reads files reads it (``adapters``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Final, NamedTuple

_HOUR_S: Final = 3600.0


class Calendar(StrEnum):
    """Periods that begin anew by the clock on the wall."""

    HOUR = "Hour"
    DAY = "Day"
    WEEK = "Week"
    MONTH = "Month"


class Span(NamedTuple):
    """From the first moment to the first one after it, in seconds since 1970."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """Its length; a day with a change of the clocks has 23 or 25 hours."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class CalendarPeriod:
    """Each hour, day, week (from Monday) or month of a zone anew."""

    calendar: Calendar
    zone: tzinfo

    def span(self, now_s: float) -> Span:
        """The period that ``now_s`` lies in. Spans follow each other without gap or overlap, whatever clocks do."""
        if self.calendar is Calendar.HOUR:
            return self._hour(now_s)
        here = datetime.fromtimestamp(now_s, self.zone)
        day = datetime(here.year, here.month, here.day, tzinfo=self.zone)
        if self.calendar is Calendar.DAY:
            return Span(day.timestamp(), (day + timedelta(days=1)).timestamp())
        if self.calendar is Calendar.WEEK:
            monday = day - timedelta(days=day.weekday())
            return Span(monday.timestamp(), (monday + timedelta(days=7)).timestamp())
        first = day.replace(day=1)
        after = (first + timedelta(days=32)).replace(day=1)
        return Span(first.timestamp(), after.timestamp())

    def _hour(self, now_s: float) -> Span:
        here = datetime.fromtimestamp(now_s, self.zone)
        start_s = now_s - (here.minute * 60.0 + here.second + here.microsecond / 1e6)
        # Clocks that go by half an hour cut an hour short on either side of the change.
        return Span(self._change_s(now_s, start_s), self._change_s(now_s, start_s + _HOUR_S))

    def _change_s(self, now_s: float, edge_s: float) -> float:
        """The edge, or the change of the clocks between it and now, to the second."""
        edge = round(edge_s)
        inside = edge if edge <= now_s else edge - 1
        if self._offset(inside) == self._offset(now_s):
            return float(edge)
        low_s, high_s = sorted((int(now_s), inside))
        first = self._offset(low_s)
        while high_s - low_s > 1:
            middle_s = (low_s + high_s) // 2
            low_s, high_s = (middle_s, high_s) if self._offset(middle_s) == first else (low_s, middle_s)
        return float(high_s)

    def _offset(self, at_s: float) -> timedelta | None:
        return datetime.fromtimestamp(at_s, self.zone).utcoffset()


@dataclass(frozen=True, slots=True)
class RollingPeriod:
    """Always the last so many seconds."""

    length_s: float

    def span(self, now_s: float) -> Span:
        """The time that ends now."""
        return Span(now_s - self.length_s, now_s)
