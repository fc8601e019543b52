"""Kubernetes objects cut down to what Lull reads of them, so that a mirror of a large cluster stays small."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from lull.adapters.hindrances import read_hindrance, read_refusal
from lull.model.doze import Mark
from lull.model.hindrance import Hindrance
from lull.model.route import ServicePort, ServiceShape
from lull.model.spec import Key
from lull.names import ANNOTATION_DELETION_COST, ANNOTATION_DOZE, ANNOTATION_MARK, LABEL_AWAKE

Body = Mapping[str, Any]

_PROXIES: Final = frozenset({"istio-proxy", "linkerd-proxy"})
"""Containers that meshes put into pods, as sidecars of either kind."""

_ENDED: Final = frozenset({"Succeeded", "Failed"})
_DEFAULT_CONTAINER: Final = "kubectl.kubernetes.io/default-container"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod."""

    key: Key
    uid: str
    labels: Mapping[str, str]
    ready_since_s: float | None
    """When it became Ready; None when it is not, or when it is on its way out."""
    phase: str
    drains: bool
    """Whether a container pauses in a preStop hook before it stops."""
    created_at_s: float | None = None
    scheduled_at_s: float | None = None
    """When a node was found for it; None while there is none."""
    started_at_s: float | None = None
    """When the serving container started to run; None while it does not."""
    restarts: int = 0
    """Times that containers of it were started again."""
    node: str | None = None
    image: str | None = None
    """What the serving container runs: the image's digest once the node has it, its name before."""
    addresses: tuple[str, ...] = ()
    """Its addresses, one of each family."""
    is_answering: bool = False
    """Whether it is Ready, on its way out or not."""
    is_leaving: bool = False
    has_init: bool = False
    """Whether containers run before the serving one."""
    has_mesh: bool = False
    """Whether a service mesh's proxy takes its traffic."""
    hindrance: Hindrance | None = None
    """What keeps it from starting, if anything is known."""
    mark: Mark | None = None
    """How its server is woken, where Lull took it out of its Service to rest."""
    replica_set: str | None = None
    """Uid of the ReplicaSet that made it; None = something else did."""
    is_marked: bool = False
    """Whether Lull gave it a deletion cost."""
    is_priced: bool = False
    """Whether somebody else did."""

    @property
    def is_listed(self) -> bool:
        """Whether a Service that leaves out resting pods selects it, as far as the label for that goes."""
        return self.labels.get(LABEL_AWAKE) == "true"

    @property
    def is_active(self) -> bool:
        """Whether it counts as a replica: it has not ended and is not on its way out."""
        return not (self.is_leaving or self.phase in _ENDED)

    @property
    def is_attempt(self) -> bool:
        """Whether it may yet become Ready."""
        return self.is_active and not self.is_answering


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment or StatefulSet."""

    key: Key
    uid: str
    owner_uid: str | None
    replicas: int
    generation: int
    selector: Mapping[str, Any]
    body: Body | None
    """The whole object, kept only where Lull owns it and has to compare."""
    refusal: str | None = None
    """Why the API server refuses to make its pods; None = it does not."""
    template: str | None = None
    """Digest of its pod template."""
    is_rolled_out: bool = False
    """Whether all its pods are of that template, and at least one is Ready."""


@dataclass(frozen=True, slots=True)
class Service:
    """A Service."""

    key: Key
    uid: str
    owner_uid: str | None
    selector: Mapping[str, str]
    body: Body | None
    shape: ServiceShape = field(default_factory=ServiceShape)


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """An HPA or ScaledObject, and what it scales."""

    key: Key
    uid: str
    kind: str
    target_kind: str
    target_name: str


def read_pod(body: Body) -> Pod:
    """Reads a pod."""
    metadata, spec, status = body["metadata"], body.get("spec") or {}, body.get("status") or {}
    containers = spec.get("containers") or ()
    serving = _serving(metadata, containers)
    statuses = status.get("containerStatuses") or ()
    runs: Body = next((found for found in statuses if found.get("name") == serving.get("name")), {})
    cost, mark = _told_costs(metadata)
    return Pod(
        key=key_of(body),
        uid=metadata["uid"],
        labels=metadata.get("labels") or {},
        ready_since_s=_ready_since_s(status) if "deletionTimestamp" not in metadata else None,
        phase=status.get("phase", "Unknown"),
        drains=any((container.get("lifecycle") or {}).get("preStop") for container in containers),
        created_at_s=_time_s(metadata.get("creationTimestamp")),
        scheduled_at_s=_time_s(_turned_true(status, "PodScheduled").get("lastTransitionTime")),
        started_at_s=_time_s(((runs.get("state") or {}).get("running") or {}).get("startedAt")),
        restarts=sum(int(found.get("restartCount") or 0) for found in statuses),
        node=spec.get("nodeName") or None,
        image=runs.get("imageID") or serving.get("image") or None,
        addresses=_addresses(status),
        is_answering=bool(_turned_true(status, "Ready")),
        is_leaving="deletionTimestamp" in metadata,
        has_init=bool(spec.get("initContainers")),
        has_mesh=any(c.get("name") in _PROXIES for c in (*containers, *(spec.get("initContainers") or ()))),
        hindrance=read_hindrance(status),
        mark=Mark.parse((metadata.get("annotations") or {}).get(ANNOTATION_DOZE) or ""),
        replica_set=_maker(metadata),
        is_marked=cost is not None and cost == mark,
        is_priced=cost is not None and cost != mark,
    )


def read_workload(body: Body) -> Workload:
    """Reads a Deployment or StatefulSet."""
    metadata, spec = body["metadata"], body.get("spec") or {}
    owner = owner_uid(body)
    return Workload(
        key=key_of(body),
        uid=metadata["uid"],
        owner_uid=owner,
        replicas=int(spec.get("replicas", 1)),
        generation=int(metadata.get("generation", 0)),
        selector=spec.get("selector") or {},
        body=body if owner else None,
        refusal=read_refusal(body.get("status") or {}),
        template=_digest(spec.get("template")),
        is_rolled_out=_is_rolled_out(metadata, body.get("status") or {}),
    )


def read_service(body: Body) -> Service:
    """Reads a Service."""
    owner = owner_uid(body)
    selector = (body.get("spec") or {}).get("selector") or {}
    shape = _shape(body.get("spec") or {})
    return Service(key_of(body), body["metadata"]["uid"], owner, selector, body if owner else None, shape)


def read_autoscaler(body: Body, kind: str) -> Autoscaler:
    """Reads an HPA or ScaledObject; a ScaledObject's target is a Deployment unless it says otherwise."""
    target = (body.get("spec") or {}).get("scaleTargetRef") or {}
    return Autoscaler(
        key_of(body), body["metadata"]["uid"], kind, target.get("kind") or "Deployment", target.get("name", "")
    )


