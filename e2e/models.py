"""Models for the stories: the examples a user applies, with what a story is about changed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

EXAMPLES = Path(__file__).parent / "examples"
Manifest = dict[str, Any]


def a_model(
    example: str, namespace: str, *, name: str | None = None, pause_ms: int | None = None, **spec: Any
) -> Manifest:
    """An example under another name or pace; fields of ``spec`` replace the example's, None takes one away."""
    manifest: Manifest = yaml.safe_load((EXAMPLES / f"{example}.yaml").read_text())
    manifest["metadata"] = {"name": name or example, "namespace": namespace}
    body = manifest["spec"]
    for field, value in spec.items():
        if value is None:
            body.pop(field, None)
        else:
            body[field] = value
    if pause_ms is not None:
        pace(body["template"], pause_ms)
        body["capacity"] = {"requestsPerSecond": str(round(1000 / (pause_ms + 1), 1))}
    return manifest


def a_standin(name: str, namespace: str, *, load_s: float = 1.0, work_ms: int = 10, **spec: Any) -> Manifest:
    """A model server without a model: it takes ``load_s`` to load and ``work_ms`` for each request."""
    manifest = a_model("embed", namespace, name=name, **spec)
    server, container = manifest["spec"]["server"], manifest["spec"]["template"]["spec"]["containers"][0]
    manifest["spec"]["capacity"] = {"requestsPerSecond": str(round(1000 / (work_ms + 2), 1))}
    server |= {"modelName": name, "ports": [port for port in server["ports"] if port["role"] != "GRPC"]}
    container |= {
        "name": "standin",
        "image": "lull/standin:dev",
        "env": [{"name": name, "value": value} for name, value in _standin(name, load_s, work_ms).items()],
        "ports": [port for port in container["ports"] if port["name"] != "grpc"],
        "resources": {"requests": {"cpu": "5m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
    }
    del container["volumeMounts"], manifest["spec"]["template"]["spec"]["volumes"]
    return manifest


def _standin(name: str, load_s: float, work_ms: int) -> dict[str, str]:
    return {"MODEL": name, "LOAD_S": f"{load_s:g}", "WORK_MS": str(work_ms), "SLOTS": "1"}


def a_deployment(example: str, namespace: str, name: str, *, pause_ms: int) -> tuple[Manifest, Manifest]:
    """The same server as a Deployment and a Service of somebody else's, as they are before anyone has heard of Lull."""
    spec = a_model(example, namespace, pause_ms=pause_ms)["spec"]
    template = copy.deepcopy(spec["template"])
    labels = {"app": name}
    template["metadata"]["labels"] = labels
    http = next(port["port"] for port in spec["server"]["ports"] if port["role"] == "HTTP")
    container = template["spec"]["containers"][0]
    container["readinessProbe"] = {"httpGet": {"path": "/v2/health/ready", "port": http}, "periodSeconds": 2}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": labels, "ports": [{"name": "http", "port": http}]},
    }
    return deployment, service


def adopting(
    example: str, namespace: str, target: str, *, name: str | None = None, pause_ms: int, **spec: Any
) -> Manifest:
    """An InferenceDeployment that adopts a Deployment."""
    manifest = a_model(example, namespace, name=name or target, pause_ms=pause_ms)
    body = manifest["spec"]
    del body["template"], body["server"]["ports"]
    body |= {"scaleTargetRef": {"kind": "Deployment", "name": target}, "serviceRef": {"name": target}, **spec}
    return manifest


def pace(template: Mapping[str, Any], pause_ms: int) -> None:
    """Sets how long a request takes."""
    for variable in template["spec"]["containers"][0]["env"]:
        if variable["name"] == "PAUSE_MS":
            variable["value"] = str(pause_ms)
