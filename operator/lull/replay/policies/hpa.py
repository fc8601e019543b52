"""The Horizontal Pod Autoscaler v2 on utilisation, with the defaults of its API."""

from __future__ import annotations

import numpy as np

from lull.model.arrays import F64
from lull.replay.policies.behaviour import SYNC_S, Behaviour, by_utilisation
from lull.replay.policies.windows import tick_in_world_s
from lull.replay.world import Physics, Seen


class Hpa:
    """Brings the busy share of the ready replicas to a target; at least one replica."""

    tick_s = SYNC_S

    def __init__(self, target: F64, capacity_rps: F64, physics: Physics) -> None:
        """Remembers nothing.

        Args:
            target: utilisation, taken in whole percent, (N,).
            capacity_rps: requests per second of one replica, (N,).
            physics: for the length of the world's steps.
        """
        self._target_percent = np.rint(100.0 * target)
        self._capacity_rps = capacity_rps
        self._behaviour = Behaviour(len(target), tick_in_world_s(self.tick_s, physics))

    def watch(self, seen: Seen) -> None:
        """Looks at nothing between its syncs."""

    def desire(self, seen: Seen) -> F64:
        """Replicas after a sync, (N,)."""
        recommended = by_utilisation(seen, self._capacity_rps, self._target_percent)
        # Without replicas an HPA with a minimum of one is disabled; a fleet of its own never is there.
        return np.maximum(self._behaviour.limit(recommended, seen.replicas), 1.0)
