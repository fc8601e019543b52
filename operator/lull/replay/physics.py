"""The constants of the world that policies are tried in. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Physics:
    """What the world does, whatever the policy. Powers are per replica."""

    cold_start_s: float = 60.0
    """Median time from the decision to Ready."""
    cold_start_sigma: float = 0.2
    """Standard deviation of the logarithm of the start-up time."""
    slo_wait_s: float = 1.0
    """A request that waits longer misses."""
    step_s: float = 15.0
    idle_w: float = 60.0
    """Power of a replica that is starting or ready, whether or not it works."""
    active_w: float = 300.0
    """Power of a replica that works all the time."""
    start_energy_s: float = 120.0
    """Energy of a start beyond the time it takes, in seconds of idle power."""
    patience_s: float = math.inf
    """A request that would wait longer goes away."""

    @property
    def start_cost_s(self) -> float:
        """What one start costs altogether, in seconds of idle power."""
        return self.cold_start_s + self.start_energy_s
