"""The least energy with which anybody who knew every arrival beforehand could have served a trace.

The need problem: in bin t a series has x(t) requests; n(t) replicas serve min(x, n * capacity) of them and the rest is
missed. A replica costs ``bin_s`` seconds of idle power for every bin it is on and ``start_s`` for every start, which is
the time a start takes plus the energy of starting, both in seconds of idle power; going off is free. Before the first
bin nothing is on, so what is on in it was started and is charged: who compares a policy charges its first replicas too.

With a price on a missed request the problem falls apart into replica layers, each on or off by itself
(``replay.layers``). That is exact: what a layer serves falls from layer to layer, so their best schedules are nested
and together are one of replicas. Over all prices they give the lower convex front of energy against misses.

Source: the Lagrangian of ``research/papers.md`` section 2(c) and 2(h); the tests compare it with dynamic programming
over the replica count and with every schedule there is. Called by the replay. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from lull.model.arrays import F64, I64
from lull.replay.layers import Fleet, finite

EXACT: Final = 1e-9
"""Relative distance between the best price found and what any price could still give, at which the search ends."""

_ROUNDS: Final = 64
_PRICES: Final = 24


@dataclass(frozen=True, slots=True)
class Front:
    """Best schedules, one a price, every series under the same price."""

    prices: F64
    """Seconds of idle power that one missed request costs, (P,)."""
    missed: F64
    """Requests missed, (P, N)."""
    idle_by_series_s: F64
    """Energy in seconds of one replica's idle power, starts included, (P, N)."""
    requests: F64
    """Requests of each series, (N,)."""

    @property
    def missed_ratio(self) -> F64:
        """Missed share of all requests, (P,); NaN where there are none."""
        requests = float(self.requests.sum())
        shares: F64 = self.missed.sum(axis=1) / (requests if requests > 0.0 else np.nan)
        return shares

    @property
    def idle_s(self) -> F64:
        """Energy of the fleet in seconds of one replica's idle power, (P,)."""
        summed: F64 = self.idle_by_series_s.sum(axis=1)
        return summed


def front(
    requests: npt.ArrayLike, capacity_per_bin: npt.ArrayLike, bin_s: float, start_s: float, prices: npt.ArrayLike
) -> Front:
    """Energy and misses of the best schedule at each price.

    Of schedules that are equally good at a price, the one with the fewest misses counts.

    Args:
        requests: arrivals in every bin, (T, N).
        capacity_per_bin: requests one replica serves in a bin, (N,).
        bin_s: width of a bin.
        start_s: what one start costs, in seconds of idle power.
        prices: seconds of idle power per missed request, (P,); `price_grid` has some.

    Raises:
        ValueError: when shapes do not fit, a number is negative or not finite, or a capacity or `bin_s` is zero.
    """
    fleet = Fleet.of(requests, capacity_per_bin, bin_s, start_s)
    asked = finite("prices", prices).reshape(-1)
    missed, idle_s = fleet.best(asked[:, None])
    return Front(asked, missed, idle_s, fleet.totals)


def price_grid(
    requests: npt.ArrayLike, capacity_per_bin: npt.ArrayLike, bin_s: float, start_s: float, count: int = _PRICES
) -> F64:
    """Prices from the one that serves nothing to one that misses nothing, (count,): 0, then geometric.

    Raises:
        ValueError: as `front`.
    """
    fleet = Fleet.of(requests, capacity_per_bin, bin_s, start_s)
    return _grid(fleet.lowest_price.min(keepdims=True), fleet.highest_price.max(keepdims=True), count)[:, 0]


