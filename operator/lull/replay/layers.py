"""Replica layers of a fleet, and the cheapest way of each through a trace at a given price of a missed request.

Layer k of a series serves ``g_k(t) = clip(x(t) - (k - 1) * capacity, 0, capacity)`` and is on or off by itself: a
shortest path over two states. Only the difference between ending on and ending off is carried along: the seconds the
best path ending on has cost more, and the requests it has served more. It never exceeds one start, and once the
requests have paid for the seconds, every best path has been on: both are booked and the difference is zero again.
Energy and misses are thus booked apart, without the price in them, and lose no digits however high it is.

Only bins with requests are walked. Layers that are busy about equally often go together, so that the many layers
above a rare peak cost its few bins and not the whole trace. Called by ``replay.clairvoyant``. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from lull.model.arrays import F64, I64, Bools

CRUMB: Final = 1e-9
"""Share of a replica's bin below which a rest of requests is left out: what rounding leaves behind is no need."""

ROUNDING: Final = 1e-12
"""Share of a series' requests that float64 cannot tell from none once a trace is summed up."""

MOST_LAYERS: Final = 1_000_000
"""Replicas of all series at their peaks together; above it a capacity does not fit its requests."""

_CELLS_AT_ONCE: Final = 8192  # layers x prices: some arrays of this size together stay in one core's cache
_BINS_AT_ONCE: Final = 1024


