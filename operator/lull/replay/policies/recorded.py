"""Replicas as somebody had them, and a floor under what a policy asks for."""

from __future__ import annotations

from typing import Final

import numpy as np

from lull.model.arrays import F64
from lull.replay.world import Policy, Seen

_ROUNDING: Final = 1e-6


class Recorded:
    """Follows a schedule, whatever comes.

    Args:
        replicas: to be had in each bin, (T, N).
        bin_s: width of a bin.
        lead_s: how long before a replica counts it is asked for, (N,): a start where the schedule counts ready ones.
        tick_s: seconds between two looks.
    """

    def __init__(self, replicas: F64, bin_s: float, lead_s: F64, tick_s: float) -> None:
        self.tick_s = tick_s
        self._replicas, self._bin_s, self._lead_s = replicas, bin_s, lead_s

    def watch(self, seen: Seen) -> None:
        """Looks at nothing."""

    def desire(self, seen: Seen) -> F64:
        """The most that the schedule has from now until a lead from now, (N,)."""
        last = len(self._replicas) - 1
        now = min(int(seen.now_s / self._bin_s + _ROUNDING), last)
        until = np.minimum((seen.now_s + self._lead_s) / self._bin_s + _ROUNDING, last).astype(np.int64)
        wanted: F64 = self._replicas[now].copy()
        for ahead in range(now + 1, int(until.max(initial=now)) + 1):
            wanted = np.where(ahead <= until, np.maximum(wanted, self._replicas[ahead]), wanted)
        return wanted


class AtLeast:
    """Another policy that never asks for fewer than some replicas."""

    def __init__(self, policy: Policy, least: float) -> None:
        self.tick_s = policy.tick_s
        self._policy, self._least = policy, least

    def watch(self, seen: Seen) -> None:
        """Shows it to the other."""
        self._policy.watch(seen)

    def desire(self, seen: Seen) -> F64:
        """What the other asks for, or the least, (N,)."""
        return np.maximum(self._policy.desire(seen), self._least)
