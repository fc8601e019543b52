"""Workloads that Lull did not make: it writes their scale and nothing else, and yields to whoever else does."""

from __future__ import annotations

import json

from eventually import eventually, steadily
from kube import apply, condition, events, get, kubectl, replicas, status
from load import Target, finish, level, start
from models import a_deployment, adopting


def test_an_adopted_deployment_is_scaled_and_otherwise_left_alone(namespace: str) -> None:
    deployment, service = a_deployment("embed", namespace, "legacy", pause_ms=100)
    apply(deployment, service, adopting("embed", namespace, "legacy", pause_ms=100))
    eventually(lambda: condition("legacy", namespace, "Ready").get("status"), lambda s: s == "True", within_s=90)

    start(namespace, Target("embed", "legacy", level(25, 45)))
    eventually(lambda: replicas("legacy", namespace), lambda n: n >= 3, within_s=60)
    outcome = finish(namespace, within_s=120)

    assert outcome.requests > 900
    live = json.loads(kubectl("-n", namespace, "get", "deploy", "legacy", "-o", "json", "--show-managed-fields"))
    mine = [entry for entry in live["metadata"]["managedFields"] if entry["manager"] == "lull"]
    assert [(entry["subresource"], entry["fieldsV1"]) for entry in mine] == [("scale", {"f:spec": {"f:replicas": {}}})]
    assert live["spec"]["template"]["spec"].get("terminationGracePeriodSeconds") == 30, "the template is not ours"
    drain = condition("legacy", namespace, "DrainMissing")
    assert (drain["status"], drain["reason"]) == ("True", "NoPreStop")
    assert "NoPreStop" in [event["reason"] for event in events("legacy", namespace)]


def test_of_two_on_one_target_the_oldest_scales_and_the_other_says_so(namespace: str) -> None:
    deployment, service = a_deployment("embed", namespace, "shared", pause_ms=100)
    apply(deployment, service, adopting("embed", namespace, "shared", name="first", pause_ms=100))
    eventually(lambda: status("first", namespace).get("decision"), within_s=60)
    apply(adopting("embed", namespace, "shared", name="second", pause_ms=100, minReplicas=3))

    second = eventually(lambda: condition("second", namespace, "ScalingActive"), within_s=30)

    assert (second["status"], second["reason"]) == ("False", "TargetTaken")
    assert f"{namespace}/first" in second["message"]
    assert condition("first", namespace, "ScalingActive")["reason"] == "Enforcing"
    steadily(lambda: replicas("shared", namespace), lambda n: n == 1, for_s=8)
    kubectl("-n", namespace, "delete", "infd", "first")
    eventually(lambda: replicas("shared", namespace), lambda n: n == 3, within_s=30)


def test_lull_yields_to_an_hpa_and_takes_over_when_it_is_gone(namespace: str) -> None:
    deployment, service = a_deployment("embed", namespace, "contended", pause_ms=100)
    apply(deployment, service)
    kubectl("-n", namespace, "autoscale", "deployment", "contended", "--min=2", "--max=5", "--cpu=80%")
    apply(adopting("embed", namespace, "contended", pause_ms=100))

    refused = eventually(lambda: condition("contended", namespace, "ScalingActive"), within_s=60)
    assert (refused["status"], refused["reason"]) == ("False", "TargetContended")
    assert "HorizontalPodAutoscaler/contended" in refused["message"]
    kubectl("-n", namespace, "patch", "infd", "contended", "--type=merge", "-p", '{"spec": {"mode": "Recommend"}}')
    beside = eventually(
        lambda: condition("contended", namespace, "ScalingActive"), lambda c: c["reason"] == "Recommending", within_s=30
    )
    assert "beside HorizontalPodAutoscaler/contended" in beside["message"]
    kubectl("-n", namespace, "patch", "infd", "contended", "--type=merge", "-p", '{"spec": {"mode": "Enforce"}}')
    kubectl("-n", namespace, "delete", "hpa", "contended")
    eventually(
        lambda: condition("contended", namespace, "ScalingActive")["reason"], lambda r: r == "Enforcing", within_s=30
    )


def test_a_target_that_is_not_there_or_whose_service_is_not_is_named(namespace: str) -> None:
    deployment, _ = a_deployment("embed", namespace, "half", pause_ms=100)
    apply(
        deployment,
        adopting("embed", namespace, "half", pause_ms=100),
        adopting("embed", namespace, "nowhere", pause_ms=100),
        adopting(
            "embed",
            namespace,
            "odd",
            pause_ms=100,
            scaleTargetRef={"apiVersion": "v1", "kind": "ConfigMap", "name": "x"},
        ),
    )
    half = eventually(
        lambda: condition("half", namespace, "Ready"), lambda c: c.get("reason") == "ServiceNotFound", within_s=60
    )
    nowhere = eventually(lambda: condition("nowhere", namespace, "Ready"), within_s=30)
    odd = eventually(lambda: condition("odd", namespace, "Ready"), within_s=30)

    assert "'half'" in half["message"]
    assert nowhere["reason"] == odd["reason"] == "TargetNotFound"
    assert "Deployment/nowhere" in nowhere["message"]
    assert "no scale subresource" in odd["message"]
    assert get("deploy", "half", namespace)["spec"]["replicas"] == 1


def test_a_stateful_set_is_scaled_too(namespace: str) -> None:
    deployment, service = a_deployment("embed", namespace, "ordered", pause_ms=100)
    stateful = {**deployment, "kind": "StatefulSet", "spec": {**deployment["spec"], "serviceName": "ordered"}}
    adopter = adopting(
        "embed",
        namespace,
        "ordered",
        pause_ms=100,
        minReplicas=2,
        scaleTargetRef={"kind": "StatefulSet", "name": "ordered"},
    )
    apply(stateful, service, adopter)
    eventually(lambda: replicas("ordered", namespace, "statefulset"), lambda n: n == 2, within_s=60)
