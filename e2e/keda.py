"""KEDA on the cluster of the stories: its programs from its Go module, its kinds, and what it is told to scale.

Whoever installs it removes it: ``remove`` leaves nothing of it behind.
"""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventually import eventually
from kube import ENV, KubectlError, kubectl

HERE = Path(__file__).parent
MANIFEST = HERE / "manifests/keda/keda.yaml"
NAMESPACE = "keda"
API_SERVICE = "v1beta1.external.metrics.k8s.io"
PROMETHEUS = "http://prometheus.monitoring:9090"
SCRAPE_S = 2
BUILD_S = 7200.0
"""Its programs compile for seven minutes on two busy cores."""

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Pace:
    """How often KEDA asks for the metric, and how long it has to be zero before the last replica goes."""

    polling_s: int
    cooldown_s: int


DEFAULTS = Pace(polling_s=30, cooldown_s=300)


def scaled_object(name: str, namespace: str, pace: Pace, *, most: int, rps: float) -> Manifest:
    """Scales a Deployment from none to ``most`` by the requests that the load generator sends it.

    Args:
        name: of the Deployment and of the load generator's target.
        namespace: of the Deployment and of the load generator.
        pace: how quickly.
        most: replicas.
        rps: requests per second that one replica is given.
    """
    # Two scrapes more than the time between two polls, or a request could come and be forgotten between them.
    window_s = pace.polling_s + 2 * SCRAPE_S
    sent = f'loadgen_requests_sent_total{{namespace="{namespace}",target="{name}"}}'
    trigger = {
        "serverAddress": PROMETHEUS,
        "query": f"sum(rate({sent}[{window_s}s]))",
        "threshold": f"{rps:g}",
        "activationThreshold": "0",
    }
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"name": name},
            "minReplicaCount": 0,
            "maxReplicaCount": most,
            "pollingInterval": pace.polling_s,
            "cooldownPeriod": pace.cooldown_s,
            "triggers": [{"type": "prometheus", "metadata": trigger}],
        },
    }


def twin(deployment: Mapping[str, Any], service: Mapping[str, Any], namespace: str) -> tuple[Manifest, Manifest]:
    """A Deployment at zero and a Service like Lull's, the probe and the pause included, in another namespace."""
    name = deployment["metadata"]["name"]
    labels = {"app": name}
    theirs = deployment["spec"]
    template = copy.deepcopy(theirs["template"])
    template["metadata"] = {"labels": labels, "annotations": template["metadata"].get("annotations", {})}
    ours = {"replicas": 0, "selector": {"matchLabels": labels}, "strategy": theirs["strategy"], "template": template}
    ports = [
        {key: port[key] for key in ("name", "port", "targetPort", "appProtocol") if key in port}
        for port in service["spec"]["ports"]
    ]
    metadata = {"name": name, "namespace": namespace}
    return (
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": ours},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": labels, "ports": ports}},
    )


def is_ready(scaled: Mapping[str, Any]) -> bool:
    """Whether KEDA has taken a ScaledObject in hand."""
    conditions = scaled.get("status", {}).get("conditions", [])
    return any(told["type"] == "Ready" and told["status"] == "True" for told in conditions)


@contextmanager
def installed() -> Iterator[None]:
    """KEDA on the cluster while it is entered."""
    try:
        install()
        yield
    finally:
        remove()


def install() -> None:
    """Builds it where it is not built, and waits until the HPA controller can read its metrics."""
    _run(HERE / "cluster/images.sh", "keda")
    # One of its kinds is longer than an annotation may be, which kubectl's own apply would need.
    kubectl("apply", "--server-side", "--force-conflicts", "-k", str(_kinds()))
    kubectl("apply", "-f", str(MANIFEST))
    for name in ("keda-operator", "keda-metrics-apiserver"):
        kubectl("-n", NAMESPACE, "rollout", "status", f"deploy/{name}", "--timeout=240s", timeout_s=250.0)
    kubectl("wait", "--for=condition=Available", f"apiservice/{API_SERVICE}", "--timeout=120s", timeout_s=130.0)


def remove() -> None:
    """Takes it away with its kinds, and fails when anything of it remains.

    Objects first, while there is somebody who lets go of them; and the API service before the namespace, which could
    not end while nobody answers for a group of the API.
    """
    if "scaledobjects.keda.sh" in kubectl("get", "crd", "-o", "name"):
        kubectl("delete", "scaledobjects", "-A", "--all", "--wait=false")
        try:
            eventually(_scaled, lambda left: not left, within_s=60)
        except AssertionError:
            _let_go()
    kubectl("delete", "apiservice", API_SERVICE, "--ignore-not-found")
    kubectl("delete", "-f", str(MANIFEST), "--ignore-not-found", timeout_s=300.0)
    kubectl("delete", "-k", str(_kinds()), "--ignore-not-found", timeout_s=180.0)
    eventually(remains, lambda left: not left, within_s=60)


def remains() -> list[str]:
    """What KEDA brought and is still there: its kinds, its namespace, and what belongs to none."""
    everywhere = "crd,apiservice,clusterrole,clusterrolebinding"
    told = kubectl("get", everywhere, "-o", "name") + kubectl("-n", "kube-system", "get", "rolebinding", "-o", "name")
    ours = kubectl("get", "namespace", NAMESPACE, "--ignore-not-found", "-o", "name")
    return [name for name in told.split() if "keda" in name or name.endswith(API_SERVICE)] + ours.split()


def _scaled() -> list[tuple[str, str]]:
    found = json.loads(kubectl("get", "scaledobjects", "-A", "-o", "json"))["items"]
    return [(scaled["metadata"]["namespace"], scaled["metadata"]["name"]) for scaled in found]


def _let_go() -> None:
    """Its finalizer holds an object until KEDA has seen it, which a KEDA that never started does not."""
    for namespace, name in _scaled():
        patch = ("patch", "scaledobject", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        kubectl("-n", namespace, *patch)


def _kinds() -> Path:
    """Folder of its kinds as its module ships them, kept beside its programs."""
    return Path(_run(HERE / "cluster/go-build.sh", "--dir", "keda").strip()) / "crd"


def _run(script: Path, *words: str) -> str:
    done = subprocess.run([str(script), *words], capture_output=True, text=True, env=ENV, timeout=BUILD_S, check=False)
    if done.returncode:
        raise KubectlError(f"{script.name} {' '.join(words)}: {done.stdout[-1000:]}{done.stderr[-3000:]}")
    return done.stdout
