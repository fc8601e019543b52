"""From quantiles to chances: how likely the rate is to pass a threshold.

Between two tracked levels the logarithm of the chance is taken as linear in the rate, and beyond the highest one it
goes on falling as it did below it: an exponential tail, which is cautious for traffic that bursts. Called by
``foresight``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from lull.forecast.calibration import LEVELS
from lull.model.arrays import F32, F64

_LOG: Final = np.log1p(-np.array(LEVELS))
_TAIL_FROM: Final = LEVELS.index(0.95)
_LOWEST: Final = 1.5
"""The rate is taken never to lie further below the median than this many distances to the next level above."""


def chance_above(quantiles_rps: F32 | F64, threshold_rps: F64) -> F64:
    """Chance that the rate passes a threshold, (...), of quantiles (A, ...) in the order of ``LEVELS``.

    NaN where the quantiles are unknown.
    """
    q = np.maximum.accumulate(np.maximum(np.asarray(quantiles_rps, dtype=np.float64), 0.0), axis=0)
    low = q[0] - _LOWEST * (q[1] - q[0])
    log = _between(threshold_rps, low, q[0], 0.0, _LOG[0])
    for a in range(len(LEVELS) - 1):
        log = np.where(threshold_rps > q[a], _between(threshold_rps, q[a], q[a + 1], _LOG[a], _LOG[a + 1]), log)
    fall = (_LOG[-1] - _LOG[_TAIL_FROM]) / np.maximum(q[-1] - q[_TAIL_FROM], 1e-9)
    log = np.where(threshold_rps > q[-1], _LOG[-1] + fall * (threshold_rps - q[-1]), log)
    return np.exp(np.maximum(log, -50.0))


def _between(x: F64, x0: F64, x1: F64, y0: float, y1: float) -> F64:
    share = np.clip((x - x0) / np.maximum(x1 - x0, 1e-9), 0.0, 1.0)
    return y0 + share * (y1 - y0)
