"""Sizes are read and written through the scale subresource, and only where the decision still fits."""

from __future__ import annotations

from typing import Any

import pytest

from bodies import a_deployment
from builders import a_decision, a_model
from fake_cluster import DEPLOYMENTS, FakeCluster, refused
from loopback import Reply, as_json
from lull.adapters.snapshot import ForeignScale
from lull.model.fleet import Fault
from lull.model.reason import Reason
from lull.model.spec import InferenceDeployment, Key
from lull.runtime.scaler import Scaler

SCALE = f"{DEPLOYMENTS}/chat/scale"
ARGO = "/apis/argoproj.io/v1alpha1"
ROLLOUT = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "chat"}


def scaled(cluster: FakeCluster, before: int, after: int, model: InferenceDeployment | None = None) -> Fault | None:
    return cluster.do(lambda api: Scaler(api).scale(model or a_model(), a_decision(before, after)))


def size_of(cluster: FakeCluster) -> int:
    return int(cluster.objects[f"{DEPLOYMENTS}/chat"]["spec"]["replicas"])


def test_a_decision_is_carried_out() -> None:
    cluster = FakeCluster().has(DEPLOYMENTS, a_deployment(replicas=2))
    assert scaled(cluster, 2, 5) is None
    assert size_of(cluster) == 5
    assert cluster.writes() == [("PATCH", SCALE)]


def test_a_size_that_changed_meanwhile_is_left_as_it_is() -> None:
    cluster = FakeCluster().has(DEPLOYMENTS, a_deployment(replicas=9))
    fault = scaled(cluster, 2, 5)
    assert fault is not None
    assert fault.reason is Reason.TARGET_CHANGED
    assert "changed" in fault.message
    assert size_of(cluster) == 9
    assert cluster.writes() == []


def test_a_size_that_changes_between_look_and_write_is_left_as_it_is() -> None:
    """The write names the version that was looked at."""
    cluster = FakeCluster().has(DEPLOYMENTS, a_deployment(replicas=2))
    answer = cluster.answer

    def with_a_rival(request: Any) -> Reply:
        reply = answer(request)
        if request.verb == "GET":
            body = cluster.objects[f"{DEPLOYMENTS}/chat"]
            body["spec"]["replicas"], body["metadata"]["resourceVersion"] = 9, "900"
        return reply

    cluster.answer = with_a_rival  # type: ignore[method-assign]
    fault = scaled(cluster, 2, 5)
    assert fault is not None
    assert fault.reason is Reason.TARGET_CHANGED
    assert size_of(cluster) == 9


@pytest.mark.parametrize("status", [403, 404, 422])
def test_a_refusal_is_told_in_the_api_servers_words(status: int) -> None:
    cluster = FakeCluster().has(DEPLOYMENTS, a_deployment(replicas=2))
    cluster.refusals["PATCH", SCALE] = refused(status, "the words")
    fault = scaled(cluster, 2, 5)
    assert fault is not None
    assert fault.reason is Reason.SCALE_REFUSED
    assert "the words" in fault.message


def test_a_silent_api_server_is_told_as_such() -> None:
    cluster = FakeCluster().has(DEPLOYMENTS, a_deployment(replicas=2))
    cluster.refusals["PATCH", SCALE] = Reply(b"{", length=900)
    fault = scaled(cluster, 2, 5)
    assert fault is not None
    assert fault.reason is Reason.API_UNREACHABLE


# Kinds that are not watched.


def rollouts(*resources: tuple[str, str]) -> FakeCluster:
    """A cluster that knows Rollouts, or what it is said to know in their place."""
    found = [{"name": name, "kind": kind} for name, kind in resources]
    cluster = FakeCluster().has(f"{ARGO}/namespaces/demo/rollouts", a_deployment(replicas=4))
    cluster.refusals["GET", ARGO] = as_json({"resources": found})
    return cluster


def read(cluster: FakeCluster, *models: InferenceDeployment, times: int = 1) -> dict[Key, ForeignScale]:
    async def several(api: Any) -> dict[Key, ForeignScale]:
        scaler = Scaler(api)
        for _ in range(times):
            found = await scaler.read_foreign(list(models))
        return found

    return cluster.do(several)


KNOWN = (("rollouts/status", "Rollout"), ("rollouts", "Rollout"), ("rollouts/scale", "Scale"))


def test_the_scale_of_a_foreign_kind_is_read() -> None:
    model = a_model(scaleTargetRef=ROLLOUT)
    assert read(rollouts(*KNOWN), model) == {model.key: ForeignScale(4, "app=chat")}


def test_a_foreign_kind_is_scaled_like_any_other() -> None:
    cluster = rollouts(*KNOWN)
    assert scaled(cluster, 4, 6, a_model(scaleTargetRef=ROLLOUT)) is None
    assert cluster.writes() == [("PATCH", f"{ARGO}/namespaces/demo/rollouts/chat/scale")]


def test_kinds_are_looked_up_once() -> None:
    cluster = rollouts(*KNOWN)
    read(cluster, a_model(scaleTargetRef=ROLLOUT), times=3)
    assert [request.path for request in cluster.sent].count(ARGO) == 1


@pytest.mark.parametrize(
    "resources",
    [
        pytest.param((), id="no such kind"),
        pytest.param((("rollouts", "Rollout"),), id="a kind that cannot be scaled"),
        pytest.param((("others", "Other"), ("others/scale", "Scale")), id="another kind that can"),
    ],
)
def test_a_target_that_cannot_be_read_is_left_out(resources: tuple[tuple[str, str], ...]) -> None:
    assert read(rollouts(*resources), a_model(scaleTargetRef=ROLLOUT)) == {}


def test_one_that_cannot_be_read_leaves_the_others() -> None:
    there, gone = (a_model(name, scaleTargetRef=ROLLOUT | {"name": name}) for name in ("chat", "gone"))
    assert set(read(rollouts(*KNOWN), there, gone)) == {there.key}


def test_watched_kinds_are_not_read() -> None:
    cluster = FakeCluster()
    assert read(cluster, a_model(), a_model("x", scaleTargetRef={"kind": "StatefulSet", "name": "x"})) == {}
    assert cluster.sent == []
