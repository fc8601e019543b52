"""What the API server refuses, Lull never sees: each refusal names the field and the mend."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from kube import KubectlError, apply, kubectl
from models import a_model

Change = Callable[[dict[str, Any]], object]


def setting(path: str, value: Any) -> Change:
    """Sets a field, by its path under spec; None takes it away."""

    def change(spec: Any) -> None:
        *way, last = path.split(".")
        for step in way:
            spec = spec[int(step)] if isinstance(spec, list) else spec.setdefault(step, {})
        if value is None:
            spec.pop(last)
        else:
            spec[last] = value

    return change


def several(*changes: Change) -> Change:
    def change(spec: Any) -> None:
        for one in changes:
            one(spec)

    return change


BAD = {
    "no server": (setting("server", None), ["spec.server", "Required"]),
    "no objective": (setting("slo.objectives", []), ["spec.slo.objectives", "at least 1"]),
    "objective of tokens of another server": (
        setting("slo.objectives.0.metric", "TimeToFirstToken"),
        ["spec.slo.objectives", "vllm or sglang"],
    ),
    "both capacities": (setting("capacity.concurrency", 4), ["at most one of spec.capacity.requestsPerSecond"]),
    "no capacity of a generic server": (
        several(
            setting("capacity", None),
            setting("server", {"runtime": "generic", "queries": {"requestsPerSecond": "x"}}),
            setting("server.ports", [{"name": "http", "port": 8000, "role": "HTTP"}]),
        ),
        ["state spec.capacity.requestsPerSecond"],
    ),
    "capacity of zero": (setting("capacity.requestsPerSecond", "0"), ["greater than 0"]),
    "capacity below zero": (setting("capacity.requestsPerSecond", -3), ["greater than 0"]),
    "capacity in words": (setting("capacity.requestsPerSecond", "forty"), ["such as 40"]),
    "concurrency of zero": (
        setting("capacity", {"concurrency": 0}),
        ["spec.capacity.concurrency", "greater than or equal to 1"],
    ),
    "concurrency of a generic server": (
        several(
            setting("capacity", {"concurrency": 4}),
            setting("server", {"runtime": "generic", "queries": {"requestsPerSecond": "x"}}),
            setting("server.ports", [{"name": "http", "port": 8000, "role": "HTTP"}]),
        ),
        ["spec.capacity.concurrency", "state spec.capacity.requestsPerSecond"],
    ),
    "no most": (setting("maxReplicas", None), ["spec.maxReplicas", "Required"]),
    "fewest above most": (setting("minReplicas", 9), ["spec.minReplicas must not be greater than spec.maxReplicas"]),
    "fewest of zero": (setting("minReplicas", 0), ["spec.minReplicas", "greater than or equal to 1"]),
    "unknown mode": (setting("mode", "Auto"), ["spec.mode", "Recommend", "Enforce", "Paused"]),
    "unknown runtime": (
        setting("server.runtime", "tensorflow"),
        ["spec.server.runtime", "triton", "mlserver", "generic"],
    ),
    "known runtime without a model": (setting("server.modelName", None), ["spec.server.modelName is required"]),
    "queries of a known runtime": (
        setting("server.queries", {"requestsPerSecond": "x"}),
        ["spec.server.queries", "generic"],
    ),
    "generic without queries": (setting("server.runtime", "generic"), ["spec.server.queries is required"]),
    "no port to serve": (
        setting("server.ports", [{"name": "metrics", "port": 8002, "role": "Metrics"}]),
        ["role HTTP or GRPC"],
    ),
    "port out of range": (setting("server.ports.0.port", 70000), ["spec.server.ports[0].port", "65535"]),
    "two ports of a name": (
        setting(
            "server.ports", [{"name": "http", "port": 1, "role": "HTTP"}, {"name": "http", "port": 2, "role": "HTTP"}]
        ),
        ["spec.server.ports", "Duplicate"],
    ),
    "unknown role": (setting("server.ports.0.role", "REST"), ["spec.server.ports[0].role", "HTTP"]),
    "threshold without a unit": (setting("slo.objectives.0.threshold", "800"), ["threshold"]),
    "threshold of nothing": (setting("slo.objectives.0.threshold", "0ms"), ["between 1ms and 1h"]),
    "threshold of a day": (setting("slo.objectives.0.threshold", "24h"), ["between 1ms and 1h"]),
    "percentile of everything": (setting("slo.objectives.0.percentile", "100"), ["percentile"]),
    "percentile as a number": (setting("slo.objectives.0.percentile", 95), ["percentile", "string"]),
    "unknown objective": (setting("slo.objectives.0.metric", "Throughput"), ["metric", "Latency"]),
    "no cold start at all": (setting("slo.coldStartShare", "0"), ["coldStartShare must be", "scaleToZero Off"]),
    "more cold starts than requests": (setting("slo.coldStartShare", 2), ["coldStartShare must be a number"]),
    "negative window": (setting("behavior.scaleDown.stabilizationWindowSeconds", -1), ["stabilizationWindowSeconds"]),
    "endless window": (setting("behavior.scaleDown.stabilizationWindowSeconds", 7200), ["3600"]),
    "tolerance of all": (
        setting("behavior.scaleDown.tolerance", "1.5"),
        ["tolerance must be a number from 0 to below 1"],
    ),
    "policy of an unknown type": (
        setting("behavior.scaleUp.policies", [{"type": "Nodes", "value": 1, "periodSeconds": 10}]),
        ["policies[0].type", "Percent"],
    ),
    "policy without a period": (
        setting("behavior.scaleUp.policies", [{"type": "Pods", "value": 1}]),
        ["policies[0].periodSeconds", "Required"],
    ),
    "neither template nor target": (setting("template", None), ["exactly one of spec.template", "spec.scaleTargetRef"]),
    "both template and target": (
        setting("scaleTargetRef", {"kind": "Deployment", "name": "x"}),
        ["exactly one of spec.template"],
    ),
    "target of no kind": (setting("scaleTargetRef", {"name": "x"}), ["spec.scaleTargetRef.kind", "Required"]),
    "template without containers": (setting("template.spec.containers", []), ["containers", "at least 1"]),
    "container without an image": (setting("template.spec.containers", [{"name": "x"}]), ["image", "Required"]),
    "our selector label": (
        setting("template.metadata.labels", {"lull.dev/model": "other"}),
        ["must not set lull.dev/model"],
    ),
    "unknown way to sleep": (setting("scaleToZero.mode", "Auto"), ["spec.scaleToZero.mode", "Recommend", "Enforce"]),
    "asleep in the pod of a server that cannot": (
        setting("scaleToZero.doze", "Enforce"),
        ["spec.scaleToZero.doze needs spec.server.runtime vllm"],
    ),
    "unknown way to sleep in the pod": (setting("scaleToZero.doze", "Deep"), ["spec.scaleToZero.doze", "Recommend"]),
    "our label of who is awake": (
        setting("template.metadata.labels", {"lull.dev/awake": "true"}),
        ["must not set lull.dev/awake"],
    ),
    "asleep in no time": (setting("scaleToZero.idle", "5s"), ["spec.scaleToZero.idle must lie between 10s and 168h"]),
    "idle in words": (setting("scaleToZero.idle", "soon"), ["spec.scaleToZero.idle"]),
    "held for too long": (
        setting("scaleToZero.holdTimeout", "16m"),
        ["spec.scaleToZero.holdTimeout must lie between 1s and 15m"],
    ),
    "nobody held": (setting("scaleToZero.maxHeld", 0), ["spec.scaleToZero.maxHeld", "greater than or equal to 1"]),
    "ignored path that is none": (setting("scaleToZero.ignore.paths", ["metrics"]), ["spec.scaleToZero.ignore.paths"]),
    "too much ignored": (
        setting("scaleToZero.ignore.userAgents", [f"agent-{i}" for i in range(33)]),
        ["spec.scaleToZero.ignore.userAgents", "32"],
    ),
    "unknown field": (setting("consolidation", {"mode": "Enforce"}), ["unknown field", "spec.consolidation"]),
}


@pytest.mark.parametrize("case", BAD, ids=[name.replace(" ", "-") for name in BAD])
def test_a_bad_manifest_is_refused_with_the_field_and_the_mend(lull: None, case: str) -> None:
    change, told = BAD[case]
    manifest = a_model("embed", "default")
    change(manifest["spec"])

    with pytest.raises(KubectlError) as refusal:
        kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(manifest))

    for part in told:
        assert part in str(refusal.value)


@pytest.mark.parametrize("capacity", [None, {}], ids=["no-capacity", "empty-capacity"])
def test_a_capacity_may_be_left_to_be_learned(lull: None, capacity: dict[str, Any] | None) -> None:
    manifest = a_model("embed", "default")
    setting("capacity", capacity)(manifest["spec"])

    kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(manifest))


def test_template_and_target_cannot_replace_each_other(namespace: str) -> None:
    """The Deployment made from the template would be left behind without an owner."""
    apply(a_model("embed", namespace))
    adopted = a_model("embed", namespace, template=None, scaleTargetRef={"kind": "Deployment", "name": "x"})
    del adopted["spec"]["server"]["ports"]

    with pytest.raises(KubectlError, match="cannot replace each other"):
        kubectl("replace", "-f", "-", stdin=json.dumps(adopted))


def test_a_name_that_no_service_could_have_is_refused(lull: None) -> None:
    with pytest.raises(KubectlError, match=r"metadata\.name"):
        kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(a_model("embed", "default", name="a" * 64)))
