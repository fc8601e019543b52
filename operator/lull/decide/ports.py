"""Which ports of the activator's pods stand for which model.

One port belongs to one model and Service port, in the statuses of all models, for a while after it was freed, and while
a status that names it may still be under way. A model is offered the same ports whenever they are free, by its uid, so
that the order in which models ask does not matter.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from lull.model.route import HoldPort, ServicePort

MOST: Final = 64
"""Ports that one model may hold, those included that its Service no longer has."""


@dataclass(slots=True)
class Ports:
    """A range of ports, both ends included, and who has which.

    Nothing is given out before ``opens_at_s``: what a predecessor of this operator has freed or promised is unknown.
    """

    first: int
    last: int
    opens_at_s: float
    quarantine_s: float
    _owner: dict[int, str] = field(default_factory=dict)
    _owned_until_s: dict[int, float] = field(default_factory=dict)

    def see(self, holds: Mapping[str, Iterable[HoldPort]], now_s: float) -> None:
        """Takes in the ports of all models' holds, by uid; those that are in none any more are free after a while."""
        for number in [number for number, until_s in self._owned_until_s.items() if until_s <= now_s]:
            del self._owner[number], self._owned_until_s[number]
        for uid, held in holds.items():
            for port in held:
                self._own(port.holding_port, uid, now_s)

    def is_of(self, port: HoldPort, uid: str) -> bool:
        """Whether the port is this model's, and not another's that claimed it first."""
        return self._owner.get(port.holding_port, uid) == uid

    def offer(
        self, uid: str, wanted: Sequence[ServicePort], held: Sequence[HoldPort], now_s: float
    ) -> tuple[HoldPort, ...] | None:
        """Ports for every wanted port of a Service, after those held already; None = not enough are free.

        What was offered is the model's own until a while after its hold names it no more.
        """
        missing = [port for port in wanted if (port.name, port.port) not in {(has.name, has.port) for has in held}]
        if now_s < self.opens_at_s or len(held) + len(missing) > MOST:
            return None
        offered = list(held)
        for port in missing:
            number = self._free(f"{uid}/{port.name}/{port.port}", uid, {has.holding_port for has in offered})
            if number is None:
                return None
            offered.append(HoldPort(port.name, port.port, number))
        for has in offered:
            self._own(has.holding_port, uid, now_s)
        return tuple(offered)

    def _own(self, number: int, uid: str, now_s: float) -> None:
        # Whoever has it keeps it: two that claim one port are told apart by the probe, which names the model.
        if self._owner.setdefault(number, uid) == uid:
            self._owned_until_s[number] = now_s + self.quarantine_s

    def _free(self, name: str, uid: str, taken: set[int]) -> int | None:
        """The first port from the name's own place on that is nobody else's."""
        count = self.last - self.first + 1
        start = zlib.crc32(name.encode())
        for step in range(count):
            number = self.first + (start + step) % count
            if number not in taken and self._owner.get(number, uid) == uid:
                return number
        return None
