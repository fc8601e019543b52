"""Kubernetes objects as the API server delivers them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Body = dict[str, Any]

READY_AT = "2026-01-01T00:00:00Z"


def owned_by(uid: str) -> list[Body]:
    """Owner references with one controller."""
    return [{"kind": "InferenceDeployment", "name": "chat", "uid": uid, "controller": True}]


def an_object(name: str, namespace: str = "demo", *, uid: str | None = None, version: int = 1, **rest: Any) -> Body:
    """Any object; ``metadata`` adds to what every object has."""
    metadata = {"name": name, "namespace": namespace, "uid": uid or f"uid-{name}", "resourceVersion": str(version)}
    return {**rest, "metadata": metadata | dict(rest.get("metadata", {}))}


def a_pod(
    name: str = "chat-0",
    namespace: str = "demo",
    *,
    labels: Mapping[str, str] | None = None,
    ready: bool = True,
    leaving: bool = False,
    phase: str = "Running",
    drains: bool = True,
    **rest: Any,
) -> Body:
    """A pod of the model ``chat``."""
    container = {"name": "server"} | ({"lifecycle": {"preStop": {"sleep": {"seconds": 5}}}} if drains else {})
    ready_condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": READY_AT}
    leaves = {"deletionTimestamp": READY_AT} if leaving else {}
    return an_object(
        name,
        namespace,
        spec={"containers": [container]},
        status={"phase": phase, "conditions": [{"type": "Initialized", "status": "True"}, ready_condition]},
        **{"metadata": {"labels": {"app": "chat"} if labels is None else dict(labels)} | leaves} | rest,
    )


def a_deployment(
    name: str = "chat", namespace: str = "demo", *, replicas: int | None = 2, owner: str | None = None, **rest: Any
) -> Body:
    """A Deployment that selects ``app=<its name>``."""
    spec: Body = {"selector": {"matchLabels": {"app": name}}}
    return an_object(
        name,
        namespace,
        metadata={"generation": 1} | ({"ownerReferences": owned_by(owner)} if owner else {}),
        spec=spec | ({} if replicas is None else {"replicas": replicas}),
        **rest,
    )


def a_service(name: str = "chat", namespace: str = "demo", *, selector: Mapping[str, str] | None = None) -> Body:
    """A Service that selects ``app=chat``."""
    return an_object(name, namespace, spec={"selector": {"app": "chat"} if selector is None else dict(selector)})


def an_autoscaler(name: str = "chat", target: str = "chat", namespace: str = "demo", **ref: Any) -> Body:
    """An HPA or ScaledObject."""
    return an_object(name, namespace, spec={"scaleTargetRef": {"name": target, "kind": "Deployment"} | ref})
