"""One series of the fleet, looked at closely: who forecasts it, and how well each does.

A copy that shares nothing with the fleet's forecaster, for whoever asks about one model. Called by ``recall``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from lull.forecast.calibration import EVEN, LEVELS
from lull.forecast.experts import to_count
from lull.forecast.forecaster import Forecaster
from lull.forecast.law import chance_above
from lull.model.arrays import F32, F64

_POINTS: Final = 129
_BELOW: Final = 1.5
"""Distances from the median to the next level within which the law ends below it; ``law`` takes the same."""
_BEYOND: Final = 2.0
"""Distances from the 95th percentile to the highest level, added to that: one in a hundred thousand lies beyond."""
_FROM: Final = LEVELS.index(0.95)


class OneSeries(Forecaster):
    """A copy of one series of a forecaster.

    Args:
        of: whose series it is; it must not be learning meanwhile.
        column: which.
    """

    def __init__(self, of: Forecaster, column: int) -> None:
        super().__init__(1, of.step_s)
        self.place(np.zeros(1, dtype=np.int64), of.only(np.array([column])))

    def weights(self) -> F64:
        """Share of each expert in the mixture, (E, H); NaN = it makes no forecast."""
        has = ~np.isnan(self._centres)
        shares: F64 = np.where(has, self._mixture.shares(has), np.nan)[..., 0].astype(np.float64)
        return shares

    def losses_rps(self) -> F64:
        """Mean pinball loss to be expected of each expert over all levels, (E, H); NaN = it makes no forecast.

        Each expert's quantiles are tracked until the right share lies below them, so what it will lose while it errs
        as it did follows from them alone: the loss of a law that is forecast by its own quantiles.
        """
        quantiles = to_count(self._trackers.quantiles(self._centres)[..., 0]) / np.float32(self.step_s)
        return expected_loss(quantiles)


def expected_loss(quantiles: F32 | F64) -> F64:
    """Mean pinball loss over ``LEVELS`` of a law that is forecast by its own quantiles, (...), of (A, ...).

    The levels are weighted as in ``calibration.pinball``, so that the least is the leader's.

    The loss at a level ``a`` with the quantile ``q`` is ``(1 - a)`` times the integral of the chance to lie below ``x``
    over all ``x`` below ``q``, plus ``a`` times that of the chance to lie above over all ``x`` above it.
    """
    q = np.asarray(quantiles, dtype=np.float64)
    low = np.maximum(q[0] - _BELOW * (q[1] - q[0]), 0.0)
    high = q[-1] + _BEYOND * (q[-1] - q[_FROM])
    share = np.linspace(0.0, 1.0, _POINTS).reshape(-1, *([1] * (q.ndim - 1)))
    x = low + share * (high - low)
    above = chance_above(q, x)
    width = (high - low) / (_POINTS - 1)
    sides = [
        EVEN[a] * np.where(x < q[a], (1.0 - level) * (1.0 - above), level * above) for a, level in enumerate(LEVELS)
    ]
    losses = [(side[:-1] + side[1:]).sum(axis=0) / 2.0 * width for side in sides]
    mean: F64 = np.mean(losses, axis=0)
    return mean
