"""What keeps pods from starting, as the cluster tells it."""

from __future__ import annotations

from typing import Any

import pytest

from bodies import READY_AT, a_deployment, a_pod
from lull.adapters.objects import read_pod, read_workload
from lull.model.hindrance import Hindrance, Obstacle

READY_AT_S = 1767225600.0
NO_NODE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
    "lastTransitionTime": READY_AT,
}


def waiting(reason: str, message: str | None = None) -> dict[str, Any]:
    return {"name": "server", "state": {"waiting": {"reason": reason} | ({"message": message} if message else {})}}


def a_starting_pod(**status: Any) -> dict[str, Any]:
    body = a_pod(ready=False, phase="Pending")
    return body | {"status": body["status"] | status}


def test_a_pod_without_a_node_says_so_and_since_when() -> None:
    found = read_pod(a_starting_pod(conditions=[NO_NODE])).hindrance
    assert found == Hindrance(Obstacle.NODE, str(NO_NODE["message"]), READY_AT_S)


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({}, id="nothing told"),
        pytest.param({"conditions": [NO_NODE | {"status": "True"}]}, id="scheduled"),
        pytest.param({"conditions": [NO_NODE | {"reason": "SchedulingGated"}]}, id="held back on purpose"),
        pytest.param({"conditions": [NO_NODE], "nominatedNodeName": "node-a"}, id="others make room for it"),
        pytest.param({"containerStatuses": [waiting("ContainerCreating")]}, id="being made"),
        pytest.param({"containerStatuses": [waiting("CrashLoopBackOff")]}, id="it crashes, and may not tomorrow"),
        pytest.param({"containerStatuses": [{"name": "server", "state": None}]}, id="no state"),
        pytest.param({"containerStatuses": None, "conditions": None}, id="nulls"),
    ],
)
def test_a_pod_that_may_still_start_is_not_hindered(status: dict[str, Any]) -> None:
    assert read_pod(a_starting_pod(**status)).hindrance is None


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"])
@pytest.mark.parametrize("kind", ["containerStatuses", "initContainerStatuses"])
def test_an_image_that_cannot_be_had_hinders_whatever_container_it_is_of(reason: str, kind: str) -> None:
    said = read_pod(a_starting_pod(**{kind: [waiting(reason, "not found")]})).hindrance
    assert said == Hindrance(Obstacle.IMAGE, "not found")
    mute = read_pod(a_starting_pod(**{kind: [waiting(reason)]})).hindrance
    assert mute == Hindrance(Obstacle.IMAGE, reason)


@pytest.mark.parametrize(
    ("body", "may_come"),
    [
        pytest.param(a_starting_pod(), True, id="pending"),
        pytest.param(a_pod(ready=False), True, id="running, not ready"),
        pytest.param(a_pod(), False, id="ready"),
        pytest.param(a_pod(ready=False, leaving=True), False, id="on its way out"),
        pytest.param(a_pod(ready=False, phase="Failed"), False, id="failed"),
    ],
)
def test_who_may_yet_become_ready(body: dict[str, Any], may_come: bool) -> None:
    assert read_pod(body).is_attempt is may_come


def test_a_workload_tells_why_its_pods_are_refused() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: gpus"}
    other = {"type": "Available", "status": "True"}
    assert read_workload(a_deployment(status={"conditions": [other, failure]})).refusal == "exceeded quota: gpus"
    assert read_workload(a_deployment(status={"conditions": [failure | {"status": "False"}]})).refusal is None
    assert read_workload(a_deployment(status={"conditions": [other]})).refusal is None
    assert read_workload(a_deployment()).refusal is None
