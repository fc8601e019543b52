"""The Deployment and Service that Lull owns for an InferenceDeployment with a template.

Manifests carry only what Lull means to own, for server-side apply. ``replicas`` is never among it: size is written
through the scale subresource alone, so that a template change and a scaling decision never fight.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from lull.errors import SpecError
from lull.model.spec import TOKEN_RUNTIMES, InferenceDeployment, Port, Role, Runtime, SleepMode
from lull.names import ANNOTATION_APPLIED, API_VERSION, KIND, LABEL_AWAKE, LABEL_MANAGED_BY, LABEL_MODEL

Manifest = dict[str, Any]

STOP_S: Final = 30
"""Seconds a server gets to stop after its pause; Kubernetes' own default for the whole."""

_APP_PROTOCOL: Final = {Role.HTTP: "http", Role.GRPC: "kubernetes.io/h2c", Role.METRICS: "http"}

_QUEUE_PAUSES: Final = {Runtime.MLSERVER: 4.0}
"""Thresholds to wait beyond the pause. MLServer 1.7 drops what it holds when told to stop (of 12 requests in flight 3
were answered), so its pause must outlast its queue; Triton finishes what it has."""


def manifests(
    deployment: InferenceDeployment, drain_pause_s: float, *, awake_only: bool = False
) -> tuple[Manifest, ...]:
    """Everything Lull owns for this object; nothing when it adopted its target.

    Args:
        deployment: the object.
        drain_pause_s: seconds for which kube-proxies may still send to a pod that was told to stop.
        awake_only: whether the Service leaves out pods whose server sleeps; all pods must carry the label by then.

    Raises:
        SpecError: when the template has a shape that no pod has; the API server passes a template's fields unseen.
    """
    if not deployment.is_owner:
        return ()
    try:
        owned = [_deployment(deployment, drain_pause_s)]
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise SpecError(f"spec.template is no pod template ({error}); compare it with a Deployment's") from error
    if deployment.spec.service_ref is None:
        owned.append(_service(deployment, awake_only=awake_only))
    return tuple(_signed(manifest) for manifest in owned)


def digest_of(live: Mapping[str, Any]) -> str | None:
    """Digest of the manifest a live object was applied from."""
    annotations: Mapping[str, str] = live.get("metadata", {}).get("annotations") or {}
    return annotations.get(ANNOTATION_APPLIED)


def covers(live: object, wanted: object) -> bool:
    """Whether every field of ``wanted`` has its value in ``live``; what others added to ``live`` does not matter.

    Items of lists are matched by ``name`` where they have one, else by position.
    """
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(covers(live.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, list):
        if not isinstance(live, list):
            return False
        if wanted and all(isinstance(item, Mapping) and "name" in item for item in wanted):
            by_name = {item.get("name"): item for item in live if isinstance(item, Mapping)}
            return all(covers(by_name.get(item["name"]), item) for item in wanted)
        return len(live) == len(wanted) and all(covers(a, b) for a, b in zip(live, wanted, strict=True))
    return live == wanted


def pause_s(deployment: InferenceDeployment, drain_pause_s: float) -> int:
    """Seconds an owned pod goes on serving after it was told to stop."""
    threshold_s = max(float(objective.threshold) for objective in deployment.spec.slo.objectives)
    return math.ceil(drain_pause_s + threshold_s * _QUEUE_PAUSES.get(deployment.spec.server.runtime, 0.0))


def _deployment(deployment: InferenceDeployment, drain_pause_s: float) -> Manifest:
    template = copy.deepcopy(deployment.spec.template or {})
    metadata = template["metadata"] = template.get("metadata") or {}
    awake = {LABEL_AWAKE: "true"} if deployment.doze is SleepMode.ENFORCE else {}
    metadata["labels"] = {**(metadata.get("labels") or {}), **_selector(deployment), **awake}
    pause = pause_s(deployment, drain_pause_s)
    pod = template["spec"]
    container = _serving_container(pod["containers"], deployment.spec.server.ports)
    hooks = container["lifecycle"] = container.get("lifecycle") or {}
    hooks["preStop"] = hooks.get("preStop") or {"sleep": {"seconds": pause}}
    paused_s = (hooks["preStop"].get("sleep") or {}).get("seconds") or pause
    pod["terminationGracePeriodSeconds"] = max(
        pod.get("terminationGracePeriodSeconds") or 0, max(pause, paused_s) + STOP_S
    )
    probe = container.get("readinessProbe") or _readiness(deployment)
    if probe:
        container["readinessProbe"] = probe
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(deployment),
        "spec": {
            "selector": {"matchLabels": _selector(deployment)},
            # A rollout never serves with fewer pods than were decided.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": template,
        },
    }


def _service(deployment: InferenceDeployment, *, awake_only: bool) -> Manifest:
    ports = [
        {"name": p.name, "port": p.port, "targetPort": p.port, "protocol": "TCP", "appProtocol": _APP_PROTOCOL[p.role]}
        for p in deployment.spec.server.ports
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(deployment),
        "spec": {"selector": _selector(deployment) | ({LABEL_AWAKE: "true"} if awake_only else {}), "ports": ports},
    }


def _metadata(deployment: InferenceDeployment) -> Manifest:
    return {
        "name": deployment.key.name,
        "namespace": deployment.key.namespace,
        "labels": {LABEL_MANAGED_BY: "lull", **_selector(deployment)},
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": deployment.key.name,
                "uid": deployment.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }


def _selector(deployment: InferenceDeployment) -> dict[str, str]:
    return {LABEL_MODEL: deployment.key.name}


def _serving_container(containers: list[Manifest], ports: tuple[Port, ...]) -> Manifest:
    """The container that declares one of the server's ports, else the first."""
    numbers = {port.port for port in ports}
    for container in containers:
        if numbers & {port.get("containerPort") for port in container.get("ports") or ()}:
            return container
    return containers[0]


def _readiness(deployment: InferenceDeployment) -> Manifest | None:
    """Ready means that the model answers, not only its server: Triton and MLServer are up before their models are.

    vLLM and SGLang hold one model each and are healthy once it is loaded.
    """
    server = deployment.spec.server
    http = next((port.port for port in server.ports if port.role is Role.HTTP), None)
    if server.model_name is None or http is None:
        return None
    of_model = f"/v2/models/{quote(server.model_name, safe='')}/ready"
    path = "/health" if server.runtime in TOKEN_RUNTIMES else of_model
    return {"httpGet": {"path": path, "port": http}, "periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 3}


def _signed(manifest: Manifest) -> Manifest:
    encoded = msgspec.json.encode(manifest, order="deterministic")
    manifest["metadata"]["annotations"] = {ANNOTATION_APPLIED: hashlib.sha256(encoded).hexdigest()[:16]}
    return manifest
