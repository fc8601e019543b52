"""When silences end by the clock: what came at this time of the day, on the days that were silent before it as well.

How long a silence has lasted tells little of when a night ends; the days before do. Each past day that was silent at
this time says whether its silence ended within each horizon. One whose silence had ended a while before says that this
one is late, and each hour of being late makes the next one likelier. These days and the law of lengths
(``gaps``), which counts as one day more, are averaged. Called by ``forecaster``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from lull.forecast.experts import HORIZONS, NONE_Y
from lull.forecast.seasons import COARSE, Seasons
from lull.model.arrays import F32, F64, I64

_DAYS: Final = 13
_FADE: Final = 0.9
"""Weight of a day over that of the one after it."""
_SINCE: Final = 6
"""Coarse bins for which today has been silent, and a past day has to have been."""
_AHEAD: Final = -(-HORIZONS[-1] // COARSE) + 1
_LATE: Final = 30.0
"""Steps by which one that is late is taken to be so: the next step ends it with one chance in as many."""
_BUSY_Y: Final = NONE_Y + np.float32(1e-6)


def informed(chance: F32, silent: F32, seasons: Seasons, index: int) -> F32:
    """The chance that a silence ends within each horizon, (H, N), with what past days say of it.

    Args:
        chance: by the law of lengths, (H, N).
        silent: steps that it has lasted, (N,); a short one is left to that law.
        seasons: the past.
        index: number of the last step.
    """
    at = np.flatnonzero(silent >= _SINCE * COARSE)
    if not len(at):
        return chance
    total: F64 = chance[:, at].astype(np.float64)
    weights: F64 = np.ones(len(at))
    for days in range(1, _DAYS + 1):
        rows = seasons.around(index + 1, days, _SINCE, _AHEAD)[:, at]
        busy, known = rows > _BUSY_Y, ~np.isnan(rows[_SINCE:]).any(axis=0)
        ended = busy[_SINCE : 2 * _SINCE].any(axis=0)
        is_late = ended & ~busy[:_SINCE].any(axis=0)
        weight = np.where(known & (is_late | ~ended), _FADE ** (days - 1), 0.0)
        ends = np.where(is_late, _WHEN_LATE[:, None], _within(busy[2 * _SINCE :], (index + 1) % COARSE))
        total += weight * ends
        weights += weight
    out = chance.copy()
    out[:, at] = np.maximum.accumulate(total / weights, axis=0)
    return out


_WHEN_LATE: Final = np.array([horizon / (horizon + _LATE) for horizon in HORIZONS])


def _within(busy: np.ndarray, offset: int) -> F64:
    """Chance that a busy bin, (B, N), is reached within each horizon from a step in the first, (H, N).

    Where in its bin a request came is not known any more: a bin that the horizon covers in part counts for that part.
    """
    starts = np.arange(len(busy))[None, :] * COARSE
    ends: I64 = offset + np.array(HORIZONS)[:, None]
    covered = np.clip((np.minimum(ends, starts + COARSE) - np.maximum(offset, starts)) / COARSE, 0.0, 1.0)
    found: F64 = np.zeros((len(HORIZONS), busy.shape[1]))
    for part, is_busy in zip(covered.T, busy, strict=True):
        np.maximum(found, part[:, None] * is_busy, out=found)
    return found
