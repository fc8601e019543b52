"""What Lull rests on goes away and comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eventually import eventually, steadily
from kube import OPERATORS, apply, condition, events, kubectl, replicas, status
from load import Target, finish, level, start
from models import a_model


@pytest.fixture
def prometheus_goes() -> Iterator[None]:
    """Whatever the story does to Prometheus, it is there again afterwards."""
    yield
    kubectl("-n", "monitoring", "scale", "deploy/prometheus", "--replicas=1")
    kubectl("-n", "monitoring", "rollout", "status", "deploy/prometheus", "--timeout=120s", timeout_s=130)


def test_an_operator_killed_while_it_scales_finishes_what_it_began(namespace: str) -> None:
    apply(a_model("embed", namespace, behavior={"scaleDown": {"stabilizationWindowSeconds": 20}}))
    eventually(lambda: status("embed", namespace).get("replicas", {}).get("ready"), within_s=90)

    start(namespace, Target("embed", "embed", [*level(80, 50), *level(2, 60)]))
    eventually(lambda: replicas("embed", namespace), lambda n: n >= 2, within_s=45)
    kubectl("-n", "lull-system", "delete", "pod", "-l", OPERATORS, "--grace-period=0", "--force")
    eventually(lambda: replicas("embed", namespace), lambda n: n >= 3, within_s=45)
    outcome = finish(namespace, within_s=180)

    assert outcome.lost == 0, outcome.summary["total"]
    eventually(lambda: replicas("embed", namespace), lambda n: n == 1, within_s=90)


@pytest.mark.usefixtures("prometheus_goes")
def test_without_prometheus_the_size_is_held_and_with_it_planning_goes_on(namespace: str) -> None:
    """The load falls to nothing while nobody measures it: silence takes no replica away."""
    apply(a_model("embed", namespace, behavior={"scaleDown": {"stabilizationWindowSeconds": 10}}))
    eventually(lambda: status("embed", namespace).get("replicas", {}).get("ready"), within_s=90)
    start(namespace, Target("embed", "embed", level(70, 40)))
    eventually(lambda: status("embed", namespace)["replicas"]["ready"], lambda n: n >= 3, within_s=60)
    size = replicas("embed", namespace)

    kubectl("-n", "monitoring", "scale", "deploy/prometheus", "--replicas=0")
    silent = eventually(
        lambda: condition("embed", namespace, "MetricsAvailable"), lambda c: c["status"] == "False", within_s=30
    )
    assert silent["reason"] == "PrometheusUnreachable"
    assert "last known less than a minute ago" in silent["message"]
    outcome = finish(namespace, within_s=120)
    assert outcome.lost == 0
    steadily(lambda: replicas("embed", namespace), lambda n: n >= size, for_s=30, every_s=2.0)
    assert status("embed", namespace)["decision"]["reason"] == "PrometheusUnreachable"

    kubectl("-n", "monitoring", "scale", "deploy/prometheus", "--replicas=1")
    back = eventually(
        lambda: condition("embed", namespace, "MetricsAvailable"), lambda c: c["status"] == "True", within_s=90
    )
    assert back["reason"] == "SignalsComplete"
    eventually(lambda: replicas("embed", namespace), lambda n: n == 1, within_s=60)
    told = [event["reason"] for event in events("embed", namespace) if event["message"].startswith("MetricsAvailable")]
    assert told[0] == "PrometheusUnreachable"
    assert told[-1] == "SignalsComplete"
    assert len(told) <= 4, "told on change only"


def test_a_model_name_that_no_server_counts_is_no_idleness(namespace: str) -> None:
    """A typing mistake would otherwise read as zero requests."""
    model = a_model("embed", namespace, name="mistyped", minReplicas=1)
    model["spec"]["server"]["modelName"] = "embedd"
    model["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = {
        "httpGet": {"path": "/v2/models/embed/ready", "port": 8000}
    }
    apply(model)

    unknown = eventually(
        lambda: condition("mistyped", namespace, "MetricsAvailable"),
        lambda c: "embedd" in c.get("message", ""),
        within_s=90,
    )

    assert (unknown["status"], unknown["reason"]) == ("False", "NoData")
    assert "they count: embed" in unknown["message"]
