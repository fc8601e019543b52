"""Samples of counters and gauges, freed of what is told twice. Called by ``counters`` and by ``adapters``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from lull.model.arrays import F64, I64, Bools


@dataclass(frozen=True, slots=True)
class Samples:
    """Readings of many meters in any order, one element per sample, each (S,)."""

    meter: I64
    """Which meter was read, from 0 to ``width`` - 1: a device, whatever labels its series carries."""
    source: I64
    """Who told: one number for each exporter, so that two who read the same meter are not taken for one."""
    time_s: F64
    value: F64
    """Joules of a counter, watts or a ratio of a gauge."""
    width: int
    """How many meters there are."""

    def where(self, chosen: Bools | I64) -> Samples:
        """Some of the samples, or all in another order."""
        return Samples(self.meter[chosen], self.source[chosen], self.time_s[chosen], self.value[chosen], self.width)

    @staticmethod
    def none(width: int) -> Samples:
        """No sample of any of so many meters."""
        return Samples(_NONE, _NONE, np.empty(0), np.empty(0), width)


_NONE: Final = np.empty(0, dtype=np.int64)


def told_once(samples: Samples) -> Samples:
    """The samples in order of meter and time, one for each moment, and from one source at any time.

    A board that several pods share is told once for each of them, and the same counter goes on under other labels when
    a pod takes it over: for one source those are one series. Two sources (two replicas of Prometheus, two exporters)
    read the same counter at different times or from caches of different age, so that mixed samples would fall and rise
    again without any reset: the source with most samples is believed, and the others only before and after its time.
    """
    known = samples.where(np.isfinite(samples.value) & np.isfinite(samples.time_s))
    kept = known.where(_is_believed(known))
    order = np.lexsort((-kept.value, kept.time_s, kept.meter))
    kept = kept.where(order)
    is_new = np.ones(len(kept.meter), dtype=np.bool_)
    is_new[1:] = (np.diff(kept.meter) != 0) | (np.diff(kept.time_s) > 0.0)
    return kept.where(is_new)


def _is_believed(samples: Samples) -> Bools:
    """Whether no better source of the same meter speaks at that time, (S,)."""
    pairs = np.stack([samples.meter, samples.source], axis=1)
    groups, of = np.unique(pairs, axis=0, return_inverse=True)
    of = of.reshape(-1)
    if len(groups) == len(np.unique(groups[:, 0])):
        return np.ones(len(samples.meter), dtype=np.bool_)
    first_s, last_s = np.full(len(groups), np.inf), np.full(len(groups), -np.inf)
    np.minimum.at(first_s, of, samples.time_s)
    np.maximum.at(last_s, of, samples.time_s)
    rank = _ranks(groups[:, 0], np.bincount(of, minlength=len(groups)))
    believed = np.ones(len(samples.meter), dtype=np.bool_)
    for better in range(int(rank.max())):
        from_s, to_s = np.full(samples.width, np.inf), np.full(samples.width, -np.inf)
        at = rank == better
        from_s[groups[at, 0]], to_s[groups[at, 0]] = first_s[at], last_s[at]
        is_within = (samples.time_s >= from_s[samples.meter]) & (samples.time_s <= to_s[samples.meter])
        believed &= ~(is_within & (rank[of] > better))
    return believed


def _ranks(meter: I64, count: I64) -> I64:
    """Place of each source among those of its meter, 0 = it told most; equals in the order of their numbers."""
    order = np.lexsort((-count, meter))
    ranks = np.empty(len(meter), dtype=np.int64)
    starts = np.searchsorted(meter[order], meter[order], side="left")
    ranks[order] = np.arange(len(meter)) - starts
    return ranks
