"""How many replicas the forecast asks for: those to start ahead of the need, and those to keep past it.

The reactive need is nobody's advice and stands beside this: the forecast may only add to it and delay what follows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lull.decide.accounts import Accounts
from lull.decide.layers import Layers, layers_between
from lull.decide.sleep import holding_s, missed_requests, pays_to_keep, pays_to_start
from lull.model.arrays import F32, F64, I64
from lull.model.costs import Costs


@dataclass(frozen=True, slots=True)
class Advice:
    """What the forecast asks for, (N,) each."""

    start_to: I64
    """Replicas to have, started ahead of the need; 0 = it asks for none."""
    keep_to: I64
    """Replicas not to go below; 0 = it asks for none."""


def misses_s(costs: Costs, number: I64, notice_s: float) -> F64:
    """Price of the requests that a layer answers for when it is needed and not there, (L,).

    Args:
        costs: of the layers' models, (L,).
        number: which replica each layer is, from 1, (L,).
        notice_s: seconds until the need is noticed.
    """
    return costs.price_s(number) * missed_requests(costs.limit_rps, costs.lead_s, notice_s=notice_s)


def candidates(quantiles_rps: F32, replicas: F64, limit_rps: F64, maximum: F64) -> Layers:
    """Layers that there is a question about: those there are, and those the highest quantile reaches."""
    with np.errstate(invalid="ignore", divide="ignore"):
        reach = np.ceil(np.nan_to_num(quantiles_rps[-1].max(axis=0)) / limit_rps)
    reach = np.nan_to_num(reach, nan=0.0, posinf=0.0)
    return layers_between(np.zeros_like(replicas), np.minimum(np.maximum(reach, replicas), maximum))


def thresholds_rps(layers: Layers, limit_rps: F64) -> F64:
    """Rate above which each layer is needed, (L,)."""
    return (layers.number - 1.0) * limit_rps[layers.owner]


def advise(
    layers: Layers,
    chance: F64,
    horizons_s: F64,
    costs: Costs,
    accounts: Accounts,
    at: I64,
    replicas: F64,
    tick_s: float,
    since_s: float = 0.0,
) -> Advice:
    """What to start ahead and what to keep.

    Args:
        layers: those in question.
        chance: that the rate passes each layer's threshold within each horizon, (H, L); NaN = nothing is forecast.
        horizons_s: (H,).
        costs: of the models; where one is NaN, what there is is kept, and nothing is started.
        accounts: of their layers.
        at: the models' columns in the accounts, (N,).
        replicas: replicas there are, starting ones included, (N,).
        tick_s: seconds until the next decision.
        since_s: seconds that have gone by of the horizons: a forecast is as old as its last step.
    """
    owner, number = layers.owner, layers.number
    miss_s = misses_s(costs.of(owner), number, tick_s)
    start_s = costs.start_s[owner]
    worth_s = start_s + miss_s
    column = at[owner]
    is_on = number <= replicas[owner]
    lead = np.minimum(np.searchsorted(horizons_s, costs.lead_s + tick_s + since_s), len(horizons_s) - 1)
    with np.errstate(invalid="ignore"):
        held_s = holding_s(chance, horizons_s)
        keep = pays_to_keep(chance, held_s, worth_s)
        # Where none runs, whoever comes waits for a wake, however many replicas they need.
        woken_s = misses_s(costs.of(owner), np.where(replicas[owner] > 0.0, number, 1), tick_s)
        start = pays_to_start(chance, held_s, lead[owner], woken_s, start_s)
    is_known = ~np.isnan(chance[0]) & ~np.isnan(worth_s)
    keep |= ~accounts.may_let_go(column, number, worth_s)
    may_hold = accounts.may_hold(column, number, worth_s, tick_s)
    may_start = accounts.may_start(column, number, worth_s, start_s + tick_s)
    # A replica is there only together with those below it, so what one of them may not cost, none above it may ask for.
    is_free = layers.below_all(is_known & ~np.where(is_on, may_hold, may_start))
    return Advice(
        start_to=layers.highest(~is_on & start & is_known & is_free),
        keep_to=layers.highest(is_on & (keep & is_free | ~is_known)),
    )
