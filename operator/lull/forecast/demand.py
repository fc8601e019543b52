"""Demand as arrivals.

Servers count completions, and completions stop growing exactly when a server is saturated; what then still grows is
the backlog. Arrivals are therefore completions plus growth of the backlog. Called by ``cycle``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from lull.model.arrays import F64, Bools
from lull.model.fleet import ModelView
from lull.model.reason import Reason

DRAIN_S: Final = 10.0
"""Seconds within which a backlog shall be gone. Shorter would buy replicas that are Ready only after it has gone."""

_EXTRAPOLATED: Final = 2.0
"""Most times by which Prometheus overstates what a series has counted that began within the window: of two samples it
takes the rise between them to have gone on for half their distance before and after."""

UPPER_Z: Final = 1.28
"""Standard deviations above the counted rate: one count in ten of a Poisson stream lies higher."""


@dataclass(frozen=True, slots=True)
class Load:
    """Per model, (N,); NaN = unknown."""

    arrivals_rps: F64
    backlog: F64
    """Requests waiting, those being worked on not counted."""
    service_time_s: F64
    sizing_rps: F64
    """Rate to size for: the upper bound of the arrivals, or what arrived most recently where that is more, plus the
    rate that drains the backlog."""
    lasting_rps: F64
    """The same without the rate that those make who waited for a wake: they come once, and all at once."""
    is_lower_bound: Bools
    """Pods are missing in the numbers: true demand may be higher, never lower."""


def estimate(
    models: Sequence[ModelView], *, window_s: float, work_s: F64 | None = None, pile: F64 | None = None
) -> Load:
    """Load of every model.

    Args:
        models: what was seen.
        work_s: seconds of work on a request as they were learned, (N,); NaN = unknown, as when absent. They count where
            no capacity is stated.
        window_s: seconds over which the servers' rates were taken.
        pile: requests that waited for a wake and reached the servers within that time, (N,); absent = none.
    """
    signals = [model.signals for model in models]
    learned_s = [None] * len(models) if work_s is None else [_known(value) for value in work_s]
    pairs = list(zip(models, learned_s, strict=True))
    completions = _column([s.completions_rps for s in signals])
    growth = _column([s.backlog_growth_rps for s in signals])
    arrivals = np.maximum(completions + np.nan_to_num(growth), 0.0)
    backlog = _column([_waiting(model, known_s) for model, known_s in pairs])
    # The mean over the window lags a burst by half of it; its newest part may only add.
    upper = np.fmax(_upper(arrivals, window_s), _column([s.recent_rps for s in signals]))
    upper = np.where(np.isnan(arrivals), np.nan, upper)
    drain = np.nan_to_num(backlog) / DRAIN_S
    lasting = upper + drain
    if pile is not None:
        fresh = _upper(np.maximum(arrivals - _EXTRAPOLATED * pile / window_s, 0.0), window_s)
        lasting = np.where(pile > 0.0, np.fmin(lasting, fresh + drain), lasting)
    return Load(
        arrivals_rps=arrivals,
        backlog=backlog,
        service_time_s=_column([_service_time_s(model, known_s) for model, known_s in pairs]),
        sizing_rps=upper + drain,
        lasting_rps=lasting,
        is_lower_bound=np.array(
            [s.fault is not None and s.fault.reason is Reason.PARTIAL_DATA for s in signals], dtype=bool
        ),
    )


def _upper(arrivals_rps: F64, window_s: float) -> F64:
    """What the counted rate may be above itself."""
    upper: F64 = arrivals_rps + UPPER_Z * np.sqrt(arrivals_rps / window_s)
    return upper


def _waiting(model: ModelView, learned_s: float | None) -> float | None:
    """Requests in queues; where a server tells only queue plus work, what all replicas work on is taken off.

    Without a stated capacity that is what they complete in the time that work is known to take (Little's law).
    """
    signals, target = model.signals, model.target
    if signals.waiting is not None or signals.in_flight is None or target is None:
        return signals.waiting
    capacity = model.deployment.spec.capacity
    each_s = 1.0 / capacity.requests_per_second if capacity.requests_per_second else learned_s
    if capacity.concurrency is not None:
        busy = float(capacity.concurrency * target.ready)
    elif each_s is not None:
        busy = max(float(target.ready), (signals.completions_rps or 0.0) * each_s)
    else:
        return None
    return max(0.0, signals.in_flight - busy)


def _service_time_s(model: ModelView, learned_s: float | None) -> float | None:
    """Mean time of work; where a server's own figure contains the wait, Little's law bounds it.

    No more than the replicas' slots can be worked on at a time, so service takes at most slots over completions. All
    replicas count, the Ready ones or not: completions are of the whole window, and a pod that failed a moment ago
    made the others no faster. Without a stated capacity what was learned counts, for nobody knows the slots.
    """
    signals, target, slots = model.signals, model.target, model.deployment.spec.capacity.concurrency
    if learned_s is not None and not model.deployment.spec.capacity.is_stated:
        return learned_s
    measured_s = signals.service_time_s
    if measured_s is None or not signals.has_wait_in_service or slots is None or target is None:
        return measured_s
    replicas = max(target.replicas, target.ready)
    return min(measured_s, slots * replicas / signals.completions_rps) if signals.completions_rps else measured_s


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _column(values: Sequence[float | None]) -> F64:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
