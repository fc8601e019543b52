"""From quantiles to chances: how likely the rate is to pass a threshold.

Between two tracked levels the logarithm of the chance is taken as linear in the rate, and beyond the highest one it
goes on falling as it did below it: an exponential tail, which is cautious for traffic that bursts. Called by
``foresight``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from lull.forecast.calibration import LEVELS
from lull.model.arrays import F32, F64, running_maximum

_LOG: Final = np.concatenate([[0.0], np.log1p(-np.array(LEVELS))])
"""Logarithm of the chance at the lowest rate there may be, and at each level."""
_TAIL_FROM: Final = LEVELS.index(0.95)
_TAIL: Final = _LOG[-1] - _LOG[_TAIL_FROM + 1]
_LOWEST: Final = 1.5
"""The rate is taken never to lie further below the median than this many distances to the next level above."""
_LEAST: Final = 1e-9
_NEVER: Final = -50.0


def chance_above(quantiles_rps: F32 | F64, threshold_rps: F64) -> F64:
    """Chance that the rate passes a threshold, (..., N), of quantiles (A, ..., N) in the order of ``LEVELS``.

    Thresholds are broadcast against the quantiles of one level. NaN where the quantiles are unknown.
    """
    knots = _knots(quantiles_rps)
    shape = np.broadcast_shapes(quantiles_rps.shape[1:], threshold_rps.shape)
    lacking = len(shape) + 1 - knots.ndim
    knots = np.broadcast_to(knots.reshape(len(knots), *[1] * lacking, *knots.shape[1:]), (len(knots), *shape))
    # Which two knots a threshold lies between: 0 = below the median, A = above the highest quantile.
    place = (threshold_rps > knots[1:]).sum(axis=0)
    right = np.minimum(place + 1, len(LEVELS))
    left_rps = np.take_along_axis(knots, place[None], axis=0)[0]
    width_rps = np.take_along_axis(knots, right[None], axis=0)[0] - left_rps
    is_tail = place == len(LEVELS)
    width_rps = np.maximum(np.where(is_tail, knots[-1] - knots[_TAIL_FROM + 1], width_rps), _LEAST)
    share = np.maximum((threshold_rps - left_rps) / width_rps, 0.0)
    fall = np.where(is_tail, _TAIL, _LOG[right] - _LOG[place])
    log = _LOG[place] + fall * np.where(is_tail, share, np.minimum(share, 1.0))
    chance: F64 = np.exp(np.maximum(log, _NEVER))
    return chance


def _knots(quantiles_rps: F32 | F64) -> F64:
    """The lowest rate there may be, and the quantiles made to rise, (A + 1, ...)."""
    rising = running_maximum(np.maximum(quantiles_rps, 0.0, dtype=np.float64))
    lowest = rising[:1] - _LOWEST * (rising[1:2] - rising[:1])
    return np.concatenate([lowest, rising])
