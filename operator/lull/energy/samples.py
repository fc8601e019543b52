"""Samples of counters and gauges, freed of what is told twice. Called by ``counters`` and ``spans``."""

from __future__ import annotations

import numpy as np

from lull.model.arrays import I64, Bools
from lull.model.meter import Samples


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
