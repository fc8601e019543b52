"""A cluster of one model, as far as its route goes: everything in it may be late, lost or gone, within ``Timing``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from lull.decide.ports import Ports
from lull.decide.route_memory import RouteMemory
from lull.decide.routes import turn, wants_ports
from lull.model.route import (
    Attachment,
    DeleteSlice,
    Facts,
    Hold,
    HoldState,
    Probe,
    ServicePort,
    StandIn,
    Step,
    Timing,
    Turn,
    Wish,
    WriteHold,
    WriteSlice,
)

UID = "uid-chat"
TIMING = Timing(linger_s=10.0)  # so that many a quarantine is seen to end
SERVICE = (ServicePort("http", 8000), ServicePort("grpc", 8001))
TICK_S = 0.5


@dataclass
class OwnPod:
    name: str
    is_ready: bool = False
    told_at_s: float | None = None


@dataclass
class Activator:
    """A pod of the activator; ``listens`` follows what it has read of the hold."""

    uid: str
    address: str
    restarts: int = 0
    is_ready: bool = False
    is_alive: bool = True
    told_at_s: float | None = None
    read: Hold | None = None
    behind_since_s: float | None = None

    def listens(self, now_s: float) -> frozenset[int]:
        if not self.is_alive or self.read is None:
            return frozenset()
        if self.read.state is HoldState.QUARANTINED and now_s >= (self.read.until_s or 0.0):
            return frozenset()
        return frozenset(port.holding_port for port in self.read.ports)

    @property
    def seen(self) -> StandIn:
        return StandIn(
            self.uid, self.uid, "lull", self.address, self.restarts, None, self.is_ready, self.told_at_s is not None
        )


@dataclass(frozen=True)
class Slices:
    """What the API server tells kube-proxies of the Service."""

    ready: frozenset[str]
    leaving: frozenset[str]
    attachment: Attachment | None


@dataclass
class InFlight:
    lands_until_s: float
    step: Any
    version: int


@dataclass
class World:
    now_s: float = 1000.0
    hold: Hold | None = None
    attachment: Attachment | None = None
    versions: dict[str, int] = field(default_factory=lambda: {"hold": 0, "slice": 0, "scale": 0})
    replicas: int = 1
    own: dict[str, OwnPod] = field(default_factory=dict)
    activators: dict[str, Activator] = field(default_factory=dict)
    in_flight: list[InFlight] = field(default_factory=list)
    history: list[tuple[float, Slices]] = field(default_factory=list)
    crashed: set[str] = field(default_factory=set)
    killed: set[str] = field(default_factory=set)
    excused_until_s: float = float("-inf")
    is_excused: bool = False
    names: Iterator[int] = field(default_factory=lambda: iter(range(10**6)))
    mirror: dict[str, Any] = field(default_factory=dict)
    mirror_behind_s: dict[str, float] = field(default_factory=dict)
    memory: RouteMemory = field(init=False)
    ports: Ports = field(init=False)

    def __post_init__(self) -> None:
        self.own["own-0"] = OwnPod("own-0", is_ready=True)
        for _ in range(2):
            self.new_activator().is_ready = True
        self.start_operator(long_ago=True)
        self.settle_pods()
        self.changed()

    # The cluster.

    def new_activator(self) -> Activator:
        n = next(self.names)
        found = self.activators[f"act-{n}"] = Activator(f"act-{n}", f"10.0.0.{n}", read=self.hold)
        return found

    def settle_pods(self) -> None:
        """Gives the target as many pods as it is scaled to; pods that are not ready go first."""
        staying = sorted((p for p in self.own.values() if p.told_at_s is None), key=lambda p: p.is_ready)
        for pod in staying[: max(0, len(staying) - self.replicas)]:
            pod.told_at_s = self.now_s
            if not pod.is_ready:
                del self.own[pod.name]
        for _ in range(self.replicas - len(staying)):
            name = f"own-{next(self.names)}-new"
            self.own[name] = OwnPod(name)

    def slices(self) -> Slices:
        ready = frozenset(p.name for p in self.own.values() if p.is_ready and p.told_at_s is None)
        leaving = frozenset(p.name for p in self.own.values() if p.is_ready and p.told_at_s is not None)
        return Slices(ready, leaving, self.attachment)

    def changed(self) -> None:
        """Lets those who watch know, some time; and looks whether everybody is still answered."""
        now = self.slices()
        if not self.history or self.history[-1][1] != now:
            self.history.append((self.now_s, now))
        for name, value in self.truth().items():
            if self.mirror.get(name) != value:
                self.mirror_behind_s.setdefault(name, self.now_s)
            else:
                self.mirror_behind_s.pop(name, None)
        for activator in self.activators.values():
            if activator.read == self.hold:
                activator.behind_since_s = None
            elif activator.behind_since_s is None:
                activator.behind_since_s = self.now_s
        self.check()

    def truth(self) -> dict[str, Any]:
        return {
            "hold": (self.hold, self.versions["hold"]),
            "slice": (self.attachment, self.versions["slice"]),
            "own_ready": len(self.slices().ready),
            "replicas": self.replicas,
            "stand_ins": tuple(a.seen for a in self.activators.values()),
        }

    def look(self, *names: str) -> None:
        """The operator's mirror catches up, with some kinds or with all."""
        truth = self.truth()
        for name in names or truth:
            self.mirror[name] = truth[name]
            self.mirror_behind_s.pop(name, None)

    def advance(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK_S)):
            self.now_s += TICK_S
            self.in_flight = [w for w in self.in_flight if w.lands_until_s > self.now_s]
            for pod in [p for p in self.own.values() if p.told_at_s is not None]:
                if self.now_s >= (pod.told_at_s or 0.0) + TIMING.lag_s:
                    del self.own[pod.name]
            for name, since_s in list(self.mirror_behind_s.items()):
                if self.now_s - since_s >= TIMING.mirror_s - TICK_S:
                    self.look(name)
            for activator in list(self.activators.values()):
                behind_s = activator.behind_since_s
                if activator.is_alive and behind_s is not None and self.now_s - behind_s >= TIMING.mirror_s - TICK_S:
                    activator.read = self.hold
                self.let_go(activator)
            self.changed()

    def let_go(self, activator: Activator) -> None:
        """One that was told to go goes when nobody has listed it for long enough."""
        if activator.told_at_s is None or self.now_s < activator.told_at_s + TIMING.settle_s + TIMING.lag_s:
            return
        if not any(activator.address in view.attachment.addresses for view in self.views() if view.attachment):
            del self.activators[activator.uid]

    # What kube-proxies do.

    def views(self) -> list[Slices]:
        """Every state of the slices that some kube-proxy may go by."""
        ends = [at_s for at_s, _ in self.history[1:]] + [float("inf")]
        kept = [
            (at_s, view)
            for (at_s, view), end_s in zip(self.history, ends, strict=True)
            if end_s > self.now_s - TIMING.lag_s
        ]
        self.history = kept
        return [view for _, view in kept]

    def check(self) -> None:
        """A new connection finds somebody who serves, whichever kube-proxy it meets."""
        is_served, is_lasting = True, True
        for view in self.views():
            answers = {name: self.answers(name, view) for name in self.endpoints(view)}
            assert False not in answers.values(), f"{view} sends connections to who does not serve"
            is_served = is_served and True in answers.values()
            is_lasting = is_lasting and any(answers[name] for name in answers if name not in view.leaving)
        assert is_served or self.is_excused, "nobody serves"
        self.is_excused = self.is_excused and not (is_lasting and self.now_s > self.excused_until_s)

    def endpoints(self, view: Slices) -> frozenset[str]:
        listed = view.attachment.addresses if view.attachment else frozenset()
        return (view.ready | listed) or view.leaving

    def answers(self, name: str, view: Slices) -> bool | None:
        """Whether it serves on every port; None where it was lost without being told to go."""
        if name in self.own:
            return True
        if name in self.crashed or (self.is_excused and name.startswith("own-")):
            return None
        found = next((a for a in self.activators.values() if a.address == name), None)
        if found is None or not found.is_alive or name in self.killed:
            return None if name in self.killed else False
        targets = {port for _, port in view.attachment.ports} if view.attachment else set()
        return targets <= found.listens(self.now_s)

    # The operator.

    def start_operator(self, *, long_ago: bool = False) -> None:
        started_at_s = self.now_s - (1000.0 if long_ago else 0.0)
        self.memory = RouteMemory(TIMING, started_at_s)
        self.ports = Ports(20000, 20003, started_at_s + TIMING.quarantine_s, TIMING.quarantine_s)
        self.look()

    def facts(self) -> Facts:
        hold = self.mirror["hold"][0]
        self.ports.see({UID: hold.ports if hold else ()}, self.now_s)
        facts = Facts(
            now_s=self.now_s,
            wish=self.memory.wishes.get(UID),
            is_supported=True,
            service_ports=SERVICE,
            replicas=self.mirror["replicas"],
            own_ready=self.mirror["own_ready"],
            hold=hold,
            attachment=self.mirror["slice"][0],
            stand_ins=self.mirror["stand_ins"],
            proofs=self.memory.proofs(UID),
            is_settled=self.memory.is_settled(UID, self.now_s),
            permitted_ago_s=self.memory.permitted_ago_s(UID, self.now_s),
        )
        if not wants_ports(facts):
            return facts
        return replace(facts, offer=self.ports.offer(UID, SERVICE, hold.ports if hold else (), self.now_s))

    def round(self, outcome: str = "done", *, spurious: bool = False) -> Turn:
        now = turn(self.facts(), TIMING)
        for step in now.steps:
            if isinstance(step, Probe):
                self.probe(step, spurious=spurious)
            else:
                self.write(step, outcome)
        return now

    def probe(self, step: Probe, *, spurious: bool) -> None:
        wanted = {port.holding_port for port in step.ports}
        for who in step.stand_ins:
            found = next((a for a in self.activators.values() if a.address == who.address), None)
            is_right = found is not None and not spurious and wanted <= found.listens(self.now_s)
            self.memory.prove(UID, who, step.ports, self.now_s, is_right=True if is_right else None)

    def write(self, step: Step, outcome: str) -> None:
        """Sends a write: done, lost, done without an answer, or under way for longer than its sender waits."""
        name = "hold" if isinstance(step, WriteHold) else "slice"
        write = InFlight(self.now_s + TIMING.write_s, step, self.mirror[name][1])
        if outcome == "late":
            self.in_flight.append(write)
        elif outcome in ("done", "unanswered"):
            self.land(write)
        if outcome == "done":
            self.look(name)
        else:
            self.memory.lost(UID, self.now_s)

    def land(self, write: InFlight) -> None:
        """Takes effect where the object is still as its sender saw it."""
        step = write.step
        name = "hold" if isinstance(step, WriteHold) else "scale" if isinstance(step, int) else "slice"
        if self.versions[name] != write.version:
            return
        self.versions[name] += 1
        match step:
            case WriteHold(hold):
                self.hold = hold
            case WriteSlice(_, stand_ins, ports, _):
                self.attachment = Attachment(frozenset(s.address for s in stand_ins), ports)
            case DeleteSlice():
                self.attachment = None
            case int(replicas):
                self.replicas = replicas
                self.settle_pods()
        self.changed()

    def scale(self, replicas: int, outcome: str) -> None:
        write = InFlight(self.now_s + TIMING.write_s, replicas, self.versions["scale"])
        if outcome == "late":
            self.in_flight.append(write)
        elif outcome != "lost":
            self.land(write)

    def plan(self, outcome: str = "done") -> None:
        """What the planner does of its own accord: to zero where it may, up from zero where it must."""
        wish = self.memory.wishes.get(UID)
        if wish is Wish.AWAKE and self.replicas == 0:
            self.scale(1, outcome)
        if wish is Wish.ASLEEP and self.replicas > 0 and turn(self.facts(), TIMING).may_be_zero:
            self.memory.permit(UID, self.now_s)
            self.scale(0, outcome)

    # Misfortunes.

    def crash(self, pod: OwnPod) -> None:
        """An own pod that goes without being told to: what this costs is its own doing."""
        del self.own[pod.name]
        self.crashed.add(pod.name)
        self.is_excused = True
        self.excused_until_s = self.now_s + TIMING.settle_s + TIMING.mirror_s + TIMING.lag_s
        self.settle_pods()
        self.changed()

    def may_be_killed(self, victim: Activator) -> bool:
        """Whether somebody else answers wherever it is or may come to be listed."""
        pending = [w.step for w in self.in_flight if isinstance(w.step, WriteSlice)]
        listings = [v.attachment.addresses for v in self.views() if v.attachment]
        listings += [frozenset(s.address for s in step.stand_ins) for step in pending]
        alive = {a.address for a in self.activators.values() if a.is_alive and a.told_at_s is None} - {victim.address}
        if any(listing & self.killed for listing in listings):
            return False
        return all(victim.address not in listing or listing & alive for listing in listings)

    def kill(self, victim: Activator, *, for_good: bool) -> None:
        victim.is_alive = victim.is_ready = False
        self.killed.add(victim.address)
        if for_good:
            del self.activators[victim.uid]
        self.changed()

    def revive(self, activator: Activator) -> None:
        """Its container is started again, has read what there is, and is Ready."""
        activator.restarts += 1
        activator.is_alive = activator.is_ready = True
        activator.read = self.hold
        self.killed.discard(activator.address)
        self.changed()
