"""kubectl for the stories: what a person would type, with errors that say what was typed."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

CONTEXT = f"kind-{os.environ.get('CLUSTER', 'lull')}"
NODE = f"{CONTEXT.removeprefix('kind-')}-control-plane"
"""The machine of the cluster, as Docker knows it."""
CACHE = Path(os.environ.get("LULL_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lull")
ENV = {**os.environ, "PATH": f"{CACHE / 'bin'}:{os.environ['PATH']}"}

OPERATORS = "app.kubernetes.io/name=lull,app.kubernetes.io/component=operator"
"""Selects all replicas of the operator in its namespace."""


class KubectlError(RuntimeError):
    """kubectl said no; the message is what it said."""


def kubectl(*words: str, stdin: str | None = None, timeout_s: float = 120.0) -> str:
    """Runs kubectl on the cluster of the stories."""
    done = subprocess.run(
        ["kubectl", "--context", CONTEXT, *words],
        input=stdin,
        capture_output=True,
        text=True,
        env=ENV,
        timeout=timeout_s,
        check=False,
    )
    if done.returncode:
        raise KubectlError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def get(kind: str, name: str, namespace: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kubectl("-n", namespace, "get", kind, name, "-o", "json"))
    return found


def items(kind: str, namespace: str, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(kubectl("-n", namespace, "get", kind, "-o", "json", *words))["items"]
    return found


def exists(kind: str, name: str, namespace: str) -> bool:
    return bool(kubectl("-n", namespace, "get", kind, name, "--ignore-not-found", "-o", "name").strip())


def apply(*manifests: Mapping[str, Any]) -> None:
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)}))


def status(name: str, namespace: str) -> dict[str, Any]:
    """Status of an InferenceDeployment; empty as long as it has none."""
    found: dict[str, Any] = get("infd", name, namespace).get("status") or {}
    return found


def condition(name: str, namespace: str, kind: str) -> dict[str, Any]:
    """One condition of an InferenceDeployment; empty as long as there is none."""
    conditions = status(name, namespace).get("conditions") or ()
    return next((dict(found) for found in conditions if found["type"] == kind), {})


def replicas(name: str, namespace: str, kind: str = "deployment") -> int:
    found: int = get(kind, name, namespace)["spec"]["replicas"]
    return found


def starts_s(namespace: str) -> list[float]:
    """Seconds from creation to Ready of every Ready pod of models there."""
    found = []
    for pod in items("pods", namespace, "-l", "lull.dev/model"):
        said = {condition["type"]: condition for condition in pod["status"].get("conditions", [])}
        if said.get("Ready", {}).get("status") == "True":
            ready_at = datetime.fromisoformat(said["Ready"]["lastTransitionTime"])
            found.append((ready_at - datetime.fromisoformat(pod["metadata"]["creationTimestamp"])).total_seconds())
    return found


def events(name: str, namespace: str) -> list[dict[str, Any]]:
    """Events about an InferenceDeployment, oldest first."""
    told = items(
        "events", namespace, "--field-selector", f"involvedObject.kind=InferenceDeployment,involvedObject.name={name}"
    )
    return sorted(told, key=lambda event: (event["lastTimestamp"], event["metadata"]["resourceVersion"]))


def leader() -> str:
    """Name of the pod that holds the operators' Lease; empty while nobody does."""
    holder = kubectl("-n", "lull-system", "get", "lease", "lull-operator", "-o", "jsonpath={.spec.holderIdentity}")
    return holder.split("_")[0].strip()


def leader_metrics() -> str:
    """What the leading operator exposes: another one knows of no model."""
    port = kubectl(
        "-n", "lull-system", "get", "service", "lull-metrics", "-o", "jsonpath={.spec.ports[?(@.name=='metrics')].port}"
    )
    return kubectl("get", "--raw", f"/api/v1/namespaces/lull-system/pods/{leader()}:{port}/proxy/metrics")


def operator_logs(tail: int = 200) -> str:
    return kubectl("-n", "lull-system", "logs", "-l", OPERATORS, f"--tail={tail}")


def diagnostics(namespace: str) -> str:
    """Everything a person would ask for first when a story failed."""
    asked = (
        ("-n", namespace, "get", "infd,deploy,pods,svc,hpa", "-o", "wide"),
        ("-n", namespace, "describe", "infd"),
        ("-n", namespace, "get", "events", "--sort-by=.lastTimestamp"),
        ("-n", "lull-system", "get", "pods"),
        ("-n", "lull-system", "logs", "-l", OPERATORS, "--prefix", "--tail=60"),
        ("-n", "monitoring", "get", "pods"),
        ("top", "nodes"),
    )
    parts = []
    for words in asked:
        try:
            answer = kubectl(*words, timeout_s=30.0)
        except (KubectlError, subprocess.TimeoutExpired) as error:
            answer = str(error)
        parts.append(f"$ kubectl {' '.join(words)}\n{answer}")
    return "\n".join(parts)
