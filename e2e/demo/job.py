"""The load generator as objects for the API. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "loadgen"
LABELS = {"app.kubernetes.io/name": NAME}

# The last request may take its 30 s, and the pod has to start; a Job beyond that hangs.
SPARE_S = 150


def load_objects(namespace: str, plan: Mapping[str, Any], cpu: str = "300m") -> list[dict[str, Any]]:
    """The plan in a ConfigMap and the Job that runs it once: a second try would send the load twice.

    A late generator sends another load than the one drawn, so it asks for more ``cpu`` than the servers do.
    """
    run_s = int(plan["step_s"] * max(len(target["rates_rps"]) for target in plan["targets"]))
    return [_plan(namespace, plan), _job(namespace, run_s, cpu, _wishes(plan.get("metrics_port")))]


def _plan(namespace: str, plan: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME, "namespace": namespace, "labels": LABELS},
        "data": {"plan.json": json.dumps(plan, separators=(",", ":"))},
    }


def _wishes(metrics_port: int | None) -> dict[str, str]:
    """Annotations by which Prometheus finds the pod, where it tells anything."""
    return {} if metrics_port is None else {"prometheus.io/scrape": "true", "prometheus.io/port": str(metrics_port)}


def _job(namespace: str, run_s: int, cpu: str, annotations: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": NAME, "namespace": namespace, "labels": LABELS},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": run_s + SPARE_S,
            "template": {"metadata": {"labels": LABELS, "annotations": annotations}, "spec": _pod(cpu)},
        },
    }


def _pod(cpu: str) -> dict[str, Any]:
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": NAME,
                "image": "lull/loadgen:dev",
                "imagePullPolicy": "IfNotPresent",
                "args": ["/plan/plan.json"],
                "resources": {"requests": {"cpu": cpu, "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [{"name": "plan", "mountPath": "/plan"}],
            }
        ],
        "volumes": [{"name": "plan", "configMap": {"name": NAME}}],
    }
