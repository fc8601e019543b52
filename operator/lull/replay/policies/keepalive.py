"""Fixed keep-alive, as functions as a service have it: per replica layer, from none upwards."""

from __future__ import annotations

import numpy as np

from lull.model.arrays import F64
from lull.replay.policies.windows import SlidingMax, covering, whole_replicas
from lull.replay.world import Physics, Seen


class KeepAlive:
    """Starts what the present rate needs, and drops each layer that was not used for a time.

    Layer k is used by a step that needs k replicas or more, so the layers that are kept are the largest need of that
    time. While requests wait, every replica there is has work, and those that start are waited for. What waits counts
    as present work, to be done within the time of a start; for the bare rate alone queues would hardly ever end.
    """

    tick_s = 1.0

    def __init__(self, keep_s: F64, capacity_rps: F64, physics: Physics) -> None:
        """Remembers nothing.

        Args:
            keep_s: seconds that an unused layer stays, (N,).
            capacity_rps: requests per second of one replica, (N,).
            physics: for the time of a start and the length of the world's steps.
        """
        self._capacity_rps = capacity_rps
        self._drain_s = max(physics.cold_start_s, physics.step_s)
        steps = [covering(float(seconds), physics.step_s) for seconds in keep_s]
        self._needs = SlidingMax(np.array(steps, dtype=np.int64))
        self._kept: F64 = np.zeros(len(keep_s))

    def watch(self, seen: Seen) -> None:
        """Remembers what the step that just ended needed."""
        need = whole_replicas(seen.arrivals_rps + seen.queue / self._drain_s, self._capacity_rps)
        used = np.where(seen.queue > 0.0, np.maximum(seen.replicas, 1.0), 0.0)
        self._kept = self._needs.push(np.maximum(need, used))

    def desire(self, seen: Seen) -> F64:  # noqa: ARG002
        """Layers in use or kept, (N,)."""
        return self._kept
