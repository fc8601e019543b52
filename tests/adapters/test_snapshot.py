"""The mirror as the planner's snapshot: whose target it is, who else wants it, and what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest

from bodies import a_deployment, a_pod, a_service, an_autoscaler
from builders import a_body, a_spec, an_owned_spec, some_signals
from lull.adapters.mirror import Kind, Mirror
from lull.adapters.snapshot import ForeignScale, is_watched, locate, snapshot_of
from lull.model.fleet import Fault, ModelView, Signals, Snapshot
from lull.model.reason import Reason
from lull.model.spec import InferenceDeployment, Key, parse

CHAT = Key("demo", "chat")


class Cluster:
    """Some objects, and what is made of them."""

    def __init__(self, *models: dict[str, Any]) -> None:
        self.mirror = Mirror(lambda: None, 60.0, clock=lambda: 1000.0)
        for body in models:
            self.mirror.feed(Kind.MODEL, body)

    def has(self, kind: Kind, *bodies: dict[str, Any]) -> Cluster:
        for body in bodies:
            self.mirror.feed(kind, body)
        return self

    def snapshot(
        self,
        foreign: dict[Key, ForeignScale] | None = None,
        signals: dict[Key, Signals] | None = None,
        faults: dict[Key, tuple[Fault, ...]] | None = None,
    ) -> Snapshot:
        models = [model for model in self.mirror.models.values() if isinstance(model, InferenceDeployment)]
        located = {model.key: locate(self.mirror, model, foreign or {}) for model in models}
        return snapshot_of(self.mirror, located, signals or {}, faults or {}, {}, 0.0)

    def view(self, key: Key = CHAT, **seen: Any) -> ModelView:
        return next(view for view in self.snapshot(**seen).models if view.key == key)


def adopting(name: str = "chat", target: str = "chat", kind: str = "Deployment", **rest: Any) -> dict[str, Any]:
    return a_body(name, spec=a_spec(scaleTargetRef={"kind": kind, "name": target}), **rest)


def owning(name: str = "chat", **rest: Any) -> dict[str, Any]:
    return a_body(name, spec=an_owned_spec(), **rest)


# The target.


def test_a_target_is_its_scale_and_its_ready_pods() -> None:
    pods = [
        a_pod("a"),
        a_pod("b"),
        a_pod("c", ready=False),
        a_pod("d", leaving=True),
        a_pod("x", labels={"app": "rank"}),
    ]
    target = Cluster(adopting()).has(Kind.DEPLOYMENT, a_deployment(replicas=5)).has(Kind.POD, *pods).view().target
    assert target is not None
    assert (target.replicas, target.ready) == (5, 2)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_pods_that_have_ended_are_no_pods(phase: str) -> None:
    """An evicted pod stays for days; it neither serves nor drains."""
    cluster = Cluster(adopting()).has(Kind.DEPLOYMENT, a_deployment())
    target = cluster.has(Kind.POD, a_pod("a"), a_pod("b", phase=phase, drains=False)).view().target
    assert target is not None
    assert (target.ready, target.drains) == (1, True)


def test_a_workload_that_is_not_there_is_no_target() -> None:
    assert Cluster(adopting()).view().target is None


def test_a_workload_in_another_namespace_is_not_the_target() -> None:
    assert Cluster(adopting()).has(Kind.DEPLOYMENT, a_deployment(namespace="other")).view().target is None


def test_a_workload_of_another_kind_is_not_the_target() -> None:
    cluster = Cluster(adopting(kind="StatefulSet")).has(Kind.DEPLOYMENT, a_deployment())
    assert cluster.view().target is None
    assert cluster.has(Kind.STATEFUL_SET, a_deployment()).view().target is not None


def test_an_owned_target_belongs_to_its_model() -> None:
    cluster = Cluster(owning()).has(Kind.DEPLOYMENT, a_deployment(owner="uid-demo-chat"))
    assert cluster.view().target is not None


@pytest.mark.parametrize("owner", [None, "somebody-else"])
def test_a_workload_of_an_owned_name_that_is_not_ours_is_not_the_target(owner: str | None) -> None:
    cluster = Cluster(owning()).has(Kind.DEPLOYMENT, a_deployment(owner=owner)).has(Kind.POD, a_pod())
    assert cluster.view().target is None


def test_an_adopted_target_may_belong_to_anybody() -> None:
    """That is what adopting means."""
    assert Cluster(adopting()).has(Kind.DEPLOYMENT, a_deployment(owner="argo")).view().target is not None


@pytest.mark.parametrize(
    ("pods", "drains"),
    [
        pytest.param([a_pod("a"), a_pod("b")], True, id="all pause"),
        pytest.param([a_pod("a"), a_pod("b", drains=False)], False, id="one does not"),
        pytest.param([], True, id="no pods, nothing to complain of"),
    ],
)
def test_a_target_drains_when_all_its_pods_do(pods: list[dict[str, Any]], drains: bool) -> None:
    target = Cluster(adopting()).has(Kind.DEPLOYMENT, a_deployment()).has(Kind.POD, *pods).view().target
    assert target is not None
    assert target.drains is drains


def test_zero_replicas_are_a_target() -> None:
    target = Cluster(adopting()).has(Kind.DEPLOYMENT, a_deployment(replicas=0)).view().target
    assert target is not None
    assert target.replicas == 0


def test_a_pod_that_went_is_located_beside_those_that_are_there() -> None:
    cluster = Cluster(adopting()).has(Kind.DEPLOYMENT, a_deployment()).has(Kind.POD, a_pod("a"), a_pod("b"))
    cluster.mirror.feed(Kind.POD, a_pod("b", version=2), is_gone=True)
    pods = locate(cluster.mirror, parse(adopting()), {}).pods
    assert [pod.key.name for pod in pods.live] == ["a"]
    assert [pod.key.name for pod in pods.gone] == ["b"]


# Targets of kinds that are not watched: known by their scale alone.


def rollout(selector: str = "app=chat") -> tuple[Cluster, dict[Key, ForeignScale]]:
    reference = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "chat"}
    cluster = Cluster(a_body(spec=a_spec(scaleTargetRef=reference)))
    return cluster, {CHAT: ForeignScale(4, selector)}


def test_a_foreign_target_is_what_its_scale_says() -> None:
    cluster, foreign = rollout()
    target = cluster.has(Kind.POD, a_pod("a"), a_pod("x", labels={"app": "rank"})).view(foreign=foreign).target
    assert target is not None
    assert (target.replicas, target.ready) == (4, 1)


def test_a_foreign_target_without_a_scale_is_no_target() -> None:
    cluster, _ = rollout()
    assert cluster.view().target is None


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        pytest.param("app=chat", ["chat", "chat-old"], id="one label"),
        pytest.param("app==chat", ["chat", "chat-old"], id="twice equal"),
        pytest.param("app=chat,tier=front", ["chat"], id="two labels"),
        pytest.param("app=chat, tier!=front", ["chat-old"], id="not equal"),
        pytest.param("app in (chat,rank),tier in (front)", ["chat", "rank"], id="in"),
        pytest.param("app notin (chat)", ["bare", "rank"], id="not in"),
        pytest.param("app=chat,tier", ["chat"], id="present"),
        pytest.param("app=chat,!tier", ["chat-old"], id="absent"),
        pytest.param("lull.dev/model=chat", ["bare"], id="a name with a prefix"),
        pytest.param("", [], id="nothing selects nothing"),
        pytest.param("app=chat,?", [], id="what cannot be read selects nothing"),
        pytest.param("app>3", [], id="an operator that labels do not have"),
    ],
)
def test_selectors_of_scales_select_as_those_of_objects(selector: str, names: list[str]) -> None:
    pods = {
        "chat": {"app": "chat", "tier": "front"},
        "chat-old": {"app": "chat"},
        "rank": {"app": "rank", "tier": "front"},
        "bare": {"lull.dev/model": "chat"},
    }
    cluster, foreign = rollout(selector)
    cluster.has(Kind.POD, *(a_pod(name, labels=labels) for name, labels in pods.items()))
    (model,) = cluster.mirror.models.values()
    assert isinstance(model, InferenceDeployment)
    found = sorted(pod.key.name for pod in locate(cluster.mirror, model, foreign).pods.live)
    assert found == sorted(names)


@pytest.mark.parametrize(
    ("reference", "watched"),
    [
        ({"kind": "Deployment", "name": "x"}, True),
        ({"kind": "StatefulSet", "name": "x", "apiVersion": "apps/v1"}, True),
        ({"kind": "ReplicaSet", "name": "x"}, False),
        ({"kind": "Deployment", "name": "x", "apiVersion": "example.com/v1"}, False),
        ({"kind": "Pod", "name": "x"}, False),
    ],
)
def test_deployments_and_statefulsets_are_watched(reference: dict[str, str], watched: bool) -> None:
    assert is_watched(parse(a_body(spec=a_spec(scaleTargetRef=reference)))) is watched


# Several who want the same target.


def test_the_oldest_of_several_holds_the_target() -> None:
    cluster = Cluster(
        adopting("younger", created="2026-02-01T00:00:00Z"),
        adopting("older", created="2026-01-01T00:00:00Z"),
        adopting("youngest", created="2026-03-01T00:00:00Z"),
    ).has(Kind.DEPLOYMENT, a_deployment())
    holders = {view.key.name: view.holder for view in cluster.snapshot().models}
    older = Key("demo", "older")
    assert holders == {"older": None, "younger": older, "youngest": older}


def test_equal_ages_are_settled_by_name() -> None:
    cluster = Cluster(adopting("b"), adopting("a")).has(Kind.DEPLOYMENT, a_deployment())
    assert {view.key.name: view.holder for view in cluster.snapshot().models} == {"a": None, "b": Key("demo", "a")}


def test_owners_and_adopters_meet_at_one_target() -> None:
    cluster = Cluster(owning("chat", created="2026-02-01T00:00:00Z"), adopting("eager", target="chat"))
    assert cluster.view().holder == Key("demo", "eager")


@pytest.mark.parametrize(
    "other", [adopting("other", target="rank"), adopting("other", kind="StatefulSet")], ids=["name", "kind"]
)
def test_other_targets_do_not_meet(other: dict[str, Any]) -> None:
    assert {view.holder for view in Cluster(adopting(), other).snapshot().models} == {None}


def test_the_same_name_in_another_namespace_is_another_target() -> None:
    models = [a_body(namespace=namespace, spec=a_spec()) for namespace in ("demo", "other")]
    assert {view.holder for view in Cluster(*models).snapshot().models} == {None}


def test_other_autoscalers_of_the_target_are_named() -> None:
    cluster = Cluster(adopting()).has(Kind.HPA, an_autoscaler("keda-hpa-chat"), an_autoscaler("x", target="rank"))
    cluster.has(Kind.SCALED_OBJECT, an_autoscaler("chat")).has(Kind.HPA, an_autoscaler(namespace="other"))
    assert cluster.view().contenders == ("HorizontalPodAutoscaler/keda-hpa-chat", "ScaledObject/chat")


def test_an_autoscaler_of_another_kind_of_target_is_none_of_ours() -> None:
    cluster = Cluster(adopting()).has(Kind.HPA, an_autoscaler(kind="StatefulSet"))
    assert cluster.view().contenders == ()


# What is wrong.


def referring(name: str) -> dict[str, Any]:
    return a_body(spec=a_spec(serviceRef={"name": name}))


def test_a_service_that_is_not_there_is_a_fault() -> None:
    (fault,) = Cluster(referring("front")).has(Kind.SERVICE, a_service("front", "other")).view().faults
    assert fault.reason is Reason.SERVICE_NOT_FOUND
    assert "'front'" in fault.message


@pytest.mark.parametrize(
    ("selector", "pods", "faults"),
    [
        pytest.param({"app": "chat"}, [a_pod("a")], 0, id="it selects them"),
        pytest.param({"app": "other"}, [a_pod("a")], 1, id="it selects none of them"),
        pytest.param({}, [a_pod("a")], 1, id="it selects nothing"),
        pytest.param({"app": "other"}, [], 0, id="no pods yet, nothing to tell"),
        pytest.param(
            {"tier": "x"}, [a_pod("a"), a_pod("b", labels={"app": "chat", "tier": "x"})], 0, id="some are enough"
        ),
    ],
)
def test_a_service_that_selects_none_of_the_pods_is_a_fault(
    selector: dict[str, str], pods: list[dict[str, Any]], faults: int
) -> None:
    cluster = Cluster(referring("front")).has(Kind.DEPLOYMENT, a_deployment()).has(Kind.POD, *pods)
    found = cluster.has(Kind.SERVICE, a_service("front", selector=selector)).view().faults
    assert [fault.reason for fault in found] == [Reason.SERVICE_SELECTS_NOTHING] * faults


def test_what_upkeep_found_comes_before_what_the_service_lacks() -> None:
    refused = Fault(Reason.TEMPLATE_REFUSED, "no such field")
    found = Cluster(referring("front")).view(faults={CHAT: (refused,)}).faults
    assert [fault.reason for fault in found] == [Reason.TEMPLATE_REFUSED, Reason.SERVICE_NOT_FOUND]


# The whole.


def test_signals_go_with_their_models_and_the_unmeasured_are_unknown() -> None:
    cluster = Cluster(adopting("chat"), adopting("rank", target="rank"))
    views = {view.key.name: view for view in cluster.snapshot(signals={CHAT: some_signals(5.0)}).models}
    assert views["chat"].signals == some_signals(5.0)
    assert views["rank"].signals.fault is not None
    assert views["rank"].signals.completions_rps is None


def test_broken_objects_stand_beside_the_models() -> None:
    snapshot = Cluster(adopting("chat"), a_body("broken", spec={})).snapshot()
    assert [view.key.name for view in snapshot.models] == ["chat"]
    assert [broken.key.name for broken in snapshot.unreadable] == ["broken"]


def test_the_order_is_that_of_the_names() -> None:
    """So that the columns of the planner, and its log, do not depend on the order of events."""
    snapshot = Cluster(*(adopting(name, target=name) for name in ("c", "a", "b"))).snapshot()
    assert [view.key.name for view in snapshot.models] == ["a", "b", "c"]


def test_a_cluster_without_models_is_an_empty_snapshot() -> None:
    assert Cluster().has(Kind.DEPLOYMENT, a_deployment()).snapshot() == Snapshot(())


@pytest.mark.parametrize(
    ("labels", "revision"),
    [
        pytest.param([{"pod-template-hash": "a"}, {"pod-template-hash": "a"}], "a", id="a Deployment's"),
        pytest.param([{"controller-revision-hash": "b"}], "b", id="a StatefulSet's"),
        pytest.param([{"pod-template-hash": "a"}, {"pod-template-hash": "b"}], None, id="amid a rollout"),
        pytest.param([{}], None, id="not told"),
        pytest.param([], None, id="no pods"),
    ],
)
def test_a_target_tells_the_revision_that_all_its_pods_are_of(
    labels: list[dict[str, str]], revision: str | None
) -> None:
    pods = [a_pod(f"p{i}", labels={"app": "chat"} | more) for i, more in enumerate(labels)]
    cluster = Cluster(adopting()).has(Kind.DEPLOYMENT, a_deployment()).has(Kind.POD, *pods)
    target = cluster.view().target
    assert target is not None
    assert target.revision == revision


def test_one_that_is_looked_at_alone_is_seen_among_all_others() -> None:
    """A wake plans one model; who else wants its target or has its Service counts all the same."""
    sleepy = {"scaleTargetRef": {"kind": "Deployment", "name": "chat"}, "serviceRef": {"name": "chat"}}
    spec = a_spec(**sleepy, scaleToZero={"mode": "Enforce"})
    older = a_body("older", spec=spec, created="2025-01-01T00:00:00Z")
    other = a_body("other", spec=a_spec(scaleTargetRef={"kind": "Deployment", "name": "other"}))
    cluster = Cluster(a_body("chat", spec=spec), older, other)
    cluster.has(Kind.DEPLOYMENT, a_deployment(replicas=0)).has(Kind.SERVICE, a_service())
    chat = cluster.mirror.models[CHAT]
    assert isinstance(chat, InferenceDeployment)
    located = {CHAT: locate(cluster.mirror, chat, {})}
    (view,) = snapshot_of(cluster.mirror, located, {}, {}, {}, 0.0).models
    assert view.holder == Key("demo", "older")
    assert view.front is not None
    assert view.front.sharers == ("demo/older",)
