"""What the routes of all models are decided from, read from the mirror and from what the plan has told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lull.adapters.fronts import activators, fronts_of, service_key
from lull.adapters.holds import read_hold
from lull.adapters.mirror import Mirror
from lull.adapters.slices import attachment, own_ready
from lull.adapters.snapshot import locate
from lull.decide.ports import Ports
from lull.decide.route_memory import RouteMemory
from lull.decide.routes import wants_ports
from lull.decide.support import unsupported
from lull.model.route import Facts, Front, Hold, HoldState, StandIn, Wish
from lull.model.spec import InferenceDeployment, Key, SleepMode
from lull.names import SLICE_MANAGER

_FAMILIES = ("IPv4", "IPv6")


@dataclass(frozen=True, slots=True)
class Told:
    """What the plan has told of a model, beside its wish."""

    expected_start_s: float | None = None
    replicas: int | None = None
    """Size of a target whose kind is not watched."""


@dataclass(slots=True)
class RouteFacts:
    """Facts of every model that may sleep, or that somebody stands in for."""

    mirror: Mirror
    memory: RouteMemory
    ports: Ports
    told: dict[str, Told] = field(default_factory=dict)
    portless: set[str] = field(default_factory=set)
    """Models for which no ports are free."""
    models: dict[str, InferenceDeployment] = field(default_factory=dict)
    stand_ins: dict[str, tuple[StandIn, ...]] = field(default_factory=dict)
    """Activators by address family."""
    services: frozenset[Key] = frozenset()
    """Services in front of the models."""
    looked_at_s: float = float("-inf")
    _fronts: Mapping[str, Front] = field(default_factory=dict)
    _holds: dict[str, Hold] = field(default_factory=dict)

    def look(self, now_s: float) -> None:
        """Takes in what all models share: fronts, stand-ins, and whose ports are whose."""
        every = [model for model in self.mirror.models.values() if isinstance(model, InferenceDeployment)]
        attached = {found.owner_uid for found in self.mirror.slices.values() if found.manager == SLICE_MANAGER}
        holds = {model.uid: read_hold(self.status(model)) for model in every}
        self._holds = {uid: hold for uid, hold in holds.items() if hold is not None}
        self.models = {
            model.uid: model
            for model in every
            if model.spec.scale_to_zero.mode is not SleepMode.OFF or model.uid in attached or model.uid in self._holds
        }
        fronts = (service_key(model) for model in self.models.values())
        self.services = frozenset(key for key in fronts if key is not None)
        self._fronts = fronts_of(self.mirror, every)
        self.stand_ins = self.find_stand_ins()
        attached_first = sorted(
            self._holds.items(), key=lambda hold: (hold[1].state is not HoldState.ATTACHED, hold[0])
        )
        self.ports.see({uid: hold.ports for uid, hold in attached_first}, now_s)
        self.memory.forget(set(self.models), {who.incarnation for f in self.stand_ins.values() for who in f})
        for uid in self.told.keys() - self.models.keys():
            del self.told[uid]
        self.portless &= self.models.keys()
        self.looked_at_s = now_s

    def find_stand_ins(self) -> dict[str, tuple[StandIn, ...]]:
        """Activators by address family, as the mirror has them now."""
        return {family: activators(self.mirror, family) for family in _FAMILIES}

    def status(self, model: InferenceDeployment) -> Mapping[str, Any]:
        """The status there is."""
        return self.mirror.statuses.get(model.key, {})

    def of(self, model: InferenceDeployment, now_s: float) -> Facts:
        """Facts of one model; ``look`` has to be recent."""
        uid, service = model.uid, service_key(model)
        known = None if service is None else self.mirror.services.get(service)
        slices = [] if service is None else self.mirror.slices_of(service)
        front = self._fronts.get(uid)
        size = locate(self.mirror, model, {}).replicas
        facts = Facts(
            now_s=now_s,
            # What may no longer sleep at all is wanted awake, whatever the plan says by now.
            wish=Wish.AWAKE if front is None else self.memory.wishes.get(uid),
            is_supported=front is not None and unsupported(front) is None,
            service_ports=None if known is None else known.shape.ports,
            replicas=self.told.get(uid, Told()).replicas if size is None else size,
            own_ready=own_ready(slices),
            hold=self._hold(uid),
            attachment=attachment(slices, uid),
            stand_ins=self.stand_ins[known.shape.families[0] if known else _FAMILIES[0]],
            proofs=self.memory.proofs(uid),
            is_settled=self.memory.is_settled(uid, now_s),
            permitted_ago_s=self.memory.permitted_ago_s(uid, now_s),
        )
        return self._with_offer(uid, facts)

    def _hold(self, uid: str) -> Hold | None:
        """The model's hold, less the ports that another model claimed first."""
        hold = self._holds.get(uid)
        if hold is None:
            return None
        return replace(hold, ports=tuple(port for port in hold.ports if self.ports.is_of(port, uid)))

    def _with_offer(self, uid: str, facts: Facts) -> Facts:
        self.portless.discard(uid)
        if facts.service_ports is None or not wants_ports(facts):
            return facts
        held = facts.hold.ports if facts.hold is not None else ()
        offer = self.ports.offer(uid, facts.service_ports, held, facts.now_s)
        if offer is None and facts.now_s >= self.ports.opens_at_s:
            self.portless.add(uid)
        return replace(facts, offer=offer)
