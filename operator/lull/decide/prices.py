"""What a missed request is worth, in seconds of a replica's idle power, found by dual ascent.

The objective says which share of the requests may miss. Where more miss, the price rises and the planner buys safety
with energy; where fewer do, it falls and the energy is saved. Multiplicative steps, as in online mirror descent for
budgets (Balseiro, Lu and Mirrokni, "The best of many worlds: dual mirror descent for online allocation problems").

Each request moves the price by what it does to the objective, at once and for good: no share of some past time stands
between, which would answer late and make the price swing. As long as the price stays within its range, the share
that missed is in the long run the allowed one.

A cold hit, a request that waits for a model to wake, has a price of its own where the spec allows a share of them apart
from the objectives. It is found in the same way, and it is the price of the last replica alone: only that one's going
makes requests wait for a wake.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
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

_COLD_RANGE: Final = (1e-2, 10.0)
"""Lone requests cannot keep their share at any price either: beyond ten, a model that is called four times a day at no
hour in particular would never sleep."""


@dataclass(frozen=True, slots=True)
class Took:
    """What happened to the requests in a stretch of time, (N,) each; NaN = unknown, which teaches nothing."""

    arrivals_rps: F64
    missed_rps: F64
    """Those that missed an objective, cold hits left out."""
    cold_rps: F64
    """Those that found the model asleep; they are among the arrivals."""
    allowed_ratio: F64
    """Share of the requests that may miss, above 0."""
    cold_ratio: F64
    """Share of them that may be cold hits, apart from the misses, above 0; NaN = each counts as one more miss."""

    def of(self, rows: I64) -> Took:
        """Of some of the models."""
        return Took(*(getattr(self, field.name)[rows] for field in fields(self)))


class Prices:
    """Price factors of the models, (N,), and what they are learned from.

    Args:
        width: number of models.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = (
        "factor",
        "cold_factor",
        "_missed",
        "_cold",
        "_arrived",
        "_seen_s",
        "_silent_s",
    )

    def __init__(self, width: int) -> None:
        self.factor: F32 = np.ones(width, dtype=np.float32)
        """Price of a miss over the first price."""
        self.cold_factor: F32 = np.ones(width, dtype=np.float32)
        """Price of a cold hit over the first price."""
        self._missed: F32 = np.zeros(width, dtype=np.float32)
        self._cold: F32 = np.zeros(width, dtype=np.float32)
        self._arrived: F32 = np.zeros(width, dtype=np.float32)
        self._seen_s: F32 = np.zeros(width, dtype=np.float32)
        self._silent_s: F32 = np.zeros(width, dtype=np.float32)

    def learn(self, at: I64, took: Took, for_s: float) -> None:
        """Takes a stretch of time in for the models in the columns ``at``, (N,)."""
        known = np.flatnonzero(~np.isnan(took.missed_rps) & ~np.isnan(took.arrivals_rps))
        at, took = at[known], took.of(known)
        self._observe(at, took, for_s)
        is_apart = ~np.isnan(took.cold_ratio)
        missed_rps = took.missed_rps + np.where(is_apart, 0.0, took.cold_rps)
        self._ascend(self.factor, at, missed_rps / took.allowed_ratio - took.arrivals_rps, for_s, _RANGE)
        excess_rps = np.where(is_apart, took.cold_rps / took.cold_ratio - took.arrivals_rps, 0.0)
        self._ascend(self.cold_factor, at, excess_rps, for_s, _COLD_RANGE)

    def missed_ratio(self) -> F32:
        """Share of the requests of about the last day with any that missed, cold hits left out, (N,); NaN = of none."""
        return self._share(self._missed)

    def cold_hit_ratio(self) -> F32:
        """Share of them that waited for a wake, (N,)."""
        return self._share(self._cold)

    def _share(self, of: F32) -> F32:
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio: F32 = of / self._arrived
        return ratio

    def _ascend(self, factor: F32, at: I64, excess_rps: F64, for_s: float, within: tuple[float, float]) -> None:
        """Moves prices by requests beyond the allowed share, as seconds of mean arrivals that would allow for them."""
        with np.errstate(invalid="ignore", divide="ignore"):
            excess_s = excess_rps * for_s * self._seen_s[at] / self._arrived[at]
        step = np.clip(np.nan_to_num(excess_s) * _RATE_PER_S, -_STEEPEST, _STEEPEST)
        factor[at] = np.clip(factor[at] * np.exp(step), *within)

    def _observe(self, at: I64, took: Took, for_s: float) -> None:
        counts = (took.arrivals_rps > 0.0) | (self._silent_s[at] < _MEMORY_S)
        fade = np.where(counts, np.exp(-for_s / _MEMORY_S), 1.0)
        self._missed[at] = fade * self._missed[at] + took.missed_rps * for_s
        self._cold[at] = fade * self._cold[at] + took.cold_rps * for_s
        self._arrived[at] = fade * self._arrived[at] + took.arrivals_rps * for_s
        self._seen_s[at] = fade * self._seen_s[at] + np.where(counts, for_s, 0.0)
        self._silent_s[at] = np.where(took.arrivals_rps > 0.0, 0.0, self._silent_s[at] + for_s)


def miss_price_s(factor: F64 | F32, limit_rps: F64, allowed_ratio: F64) -> F64:
    """Price of one missed request in seconds of a replica's idle power, (N,); of a cold hit with what is said of those.

    Args:
        factor: price over the first price, (N,).
        limit_rps: what one replica carries, (N,).
        allowed_ratio: share of the requests that may miss, above 0, (N,).
    """
    return factor * _START / (allowed_ratio * limit_rps)
