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
    kept = _believed(known)
    if not _is_in_order(kept):
        kept = kept.where(np.lexsort((-kept.value, kept.time_s, kept.meter)))
        is_new = np.ones(len(kept.meter), dtype=np.bool_)
        is_new[1:] = (np.diff(kept.meter) != 0) | (np.diff(kept.time_s) > 0.0)
        kept = kept.where(is_new)
    return kept


def _is_in_order(samples: Samples) -> bool:
    """Whether they are in order already, one for each moment, as one series for each meter is: sorting costs most."""
    further = np.diff(samples.meter)
    return bool(np.all((further > 0) | ((further == 0) & (np.diff(samples.time_s) > 0.0))))


def _believed(samples: Samples) -> Samples:
    """Those samples at whose time no better source of the same meter speaks."""
    some = np.zeros(samples.width, dtype=np.int64)
    some[samples.meter] = samples.source
    differs = np.zeros(samples.width, dtype=np.bool_)
    differs[samples.meter[samples.source != some[samples.meter]]] = True
    of_several = np.flatnonzero(differs[samples.meter])
    if not len(of_several):
        return samples
    believed = np.ones(len(samples.meter), dtype=np.bool_)
    believed[of_several] = _is_believed(samples.where(of_several))
    return samples.where(believed)


def _is_believed(samples: Samples) -> Bools:
    """Whether no better source of the same meter speaks at that time, (S,)."""
    sources = int(samples.source.max()) + 1
    groups, of = np.unique(samples.meter * sources + samples.source, return_inverse=True)
    meter = groups // sources
    first_s, last_s = np.full(len(groups), np.inf), np.full(len(groups), -np.inf)
    np.minimum.at(first_s, of, samples.time_s)
    np.maximum.at(last_s, of, samples.time_s)
    rank = _ranks(meter, np.bincount(of, minlength=len(groups)))
    believed = np.ones(len(samples.meter), dtype=np.bool_)
    for better in range(int(rank.max())):
        from_s, to_s = np.full(samples.width, np.inf), np.full(samples.width, -np.inf)
        at = rank == better
        from_s[meter[at]], to_s[meter[at]] = first_s[at], last_s[at]
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