@dataclass(frozen=True, slots=True)
class Group:
    """Layers that are walked together, (L,), through the bins in which any of them has requests, (S,)."""

    series: I64
    below: F64
    """Requests per bin that the layers below serve, (L,)."""
    rows: I64
    """Places of the bins in `Fleet.bins`, (S,)."""
    gap_s: F64
    """Seconds without requests behind each of the bins, (S,); 0 behind the last."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is served, by what, and what being on and starting cost."""

    length: int
    """Bins of the trace, T."""
    bins: I64
    """Those of them that are kept, (B,), because a series has requests in them."""
    requests: F64
    """Arrivals in the bins kept, (B, N)."""
    capacity: F64
    """Requests that one replica serves in a bin, (N,)."""
    needed: I64
    """Replicas that miss nothing in the bins kept, (B, N)."""
    bin_s: float
    start_s: float
    """What one start costs, in seconds of idle power."""

    @classmethod
    def of(cls, requests: npt.ArrayLike, capacity_per_bin: npt.ArrayLike, bin_s: float, start_s: float) -> Self:
        """Checks requests (T, N) and capacity (N,), and leaves out what is empty.

        Raises:
            ValueError: when shapes do not fit, a number is not finite or has the wrong sign, or there would be more
                than `MOST_LAYERS` layers.
        """
        counts, capacity = np.asarray(requests), finite("capacity_per_bin", capacity_per_bin)
        if counts.ndim != 2 or not counts.size or capacity.shape != counts.shape[1:]:
            raise ValueError(
                f"requests are {counts.shape} and capacity_per_bin is {capacity.shape}; they must be (T, N) and (N,)"
            )
        if not (capacity > 0.0).all() or not finite("bin_s", bin_s) > 0.0:
            raise ValueError("capacity_per_bin and bin_s must be above 0; leave out series whose capacity is not known")
        bins = np.union1d(np.flatnonzero(counts.any(axis=1)), [0])
        arrivals = finite("requests", counts[bins])
        replicas = np.maximum(np.ceil(arrivals / capacity - CRUMB), 0.0)
        layers = float(replicas.max(axis=0).sum())
        if layers > MOST_LAYERS:
            raise ValueError(f"{layers:.3g} replicas at the peaks, more than {MOST_LAYERS}; give a larger capacity")
        return cls(
            length=len(counts),
            bins=bins,
            requests=np.minimum(arrivals, replicas * capacity),
            capacity=capacity,
            needed=replicas.astype(np.int64),
            bin_s=float(bin_s),
            start_s=float(finite("start_s", start_s)),
        )

    @property
    def totals(self) -> F64:
        """Requests of each series, (N,)."""
        summed: F64 = self.requests.sum(axis=0)
        return summed

    @property
    def lowest_price(self) -> F64:
        """Below it a full replica is not worth its idle seconds, (N,)."""
        return self.bin_s / self.capacity

    @property
    def highest_price(self) -> F64:
        """At it a start for the smallest rest of requests is worth it, so nothing is missed, (N,)."""
        rests = np.where(self.needed > 0, self.requests - (self.needed - 1) * self.capacity, np.inf)
        smallest = np.minimum(rests.min(axis=0), self.capacity)
        highest: F64 = 2.0 * (self.bin_s + self.start_s) / smallest  # twice: clear of rounding
        return highest

    def best(self, prices: F64) -> tuple[F64, F64]:
        """Requests missed and idle seconds of the best schedule, both (P, N), at prices (P, N) or (P, 1).

        Of schedules that are equally good the one with the fewest misses counts.
        """
        by_series = np.broadcast_to(prices, (len(prices), len(self.capacity))).T
        served = np.zeros(by_series.shape)
        idle_s = np.zeros(by_series.shape)
        for group in self.groups(len(prices)):
            group_served, group_idle_s = self.walk(group, by_series[group.series])
            np.add.at(served, group.series, group_served)
            np.add.at(idle_s, group.series, group_idle_s)
        missed = self.totals - served.T
        # what summing in another order leaves behind is not missed, and a high price would make something of it
        return np.where(missed > ROUNDING * self.totals, missed, 0.0), idle_s.T

    def schedule(self, price: float) -> I64:
        """Replicas of the schedule that `best` counts, (T, N)."""
        changes = np.zeros((self.length + 1, len(self.capacity)), dtype=np.int64)
        for group in self.groups(1):
            trail: list[tuple[Bools, Bools]] = []
            self.walk(group, np.full((len(group.series), 1), price), trail)
            starts, stops = _runs(trail)
            for places, sign in ((starts, 1), (stops, -1)):
                step, layer = np.nonzero(places)
                np.add.at(changes, (self.bins[group.rows[step]] + (sign < 0), group.series[layer]), sign)
        replicas: I64 = np.cumsum(changes[:-1], axis=0)
        return replicas

    def groups(self, prices: int) -> Iterator[Group]:
        """All layers that ever have requests, the busiest first, few enough at a time for `prices` prices."""
        tallest = self.needed.max(axis=0)
        series = np.repeat(np.arange(len(tallest)), tallest)
        layer = np.concatenate([np.arange(count) for count in tallest])
        columns = zip(self.needed.T, tallest, strict=True)
        busy_bins = np.concatenate([_bins_above(column, count) for column, count in columns])
        order = np.argsort(-busy_bins, kind="stable")
        for chunk in np.split(order, range(0, len(order), max(1, _CELLS_AT_ONCE // prices)))[1:]:
            lowest = np.full(len(tallest), np.iinfo(np.int64).max)
            np.minimum.at(lowest, series[chunk], layer[chunk])
            rows = np.flatnonzero((self.needed > lowest).any(axis=1))
            bins = self.bins[rows]
            gap_s = (np.diff(bins, append=bins[-1] + 1) - 1) * self.bin_s
            yield Group(series[chunk], layer[chunk] * self.capacity[series[chunk]], rows, gap_s)

    def walk(self, group: Group, prices: F64, trail: list[tuple[Bools, Bools]] | None = None) -> tuple[F64, F64]:
        """Requests served and idle seconds of every layer's best path, both (L, P), at prices (L, P).

        Args:
            group: the layers.
            prices: seconds of idle power per missed request.
            trail: where wanted, gets a pair per bin: was it paid to be on up to here; is on later a new start.
        """
        spent_s, gained = np.full(prices.shape, self.start_s), np.zeros(prices.shape)
        idle_s, served = np.zeros(prices.shape), np.zeros(prices.shape)
        value, part = np.empty(prices.shape), np.empty(prices.shape)
        is_paid, is_apart = np.empty(prices.shape, dtype=bool), np.empty(prices.shape, dtype=bool)
        for arrived, gap_s in self._steps(group):
            spent_s += self.bin_s
            gained += arrived
            np.multiply(gained, prices, out=value)
            np.subtract(spent_s, value, out=value)
            np.less_equal(value, 0.0, out=is_paid)
            for difference, booked in ((spent_s, idle_s), (gained, served)):
                np.multiply(difference, is_paid, out=part)
                booked += part
                difference -= part
            np.maximum(value, 0.0, out=value)
            np.greater(value, self.start_s - gap_s, out=is_apart)
            spent_s += gap_s
            np.copyto(spent_s, self.start_s, where=is_apart)
            np.copyto(gained, 0.0, where=is_apart)
            if trail is not None:
                trail.append((is_paid[:, 0].copy(), is_apart[:, 0].copy()))
        return served, idle_s

    def _steps(self, group: Group) -> Iterator[tuple[F64, float]]:
        """Requests for each layer, (L, 1), and the seconds until the next bin, a block of bins at a time."""
        capacity = self.capacity[group.series]
        for first in range(0, len(group.rows), _BINS_AT_ONCE):
            rows = group.rows[first : first + _BINS_AT_ONCE]
            arrived = np.clip(self.requests[rows][:, group.series] - group.below, 0.0, capacity)
            arrived[arrived < CRUMB * capacity] = 0.0
            yield from zip(arrived[:, :, None], group.gap_s[first : first + _BINS_AT_ONCE].tolist(), strict=True)


def finite(name: str, values: npt.ArrayLike) -> F64:
    """As float64.

    Raises:
        ValueError: when a value is negative or not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if not (np.isfinite(array) & (array >= 0.0)).all():
        raise ValueError(f"{name} must be finite and not negative")
    return array


def _bins_above(needed: I64, tallest: int) -> I64:
    """Bins in which layer 1, 2, ... is needed."""
    counts: I64 = np.bincount(needed, minlength=tallest + 1)[:0:-1].cumsum()[::-1]
    return counts


def _runs(trail: list[tuple[Bools, Bools]]) -> tuple[Bools, Bools]:
    """First and last bins of being on, (S, L) each, read backwards off the trail of a walk."""
    is_paid, is_apart = (np.array(column) for column in zip(*trail, strict=True))
    is_on, is_joined = is_paid.copy(), np.zeros_like(is_paid)
    for step in range(len(trail) - 1, 0, -1):
        is_joined[step] = is_on[step] & ~is_apart[step - 1]
        is_on[step - 1] |= is_joined[step]
    continues = np.roll(is_joined, -1, axis=0)
    return is_on & ~is_joined, is_on & ~continues