def key_of(body: Body) -> Key:
    """Namespace and name."""
    return Key(body["metadata"]["namespace"], body["metadata"]["name"])


def owner_uid(body: Body) -> str | None:
    """Uid of the controller that owns the object, if any."""
    for owner in body["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner["uid"])
    return None


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector (matchLabels and matchExpressions) selects these labels; an empty one selects none."""
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    expressions = selector.get("matchExpressions") or ()
    if not wanted and not expressions:
        return False
    return all(labels.get(name) == value for name, value in wanted.items()) and all(
        _holds(expression, labels) for expression in expressions
    )


def _shape(spec: Mapping[str, Any]) -> ServiceShape:
    ports = (
        ServicePort(
            port.get("name") or "", int(port["port"]), port.get("protocol") or "TCP", port.get("appProtocol") or None
        )
        for port in spec.get("ports") or ()
    )
    return ServiceShape(
        ports=tuple(ports),
        selects=bool(spec.get("selector")),
        is_headless=spec.get("clusterIP") == "None",
        is_external=spec.get("type") == "ExternalName",
        is_local="Local" in (spec.get("internalTrafficPolicy"), spec.get("externalTrafficPolicy")),
        publishes_unready=bool(spec.get("publishNotReadyAddresses")),
        families=tuple(spec.get("ipFamilies") or ("IPv4",)),
    )


def _addresses(status: Mapping[str, Any]) -> tuple[str, ...]:
    several = tuple(found["ip"] for found in status.get("podIPs") or () if found.get("ip"))
    return several or ((status["podIP"],) if status.get("podIP") else ())


def _digest(template: object) -> str | None:
    """Of the template alone: the generation of a workload changes with its size too."""
    if not template:
        return None
    return hashlib.sha256(msgspec.json.encode(template, order="deterministic")).hexdigest()[:16]


def _is_rolled_out(metadata: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
    is_current = int(status.get("observedGeneration") or 0) >= int(metadata.get("generation") or 0)
    pods = status.get("replicas") or 0
    return is_current and pods > 0 and status.get("updatedReplicas") == pods and bool(status.get("readyReplicas"))


def _told_costs(metadata: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The deletion cost there is, and the one that Lull gave."""
    told = metadata.get("annotations") or {}
    return told.get(ANNOTATION_DELETION_COST), told.get(ANNOTATION_MARK)


def _maker(metadata: Mapping[str, Any]) -> str | None:
    """Uid of the ReplicaSet that controls a pod."""
    owners = metadata.get("ownerReferences") or ()
    return next((str(o["uid"]) for o in owners if o.get("controller") and o.get("kind") == "ReplicaSet"), None)


def _serving(metadata: Mapping[str, Any], containers: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The container that serves: the one kubectl takes when none is named, since injected sidecars respect that."""
    named = (metadata.get("annotations") or {}).get(_DEFAULT_CONTAINER)
    return next((found for found in containers if found.get("name") == named), containers[0] if containers else {})


def _turned_true(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """The condition of that type where it is True, else an empty one."""
    conditions = status.get("conditions") or ()
    return next((c for c in conditions if c.get("type") == kind and c.get("status") == "True"), {})


def _ready_since_s(status: Mapping[str, Any]) -> float | None:
    """A Ready pod that does not tell since when has been so for long."""
    ready = _turned_true(status, "Ready")
    return (_time_s(ready.get("lastTransitionTime")) or 0.0) if ready else None


def _time_s(told: str | None) -> float | None:
    return datetime.fromisoformat(told).timestamp() if told else None


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    name, operator, values = expression["key"], expression["operator"], expression.get("values") or ()
    if operator == "In":
        return labels.get(name) in values
    if operator == "NotIn":
        return labels.get(name) not in values
    return (name in labels) is (operator == "Exists")
