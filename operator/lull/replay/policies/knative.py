"""The Knative pod autoscaler, with the defaults of its ConfigMap.

Sources: ``pkg/autoscaler/scaling/autoscaler.go``, ``pkg/autoscaler/aggregation/bucketing.go`` and
``pkg/reconciler/autoscaling/kpa/scaler.go``. Its one-second buckets are the world's steps here, so that windows are
rounded up to them. Revisions that never become active are left out: in this world every start succeeds.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from lull.model.arrays import F64, Bools
from lull.replay.policies.windows import SlidingSum, covering, whole_replicas
from lull.replay.world import Physics, Seen

STABLE_S: Final = 60.0
PANIC_S: Final = 6.0
PANIC_THRESHOLD: Final = 2.0
"""Panic begins where the panic window wants this many times the ready pods."""

UP_RATE: Final = 1000.0
DOWN_RATE: Final = 2.0
GRACE_S: Final = 30.0
"""``scale-to-zero-grace-period``: the last pod goes when the activator was in the path for so long."""

BURST_CAPACITY: Final = 211.0
"""``target-burst-capacity``: with less room than this the activator stays in the path."""

CONTAINER_CONCURRENCY: Final = 1.0
"""Requests that a pod works on at a time; the world's ``in_flight`` counts a replica's work as one."""


class Knative:
    """Brings a metric per pod to a target utilisation, in panic over the short window.

    The metric is the rate of requests, or those in flight. A replica of this world is told by its rate. Its requests
    in flight are few until it is overloaded, and then all that wait: with starts of a minute this autoscaler, without
    a maximum, asks for a pod for nearly each of them.
    """

    tick_s = 2.0

    def __init__(
        self, target: F64, capacity_rps: F64, physics: Physics, *, metric: Literal["rps", "concurrency"] = "rps"
    ) -> None:
        """Remembers nothing.

        Args:
            target: ``target-utilization-percentage`` as a share, (N,).
            capacity_rps: requests per second of one replica, (N,).
            physics: for the length of the world's steps.
            metric: ``autoscaling.knative.dev/metric``.
        """
        columns = len(target)
        self._is_rate = metric == "rps"
        self._total = capacity_rps if self._is_rate else np.full(columns, CONTAINER_CONCURRENCY)
        self._per_pod = target * self._total
        self._metric = _Metric(columns, physics.step_s)
        self._panic_s: F64 = np.full(columns, -np.inf)
        self._panic_most: F64 = np.zeros(columns)
        self._last_pod = _LastPod(columns)
        self._is_first = True

    def watch(self, seen: Seen) -> None:
        """Takes a bucket of the metric, held requests included."""
        # At zero there is no pod to ask; only the activator speaks, and only while it holds requests.
        is_sampled = (seen.ready > 0.0) | (seen.in_flight > 0.0)
        self._metric.push(seen.arrivals_rps if self._is_rate else seen.in_flight, is_sampled)

    def desire(self, seen: Seen) -> F64:
        """Pods after a tick, (N,)."""
        if self._is_first:
            self._begin(seen)
        ready = np.maximum(seen.ready, 1.0)
        lowest, highest = np.floor(ready / DOWN_RATE), UP_RATE * ready
        stable = whole_replicas(self._metric.stable, self._per_pod)
        panic = whole_replicas(self._metric.panic, self._per_pod)
        calm = np.clip(stable, lowest, highest)
        most = np.maximum(calm, np.clip(panic, lowest, highest))
        is_panic = self._panics(panic >= PANIC_THRESHOLD * ready, seen.now_s)
        self._panic_most = np.where(is_panic, np.maximum(self._panic_most, most), 0.0)
        # Without any sample in the window the decision is invalid, and nothing is changed.
        desired = np.where(self._metric.is_known, np.where(is_panic, self._panic_most, calm), seen.replicas)
        room = np.floor(seen.ready * self._total - BURST_CAPACITY - self._metric.panic)
        return self._last_pod.hold(desired, seen, room < 0.0)

    def _begin(self, seen: Seen) -> None:
        # An autoscaler that finds more than one pod starts in panic, so as not to shrink before it knows better.
        is_scaled = seen.ready > 1.0
        self._panic_s = np.where(is_scaled, seen.now_s, -np.inf)
        self._panic_most = np.where(is_scaled, seen.ready, 0.0)
        self._is_first = False

    def _panics(self, is_breach: Bools, now_s: float) -> Bools:
        """Whether panic holds: until a stable window after the last breach, (N,)."""
        since = np.where(is_breach, now_s, self._panic_s)
        self._panic_s = np.where(now_s - since >= STABLE_S, -np.inf, since)
        return np.isfinite(self._panic_s)


class _Metric:
    """Means of the two windows, over the buckets since the first sample."""

    def __init__(self, columns: int, step_s: float) -> None:
        self._sums = SlidingSum(covering(STABLE_S, step_s), columns), SlidingSum(covering(PANIC_S, step_s), columns)
        self._buckets = covering(STABLE_S, step_s)
        self._panic_buckets = covering(PANIC_S, step_s)
        self._age: F64 = np.zeros(columns)
        self._silent: F64 = np.full(columns, float(self._buckets))
        self.stable: F64 = np.zeros(columns)
        self.panic: F64 = np.zeros(columns)

    @property
    def is_known(self) -> Bools:
        """Whether the window holds any sample, (N,)."""
        return self._silent < self._buckets

    def push(self, value: F64, is_sampled: Bools) -> None:
        is_new = is_sampled & ~self.is_known
        self._age = np.where(is_new, 1.0, self._age + 1.0)
        self._silent = np.where(is_sampled, 0.0, self._silent + 1.0)
        stable, panic = self._sums
        bucket = np.where(is_sampled, value, 0.0)
        self.stable = stable.push(bucket) / np.minimum(self._age, self._buckets)
        self.panic = panic.push(bucket) / np.minimum(self._age, self._panic_buckets)


class _LastPod:
    """The way to zero: idle after a stable window as active, and gone once the activator is surely in the path."""

    def __init__(self, columns: int) -> None:
        self._active_s: F64 = np.full(columns, np.inf)
        self._inactive_s: F64 = np.full(columns, np.inf)
        self._proxied_s: F64 = np.full(columns, np.inf)

    def hold(self, desired: F64, seen: Seen, needs_activator: Bools) -> F64:
        """What becomes of the sizes, (N,), of which those of 0 may have to wait."""
        now_s = seen.now_s
        is_zero = desired == 0.0
        was_inactive = np.isfinite(self._inactive_s) | (seen.replicas == 0.0)
        is_rested = is_zero & (seen.ready > 0.0) & (now_s - self._active_s >= STABLE_S)
        may_go = np.maximum(now_s - self._inactive_s, now_s - self._proxied_s) >= GRACE_S
        kept = np.where(was_inactive, np.where(may_go, 0.0, seen.replicas), np.where(is_rested, seen.replicas, 1.0))
        # While it becomes active nothing is known of its load, and nothing is changed.
        kept = np.where(~was_inactive & (seen.ready == 0.0), seen.replicas, kept)

        is_inactive = is_zero & (was_inactive | is_rested)
        is_active = ~is_inactive & (seen.ready > 0.0)
        self._inactive_s = np.where(is_inactive, np.minimum(self._inactive_s, now_s), np.inf)
        self._active_s = np.where(is_active, np.minimum(self._active_s, now_s), np.inf)
        self._proxied_s = np.where(is_inactive | needs_activator, np.minimum(self._proxied_s, now_s), np.inf)
        return np.where(is_zero, kept, desired)
