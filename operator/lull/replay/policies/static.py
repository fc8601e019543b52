"""A fixed number of replicas, bought for the peak of the past."""

from __future__ import annotations

from typing import Final

import numpy as np

from lull.model.arrays import F64
from lull.replay.policies.training import Training
from lull.replay.policies.windows import whole_replicas
from lull.replay.world import Seen

PEAK_SHARE: Final = 0.999
"""Share of the training's bins that the fixed size covers at headroom 1."""


class Static:
    """As many replicas as the training's p99.9 rate needs, times a headroom, and at least one."""

    tick_s = 3600.0

    def __init__(self, headroom: F64, capacity_rps: F64, training: Training) -> None:
        """Buys.

        Args:
            headroom: of the peak, (N,).
            capacity_rps: requests per second of one replica, (N,).
            training: the past.
        """
        peak_rps = training.quantile_rps(PEAK_SHARE)
        self._replicas = np.maximum(whole_replicas(headroom * peak_rps, capacity_rps), 1.0)

    def watch(self, seen: Seen) -> None:
        """Looks at nothing."""

    def desire(self, seen: Seen) -> F64:  # noqa: ARG002
        """The fixed size, (N,)."""
        return self._replicas