def bound(
    requests: npt.ArrayLike, capacity_per_bin: npt.ArrayLike, bin_s: float, start_s: float, missed_ratio: npt.ArrayLike
) -> F64:
    """Idle seconds below which no schedule of the fleet can lie that misses at most each share of all requests, (D,).

    With L(price) the least sum of energy and price times misses, and m the requests that may be missed, the bound is
    the dual value ``max over price of L(price) - price * m``. It holds for every m: a schedule that misses at most m
    costs at least L(price) in that sum, so its energy is at least L(price) - price * m, whatever the price. Where m is
    what a corner of the convex front misses, the bound is that corner's energy and a schedule attains it; between two
    neighbouring corners it is the straight line between them.

    The price is sought by chords: at the price at which two corners cost the same there is either a corner below their
    chord, or the chord is the front. What is returned is the best value of a price that was evaluated, so it holds
    wherever the search ends.

    Args:
        requests: arrivals in every bin, (T, N).
        capacity_per_bin: requests one replica serves in a bin, (N,).
        bin_s: width of a bin.
        start_s: what one start costs, in seconds of idle power.
        missed_ratio: shares of all requests that may be missed, (D,) or one number.

    Raises:
        ValueError: as `front`.
    """
    fleet = Fleet.of(requests, capacity_per_bin, bin_s, start_s)
    allowed = finite("missed_ratio", missed_ratio).reshape(-1, 1) * fleet.totals.sum()

    def best(prices: F64) -> tuple[F64, F64]:
        # shares between the same two corners ask for the same price
        distinct, place = np.unique(prices[:, 0], return_inverse=True)
        missed, idle_s = fleet.best(distinct[:, None])
        return missed.sum(axis=1)[place, None], idle_s.sum(axis=1)[place, None]

    grid = _grid(fleet.lowest_price.min(keepdims=True), fleet.highest_price.max(keepdims=True), _PRICES)
    return _dual(best, grid, allowed)[:, 0]


def bound_each(
    requests: npt.ArrayLike, capacity_per_bin: npt.ArrayLike, bin_s: float, start_s: float, missed_ratio: npt.ArrayLike
) -> F64:
    """As `bound` for every series by itself, (D, N), each held to a share of its own requests.

    The sum over the last axis bounds a fleet in which no series may make up for another.

    Args:
        requests: arrivals in every bin, (T, N).
        capacity_per_bin: requests one replica serves in a bin, (N,).
        bin_s: width of a bin.
        start_s: what one start costs, in seconds of idle power.
        missed_ratio: shares that may be missed, for all series alike, (D,) or one number, or for each, (D, N).

    Raises:
        ValueError: as `front`.
    """
    fleet = Fleet.of(requests, capacity_per_bin, bin_s, start_s)
    shares = finite("missed_ratio", missed_ratio)
    allowed = (shares if shares.ndim == 2 else shares.reshape(-1, 1)) * fleet.totals
    return _dual(fleet.best, _grid(fleet.lowest_price, fleet.highest_price, _PRICES), allowed)


def schedule(
    requests: npt.ArrayLike, capacity_per_bin: npt.ArrayLike, bin_s: float, start_s: float, price: float
) -> I64:
    """Replicas in every bin of the schedule that `front` counts at a price, (T, N); to be drawn.

    Raises:
        ValueError: as `front`.
    """
    return Fleet.of(requests, capacity_per_bin, bin_s, start_s).schedule(float(finite("price", price)))


def _grid(lowest: F64, highest: F64, count: int) -> F64:
    """Zero, then a geometric row from `lowest` to `highest`, each (M,): (count, M)."""
    return np.concatenate([np.zeros((1, len(lowest))), np.geomspace(lowest, highest, count - 1)])


def _dual(best: Callable[[F64], tuple[F64, F64]], grid: F64, allowed: F64) -> F64:
    """The best dual value for every allowance, (D, M).

    Args:
        best: requests missed and idle seconds at prices, all (any, M).
        grid: prices to begin with, rising, (P, M); the last misses nothing.
        allowed: requests that may be missed, (D, M).
    """
    seen = np.stack(best(grid))
    value: F64 = (seen[1, :, None] + grid[:, None] * (seen[0, :, None] - allowed)).max(axis=0)
    # the last price misses nothing but what rounding leaves
    tight_at = np.minimum((seen[0, :, None] > allowed).sum(axis=0), len(grid) - 1)
    lax, tight = (np.take_along_axis(seen, place[None], axis=1) for place in (np.maximum(tight_at - 1, 0), tight_at))
    for _ in range(_ROUNDS):
        apart = lax[0] - tight[0]
        price = np.divide(tight[1] - lax[1], apart, out=np.zeros_like(apart), where=apart > 0.0).clip(min=0.0)
        ceiling = tight[1] + price * (tight[0] - allowed)
        open_rows = (ceiling - value > EXACT * ceiling).any(axis=1)
        if not open_rows.any():
            break
        asked, limit = price[open_rows], allowed[open_rows]
        new = np.stack(best(asked))
        value[open_rows] = np.maximum(value[open_rows], new[1] + asked * (new[0] - limit))
        is_lax = new[0] > limit
        lax[:, open_rows] = np.where(is_lax, new, lax[:, open_rows])
        tight[:, open_rows] = np.where(is_lax, tight[:, open_rows], new)
    return value
