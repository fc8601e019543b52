"""What a replay is asked for. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from lull.replay.physics import Physics


@dataclass(frozen=True, slots=True)
class Options:
    """Of one study, the same for all its policies."""

    physics: Physics = field(default_factory=Physics)
    """Of the world; its step is shortened where a bin would not hold whole ones."""
    objective_ratio: float = 0.005
    """Share of the requests that may miss: what policies are tuned to, and compared at."""
    cold_ratio: float | None = None
    """Share of the requests that may find nothing ready, which Lull keeps apart from the misses; None = it does not."""
    capacity_rps: float | None = None
    """Requests per second of one replica, for all series alike; None = a sixth of each one's training peak."""
    seed: int = 1
    """Of start-up times and of how rare requests fall into their bins."""
    ablate: bool = False
    """Whether Lull is also tried without each of its parts."""
