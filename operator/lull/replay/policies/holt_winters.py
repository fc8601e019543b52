"""Additive Holt-Winters with fixed gains, for many series at once: as PHPA means it, and as it ships it.

    l' = a (y - s) + (1 - a) (l + b)        b' = t (l' - l) + (1 - t) b
    s' = g (y - l - b) + (1 - g) s          forecast: l' + b' + the seasonal term of the next place

Start: the seasonal terms are the means of the first two seasons, level and trend are 0. What a start shifts between
level and seasonal terms never shows in a forecast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from lull.model.arrays import F32, F64, I64

_NEGLIGIBLE: Final = 1e-6
"""Weight below which a point is left out of a sum: with a thousand replicas it moves a forecast by a thousandth."""


KEPT_SEASONS: Final = 4
"""``storedSeasons`` of the project's examples; one is dropped whenever one more is complete."""

LONGEST_HISTORY: Final = 21_845
"""Points, at 48 bytes each, that fit into the ConfigMap of 1 MiB in which the history is kept."""


@dataclass(frozen=True, slots=True)
class Gains:
    """Weight of what was just seen, each between 0 and 1."""

    level: float
    trend: float
    season: float


def fewest_points(season: I64) -> I64:
    """Points before the first forecast, as statsmodels asks for: two seasons, and ten its moving average leaves."""
    return np.maximum(2 * season, 10 + 2 * (season // 2))


def kept_seasons(season: int) -> int:
    """Seasons of this many points that can be kept; a history of fewer than two is of no use."""
    return min(KEPT_SEASONS, LONGEST_HISTORY // season - 1)


class HoltWinters:
    """In the order of time, one update a point."""

    def __init__(self, season: I64, gains: Gains) -> None:
        """Empty.

        Args:
            season: points of a season, at least 1, (N,).
            gains: of the update.
        """
        columns = len(season)
        self._season = season
        self._fewest = fewest_points(season)
        self._gains = gains
        self._columns = np.arange(columns)
        self._points = 0
        self._level: F64 = np.zeros(columns)
        self._trend: F64 = np.zeros(columns)
        self._seasonal: F64 = np.zeros(int(season.max(initial=1)) * columns)

    def push(self, value: F64) -> F64:
        """Takes the newest value, (N,), and returns the forecast of the next, (N,); NaN = too few points."""
        gains, here = self._gains, self._slot()
        seasonal = self._seasonal[here]
        expected = self._level + self._trend
        level = gains.level * (value - seasonal) + (1.0 - gains.level) * expected
        trend = gains.trend * (level - self._level) + (1.0 - gains.trend) * self._trend
        learned = gains.season * (value - expected) + (1.0 - gains.season) * seasonal
        starts = self._points < 2 * self._season
        if starts.any():
            level, trend = np.where(starts, 0.0, level), np.where(starts, 0.0, trend)
            learned = np.where(starts, seasonal + value / 2.0, learned)
        self._level, self._trend = level, trend
        self._seasonal[here] = learned
        self._points += 1
        forecast = level + trend + self._seasonal[self._slot()]
        return np.where(self._points >= self._fewest, forecast, np.nan)

    def _slot(self) -> I64:
        return self._points % self._season * len(self._columns) + self._columns


class ShippedHoltWinters:
    """Refitted at each point to the history in the order that PHPA 0.13 keeps it.

    Its pruning sorts the newest first, and the next point is appended behind: ``[t-1, t-2, ..., t-n+1, t]``. With
    fixed gains the forecast is linear in the history, so the refit over thousands of points is one short sum: only
    points near the end of that sequence and whole seasons before it have any weight.
    """

    def __init__(self, season: I64, gains: Gains) -> None:
        """Empty.

        Args:
            season: points of a season, at least 1, (N,).
            gains: of the update.
        """
        self._groups = [
            ((season == length).nonzero()[0], _Refit(int((season == length).sum()), int(length), gains))
            for length in np.unique(season)
        ]
        self._columns = len(season)

    def push(self, value: F64) -> F64:
        """Takes the newest value, (N,), and returns the forecast of the next, (N,); NaN = too few points."""
        forecast = np.empty(self._columns)
        for columns, refit in self._groups:
            forecast[columns] = refit.push(value[columns])
        return forecast


class _Refit:
    """The refit for series with one length of season."""

    def __init__(self, columns: int, season: int, gains: Gains) -> None:
        self._season = season
        self._kept = kept_seasons(season) * season
        self._fewest = int(fewest_points(np.array([season]))[0])
        longest = self._kept + season
        self._of_value = _response(longest, season, gains, starts_at_one=False)
        self._of_start = _response(longest, season, gains, starts_at_one=True)
        self._value_ages = np.flatnonzero(np.abs(self._of_value) > _NEGLIGIBLE)
        self._start_ages = np.flatnonzero(np.abs(self._of_start) > _NEGLIGIBLE)
        self._ring: F32 = np.zeros((longest, columns), dtype=np.float32)
        self._newest = -1
        self._points = 0

    def push(self, value: F64) -> F64:
        self._newest = (self._newest + 1) % len(self._ring)
        self._points += 1
        self._ring[self._newest] = value
        forecast = self._forecast() if self._points >= self._fewest else np.full(len(value), np.nan)
        if self._points == len(self._ring):
            self._points = self._kept
        return forecast

    def _forecast(self) -> F64:
        last = self._points - 1
        values = last - self._value_ages[self._value_ages <= last]
        starts = self._points - self._start_ages
        starts = starts[(starts >= 0) & (starts < self._season)]
        of_starts = self._of_start[self._points - starts] / 2.0
        positions = np.concatenate([values, starts, starts + self._season])
        weights = np.concatenate([self._of_value[last - values], of_starts, of_starts])
        ages = np.where(positions == last, 0, positions + 1)
        points = self._ring[(self._newest - ages) % len(self._ring)]
        forecast: F64 = (weights.astype(np.float32) @ points).astype(np.float64)
        return forecast


def _response(points: int, season: int, gains: Gains, *, starts_at_one: bool) -> F64:
    """Forecasts that one 1 among zeros leads to.

    Element k is the forecast k points after the point that was 1, or, ``starts_at_one``, k points after the place in
    the first season whose seasonal term starts at 1.
    """
    level = trend = 0.0
    seasonal = [0.0] * season
    seasonal[0], value = (1.0, 0.0) if starts_at_one else (0.0, 1.0)
    forecasts = [seasonal[0]]
    for k in range(points):
        slot = k % season
        expected = level + trend
        before, level = level, gains.level * (value - seasonal[slot]) + (1.0 - gains.level) * expected
        trend = gains.trend * (level - before) + (1.0 - gains.trend) * trend
        seasonal[slot] = gains.season * (value - expected) + (1.0 - gains.season) * seasonal[slot]
        forecasts.append(level + trend + seasonal[(k + 1) % season])
        value = 0.0
    return np.array(forecasts if starts_at_one else forecasts[1:])
