"""The Predictive Horizontal Pod Autoscaler: an HPA, and models of the replica counts that it calculated.

Sources: ``internal/controllers/controller.go``, ``internal/prediction``, ``internal/scalebehavior`` and ``algorithms``
of jthomperoo/predictive-horizontal-pod-autoscaler. The largest of what the HPA calculates and the models forecast
passes the HPA's rules, whose scale-up policies have a period of 60 s here.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from lull.model.arrays import F64, I64
from lull.replay.policies.behaviour import SYNC_S, Behaviour, by_utilisation
from lull.replay.policies.holt_winters import Gains, HoltWinters, ShippedHoltWinters, kept_seasons
from lull.replay.policies.training import Training
from lull.replay.policies.windows import tick_in_world_s
from lull.replay.world import Physics, Seen

UP_PERIOD_S: Final = 60.0
GAINS: Final = Gains(level=0.2, trend=0.05, season=0.2)
"""Users must choose them. With those of the project's examples, 0.9 each, the weights of the past grow instead of
fading, and noise of one season comes back many times as large in the next."""

LINEAR_POINTS: Final = 7
"""``historySize`` of the project's examples, 6, and the point at hand: pruning comes after the forecast."""

LOOK_AHEAD_S: Final = 10.0

SEASONS_H: Final = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 24.0)
"""Seasons that are looked for in the training."""

CLEAR_SEASON: Final = 0.3
"""Autocorrelation from which a season is believed."""

_BETTER: Final = 0.01
"""How much more a longer season must show, as multiples of a season repeat as well as itself."""

_ROUNDING: Final = 1e-6
"""Replicas that a forecast may exceed a whole number by and still mean it: what its arithmetic leaves behind."""


class Phpa:
    """HPA on utilisation, Holt-Winters one sync ahead, and a line through the last points."""

    tick_s = SYNC_S

    def __init__(
        self,
        target: F64,
        capacity_rps: F64,
        physics: Physics,
        season: I64,
        *,
        gains: Gains = GAINS,
        as_shipped: bool = False,
    ) -> None:
        """Remembers nothing.

        Args:
            target: utilisation, taken in whole percent, (N,).
            capacity_rps: requests per second of one replica, (N,).
            physics: for the length of the world's steps.
            season: syncs of a season, (N,); 0 = no Holt-Winters.
            gains: of Holt-Winters.
            as_shipped: with the history out of order, as version 0.13 keeps it, rather than in the order of time.
        """
        tick_s = tick_in_world_s(self.tick_s, physics)
        self._target_percent = np.rint(100.0 * target)
        self._capacity_rps = capacity_rps
        self._behaviour = Behaviour(len(target), tick_s, up_period_s=UP_PERIOD_S)
        self._line = _Line(len(target), LOOK_AHEAD_S / tick_s)
        self._seasonal = season.nonzero()[0]
        of_seasonal = season[self._seasonal]
        self._model = ShippedHoltWinters(of_seasonal, gains) if as_shipped else HoltWinters(of_seasonal, gains)

    def watch(self, seen: Seen) -> None:
        """Looks at nothing between its syncs."""

    def desire(self, seen: Seen) -> F64:
        """Replicas after a sync, (N,)."""
        calculated = by_utilisation(seen, self._capacity_rps, self._target_percent)
        # Without a metric a sync ends before its models: their history gets the size there is, so that columns stay
        # in step, and nothing is changed.
        point = np.where(np.isnan(calculated), seen.replicas, calculated)
        recommended = np.maximum(calculated, np.ceil(self._line.push(point) - _ROUNDING))
        if len(self._seasonal):
            forecast = np.fmax(np.ceil(self._model.push(point[self._seasonal]) - _ROUNDING), -np.inf)
            recommended[self._seasonal] = np.maximum(recommended[self._seasonal], forecast)
        return np.maximum(self._behaviour.limit(recommended, seen.replicas), 1.0)


class _Line:
    """Least squares through the last points; a line's value ahead is a weighted sum of them."""

    def __init__(self, columns: int, ahead: float) -> None:
        self._points: F64 = np.zeros((LINEAR_POINTS, columns))
        # The first pushes fill the rows one by one; after that the oldest row is always the next one.
        filling = [_weights(row - np.arange(row + 1), ahead) for row in range(LINEAR_POINTS)]
        self._filling = [np.pad(weights, (0, LINEAR_POINTS - len(weights))) for weights in filling]
        self._full = [np.roll(filling[-1], row + 1) for row in range(LINEAR_POINTS)]
        self._pushed = 0

    def push(self, value: F64) -> F64:
        row = self._pushed % LINEAR_POINTS
        weights = (self._filling if self._pushed < LINEAR_POINTS else self._full)[row]
        self._points[row] = value
        self._pushed += 1
        line: F64 = weights @ self._points
        return line


def _weights(ages: I64, ahead: float) -> F64:
    """Weights of points at these ages for the value of their line at age ``-ahead``, as many."""
    away = ages - ages.mean()
    spread = (away**2).sum()
    slope: F64 = away / spread if spread > 0.0 else away
    weights: F64 = 1.0 / len(ages) - (ahead + ages.mean()) * slope
    return weights


def seasons(training: Training, tick_s: float) -> I64:
    """Ticks of the season with the highest autocorrelation in the training, per column, (N,); 0 = none is clear.

    A season is clear if its autocorrelation is at least ``CLEAR_SEASON`` and above that of periods an eighth shorter
    and longer, which sets it apart from mere persistence.
    """
    rates = training.rates_rps
    best: F64 = np.full(rates.shape[1], CLEAR_SEASON - _BETTER)
    found: I64 = np.zeros(len(best), dtype=np.int64)
    for hours in SEASONS_H:
        bins, ticks = 3600.0 * hours / training.bin_s, max(1, round(3600.0 * hours / tick_s))
        if bins < 8.0 or 2.0 * bins > len(rates) or kept_seasons(ticks) < 2:
            continue
        at, shorter, longer = (_autocorrelation(rates, round(bins * length)) for length in (1.0, 0.875, 1.125))
        is_better = (at >= best + _BETTER) & (at > shorter) & (at > longer)
        best, found = np.where(is_better, at, best), np.where(is_better, ticks, found)
    of_columns: I64 = found[training.of_series]
    return of_columns


def _autocorrelation(rates: F64, lag: int) -> F64:
    """Correlation of each series with itself ``lag`` bins later, (M,); 0 for one that never changes."""
    early, late = rates[:-lag] - rates[:-lag].mean(axis=0), rates[lag:] - rates[lag:].mean(axis=0)
    scale = np.sqrt((early**2).sum(axis=0) * (late**2).sum(axis=0))
    product: F64 = (early * late).sum(axis=0)
    correlation: F64 = np.divide(product, scale, out=np.zeros_like(product), where=scale > 0.0)
    return correlation
