"""What electricity costs at a time, in the tariff's own time zone. Called for statuses, budgets and reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from lull.energy.footprint import J_PER_KWH
from lull.errors import SettingsError

_MINUTES: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class Rate:
    """A price for some hours of some days."""

    price_per_kwh: float
    from_minute: int = 0
    """Of the local day, from which on it holds."""
    to_minute: int = _MINUTES
    """Until when; not above ``from_minute`` = over midnight."""
    weekdays: frozenset[int] = frozenset(range(7))
    """0 = Monday. An hour after midnight belongs to its own day."""
    months: frozenset[int] = frozenset(range(1, 13))

    def holds(self, local: datetime, *, is_holiday: bool) -> bool:
        """Whether it holds at a local time; a holiday is a Sunday."""
        minute = local.hour * 60 + local.minute
        if self.from_minute < self.to_minute:
            is_within = self.from_minute <= minute < self.to_minute
        else:
            is_within = minute >= self.from_minute or minute < self.to_minute
        return is_within and (6 if is_holiday else local.weekday()) in self.weekdays and local.month in self.months


@dataclass(frozen=True, slots=True)
class Tariff:
    """A time-of-use tariff: the first rate that holds counts, and ``otherwise`` where none does."""

    currency: str
    zone: ZoneInfo
    otherwise: float
    rates: Sequence[Rate] = ()
    holidays: frozenset[date] = frozenset()
    source: str = ""

    def __post_init__(self) -> None:
        """Raises SettingsError with all faults at once."""
        faults = [fault for number, rate in enumerate(self.rates) for fault in _faults(number, rate)]
        if faults:
            raise SettingsError(faults)

    def price_per_kwh(self, at_s: float) -> float:
        """What a kWh costs at a moment."""
        local = datetime.fromtimestamp(at_s, UTC).astimezone(self.zone)
        is_holiday = local.date() in self.holidays
        return next(
            (rate.price_per_kwh for rate in self.rates if rate.holds(local, is_holiday=is_holiday)), self.otherwise
        )

    def cost(self, joules: float, start_s: float, end_s: float) -> float:
        """What joules cost that were drawn evenly over a stretch of time, changes of price within it included."""
        if end_s <= start_s:
            raise ValueError(f"a stretch of time from {start_s:g} s to {end_s:g} s has no length")
        moments = [start_s, *self._changes(start_s, end_s), end_s]
        shares = ((end - start) * self.price_per_kwh(start) for start, end in pairwise(moments))
        return joules / J_PER_KWH * sum(shares) / (end_s - start_s)

    def _changes(self, start_s: float, end_s: float) -> Iterable[float]:
        """Moments within a stretch at which a price may change, in order: local midnights and bounds of rates."""
        minutes = sorted({0, *(m % _MINUTES for rate in self.rates for m in (rate.from_minute, rate.to_minute))})
        day = datetime.fromtimestamp(start_s, UTC).astimezone(self.zone).date() - timedelta(days=1)
        last = datetime.fromtimestamp(end_s, UTC).astimezone(self.zone).date()
        found = set()
        while day <= last:
            for minute in minutes:
                local = datetime(day.year, day.month, day.day, minute // 60, minute % 60)  # noqa: DTZ001 - given below
                # an hour that the clock shows twice begins and ends twice
                found |= {local.replace(tzinfo=self.zone, fold=fold).timestamp() for fold in (0, 1)}
            day += timedelta(days=1)
        # where the clock leaps, an hour ends early or late
        return sorted(at_s for at_s in found | set(self._leaps(start_s, end_s)) if start_s < at_s < end_s)

    def _leaps(self, start_s: float, end_s: float) -> Iterable[float]:
        """Quarters of an hour at which the zone's distance from UTC changes."""
        quarter_s = 900.0
        at_s = (start_s // quarter_s) * quarter_s
        while at_s < end_s:
            if self._offset(at_s) != self._offset(at_s + quarter_s):
                yield at_s + quarter_s
            at_s += quarter_s

    def _offset(self, at_s: float) -> timedelta | None:
        return datetime.fromtimestamp(at_s, UTC).astimezone(self.zone).utcoffset()


def _faults(number: int, rate: Rate) -> list[str]:
    faults = []
    if not (0 <= rate.from_minute < _MINUTES and 0 < rate.to_minute <= _MINUTES):
        told = f"from minute {rate.from_minute} to {rate.to_minute}"
        faults.append(f"rate {number} holds {told}; a day has 0 to {_MINUTES}")
    if not rate.weekdays <= set(range(7)):
        faults.append(f"rate {number} holds on weekdays {sorted(rate.weekdays)}; they are 0 (Monday) to 6")
    if not rate.months <= set(range(1, 13)):
        faults.append(f"rate {number} holds in months {sorted(rate.months)}; they are 1 to 12")
    return faults
