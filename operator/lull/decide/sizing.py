"""How much one replica may be given, and how many replicas that makes.

Kube-proxy spreads connections over the pods at random, so a fleet of n replicas is n queues of their own and not one
queue with n servers: each gets a Poisson stream of a share 1/n. A replica is taken as an M/M/c queue; the wait of a
request exceeds t with probability ``C(c, a) * exp(-(c - a) * t / S)`` (Erlang C, offered load a = c * rho, mean
service time S). The largest utilisation rho at which that stays within the objective's miss share is what a replica
may be given, whatever n is. Exponential service is cautious for model servers, whose times vary less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from lull.model.arrays import F64, I64, Bools
from lull.model.spec import Capacity, Objective, Spec

UTILISATION_CAP: Final = 0.9
"""Most a replica is ever planned with; the rest covers what the queueing model leaves out."""

UNREACHABLE_UTILISATION: Final = 0.8
"""Planned with where even an idle replica is too slow: queues stay short, and no energy goes into the impossible.

Where the threshold leaves less wait than the service itself takes, the way there is a ramp: exponential service would
condemn nearly all load that real servers, whose times vary less, carry well, and a service time that is measured
around the threshold must not make the fleet swing between two sizes.
"""

SCALE_IN_MARGIN: Final = 0.8
"""Share of the threshold that the survivors of a scale-in must meet, so that it is not undone at once."""

_STEPS: Final = 40


@dataclass(frozen=True, slots=True)
class Limits:
    """What one replica may be given, per model, (N,); NaN = unknown."""

    rps: F64
    """Requests per second at which it still meets every objective."""
    safe_rps: F64
    """The same with the scale-in margin."""
    is_unreachable: Bools
    """Even an idle replica takes longer than a threshold."""


def erlang_c(slots: F64, utilisation: F64) -> F64:
    """Probability that a request finds all slots busy, (N,).

    Args:
        slots: requests worked on at the same time, whole numbers of at least 1, (N,).
        utilisation: offered load over slots, 0 to below 1, (N,).
    """
    offered = slots * utilisation
    blocked = np.ones_like(offered)  # Erlang B by its recursion over the number of slots
    for k in range(1, int(slots.max(initial=0)) + 1):
        step = offered * blocked / (k + offered * blocked)
        blocked = np.where(k <= slots, step, blocked)
    return blocked / (1.0 - utilisation * (1.0 - blocked))


def utilisation_limit(slots: F64, wait_over_service: F64, miss_ratio: F64) -> F64:
    """Largest utilisation at which a share of at most ``miss_ratio`` waits longer than allowed, (N,).

    Args:
        slots: requests worked on at the same time, (N,).
        wait_over_service: allowed wait in mean service times, (N,).
        miss_ratio: share of requests that may wait longer, (N,).
    """
    low, high = np.zeros_like(slots), np.full_like(slots, UTILISATION_CAP)
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        late = erlang_c(slots, middle) * np.exp(-slots * (1.0 - middle) * wait_over_service)
        fits = late <= miss_ratio
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return low


def limits(specs: Sequence[Spec], measured_service_s: F64) -> Limits:
    """What one replica of each model may be given so that every objective holds.

    A capacity in requests per second is a server that works on one request at a time, for 1/capacity seconds. A
    capacity in concurrency takes the measured service time, and is unknown without one.
    """
    rows = [(i, spec.capacity, objective) for i, spec in enumerate(specs) for objective in spec.slo.objectives]
    at = np.array([row[0] for row in rows], dtype=np.int64)
    slots = np.array([_slots(row[1]) for row in rows])
    service_s = np.array([_service_s(row[1], measured_service_s[row[0]]) for row in rows])
    threshold_s = np.array([float(row[2].threshold) for row in rows])
    miss = np.array([_miss(row[2]) for row in rows])

    full = _rps(slots, service_s, threshold_s - service_s, miss)
    safe = _rps(slots, service_s, SCALE_IN_MARGIN * threshold_s - service_s, miss)
    return Limits(
        rps=_least(full, at, len(specs)),
        safe_rps=_least(np.fmin(safe, full), at, len(specs)),
        is_unreachable=_any(service_s >= threshold_s, at, len(specs)),
    )


def _rps(slots: F64, service_s: F64, budget_s: F64, miss: F64) -> F64:
    wait = np.maximum(budget_s, 0.0) / service_s
    ramp = UNREACHABLE_UTILISATION * np.maximum(1.0 - wait, 0.0)
    return np.maximum(utilisation_limit(slots, wait, miss), ramp) * slots / service_s


def _slots(capacity: Capacity) -> float:
    return float(capacity.concurrency or 1)


def _service_s(capacity: Capacity, measured_s: float) -> float:
    return 1.0 / capacity.requests_per_second if capacity.requests_per_second else float(measured_s)


def _miss(objective: Objective) -> float:
    return objective.miss_ratio


def _least(values: F64, at: I64, count: int) -> F64:
    least = np.full(count, np.inf)
    with np.errstate(invalid="ignore"):  # an unknown is meant to spread
        np.minimum.at(least, at, values)
    return least


def _any(values: Bools, at: I64, count: int) -> Bools:
    found = np.zeros(count, dtype=bool)
    np.logical_or.at(found, at, values)
    return found
