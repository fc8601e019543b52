"""Arithmetic of the Kubernetes HPA v2, which KEDA and PHPA build on.

Sources: ``replica_calculator.go``, ``horizontal.go`` and ``v2/defaults.go`` of ``pkg/controller/podautoscaler``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from lull.model.arrays import F64, Bools
from lull.replay.policies.windows import SlidingMax, SlidingSum, covering, whole_replicas
from lull.replay.world import Seen

SYNC_S: Final = 15.0
"""Period of the controller's loop."""

TOLERANCE: Final = 0.1
"""Nothing happens while the metric is within this share of its target, either way."""

SCALE_IN_WINDOW_S: Final = 300.0
"""Stabilisation: a size is given up once no recommendation of this window asked for it."""

UP_PODS: Final = 4.0
"""Default scale-up policies: this many pods more, or twice as many, whichever is more, within a period."""


def by_utilisation(seen: Seen, capacity_rps: F64, target_percent: F64) -> F64:
    """Replicas that bring a resource's utilisation to its target, (N,).

    Utilisation is the busy share of the ready replicas, in whole percent as the controller counts it; like processor
    time it cannot exceed 100. Pods that start count as idle when it is too high, and not at all when it is too low.

    Args:
        seen: the last sample.
        capacity_rps: requests per second of one replica, (N,).
        target_percent: ``averageUtilization``, whole numbers, (N,).

    Returns:
        Whole numbers; NaN where no pod is ready, so that there is no metric.
    """
    busy, current = seen.served_rps / capacity_rps, seen.replicas
    fills_in = (seen.starting > 0.0) & (_percent(busy, seen.ready) > target_percent)
    pods = np.where(fills_in, current, seen.ready)
    ratio = _percent(busy, pods) / target_percent
    wanted = np.ceil(ratio * pods)
    # Pods that start may not turn the direction of a change.
    keeps = _tolerated(ratio) | (fills_in & (wanted < current))
    wanted = np.where(keeps, current, wanted)
    wanted[seen.ready == 0.0] = np.nan
    return wanted


def by_average_value(total: F64, per_replica: F64, replicas: F64) -> F64:
    """Replicas that bring an external metric's average over all pods to its target, (N,).

    Args:
        total: the metric, (N,).
        per_replica: ``averageValue``, above 0, (N,).
        replicas: pods there are, those that start included, (N,).

    Returns:
        Whole numbers; NaN where there are no pods: the HPA is then disabled.
    """
    ratio = total / (per_replica * np.maximum(replicas, 1.0))
    wanted = np.where(_tolerated(ratio), replicas, whole_replicas(total, per_replica))
    wanted[replicas == 0.0] = np.nan
    return wanted


class Behaviour:
    """The rules of ``spec.behavior`` with their default values, and what they remember.

    Scale-down policies are left out: 100 % within a period, their default, never binds.
    """

    def __init__(self, columns: int, tick_s: float, *, up_period_s: float = SYNC_S) -> None:
        """Remembers nothing.

        Args:
            columns: N.
            tick_s: seconds between two calls of ``limit``.
            up_period_s: period of the scale-up policies.
        """
        self._recommended = SlidingMax(np.full(columns, covering(SCALE_IN_WINDOW_S, tick_s), dtype=np.int64))
        # An event counts while it is younger than the period; the decision at hand is not one yet.
        earlier = covering(up_period_s, tick_s) - 1
        self._changes = SlidingSum(earlier, columns) if earlier else None
        self._changed: F64 = np.zeros(columns)
        self._is_first = True

    def limit(self, recommended: F64, current: F64, *, lowest: float = 1.0) -> F64:
        """Replicas after stabilisation and policies, (N,).

        Args:
            recommended: by the metric, (N,); NaN = no metric: nothing is changed, and nothing is remembered.
            current: replicas asked for so far, (N,).
            lowest: ``minReplicas``.
        """
        wanted = np.fmax(recommended, -np.inf)
        # A controller that starts takes the size it finds for its first recommendation.
        held = self._recommended.push(np.maximum(wanted, current) if self._is_first else wanted)
        self._is_first = False
        stable = np.minimum(np.maximum(current, wanted), held)
        result = np.maximum(np.minimum(stable, self._ceiling(current)), lowest)
        result = np.where(np.isnan(recommended), current, result)
        self._changed = result - current
        return result

    def _ceiling(self, current: F64) -> F64:
        start = current if self._changes is None else current - self._changes.push(self._changed)
        return np.maximum(np.maximum(start + UP_PODS, 2.0 * start), current)


def _percent(busy: F64, pods: F64) -> F64:
    # The controller divides whole numbers; what is added is what float arithmetic may have lost.
    return np.floor(100.0 * busy / np.maximum(pods, 1.0) + 1e-9)


def _tolerated(ratio: F64) -> Bools:
    return (ratio >= 1.0 - TOLERANCE) & (ratio <= 1.0 + TOLERANCE)
