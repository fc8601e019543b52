"""Kubernetes objects cut down to what Lull reads of them, so that a mirror of a large cluster stays small."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lull.model.spec import Key

Body = Mapping[str, Any]


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


@dataclass(frozen=True, slots=True)
class Service:
    """A Service."""

    key: Key
    uid: str
    owner_uid: str | None
    selector: Mapping[str, str]
    body: Body | None


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
    metadata, status = body["metadata"], body.get("status") or {}
    since = None
    if "deletionTimestamp" not in metadata:
        for condition in status.get("conditions") or ():
            if condition.get("type") == "Ready" and condition.get("status") == "True":
                told = condition.get("lastTransitionTime")
                since = datetime.fromisoformat(told).timestamp() if told else 0.0
    containers = (body.get("spec") or {}).get("containers") or ()
    return Pod(
        key=key_of(body),
        uid=metadata["uid"],
        labels=metadata.get("labels") or {},
        ready_since_s=since,
        phase=status.get("phase", "Unknown"),
        drains=any((container.get("lifecycle") or {}).get("preStop") for container in containers),
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
    )


def read_service(body: Body) -> Service:
    """Reads a Service."""
    owner = owner_uid(body)
    selector = (body.get("spec") or {}).get("selector") or {}
    return Service(key_of(body), body["metadata"]["uid"], owner, selector, body if owner else None)


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


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    name, operator, values = expression["key"], expression["operator"], expression.get("values") or ()
    if operator == "In":
        return labels.get(name) in values
    if operator == "NotIn":
        return labels.get(name) not in values
    return (name in labels) is (operator == "Exists")
