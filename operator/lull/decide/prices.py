"""What a missed request is worth, in seconds of a replica's idle power, found by dual ascent.

The objective says which share of the requests may miss. Where more miss, the price rises and the planner buys safety
with energy; where fewer do, it falls and the energy is saved. Multiplicative steps, as in online mirror descent for
budgets (Balseiro, Lu and Mirrokni, "The best of many worlds: dual mirror descent for online allocation problems").

Each request moves the price by what it does to the objective, at once and for good: no share of some past time stands
between, which would answer late and make the price swing. As long as the price stays within its range, the share
that missed is in the long run the allowed one.
"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np

from lull.model.arrays import F32, F64, I64

_START: Final = 0.1
"""First price: with a share d that may miss, one replica that is busy all the time is worth this over d of itself."""

_MEMORY_S: Final = 86_400.0
"""Time constant of the mean arrivals; a longer silence is no part of them, or the first rush after it would count for
many days."""

_RATE_PER_S: Final = 1.0 / (3.0 * 86_400.0)
"""Steepness: three days that miss twice what they may multiply the price by e, three that miss nothing divide it by e.
Steeper, one day of one model that misses more than it may makes all that comes after dear."""

_STEEPEST: Final = 2.0
"""Most that a stretch of time adds to the price's logarithm: one incident does not set the price for weeks."""

_RANGE: Final = (1e-2, 30.0)
"""A series of rare bursts cannot keep its share at any price: beyond thirty, each would hold its replicas for days."""


class Prices:
    """Price factors of the models, (N,), and what they are learned from.

    Args:
        width: number of models.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("factor", "_missed", "_arrived", "_seen_s", "_silent_s")

    def __init__(self, width: int) -> None:
        self.factor: F32 = np.ones(width, dtype=np.float32)
        """Price over the first price."""
        self._missed: F32 = np.zeros(width, dtype=np.float32)
        self._arrived: F32 = np.zeros(width, dtype=np.float32)
        self._seen_s: F32 = np.zeros(width, dtype=np.float32)
        self._silent_s: F32 = np.zeros(width, dtype=np.float32)

    def learn(self, at: I64, missed_rps: F64, arrivals_rps: F64, allowed_ratio: F64, for_s: float) -> None:
        """Takes a stretch of time in for the models in the columns ``at``, (N,) each.

        NaN = unknown, which teaches nothing.
        """
        known = ~np.isnan(missed_rps) & ~np.isnan(arrivals_rps)
        at, missed_rps, arrivals_rps = at[known], missed_rps[known], arrivals_rps[known]
        self._observe(at, missed_rps, arrivals_rps, for_s)
        with np.errstate(invalid="ignore", divide="ignore"):
            # Requests that missed beyond the allowed share, as seconds of mean arrivals that would allow for them.
            excess = missed_rps / allowed_ratio[known] - arrivals_rps
            excess_s = excess * for_s * self._seen_s[at] / self._arrived[at]
        step = np.clip(np.nan_to_num(excess_s) * _RATE_PER_S, -_STEEPEST, _STEEPEST)
        self.factor[at] = np.clip(self.factor[at] * np.exp(step), *_RANGE)

    def missed_ratio(self) -> F32:
        """Share of the requests of about the last day with any that missed, (N,); NaN = there were none."""
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio: F32 = self._missed / self._arrived
        return ratio

    def _observe(self, at: I64, missed_rps: F64, arrivals_rps: F64, for_s: float) -> None:
        counts = (arrivals_rps > 0.0) | (self._silent_s[at] < _MEMORY_S)
        fade = np.where(counts, np.exp(-for_s / _MEMORY_S), 1.0)
        self._missed[at] = fade * self._missed[at] + missed_rps * for_s
        self._arrived[at] = fade * self._arrived[at] + arrivals_rps * for_s
        self._seen_s[at] = fade * self._seen_s[at] + np.where(counts, for_s, 0.0)
        self._silent_s[at] = np.where(arrivals_rps > 0.0, 0.0, self._silent_s[at] + for_s)


def miss_price_s(factor: F64 | F32, limit_rps: F64, allowed_ratio: F64) -> F64:
    """Price of one missed request in seconds of a replica's idle power, (N,).

    Args:
        factor: price over the first price, (N,).
        limit_rps: what one replica carries, (N,).
        allowed_ratio: share of the requests that may miss, above 0, (N,).
    """
    return factor * _START / (allowed_ratio * limit_rps)
