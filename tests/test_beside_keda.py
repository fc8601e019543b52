"""What KEDA is told to scale in the comparison: the same servers as Lull's, by a metric that forgets no request."""

from __future__ import annotations

import re

import numpy as np
import pytest

from cycles import bursts
from demo.job import load_objects
from keda import DEFAULTS, SCRAPE_S, Manifest, Pace, is_ready, scaled_object, twin

PACES = [DEFAULTS, Pace(polling_s=2, cooldown_s=10)]


def a_pair() -> tuple[Manifest, Manifest]:
    """A Deployment and a Service as the API server tells them of Lull's."""
    labels = {"lull.dev/model": "m00"}
    template = {
        "metadata": {"labels": dict(labels), "annotations": {"prometheus.io/scrape": "true"}},
        "spec": {"containers": [{"name": "standin", "readinessProbe": {"periodSeconds": 2}}]},
    }
    metadata = {"name": "m00", "namespace": "lull", "resourceVersion": "7", "ownerReferences": [{"name": "m00"}]}
    deployment = {
        "metadata": metadata,
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "strategy": {"type": "X"}, "template": template},
    }
    ports = [{"name": "http", "port": 8000, "targetPort": 8000, "protocol": "TCP", "nodePort": 31000}]
    return deployment, {"metadata": metadata, "spec": {"selector": labels, "ports": ports, "clusterIP": "10.0.0.1"}}


def test_a_twin_has_the_same_pods_and_is_nobodys() -> None:
    theirs, service = a_pair()
    deployment, at = twin(theirs, service, "keda")

    assert deployment["spec"]["template"]["spec"] == theirs["spec"]["template"]["spec"]
    assert deployment["spec"]["replicas"] == 0
    assert deployment["metadata"] == at["metadata"] == {"name": "m00", "namespace": "keda"}
    assert "lull.dev" not in str(deployment)
    assert "lull.dev" not in str(at)


def test_a_twins_service_finds_its_pods_at_the_same_ports() -> None:
    theirs, service = a_pair()
    deployment, at = twin(theirs, service, "keda")

    assert at["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == at["spec"]["selector"]
    assert at["spec"]["ports"] == [{"name": "http", "port": 8000, "targetPort": 8000}]


@pytest.mark.parametrize("pace", PACES)
def test_no_request_is_sent_and_forgotten_between_two_polls(pace: Pace) -> None:
    spec = scaled_object("m00", "keda", pace, most=2, rps=50.0)["spec"]
    (trigger,) = spec["triggers"]
    window = re.search(r"\[(\d+)s\]", trigger["metadata"]["query"])

    assert window is not None
    assert spec["pollingInterval"] == pace.polling_s
    assert spec["cooldownPeriod"] == pace.cooldown_s
    assert int(window[1]) >= spec["pollingInterval"] + 2 * SCRAPE_S


def test_all_that_a_scaler_reads_is_text() -> None:
    (trigger,) = scaled_object("m00", "keda", DEFAULTS, most=2, rps=50.0)["spec"]["triggers"]

    assert all(isinstance(value, str) for value in trigger["metadata"].values())


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        ({}, False),
        ({"conditions": [{"type": "Ready", "status": "Unknown"}]}, False),
        ({"conditions": [{"type": "Active", "status": "True"}]}, False),
        ({"conditions": [{"type": "Active", "status": "False"}, {"type": "Ready", "status": "True"}]}, True),
    ],
)
def test_a_scaled_object_is_in_hand_once_its_condition_says_so(status: Manifest, ready: bool) -> None:
    assert is_ready({"status": status}) is ready


def test_a_sender_with_a_port_asks_to_be_scraped_and_another_does_not() -> None:
    target = {"rates_rps": [1.0]}

    def annotations(plan: Manifest) -> Manifest:
        _, job = load_objects("n", {"step_s": 1.0, "targets": [target], **plan})
        found: Manifest = job["spec"]["template"]["metadata"]["annotations"]
        return found

    assert annotations({"metrics_port": 9100}) == {"prometheus.io/scrape": "true", "prometheus.io/port": "9100"}
    assert annotations({}) == {}


def test_bursts_last_as_long_as_asked() -> None:
    rates = bursts(20_000, np.random.default_rng(1), quiet_s=(38.0, 70.0), busy_s=(2, 31))
    lengths = [len(run) for run in "".join("x" if rate else " " for rate in rates).split()]

    assert min(lengths) >= 2
    # Two whose silence between them was less than a second would be told as one.
    assert max(lengths) <= 30
    assert max(lengths) > 4
