"""Lull itself in the world: the very functions that plan a cluster, over arrays.

A column's knob is its price factor; NaN lets dual ascent find it, as the operator does. With one price for the fleet
all models share a price per missed request, and one that is not worth its energy at that price is not served: the
cheapest way to miss a given share of all requests, and the way that the clairvoyant goes. With a price for each model
every model keeps to its own share, which is what an operator owes its users.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from lull.decide.accounts import Accounts
from lull.decide.prices import Prices, Took, miss_price_s
from lull.decide.provision import candidates
from lull.forecast.forecaster import Forecaster
from lull.foresight import Outlook, foresee, look
from lull.model.arrays import F32, F64, I64, Bools
from lull.model.costs import Costs
from lull.replay.world import Physics, Seen

_LASTS_S: Final = 600.0
"""Time that a change of heart is taken to last: what is begun to be served must be worth its starts within it."""

KNOBS: Final = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
_MOST: Final = 1e4
_ROUNDING: Final = 1e-9


class Lull:
    """Forecast, accounts and prices over columns.

    Args:
        knob: price factor per column, (N,); NaN = found by dual ascent.
        capacity_rps: of one replica, per column, (N,).
        of_series: which series a column sees, (N,).
        allowed_ratio: share of the requests that may miss.
        physics: of the world.
        step_s: seconds per step of the forecast.
        is_one_price: whether all columns with one knob share one price per request.
        cold_ratio: share of the requests that may find nothing ready, apart from those that miss; None = each of them
            counts as one more miss.
        without: parts that are left out, to see what each is worth: ``forecast``, ``prices``, ``accounts``.
    """

    def __init__(
        self,
        knob: F64,
        capacity_rps: F64,
        of_series: I64,
        allowed_ratio: float,
        physics: Physics,
        *,
        step_s: float,
        is_one_price: bool,
        cold_ratio: float | None = None,
        without: frozenset[str] = frozenset(),
    ) -> None:
        self._without = without
        self.tick_s = physics.step_s
        self._knob, self._limit_rps, self._of_series = knob, capacity_rps, of_series
        self._allowed = np.full(len(knob), allowed_ratio)
        self._cold_ratio = np.full(len(knob), np.nan if cold_ratio is None else cold_ratio)
        self._physics = physics
        self._columns = np.arange(len(knob))
        self._forecaster = Forecaster(int(of_series.max()) + 1, step_s)
        self._first = np.unique(of_series, return_index=True)[1]
        self._accounts = _Unbounded(len(knob)) if "accounts" in without else Accounts(len(knob))
        self._prices = Prices(len(knob))
        self._group = np.unique(np.nan_to_num(knob, nan=-1.0), return_inverse=True)[1] if is_one_price else None
        self._sum: F64 = np.zeros(int(of_series.max()) + 1)
        self._steps = 0
        self._start_to: F64 = np.zeros(len(knob))
        self._keep_to: F64 = np.zeros(len(knob))
        self._costs = self._priced()
        self._is_served: Bools = np.ones(len(knob), dtype=bool)
        self.is_spared: Bools = np.zeros(len(knob), dtype=bool)
        """Whose misses are no fault of these prices."""
        self._in_vain_s: F64 = np.zeros(len(knob))

    def watch(self, seen: Seen) -> None:
        """Books the step that ended, and looks ahead when a step of the forecast is full."""
        step_s = self._physics.step_s
        need = self._need(seen.arrivals_rps, seen.queue * 0.0)
        self._accounts.learn(self._columns, need, seen.replicas, self._costs, step_s, step_s)
        room = seen.ready * self._limit_rps * self._physics.slo_wait_s
        finds_nothing = seen.ready == 0.0
        # Nobody wakes for those that are not served at all: they miss.
        cold_rps = np.where(finds_nothing & self._is_served, seen.arrivals_rps, 0.0)
        is_late = (finds_nothing | (seen.queue > room)) & (cold_rps == 0.0)
        missed_rps = np.where(is_late, seen.arrivals_rps, 0.0)
        missed_rps[self.is_spared] = np.nan
        self._learn_price(missed_rps, cold_rps, seen.arrivals_rps, step_s)
        self._weigh(step_s)
        self._sum += seen.arrivals_rps[self._first]
        self._steps += 1
        if self._steps * step_s >= self._forecaster.step_s:
            self._forecaster.learn(self._sum / self._steps, seen.now_s - self._forecaster.step_s)
            self._sum[:] = 0.0
            self._steps = 0
            if "forecast" not in self._without:
                self._look_ahead(seen)
            else:
                self._costs = self._priced()

    def desire(self, seen: Seen) -> F64:
        """The need, and what the forecast adds to it."""
        kept = np.minimum(self._kept(), seen.replicas)
        wanted = np.maximum(np.maximum(self._need(seen.arrivals_rps, seen.queue), kept), self._start_to)
        return np.where(self._is_served, wanted, 0.0)

    def spare(self, columns: Bools) -> None:
        """Says whose misses are no fault of these prices for now, (N,): somebody holds their replicas back.

        For columns with a price of their own.
        """
        self.is_spared = columns

    def _kept(self) -> F64:
        if "forecast" not in self._without:
            return self._keep_to
        # Without a forecast what is left is ski rental: a layer stays for as long as its restart would cost.
        stays = self._accounts.gap_s < self._costs.start_s
        layers = np.arange(1, len(stays) + 1)[:, None]
        kept: F64 = np.where(stays, layers, 0.0).max(axis=0)
        return kept

    @property
    def price_factor(self) -> F64:
        """Factors of the price of a miss as they are, (N,)."""
        return self._factor(self._prices.factor)

    @property
    def cold_price_factor(self) -> F64:
        """The same of a cold hit, where a share of them is stated, (N,)."""
        return self._factor(self._prices.cold_factor)

    def _factor(self, learned: F32) -> F64:
        found = np.ones(len(self._knob)) if "prices" in self._without else learned
        return np.where(np.isnan(self._knob), found, self._knob)

    def _need(self, arrivals_rps: F64, queue: F64) -> F64:
        """Replicas that carry what comes, and those that it pays to have for working off what waits, (N,).

        With ``k`` more replicas the queue is gone after ``queue / (k * limit)``, and all that arrives until then is
        late: that price against ``k`` starts is least at the root below. Faster than in a step nobody can tell.
        """
        most = queue / (self._limit_rps * self._physics.step_s)
        late = self._costs.miss_price_s * arrivals_rps * queue
        more = np.minimum(np.sqrt(late / (self._limit_rps * self._costs.start_s)), most)
        return np.ceil(arrivals_rps / self._limit_rps + more - _ROUNDING)

    def _look_ahead(self, seen: Seen) -> None:
        self._costs = self._priced()
        replicas = seen.replicas
        outlook = self._outlook(replicas)
        advice = foresee(outlook, self._costs, self._accounts, self._columns, replicas, self._forecaster.step_s)
        self._start_to, self._keep_to = advice.start_to.astype(np.float64), advice.keep_to.astype(np.float64)

    def _outlook(self, replicas: F64) -> Outlook:
        """Columns of one series share its chances, so these are found once for as many layers as any of them has."""
        forecast, series = self._forecaster.forecast(), np.arange(len(self._first))
        tallest: F64 = np.zeros(len(series))
        np.maximum.at(tallest, self._of_series, replicas)
        shared = look(forecast, series, self._limit_rps[self._first], tallest, np.full(len(series), _MOST))
        first = np.searchsorted(shared.layers.owner, series)
        highest_rps = forecast.quantiles_rps[-1:, :, self._of_series]
        layers = candidates(highest_rps, replicas, self._limit_rps, np.full(len(replicas), _MOST))
        at = first[self._of_series[layers.owner]] + layers.number - 1
        return replace(shared, layers=layers, chance=shared.chance[:, at])

    def _learn_price(self, missed_rps: F64, cold_rps: F64, arrivals_rps: F64, for_s: float) -> None:
        if self._group is not None:
            missed_rps, cold_rps = self._pooled(missed_rps), self._pooled(cold_rps)
            arrivals_rps = self._pooled(arrivals_rps)
        took = Took(arrivals_rps, missed_rps, cold_rps, self._allowed, self._cold_ratio)
        self._prices.learn(self._columns, took, for_s)

    def _priced(self) -> Costs:
        physics, typical_rps = self._physics, self._typical_rps()
        miss_s = miss_price_s(self.price_factor, typical_rps, self._allowed)
        cold_s = miss_price_s(self.cold_price_factor, typical_rps, self._cold_ratio)
        return Costs(
            limit_rps=self._limit_rps,
            miss_price_s=miss_s,
            start_s=np.full(len(self._knob), physics.start_cost_s),
            lead_s=np.full(len(self._knob), physics.cold_start_s),
            beyond_s=np.full(len(self._knob), physics.start_energy_s),
            cold_price_s=np.where(np.isnan(cold_s), miss_s, cold_s),
        )

    def _typical_rps(self) -> F64:
        """What a replica carries: each model's own, or with one price the same for all that share it."""
        if self._group is None:
            return self._limit_rps
        return np.exp(self._pooled(np.log(self._limit_rps)) / self._pooled(np.ones(len(self._limit_rps))))

    def _pooled(self, values: F64) -> F64:
        assert self._group is not None  # noqa: S101 - only asked with one price
        sums: F64 = np.bincount(self._group, values).astype(np.float64)
        return sums[self._group]

    def _weigh(self, for_s: float) -> None:
        """Says what is worth its energy at one price; a price that moves about its worth must not switch it about."""
        if self._group is None:
            return
        worth = self._costs.miss_price_s * self._limit_rps
        self._in_vain_s = np.where(worth >= 1.0, 0.0, self._in_vain_s + (1.0 - worth) * for_s)
        begins = (worth - 1.0) * _LASTS_S > self._costs.start_s
        ends = self._in_vain_s > self._costs.start_s
        self._is_served = (self._is_served | begins) & ~ends


class _Unbounded(Accounts):
    """Accounts that forbid nothing."""

    def may_let_go(self, at: I64, *_: object) -> Bools:
        return np.ones(len(at), dtype=bool)

    def may_hold(self, at: I64, *_: object) -> Bools:
        return np.ones(len(at), dtype=bool)

    def may_start(self, at: I64, *_: object) -> Bools:
        return np.ones(len(at), dtype=bool)
