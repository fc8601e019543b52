"""The clairvoyant on a stage: its front, one of its schedules, and what a policy's misses would have cost it. Pure.

It is computed in the world's steps, so that it may use whatever a policy could: rare requests fall into one step, and a
bound that had to serve all of their bin would be too high.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from lull.model.arrays import F32, F64, I64
from lull.replay.clairvoyant import Front, bound, bound_each, front, price_grid, schedule
from lull.replay.jobs import Tell
from lull.replay.outcome import Outcome
from lull.replay.stage import Stage, highest

LEAST_MISSED: Final = 1e-4
MOST_MISSED: Final = 0.2
"""Shares of the requests between which the front is drawn."""

_PRICES: Final = 32
_NEARER: Final = 12


@dataclass(frozen=True, slots=True)
class Optimum:
    """The best schedules of the scored half."""

    missed_ratio: F64
    """Of its corners, falling, (P,)."""
    provisioning_s: F64
    """Seconds of idle power there, (P,)."""
    chosen: Outcome
    """The cheapest of the schedules seen that keep to the objective, columns are series, (M,)."""
    replicas: F32
    """Its replicas, as in `Life.replicas`, (B, M)."""


def optimum(stage: Stage, tell: Tell) -> Optimum:
    """Finds the front in two passes: where the shares of interest lie, and what lies there."""
    arguments = (stage.scored, stage.capacity_per_step, stage.physics.step_s, stage.physics.start_cost_s)
    prices = price_grid(*arguments)
    coarse = front(*arguments, prices)
    tell(0.4)
    first, last = _around(coarse, MOST_MISSED, LEAST_MISSED)
    fine = front(*arguments, np.geomspace(max(prices[first], prices[1]), prices[last], _PRICES))
    tell(0.4)
    objective = stage.options.objective_ratio
    lax, kept = _around(fine, objective, objective)
    near = front(*arguments, np.geomspace(fine.prices[min(lax, kept)], fine.prices[kept], _NEARER))
    price = near.prices[_around(near, objective, objective)[1]]
    replicas = schedule(*arguments, float(price))
    tell(0.2)
    return Optimum(
        fine.missed_ratio,
        fine.idle_s,
        _outcome(stage, replicas),
        highest(replicas.astype(np.float32), stage.shown_steps),
    )


def least_s(stage: Stage, shares: F64, tell: Tell) -> F64:
    """Seconds of idle power below which the fleet cannot miss at most each share, (D,); NaN shares have none."""
    known = ~np.isnan(shares)
    found = np.full(len(shares), np.nan)
    if known.any():
        found[known] = bound(
            stage.scored, stage.capacity_per_step, stage.physics.step_s, stage.physics.start_cost_s, shares[known]
        )
    tell(1.0)
    return found


def least_each_s(stage: Stage, shares: F64, tell: Tell) -> F64:
    """As `least_s` for each series and shares of its own, (D, M); a series without requests needs nothing."""
    found = bound_each(
        stage.scored, stage.capacity_per_step, stage.physics.step_s, stage.physics.start_cost_s, np.nan_to_num(shares)
    )
    tell(1.0)
    return found


def _around(found: Front, lax: float, tight: float) -> tuple[int, int]:
    """Places of the last price that misses `lax` or more and of the first that misses `tight` or less."""
    missed = np.nan_to_num(found.missed_ratio)
    before = np.flatnonzero(missed >= lax)
    behind = np.flatnonzero(missed <= tight)
    return int(before[-1]) if len(before) else 0, int(behind[0]) if len(behind) else len(missed) - 1


def _outcome(stage: Stage, replicas: I64) -> Outcome:
    """A schedule as a life: it starts in time, and what it leaves uncovered is all that it misses.

    What it misses is work all the same, done late, as it is for a policy.
    """
    physics, arrivals = stage.physics, stage.scored.astype(np.float64)
    starts = np.maximum(np.diff(replicas, axis=0, prepend=0), 0).sum(axis=0).astype(np.float64)
    ready_s = replicas.sum(axis=0) * physics.step_s
    requests = arrivals.sum(axis=0)
    uncovered = np.maximum(arrivals - replicas * stage.capacity_per_step, 0.0).sum(axis=0)
    return Outcome(
        requests=requests,
        missed=uncovered,
        cold=np.where(replicas == 0, arrivals, 0.0).sum(axis=0),
        uncovered=uncovered,
        on_s=ready_s + starts * physics.cold_start_s,
        ready_s=ready_s,
        busy_s=requests / stage.capacity_rps,
        starts=starts,
        capacity_rps=stage.capacity_rps,
        physics=physics,
    )
