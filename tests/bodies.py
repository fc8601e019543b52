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


def a_started_pod(
    name: str = "chat-0",
    *,
    after_s: tuple[int | None, int | None, int | None] = (2, 5, 60),
    created_s: int = 0,
    node: str | None = "node-a",
    image: str = "sha256:1",
    restarts: int = 0,
    **rest: Any,
) -> Body:
    """A pod of which the cluster tells when it was scheduled, its container started and it became Ready.

    Args:
        name: of the pod.
        after_s: seconds after its creation at which each of the three was; None = not yet.
        created_s: seconds after midnight at which it was created.
        node: where it runs.
        image: what it runs.
        restarts: of its container.
        **rest: as of any pod.
    """
    scheduled_s, started_s, ready_s = (None if at_s is None else created_s + at_s for at_s in after_s)
    told = {"PodScheduled": scheduled_s, "Ready": ready_s}
    running = {} if started_s is None else {"running": {"startedAt": clock_time(started_s)}}
    pod = a_pod(name, **rest)
    pod["metadata"]["creationTimestamp"] = clock_time(created_s)
    pod["spec"] |= {"nodeName": node} if node else {}
    pod["status"] |= {
        "conditions": [
            {"type": kind, "status": str(at_s is not None), "lastTransitionTime": clock_time(at_s or created_s)}
            for kind, at_s in told.items()
        ],
        "containerStatuses": [{"name": "server", "imageID": image, "restartCount": restarts, "state": running}],
    }
    return pod


def clock_time(second: int) -> str:
    """Time of day of READY_AT's day, as the API server writes it."""
    return f"2026-01-01T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"


def made_by(replica_set: str | None = "uid-rs") -> dict[str, Any]:
    """Metadata of a pod that a ReplicaSet made; None = something else did."""
    owner = ("ReplicaSet", replica_set) if replica_set else ("StatefulSet", "uid-sts")
    return {"ownerReferences": [{"kind": owner[0], "name": "chat", "uid": owner[1], "controller": True}]}


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


def a_slice(
    name: str = "chat-abc",
    namespace: str = "demo",
    *,
    service: str = "chat",
    ready: tuple[str, ...] = ("10.1.0.1",),
    leaving: tuple[str, ...] = (),
    ports: Mapping[str, int] | None = None,
    **rest: Any,
) -> Body:
    """An EndpointSlice as Kubernetes keeps them for a Service."""
    ends = [{"addresses": [address], "conditions": {"ready": True}} for address in ready]
    ends += [
        {"addresses": [at], "conditions": {"ready": False, "serving": True, "terminating": True}} for at in leaving
    ]
    labels = {
        "kubernetes.io/service-name": service,
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    numbers = {"http": 8000} if ports is None else ports
    told = [{"name": name, "port": number, "protocol": "TCP"} for name, number in numbers.items()]
    return an_object(name, namespace, metadata={"labels": labels}, endpoints=ends, ports=told, **rest)


def an_activator(name: str = "act-1", address: str = "10.0.0.1", *, namespace: str = "lull", **rest: Any) -> Body:
    """A pod of the activator."""
    labels = {"app.kubernetes.io/name": "lull", "app.kubernetes.io/component": "activator"}
    body = a_pod(name, namespace, labels=labels, **rest)
    body["status"]["podIPs"] = [{"ip": address}]
    return body
