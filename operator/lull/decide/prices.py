"""What a missed request is worth, in seconds of a replica's idle power, found by dual ascent.

The objective says which share of the requests may miss. Where more miss, the price rises and the planner buys safety
with energy; where fewer do, it falls and the energy is saved. Multiplicative steps, as in online mirror descent for
budgets (Balseiro, Lu and Mirrokni, "The best of many worlds: dual mirror descent for online allocation problems").
"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np

from lull.model.arrays import F32, F64, I64

_START: Final = 0.1
"""First price: with a share d that may miss, a replica that is busy all the time is worth this share over d of
itself."""

_MEMORY_S: Final = 86_400.0
"""Time constant of the observed share: rare bursts must be seen as what they are, a share of a day."""

_RATE_PER_S: Final = 0.5 / 3600.0
"""Steepness: with twice the share missed that may be, the price grows by half in an hour."""

_STEEPEST: Final = 3.0
_RANGE: Final = (1e-2, 1e3)


class Prices:
    """Price factors of the models, (N,), and what they are learned from.

    Args:
        width: number of models.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("factor", "_missed", "_arrived")

    def __init__(self, width: int) -> None:
        self.factor: F32 = np.ones(width, dtype=np.float32)
        """Price over the first price."""
        self._missed: F32 = np.zeros(width, dtype=np.float32)
        self._arrived: F32 = np.zeros(width, dtype=np.float32)

    def learn(self, at: I64, missed_rps: F64, arrivals_rps: F64, allowed_ratio: F64, for_s: float) -> None:
        """Takes a stretch of time in for the models in the columns ``at``, (N,) each.

        NaN = unknown, which teaches nothing.
        """
        known = ~np.isnan(missed_rps) & ~np.isnan(arrivals_rps)
        at, missed_rps, arrivals_rps = at[known], missed_rps[known], arrivals_rps[known]
        fade = np.exp(-for_s / _MEMORY_S)
        self._missed[at] = fade * self._missed[at] + missed_rps * for_s
        self._arrived[at] = fade * self._arrived[at] + arrivals_rps * for_s
        with np.errstate(invalid="ignore", divide="ignore"):
            excess = self._missed[at] / (allowed_ratio[known] * self._arrived[at]) - 1.0
        step = np.clip(np.nan_to_num(excess), -1.0, _STEEPEST) * _RATE_PER_S * for_s
        self.factor[at] = np.clip(self.factor[at] * np.exp(step), *_RANGE)

    def missed_ratio(self) -> F32:
        """Share of the requests of about the last day that missed, (N,); NaN = there were none."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._missed / self._arrived


def miss_price_s(factor: F64 | F32, limit_rps: F64, allowed_ratio: F64) -> F64:
    """Price of one missed request in seconds of a replica's idle power, (N,)."""
    return factor * _START / (allowed_ratio * limit_rps)
