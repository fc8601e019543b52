"""The route of a model: who answers its Service, as values.

A Service's own pods answer through Kubernetes' EndpointSlices (``Own``); others stand in through one slice of ours: the
activator's pods (``Hold``), or a pool's (``Pool``), with other addresses and ports and the same protocol.
``decide.routes`` concludes from ``Facts`` what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

NOBODY: Mapping[str, Proof] = {}


class Route(StrEnum):
    """Who answers."""

    OWN = "Own"
    POOL = "Pool"
    HOLD = "Hold"


class Wish(StrEnum):
    """What the plan wants of a model; unknown (None) right after the operator's start."""

    AWAKE = "Awake"
    ASLEEP = "Asleep"


class HoldState(StrEnum):
    """How far the activator is from answering."""

    PREPARING = "Preparing"
    """Activators listen, nothing points there yet."""
    ATTACHED = "Attached"
    """Our slice lists them."""
    QUARANTINED = "Quarantined"
    """Own pods answer again; activators take stragglers until a time, and the ports are nobody else's."""


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port of a Service."""

    name: str
    """Empty where the Service's only port has none."""
    port: int
    protocol: str = "TCP"
    app_protocol: str | None = None


@dataclass(frozen=True, slots=True)
class HoldPort:
    """A port of a Service, and the activators' port that stands for it."""

    name: str
    port: int
    holding_port: int


@dataclass(frozen=True, slots=True)
class Hold:
    """``status.hold``, as far as the protocol goes."""

    state: HoldState
    ports: tuple[HoldPort, ...]
    until_s: float | None = None
    """With Quarantined: when activators stop listening."""


@dataclass(frozen=True, slots=True)
class ServiceShape:
    """What of a Service decides whether others can answer for its pods."""

    ports: tuple[ServicePort, ...] = ()
    selects: bool = True
    """Whether it has a selector."""
    is_headless: bool = False
    is_external: bool = False
    """Whether it is a name elsewhere (ExternalName)."""
    is_local: bool = False
    """Whether traffic stays on its node, by internalTrafficPolicy or externalTrafficPolicy."""
    publishes_unready: bool = False
    families: tuple[str, ...] = ("IPv4",)


@dataclass(frozen=True, slots=True)
class Front:
    """The Service in front of a model, and what else decides whether others can answer for it."""

    service: str | None
    """Its name; None where an adopted target names none."""
    shape: ServiceShape | None
    """None = there is no such Service."""
    sharers: tuple[str, ...] = ()
    """Other models with the same Service, as namespace/name."""
    has_mesh: bool = False
    """Whether a pod behind it has a mesh's proxy."""
    has_activator: bool = True
    """Whether a pod of the activator is there."""
    has_ports: bool = True
    """Whether the activator has a port for each of the Service's, as far as that was asked for."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """A pod that may answer in place of a model's own."""

    uid: str
    name: str
    namespace: str
    address: str
    restarts: int = 0
    node: str | None = None
    is_ready: bool = True
    is_leaving: bool = False

    @property
    def incarnation(self) -> str:
        """Who it is between two restarts of its container: a restarted one listens nowhere until it has read again."""
        return f"{self.uid}/{self.restarts}"


@dataclass(frozen=True, slots=True)
class Proof:
    """What probing one stand-in on a model's ports has shown."""

    tried_at_s: float
    proven_at_s: float | None = None
    """When it last answered as it should on every port."""
    holding_ports: frozenset[int] = frozenset()
    """On which ports that was."""
    failures: int = 0
    """Probes in a row, up to now, that were not answered as they should be."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """Our EndpointSlice as it is."""

    addresses: frozenset[str]
    ports: frozenset[tuple[str, int]]
    """Names of Service ports, and the port of every address that stands for each."""
    uid: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that one turn of one model's route is decided from."""

    now_s: float
    wish: Wish | None
    is_supported: bool
    """Whether others can answer for this Service; see ``decide.support``."""
    service_ports: tuple[ServicePort, ...] | None
    """None = there is no such Service."""
    replicas: int | None
    """Replicas the target is scaled to; None = unknown."""
    own_ready: int | None
    """Addresses of own pods that are ready and not on their way out; None = unknown."""
    hold: Hold | None
    attachment: Attachment | None
    stand_ins: tuple[StandIn, ...]
    proofs: Mapping[str, Proof] = field(default_factory=lambda: NOBODY)
    """By incarnation."""
    offer: tuple[HoldPort, ...] | None = None
    """Ports to hold on, one for each Service port, those there are kept; None = none are free."""
    is_settled: bool = True
    """Whether no write of ours to this model's slice or status can still land unseen."""
    permitted_ago_s: float = float("inf")
    """Seconds since zero was last permitted, or the operator started."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How late things may be: what safety rests on.

    Nothing here is waited for by a request: the activator forwards as soon as a pod is Ready, attached or not.
    """

    lag_s: float = 5.0
    """Every kube-proxy has a changed slice after this; pods serve on for as long after they were told to stop."""
    write_s: float = 15.0
    """A write lands within this of being sent, or never; the timeout of one request."""
    mirror_s: float = 5.0
    """What happened in the cluster is in the operator's mirror, and in the activators', after this."""
    skew_s: float = 5.0
    """Wall clocks of two nodes differ by at most this."""
    proof_s: float = 10.0
    """A proof counts for a change of route for this long."""
    reproof_s: float = 60.0
    """What is attached is proven again after this."""
    retry_s: float = 1.0
    """Fewest seconds between two probes of one stand-in for one model."""
    linger_s: float = 90.0
    """A model that sleeps again this soon after a wake has its ports back at once."""

    @property
    def settle_s(self) -> float:
        """After it a permission that was withdrawn has had all the effect in sight that it ever will."""
        return self.write_s + self.mirror_s

    @property
    def quarantine_s(self) -> float:
        """After it nothing connects to a port that no slice names any more."""
        return self.write_s + self.mirror_s + self.lag_s + self.skew_s

    @property
    def rest_s(self) -> float:
        """How long activators go on listening on ports that no slice names any more."""
        return self.quarantine_s + self.linger_s


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask these stand-ins whether they listen for the model."""

    stand_ins: tuple[StandIn, ...]
    ports: tuple[HoldPort, ...]


@dataclass(frozen=True, slots=True)
class WriteHold:
    """Write ``status.hold``; None takes it away."""

    hold: Hold | None


@dataclass(frozen=True, slots=True)
class WriteSlice:
    """Write our slice, which is not there where ``attachment`` is None."""

    attachment: Attachment | None
    stand_ins: tuple[StandIn, ...]
    ports: frozenset[tuple[str, int]]
    is_repair: bool


@dataclass(frozen=True, slots=True)
class DeleteSlice:
    """Delete our slice."""

    attachment: Attachment
    is_repair: bool


Step = Probe | WriteHold | WriteSlice | DeleteSlice


@dataclass(frozen=True, slots=True)
class Turn:
    """What to do now; at most one of the steps writes."""

    steps: tuple[Step, ...]
    may_be_zero: bool
    """Whether the model's last pods may be told to go, as things stand."""

    @property
    def is_repair(self) -> bool:
        """Whether a slice lists somebody who will not answer."""
        return any(isinstance(step, WriteSlice | DeleteSlice) and step.is_repair for step in self.steps)
