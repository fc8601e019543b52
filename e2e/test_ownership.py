"""Objects that Lull owns: made, kept, changed with the spec, gone with it; never somebody else's."""

from __future__ import annotations

import json
from typing import Any

from eventually import eventually, steadily
from kube import apply, condition, exists, get, kubectl, replicas, status
from models import a_deployment, a_model


def test_an_object_of_the_same_name_that_is_not_ours_is_never_touched(namespace: str) -> None:
    deployment, _ = a_deployment("embed", namespace, "embed", pause_ms=100)
    apply(deployment)
    before = get("deploy", "embed", namespace)["metadata"]
    apply(a_model("embed", namespace, minReplicas=2))

    ready = eventually(lambda: condition("embed", namespace, "Ready"), within_s=30)

    # The first thing that is said is already the right one.
    assert (ready["status"], ready["reason"]) == ("False", "ObjectNotOurs")
    assert "spec.scaleTargetRef" in ready["message"]
    steadily(lambda: get("deploy", "embed", namespace)["spec"]["replicas"], lambda n: n == 1, for_s=6)
    assert get("deploy", "embed", namespace)["metadata"]["generation"] == before["generation"]


def test_owned_objects_start_at_minimum_are_mended_follow_the_spec_and_go_with_it(namespace: str) -> None:
    """In Recommend too: a model is served whatever Lull may decide."""
    apply(a_model("embed", namespace, mode="Recommend", minReplicas=2))
    eventually(lambda: replicas("embed", namespace), lambda n: n == 2, within_s=30)
    live = json.loads(kubectl("-n", namespace, "get", "deploy", "embed", "-o", "json", "--show-managed-fields"))
    applied = [e for e in live["metadata"]["managedFields"] if e["manager"] == "lull" and e["operation"] == "Apply"]
    assert len(applied) == 1
    assert "f:replicas" not in applied[0]["fieldsV1"]["f:spec"], "size is written through scale alone"
    pod = live["spec"]["template"]["spec"]
    assert pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] >= 5
    assert pod["containers"][0]["readinessProbe"]["httpGet"]["path"] == "/v2/models/embed/ready"

    kubectl("-n", namespace, "set", "env", "deploy/embed", "PAUSE_MS=1")
    eventually(lambda: _pause(namespace), lambda value: value == "25", within_s=30)

    kubectl("-n", namespace, "delete", "service", "embed")
    eventually(lambda: exists("service", "embed", namespace), within_s=30)

    apply(a_model("embed", namespace, mode="Recommend", minReplicas=2, pause_ms=30))
    eventually(lambda: _pause(namespace), lambda value: value == "30", within_s=30)
    eventually(lambda: status("embed", namespace)["observedGeneration"], lambda n: n == 2, within_s=30)

    kubectl("-n", namespace, "delete", "infd", "embed")
    eventually(
        lambda: exists("deploy", "embed", namespace) or exists("service", "embed", namespace),
        lambda there: not there,
        within_s=60,
    )


def test_a_template_that_the_api_server_refuses_is_told_in_its_words_and_holds_up_nobody(namespace: str) -> None:
    broken = a_model("embed", namespace, name="broken")
    broken["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = "Sometimes"
    odd = a_model("embed", namespace, name="odd")
    odd["spec"]["template"]["spec"]["containers"][0]["ports"] = "8000"
    apply(broken, odd, a_model("embed", namespace, name="healthy"))

    def refusal(name: str) -> dict[str, Any]:
        return eventually(
            lambda: condition(name, namespace, "Ready"), lambda c: c.get("reason") == "TemplateRefused", within_s=30
        )

    refused, shapeless = refusal("broken"), refusal("odd")

    assert "no pod template" in shapeless["message"]
    assert "imagePullPolicy" in refused["message"]
    assert "Sometimes" in refused["message"]
    eventually(lambda: condition("healthy", namespace, "Ready").get("status"), lambda s: s == "True", within_s=90)


def _pause(namespace: str) -> str:
    variables = get("deploy", "embed", namespace)["spec"]["template"]["spec"]["containers"][0]["env"]
    return next(str(variable["value"]) for variable in variables if variable["name"] == "PAUSE_MS")
