"""Lazy capacity provisioning: what can be promised without any forecast.

Lin, Wierman, Andrew and Thereska's LCP keeps the size between the last sizes of two optimal schedules for the past.
With power that is linear in the number of replicas the problem falls apart into layers, each a ski rental: a layer
goes once it has idled for as long as a start costs, which is at most twice what a clairvoyant pays.
"""

from __future__ import annotations

from lull.model.arrays import F64
from lull.replay.policies.keepalive import KeepAlive
from lull.replay.world import Physics


class Lcp(KeepAlive):
    """Keep-alive of every layer for the time that a start costs, times a knob that is 1 in the published rule."""

    def __init__(self, patience: F64, capacity_rps: F64, physics: Physics) -> None:
        """Remembers nothing.

        Args:
            patience: time until a layer goes, in costs of a start, (N,).
            capacity_rps: requests per second of one replica, (N,).
            physics: for the cost of a start and the length of the world's steps.
        """
        super().__init__(patience * physics.start_cost_s, capacity_rps, physics)
