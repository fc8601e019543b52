"""KEDA beside Lull: its ScaledObject is recognised, also when its CRD comes after Lull."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eventually import eventually
from kube import apply, condition, kubectl
from models import a_deployment, adopting

SCALED_OBJECTS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "scaledobjects.keda.sh"},
    "spec": {
        "group": "keda.sh",
        "scope": "Namespaced",
        "names": {
            "kind": "ScaledObject",
            "listKind": "ScaledObjectList",
            "plural": "scaledobjects",
            "singular": "scaledobject",
        },
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


@pytest.fixture
def keda_kinds(lull: None) -> Iterator[None]:
    """KEDA's kind without KEDA: what Lull must see is the object, whoever acts on it."""
    apply(SCALED_OBJECTS)
    kubectl("wait", "--for=condition=Established", "crd/scaledobjects.keda.sh", "--timeout=30s")
    yield
    kubectl("delete", "crd", "scaledobjects.keda.sh")


@pytest.mark.usefixtures("keda_kinds")
def test_lull_yields_to_a_scaled_object(namespace: str) -> None:
    deployment, service = a_deployment("embed", namespace, "queued", pause_ms=100)
    scaled = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "queued", "namespace": namespace},
        "spec": {"scaleTargetRef": {"name": "queued"}},
    }
    apply(deployment, service, scaled, adopting("embed", namespace, "queued", pause_ms=100))

    refused = eventually(
        lambda: condition("queued", namespace, "ScalingActive"),
        lambda c: c.get("reason") == "TargetContended",
        within_s=60,
    )
    assert "ScaledObject/queued" in refused["message"]

    kubectl("-n", namespace, "delete", "scaledobject", "queued")
    eventually(
        lambda: condition("queued", namespace, "ScalingActive")["reason"], lambda r: r == "Enforcing", within_s=30
    )
