"""KEDA: a ScaledObject on the request rate, from zero to one by itself and beyond through the HPA it makes.

Sources: ``pkg/scaling/executor/scale_scaledobjects.go`` and ``controllers/keda/hpa.go``. The rate is that of a gateway
in front, ``sum(rate(requests_total[1m]))``: only there are requests counted that find no replica.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from lull.model.arrays import F64
from lull.replay.policies.behaviour import SYNC_S, Behaviour, by_average_value
from lull.replay.policies.windows import SlidingSum, covering, tick_in_world_s
from lull.replay.world import Physics, Seen

RATE_WINDOW_S: Final = 60.0
POLL_S: Final = 30.0
"""``pollingInterval``: how often activity is looked for, which decides between zero and one."""

COOLDOWN_S: Final = 300.0
"""``cooldownPeriod``: after the last poll that found activity, to zero at once from any size."""


class Keda:
    """A share of a replica's capacity as ``threshold``; ``minReplicaCount`` 0, everything else by default."""

    tick_s = SYNC_S

    def __init__(self, threshold: F64, capacity_rps: F64, physics: Physics) -> None:
        """Remembers nothing.

        Args:
            threshold: rate per replica in shares of its capacity, (N,).
            capacity_rps: requests per second of one replica, (N,).
            physics: for the length of the world's steps.
        """
        columns = len(threshold)
        tick_s = tick_in_world_s(self.tick_s, physics)
        self._per_replica_rps = threshold * capacity_rps
        self._window = SlidingSum(covering(RATE_WINDOW_S, physics.step_s), columns)
        self._rate_rps: F64 = np.zeros(columns)
        self._behaviour = Behaviour(columns, tick_s)
        self._ticks = 0
        self._ticks_per_poll = covering(POLL_S, tick_s)
        self._active_s: F64 = np.full(columns, -np.inf)

    def watch(self, seen: Seen) -> None:
        """Counts arrivals into the window of the rate."""
        self._rate_rps = self._window.push(seen.arrivals_rps) / self._window.filled

    def desire(self, seen: Seen) -> F64:
        """Replicas after a sync of the HPA, and after a poll where one is due, (N,)."""
        recommended = by_average_value(self._rate_rps, self._per_replica_rps, seen.replicas)
        desired = self._behaviour.limit(recommended, seen.replicas)
        if self._ticks % self._ticks_per_poll == 0:
            desired = self._poll(desired, seen)
        self._ticks += 1
        return desired

    def _poll(self, desired: F64, seen: Seen) -> F64:
        active = self._rate_rps > 0.0
        self._active_s[active] = seen.now_s
        is_over = ~active & (seen.now_s - self._active_s >= COOLDOWN_S)
        return np.where(is_over, 0.0, np.where(active, np.maximum(desired, 1.0), desired))
