"""The prices of one budget, and the replicas that they leave its models. Called by ``decide.budget``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from lull.decide.claims import Claims, fit, kept, offsets, power_w
from lull.decide.expected import course
from lull.decide.pacing import within_band
from lull.decide.purse import Account, price_of, purse_of, standing, stretch, unknown_standing
from lull.decide.split import split
from lull.model.arrays import F64, I64, Bools
from lull.model.budget import EnergyBudget, Enforcement, Limit, Measure
from lull.model.period import RollingPeriod, Span
from lull.model.spending import BudgetPrices, BudgetView, Spending, Standing, Wanted

POWER: Final = "Power"
"""Name of the price of a limit of power, beside those of the amounts."""

_POWER_BAND: Final = 0.02
"""Share of a limit of power that may stay unused before more is allowed: replicas come and go in whole ones."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """What budgets have to know of the models, (N,) each; NaN = unknown."""

    uids: Sequence[str]
    namespaces: Sequence[str]
    priority: I64
    selected: Mapping[str, I64]
    """Rows of the models that each budget is for, by the budget's uid."""
    want: I64
    """Replicas as everything but the budgets has it."""
    least: I64
    """Fewest that the spec allows."""
    current: I64
    ready: I64
    may_act: Bools
    """Whether Lull scales them."""
    idle_w: F64
    """Of one replica."""
    dynamic_w: F64
    """Of the model on top, for the load it has."""
    busy: F64
    """Replicas' worth of work that this load is."""
    start_w: F64
    """Of a replica that starts."""
    wanted: Wanted

    @property
    def want_w(self) -> F64:
        """Power of what is wanted, (N,)."""
        return self.power_w(self.want)

    def power_w(self, replicas: I64) -> F64:
        """Power of so many replicas of each, (N,)."""
        return power_w(replicas, self.idle_w, self.dynamic_w, self.busy)


@dataclass(frozen=True, slots=True)
class Budgeted:
    """One budget's models, N of them in A namespaces, and what was found for it."""

    rows: I64
    """Of the fleet, (N,)."""
    names: list[str]
    """Of the namespaces, (A,)."""
    claims: Claims
    prices: dict[str, F64]
    """By limit, (A,) each."""
    standings: tuple[Standing, ...]
    is_stale: bool
    """Whether the spending of some limit is not known."""

    @property
    def price(self) -> F64:
        """The highest of them, (A,): the one that applies."""
        highest: F64 = np.max([np.zeros(len(self.names)), *self.prices.values()], axis=0)
        return highest


def budgeted(fleet: Fleet, view: BudgetView, before: BudgetPrices | None, span: Span | None, now_s: float) -> Budgeted:
    """The prices of one budget; see ``decide.budget.pace``."""
    budget, rows = view.budget, fleet.selected[view.budget.uid]
    names, claims = _claims(fleet, rows, budget)
    is_new = before is None or (isinstance(span, Span) and not _is_rolling(budget) and before.start_s != span.start_s)
    for_s = 0.0 if before is None else max(now_s - before.at_s, 0.0)
    prices: dict[str, F64] = {}
    standings, is_stale = [], False
    for limit, amount in budget.amounts.items():
        account = _account(limit, amount, view.spending, fleet, rows, claims)
        earlier = _earlier(before, limit, names)
        if span is None or not account.is_known or not len(rows):
            is_stale |= not account.is_known
            held = claims.top if account.at_least >= amount else np.nan_to_num(earlier)
            prices[limit] = np.minimum(held, claims.top)
            standings.append(unknown_standing(account))
            continue
        earlier = np.full(len(names), np.nan) if is_new else earlier
        price, stands = _amount_price(account, fleet, rows, budget, claims, (earlier, for_s), span, now_s)
        prices[limit] = price
        standings.append(stands)
    if budget.spec.limits.power is not None:
        room_w = float(budget.spec.limits.power)
        prices[POWER] = _power_price(fleet, rows, claims, room_w, _earlier(before, POWER, names))
    return Budgeted(rows, names, claims, prices, tuple(standings), is_stale)


def _claims(fleet: Fleet, rows: I64, budget: EnergyBudget) -> tuple[list[str], Claims]:
    """The budget's models; those that Lull cannot scale, or whose power nobody knows, have what they have."""
    own = [fleet.namespaces[row] for row in rows.tolist()]
    names = sorted(set(own))
    place = {name: number for number, name in enumerate(names)}
    account = np.array([place[name] for name in own], dtype=np.int64)
    is_known = ~np.isnan(fleet.idle_w[rows])
    is_capped = fleet.may_act[rows] & is_known & (Measure.CAP_REPLICAS in budget.spec.measures)
    want = np.where(fleet.may_act[rows], fleet.want[rows], fleet.current[rows])
    return names, Claims(
        want=want,
        floor=np.where(is_capped, np.minimum(want, fleet.least[rows]), want),
        idle_w=np.nan_to_num(fleet.idle_w[rows]),
        dynamic_w=np.nan_to_num(fleet.dynamic_w[rows]),
        busy=np.nan_to_num(fleet.busy[rows]),
        account=account,
        rank=_ranks(account, fleet.priority[rows]),
        offset=offsets([fleet.uids[row] for row in rows.tolist()]),
        weights=np.array([budget.weight(name) for name in names], dtype=np.float64),
    )


