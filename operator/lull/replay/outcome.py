"""What a life in the world came to. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lull.model.arrays import F64
from lull.replay.physics import Physics


@dataclass(frozen=True, slots=True)
class Outcome:
    """Sums over a part of the steps, per column, (N,).

    What stands when the part begins counts as started for it, so that no part lives on starts that it has not paid.
    """

    requests: F64
    missed: F64
    cold: F64
    """Requests that found nothing ready."""
    uncovered: F64
    """Requests beyond what the ready replicas could serve in the moment they came: the need problem's misses."""
    on_s: F64
    """Replica-seconds, starting ones included."""
    ready_s: F64
    """Replica-seconds, starting ones left out."""
    busy_s: F64
    """Replica-seconds of work."""
    starts: F64
    capacity_rps: F64
    """Requests per second of one replica."""
    physics: Physics

    @property
    def provisioning_s(self) -> F64:
        """Provisioning energy in seconds of idle power: time on and energy of the starts, (N,)."""
        return self.on_s + self.starts * self.physics.start_energy_s

    @property
    def need_s(self) -> F64:
        """Replica-seconds that the requests need, (N,)."""
        return self.requests / self.capacity_rps

    @property
    def under_s(self) -> F64:
        """Replica-seconds that were lacking when they were needed, (N,)."""
        return self.uncovered / self.capacity_rps

    @property
    def over_s(self) -> F64:
        """Ready replica-seconds beyond the need of the moment, (N,)."""
        return self.ready_s - self.need_s + self.under_s

    @property
    def idle_j(self) -> F64:
        """Energy of being on, worked or not, (N,)."""
        return self.on_s * self.physics.idle_w

    @property
    def start_j(self) -> F64:
        """Energy of the starts beyond their time, (N,)."""
        return self.starts * self.physics.start_energy_s * self.physics.idle_w

    @property
    def dynamic_j(self) -> F64:
        """Energy of the work itself, (N,)."""
        return self.busy_s * (self.physics.active_w - self.physics.idle_w)

    def only(self, columns: slice) -> Outcome:
        """Some of the columns."""
        names = ("requests", "missed", "cold", "uncovered", "on_s", "ready_s", "busy_s", "starts", "capacity_rps")
        return replace(self, **{name: getattr(self, name)[columns] for name in names})
