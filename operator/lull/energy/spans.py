"""What series say of one interval, by whatever they are about: work that was done, means of gauges, latest values.

Called by ``holders`` and ``reading``, which say what counts as one meter: series of one key are one, since labels
change where the device does not.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

import numpy as np

from lull.energy.counters import Covered, Nature, rises, within
from lull.energy.samples import told_once
from lull.model.arrays import F64, I64, sums_by
from lull.model.meter import Interval, Meter, Samples, Series, Signal, Told

Name = TypeVar("Name", bound=Hashable)

LATEST_S: Final = 90.0
"""Age up to which a sample before an interval still says what a gauge was in it."""


@dataclass(frozen=True, slots=True)
class Named(Generic[Name]):
    """Samples, and whose they are."""

    names: tuple[Name, ...]
    samples: Samples


def named(told: Told, signal: Signal, name_of: Callable[[Meter], Name | None]) -> Named[Name]:
    """A signal's samples by name: series of one name are one meter; those without a name are left out."""
    series = told.get(signal)
    return Named((), Samples.none(0)) if series is None else regrouped(series, name_of)


def regrouped(series: Series, name_of: Callable[[Meter], Name | None]) -> Named[Name]:
    """The same of one series."""
    names: dict[Name, int] = {}
    group = np.full(len(series.meters), -1, dtype=np.int64)
    for i, meter in enumerate(series.meters):
        name = name_of(meter)
        if name is not None:
            group[i] = names.setdefault(name, len(names))
    samples = series.samples
    kept = samples.where(group[samples.meter] >= 0)
    return Named(tuple(names), replace(kept, meter=group[kept.meter], width=len(names)))


def worked(meters: Named[Name], over: Interval, *, is_born: bool = True) -> dict[Name, float]:
    """How much counters of work rose in the interval, by name; who is not in it is unknown.

    Args:
        meters: the counters.
        over: the interval.
        is_born: whether such a counter begins at 0 with its pod: where its source was scraped before, a first sample
            then counts from there.
    """
    samples = _born(meters.samples) if is_born else meters.samples
    found = within(rises(samples, Nature(is_steady=False)), over.start_s, over.end_s)
    return {
        name: float(amount)
        for name, amount, covered_s in zip(meters.names, found.amount, found.covered_s, strict=True)
        if covered_s > 0.0
    }


def means(meters: Named[Name], over: Interval) -> dict[Name, float]:
    """Mean of a gauge's samples in the interval, else the latest before it, by name."""
    samples = told_once(meters.samples)
    inside = samples.where((samples.time_s > over.start_s) & (samples.time_s <= over.end_s))
    count = np.bincount(inside.meter, minlength=samples.width)
    total = sums_by(inside.meter, inside.value, samples.width)
    found = dict(last(meters, over.start_s, LATEST_S))
    found |= {meters.names[i]: float(total[i] / count[i]) for i in np.flatnonzero(count)}
    return found


def last(meters: Named[Name], until_s: float, age_s: float) -> dict[Name, float]:
    """Each gauge's newest sample up to a moment, by name, unless it is older than that."""
    samples = told_once(meters.samples)
    recent = samples.where((samples.time_s <= until_s) & (samples.time_s >= until_s - age_s))
    return {meters.names[meter]: float(value) for meter, value in zip(recent.meter, recent.value, strict=True)}


def joined(found: Covered, device_at: I64, width: int) -> tuple[F64, F64]:
    """Joules and covered seconds of devices that have several meters, each (width,).

    A device is covered while all its meters are: a meter that was covered for longer counts in proportion.
    """
    least_s = np.full(width, np.inf)
    np.minimum.at(least_s, device_at, found.covered_s)
    share = np.divide(least_s[device_at], found.covered_s, out=np.zeros(len(device_at)), where=found.covered_s > 0.0)
    return sums_by(device_at, found.amount * share, width), np.where(np.isinf(least_s), 0.0, least_s)


def _born(samples: Samples) -> Samples:
    """The samples, with a 0 before the first one of meters that began while their source was being scraped."""
    if not len(samples.meter):
        return samples
    first_s = np.full(samples.width, np.inf)
    np.minimum.at(first_s, samples.meter, samples.time_s)
    at_first = np.flatnonzero(samples.time_s == first_s[samples.meter])
    before_s = _scraped_before(samples, at_first)
    at, zero_s = at_first[np.isfinite(before_s)], before_s[np.isfinite(before_s)]
    return Samples(
        np.append(samples.meter, samples.meter[at]),
        np.append(samples.source, samples.source[at]),
        np.append(samples.time_s, zero_s),
        np.append(samples.value, np.zeros(len(at))),
        samples.width,
    )


def _scraped_before(samples: Samples, at: I64) -> F64:
    """When the sources of those samples were last scraped before them, (len(at),); -inf = never."""
    found = np.full(len(at), -np.inf)
    for source in np.unique(samples.source[at]):
        scrapes_s = np.unique(samples.time_s[samples.source == source])
        mine = np.flatnonzero(samples.source[at] == source)
        place = np.searchsorted(scrapes_s, samples.time_s[at[mine]]) - 1
        found[mine] = np.where(place >= 0, scrapes_s[np.maximum(place, 0)], -np.inf)
    return found