def _ranks(account: I64, priority: I64) -> I64:
    """Places of the priorities among those of each namespace, (N,), from 0 for the lowest."""
    found: I64 = np.zeros(len(account), dtype=np.int64)
    pairs, inverse = np.unique(np.stack([account, priority]), axis=1, return_inverse=True)
    if pairs.shape[1]:
        first = np.searchsorted(pairs[0], pairs[0])
        found = (np.arange(pairs.shape[1]) - first)[inverse.reshape(-1)]
    return found


def _account(
    limit: Limit, amount: float, spending: Spending | None, fleet: Fleet, rows: I64, claims: Claims
) -> Account:
    """What is told of one limit, summed by namespace; a model of which nothing is told is unknown."""
    if spending is None or limit not in spending.spent:
        nothing = np.zeros((1, claims.accounts))
        return Account(limit, amount, is_told=False, spent=nothing, others=np.zeros(1), per_j=np.ones(1))
    told_of = spending.spent[limit]
    place = {uid: number for number, uid in enumerate(spending.uids)}
    at = np.array([place.get(fleet.uids[row], -1) for row in rows.tolist()], dtype=np.int64)
    parts = np.append(told_of, np.full((len(told_of), 1), np.nan), axis=1)[:, at]
    sums = [claims.by_account(np.nan_to_num(part)) for part in parts]
    per_j = np.ones(1) if limit is Limit.ENERGY else spending.per_j.get(limit, np.full(1, np.nan))
    return Account(
        limit,
        amount,
        is_told=not np.isnan(parts).any(),
        spent=np.array(sums).reshape(len(told_of), claims.accounts),
        others=spending.others.get(limit, np.zeros(len(told_of))),
        per_j=per_j,
    )


def _amount_price(
    account: Account,
    fleet: Fleet,
    rows: I64,
    budget: EnergyBudget,
    claims: Claims,
    before: tuple[F64, float],
    span: Span,
    now_s: float,
) -> tuple[F64, Standing]:
    ranks = int(claims.rank.max()) + 1
    end_s = now_s + span.length_s if _is_rolling(budget) else span.end_s
    wanted = _of(fleet.wanted, rows)
    group = claims.account * ranks + claims.rank
    ahead = course(wanted, claims.power_w(claims.want), group, claims.accounts * ranks, now_s, end_s)
    found = stretch(account, ahead, is_rolling=_is_rolling(budget))
    purse, floors = purse_of(found, claims, ranks, float(budget.spec.reserve))
    price = price_of(purse, floors, found, claims, *before)
    if account.at_least >= account.amount and not _is_rolling(budget):
        price = claims.top
    is_acting = budget.spec.enforcement is Enforcement.ENFORCE
    shown = price if is_acting else np.zeros_like(price)
    return price, standing(account, found, purse, floors, shown, wanted, span, now_s)


def _power_price(fleet: Fleet, rows: I64, claims: Claims, limit_w: float, before: F64) -> F64:
    """Price at which the replicas draw no more than the limit, those that start with what a start draws."""
    floor_w, want_w = (claims.by_account(claims.power_w(count)) for count in (claims.floor, claims.want))
    ready = fleet.ready[rows]
    start_w = np.nan_to_num(fleet.start_w[rows])
    starts_w = claims.by_account(np.maximum(claims.want - ready, 0) * np.maximum(start_w - claims.idle_w, 0.0))
    rooms_w = split(limit_w, floor_w, want_w + starts_w, claims.weights)
    at_least = fit(claims, rooms_w, standing=ready, start_w=start_w)
    at_most = fit(claims, rooms_w * (1.0 - _POWER_BAND), standing=ready, start_w=start_w)
    return within_band(before, at_least, at_most)


def granted(fleet: Fleet, found: Budgeted, budget: EnergyBudget) -> I64:
    """Replicas that the budget leaves its models; growth waits for power that is not free yet."""
    claims = found.claims
    keeps = kept(claims, found.price)
    limit = budget.spec.limits.power
    if limit is None:
        return keeps
    current, ready = fleet.current[found.rows], fleet.ready[found.rows]
    start_w = np.nan_to_num(fleet.start_w[found.rows])
    # Replicas that are to go draw their power until they have gone, and those that start more than they will.
    starting_w = np.maximum(current - ready, 0) * np.maximum(start_w - claims.idle_w, 0.0)
    standing_w = claims.by_account(claims.power_w(current) + starting_w)
    growing = replace(claims, floor=current, want=np.maximum(keeps, current))
    grows_w = (growing.want - current) * np.maximum(start_w - claims.idle_w, 0.0)
    peak_w = claims.by_account(growing.power_w(growing.want) + starting_w + grows_w)
    rooms_w = split(float(limit), standing_w, np.maximum(peak_w, standing_w), claims.weights)
    price = fit(growing, rooms_w - claims.by_account(starting_w), standing=current, start_w=start_w)
    grown = np.maximum(kept(growing, price), np.minimum(keeps, claims.floor))
    return np.where(keeps > current, grown, keeps)


def _earlier(before: BudgetPrices | None, limit: str, names: Sequence[str]) -> F64:
    known = {} if before is None else before.by_limit.get(str(limit), {})
    return np.array([known.get(name, np.nan) for name in names], dtype=np.float64)


def _of(wanted: Wanted, rows: I64) -> Wanted:
    return Wanted(wanted.level_w[:, rows], wanted.recent_w[rows], wanted.sd_w[rows])


def _is_rolling(budget: EnergyBudget) -> bool:
    return isinstance(budget.period, RollingPeriod)
