"""What the operator has to remember of routes beyond what the cluster shows.

All of it may be lost: a restarted operator takes whatever its predecessor may have sent or permitted for done just now.
Written and read by ``runtime.router``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lull.decide.routes import FAILURES
from lull.model.route import NOBODY, HoldPort, Proof, StandIn, Timing, Wish


@dataclass(slots=True)
class RouteMemory:
    """Wishes, proofs, and what may still land, by the uid of the model."""

    timing: Timing
    started_at_s: float
    wishes: dict[str, Wish] = field(default_factory=dict)
    _proofs: dict[str, dict[str, Proof]] = field(default_factory=dict)
    _permitted_at_s: dict[str, float] = field(default_factory=dict)
    _lands_until_s: dict[str, float] = field(default_factory=dict)

    def proofs(self, uid: str) -> Mapping[str, Proof]:
        """What probes have shown of each stand-in, by incarnation."""
        return self._proofs.get(uid, NOBODY)

    def prove(self, uid: str, who: StandIn, ports: Iterable[HoldPort], now_s: float, *, is_right: bool | None) -> None:
        """Takes in the outcome of a probe; ``None`` = no answer in time, False = somebody else's answer."""
        before = self.proofs(uid).get(who.incarnation) or Proof(now_s)
        if is_right:
            proof = Proof(now_s, now_s, frozenset(port.holding_port for port in ports))
        else:
            failures = before.failures + 1 if is_right is None else max(before.failures + 1, FAILURES)
            proof = Proof(now_s, before.proven_at_s, before.holding_ports, failures)
        self._proofs.setdefault(uid, {})[who.incarnation] = proof

    def permit(self, uid: str, now_s: float) -> None:
        """Notes that the model was told it may go to zero: a scale write may be under way from now on."""
        self._permitted_at_s[uid] = now_s

    def permitted_ago_s(self, uid: str, now_s: float) -> float:
        """Seconds since zero was last permitted, by this operator or by the one before it."""
        return now_s - max(self.started_at_s, self._permitted_at_s.get(uid, -math.inf))

    def send(self, uid: str) -> None:
        """Notes that a write is being sent."""
        self._lands_until_s[uid] = math.inf

    def answered(self, uid: str) -> None:
        """Notes that the write was answered, whatever the answer."""
        self._lands_until_s.pop(uid, None)

    def lost(self, uid: str, now_s: float) -> None:
        """Notes that the write was not answered: it may land later, or may have landed."""
        self._lands_until_s[uid] = now_s + self.timing.write_s

    def is_settled(self, uid: str, now_s: float) -> bool:
        """Whether no write to this model's slice or status can still land unseen."""
        return now_s >= max(self.started_at_s + self.timing.write_s, self._lands_until_s.get(uid, -math.inf))

    def forget(self, uids: set[str], incarnations: set[str]) -> None:
        """Keeps only what belongs to these models and stand-ins."""
        kept: tuple[dict[str, Any], ...] = (self.wishes, self._permitted_at_s, self._lands_until_s, self._proofs)
        for by_uid in kept:
            for uid in by_uid.keys() - uids:
                del by_uid[uid]
        for proofs in self._proofs.values():
            for gone in proofs.keys() - incarnations:
                del proofs[gone]
