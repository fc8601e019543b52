"""The picture of the cluster, whatever order the cluster tells things in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bodies import a_deployment, a_pod, a_service, a_slice, an_autoscaler
from builders import a_body, a_spec
from lull.adapters.mirror import Kind, Mirror
from lull.adapters.objects import matches
from lull.model.fleet import Unreadable
from lull.model.reason import Reason
from lull.model.spec import InferenceDeployment, Key

CHAT = Key("demo", "chat")
POD = Key("demo", "chat-0")
APP = {"matchLabels": {"app": "chat"}}


class Watched:
    """A mirror with a clock and a bell of the test's own."""

    def __init__(self, keep_gone_s: float = 60.0) -> None:
        self.now_s = 1000.0
        self.rang = 0
        self.mirror = Mirror(self._ring, keep_gone_s, clock=lambda: self.now_s)

    def _ring(self) -> None:
        self.rang += 1

    def names(self) -> list[str]:
        return sorted(pod.key.name for pod in self.mirror.pods_of("demo", APP))

    def gone(self) -> list[str]:
        return sorted(pod.key.name for pod in self.mirror.gone_pods_of("demo", APP))


def test_what_is_fed_is_there_and_what_is_deleted_is_not() -> None:
    mirror = Watched().mirror
    bodies = {
        Kind.MODEL: (a_body(), mirror.models),
        Kind.POD: (a_pod("chat"), mirror.pods),
        Kind.DEPLOYMENT: (a_deployment(), mirror.workloads[Kind.DEPLOYMENT]),
        Kind.STATEFUL_SET: (a_deployment(), mirror.workloads[Kind.STATEFUL_SET]),
        Kind.SERVICE: (a_service(), mirror.services),
        Kind.HPA: (an_autoscaler(), mirror.autoscalers[Kind.HPA]),
        Kind.SCALED_OBJECT: (an_autoscaler(), mirror.autoscalers[Kind.SCALED_OBJECT]),
        Kind.ENDPOINT_SLICE: (a_slice("chat"), mirror.slices),
    }
    assert set(bodies) == set(Kind)
    for number, (kind, (body, held)) in enumerate(bodies.items()):
        body["metadata"]["uid"] = f"uid-{number}"
        mirror.feed(kind, body)
        assert CHAT in held
    for kind, (body, held) in bodies.items():
        mirror.feed(kind, body, is_gone=True)
        assert CHAT not in held


def test_a_newer_version_replaces_and_an_older_one_does_not() -> None:
    mirror = Watched().mirror
    for version, replicas in ((5, 2), (7, 4), (6, 3)):
        mirror.feed(Kind.DEPLOYMENT, a_deployment(replicas=replicas, version=version))
    assert mirror.workloads[Kind.DEPLOYMENT][CHAT].replicas == 4


def test_versions_are_numbers_and_no_text() -> None:
    mirror = Watched().mirror
    mirror.feed(Kind.DEPLOYMENT, a_deployment(replicas=2, version=9))
    mirror.feed(Kind.DEPLOYMENT, a_deployment(replicas=3, version=10))
    assert mirror.workloads[Kind.DEPLOYMENT][CHAT].replicas == 3


def test_kinds_of_one_name_have_versions_of_their_own() -> None:
    mirror = Watched().mirror
    mirror.feed(Kind.DEPLOYMENT, a_deployment(version=900))
    mirror.feed(Kind.SERVICE, a_service())
    assert CHAT in mirror.services


def test_the_deletion_of_an_old_object_leaves_its_successor() -> None:
    mirror = Watched().mirror
    mirror.feed(Kind.DEPLOYMENT, a_deployment(uid="old", version=5))
    mirror.feed(Kind.DEPLOYMENT, a_deployment(uid="new", version=9, replicas=7))
    mirror.feed(Kind.DEPLOYMENT, a_deployment(uid="old", version=8), is_gone=True)
    assert mirror.workloads[Kind.DEPLOYMENT][CHAT].replicas == 7


def test_news_of_an_old_object_leave_its_successor() -> None:
    """A list was faster than the watch, which now tells what the list has already overtaken."""
    mirror = Watched().mirror
    mirror.feed(Kind.DEPLOYMENT, a_deployment(uid="new", version=9, replicas=7))
    mirror.feed(Kind.DEPLOYMENT, a_deployment(uid="old", version=5, replicas=1))
    assert mirror.workloads[Kind.DEPLOYMENT][CHAT].replicas == 7


def test_an_object_created_anew_is_a_new_one() -> None:
    mirror = Watched().mirror
    mirror.feed(Kind.DEPLOYMENT, a_deployment(uid="old", version=5))
    mirror.feed(Kind.DEPLOYMENT, a_deployment(uid="old", version=8), is_gone=True)
    mirror.feed(Kind.DEPLOYMENT, a_deployment(uid="new", version=9, replicas=7))
    assert mirror.workloads[Kind.DEPLOYMENT][CHAT].replicas == 7


def test_a_list_begun_before_a_deletion_does_not_bring_the_object_back() -> None:
    """Pages of a long list tell the moment when it was begun."""
    seen = Watched()
    seen.mirror.feed(Kind.POD, a_pod(version=5))
    seen.mirror.feed(Kind.POD, a_pod(version=8), is_gone=True)
    seen.now_s += 5.0
    seen.mirror.feed(Kind.POD, a_pod(version=5))
    assert seen.names() == []


def test_a_deletion_told_twice_is_one() -> None:
    seen = Watched()
    seen.mirror.feed(Kind.MODEL, a_body())
    for _ in range(2):
        seen.mirror.feed(Kind.MODEL, a_body(version=2), is_gone=True)
    assert seen.mirror.models == {}


def test_many_deletions_are_not_remembered_for_ever() -> None:
    """A fleet that churns for months must not fill the memory."""
    seen = Watched()
    for i in range(20_000):
        seen.now_s += 1.0
        seen.mirror.feed(Kind.POD, a_pod(f"p{i}", uid=f"uid-{i}"))
        seen.mirror.feed(Kind.POD, a_pod(f"p{i}", uid=f"uid-{i}"), is_gone=True)
    seen.gone()
    assert len(seen.mirror._dead) < 2000
    assert sum(len(pods) for pods in seen.mirror._gone.values()) < 200
    assert len(seen.mirror._versions) == 0


# The sweep.


def test_a_sweep_drops_ghosts_and_nothing_else() -> None:
    seen = Watched()
    for name in ("kept", "ghost"):
        seen.mirror.feed(Kind.POD, a_pod(name))
    seen.mirror.feed(Kind.SERVICE, a_service("ghost"))
    seen.now_s += 1.0
    assert seen.mirror.sweep(Kind.POD, ["uid-kept"], seen.now_s) == 1
    assert seen.names() == ["kept"]
    assert Key("demo", "ghost") in seen.mirror.services, "another kind was not listed"


def test_a_sweep_leaves_what_came_after_its_list_was_begun() -> None:
    seen = Watched()
    listed_at_s = seen.now_s
    seen.now_s += 1.0
    seen.mirror.feed(Kind.POD, a_pod("newborn"))
    assert seen.mirror.sweep(Kind.POD, [], listed_at_s) == 0
    assert seen.names() == ["newborn"]


def test_a_sweep_drops_an_object_that_was_created_anew_under_its_name() -> None:
    seen = Watched()
    seen.mirror.feed(Kind.POD, a_pod(uid="old"))
    seen.now_s += 1.0
    assert seen.mirror.sweep(Kind.POD, ["new"], seen.now_s) == 1


def test_a_swept_object_may_come_back() -> None:
    """The list was wrong, or the object is back: whatever the watch tells next is true."""
    seen = Watched()
    seen.mirror.feed(Kind.POD, a_pod(version=5))
    seen.now_s += 1.0
    seen.mirror.sweep(Kind.POD, [], seen.now_s)
    seen.mirror.feed(Kind.POD, a_pod(version=6))
    assert seen.names() == ["chat-0"]


# Pods that went.


def test_a_pod_that_went_is_remembered_for_the_rate_window() -> None:
    seen = Watched(keep_gone_s=60.0)
    seen.mirror.feed(Kind.POD, a_pod())
    seen.mirror.feed(Kind.POD, a_pod(version=2), is_gone=True)
    assert (seen.names(), seen.gone()) == ([], ["chat-0"])
    seen.now_s += 60.0
    assert seen.gone() == ["chat-0"]
    seen.now_s += 0.1
    assert seen.gone() == []


def test_a_pod_is_never_both_there_and_gone() -> None:
    """A StatefulSet's pods come back under their names; counted twice, their requests would double."""
    seen = Watched()
    seen.mirror.feed(Kind.POD, a_pod(uid="first"))
    seen.mirror.feed(Kind.POD, a_pod(uid="first", version=2), is_gone=True)
    seen.mirror.feed(Kind.POD, a_pod(uid="second", version=3))
    assert (seen.names(), seen.gone()) == (["chat-0"], [])


def test_pods_that_went_are_selected_like_others() -> None:
    seen = Watched()
    for name, labels, namespace in (
        ("a", {"app": "chat"}, "demo"),
        ("b", {"app": "rank"}, "demo"),
        ("c", {"app": "chat"}, "x"),
    ):
        seen.mirror.feed(Kind.POD, a_pod(name, namespace, labels=labels))
        seen.mirror.feed(Kind.POD, a_pod(name, namespace, labels=labels, version=2), is_gone=True)
    assert seen.gone() == ["a"]


# Models.


@pytest.mark.parametrize(
    ("change", "rings"),
    [
        pytest.param({"generation": 2, "version": 2}, 1, id="a changed spec"),
        pytest.param({"version": 2, "status": {"mode": "Enforce"}}, 0, id="a status, our own writes among them"),
        pytest.param({"uid": "other", "version": 2}, 1, id="created anew"),
    ],
)
def test_the_bell_rings_for_specs_alone(change: dict[str, Any], rings: int) -> None:
    seen = Watched()
    seen.mirror.feed(Kind.MODEL, a_body())
    assert seen.rang == 1
    seen.mirror.feed(Kind.MODEL, a_body(**change))
    assert seen.rang == 1 + rings


def test_pods_do_not_ring_the_bell() -> None:
    seen = Watched()
    seen.mirror.feed(Kind.POD, a_pod())
    seen.mirror.feed(Kind.POD, a_pod(version=2), is_gone=True)
    assert seen.rang == 0


def test_a_model_that_went_rings_the_bell() -> None:
    seen = Watched()
    seen.mirror.feed(Kind.MODEL, a_body())
    seen.mirror.feed(Kind.MODEL, a_body(version=2), is_gone=True)
    assert seen.rang == 2


def test_a_spec_that_cannot_be_read_is_kept_as_such_until_it_is_mended() -> None:
    seen = Watched()
    seen.mirror.feed(Kind.MODEL, a_body(spec=a_spec(capacity={"requestsPerSecond": 0}), generation=3))
    broken = seen.mirror.models[CHAT]
    assert isinstance(broken, Unreadable)
    assert (broken.generation, broken.fault.reason) == (3, Reason.SPEC_UNREADABLE)
    assert "capacity" in broken.fault.message
    seen.mirror.feed(Kind.MODEL, a_body(generation=4, version=2))
    assert isinstance(seen.mirror.models[CHAT], InferenceDeployment)


def test_a_status_is_kept_beside_its_model() -> None:
    mirror = Watched().mirror
    mirror.feed(Kind.MODEL, a_body(status={"mode": "Enforce"}))
    assert mirror.statuses[CHAT] == {"mode": "Enforce"}
    mirror.feed(Kind.MODEL, a_body(version=2), is_gone=True)
    assert mirror.statuses == {}


# The label index, against a scan of all pods.

LABELS = st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from(["chat", "rank"]))
PODS = st.tuples(st.sampled_from("abc"), st.sampled_from(["demo", "other"]))
SELECTORS = [
    {"matchLabels": {"app": "chat"}},
    {"matchLabels": {"app": "chat", "tier": "rank"}},
    {"matchExpressions": [{"key": "app", "operator": "Exists"}]},
    {"matchLabels": {"tier": "chat"}, "matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]},
    {},
]


class LabelIndex(RuleBasedStateMachine):
    """Pods come, change their labels and go in any order; the index always finds what a scan finds."""

    @initialize()
    def start(self) -> None:
        self.seen = Watched()
        self.version = 0
        self.truth: dict[Key, tuple[str, dict[str, str]]] = {}

    @rule(pod=PODS, labels=LABELS)
    def comes_or_changes(self, pod: tuple[str, str], labels: dict[str, str]) -> None:
        self.version += 1
        uid, _ = self.truth.get(Key(pod[1], pod[0]), (f"uid-{self.version}", {}))
        self.truth[Key(pod[1], pod[0])] = (uid, labels)
        self.seen.mirror.feed(Kind.POD, a_pod(*pod, labels=labels, uid=uid, version=self.version))

    @rule(pod=PODS)
    def goes(self, pod: tuple[str, str]) -> None:
        self.version += 1
        if found := self.truth.pop(Key(pod[1], pod[0]), None):
            self.seen.mirror.feed(Kind.POD, a_pod(*pod, uid=found[0], version=self.version), is_gone=True)

    @rule(pod=PODS, labels=LABELS)
    @precondition(lambda self: self.truth)
    def an_older_version_arrives_late(self, pod: tuple[str, str], labels: dict[str, str]) -> None:
        if found := self.truth.get(Key(pod[1], pod[0])):
            self.seen.mirror.feed(Kind.POD, a_pod(*pod, labels=labels, uid=found[0], version=0))

    @rule(keep=st.sampled_from("abc"))
    def is_swept(self, keep: str) -> None:
        self.seen.now_s += 1.0
        self.truth = {key: found for key, found in self.truth.items() if key.name == keep}
        self.seen.mirror.sweep(Kind.POD, [uid for uid, _ in self.truth.values()], self.seen.now_s)

    @invariant()
    def finds_what_a_scan_finds(self) -> None:
        for namespace in ("demo", "other"):
            for selector in SELECTORS:
                found = {pod.key for pod in self.seen.mirror.pods_of(namespace, selector)}
                assert found == {
                    key
                    for key, (_, labels) in self.truth.items()
                    if key.namespace == namespace and matches(selector, labels)
                }

    @invariant()
    def keeps_no_empty_entries(self) -> None:
        index = self.seen.mirror._by_label
        assert all(index.values())
        assert {key for keys in index.values() for key in keys} == {
            key for key, (_, labels) in self.truth.items() if labels
        }


test_the_label_index_finds_what_a_scan_finds = LabelIndex.TestCase
test_the_label_index_finds_what_a_scan_finds.settings = settings(max_examples=25, stateful_step_count=25)


# What comes in the way of a start.


def lost(version: int) -> dict[str, Any]:
    pod = a_pod(ready=False, phase="Pending", version=version)
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    return pod | {"status": {"phase": "Pending", "conditions": [unscheduled]}}


def refused(version: int) -> dict[str, Any]:
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: gpus"}
    return a_deployment(version=version) | {"status": {"conditions": [failure]}}


@pytest.mark.parametrize(
    ("kind", "smooth", "hindered"),
    [(Kind.POD, a_pod(ready=False), lost), (Kind.DEPLOYMENT, a_deployment(), refused)],
    ids=["pod", "workload"],
)
def test_what_comes_in_the_way_of_a_start_is_told_once(kind: Kind, smooth: dict[str, Any], hindered: Any) -> None:
    mirror, told = Watched().mirror, list[str]()
    mirror.on_obstacle = told.append
    mirror.feed(kind, smooth)
    assert told == []
    for version in (7, 8):
        mirror.feed(kind, hindered(version))
    assert told == ["demo"]


def an_entry(pod: str, held: int, expires: str = "2026-01-01T00:01:00Z") -> dict[str, Any]:
    return {"pod": pod, "held": held, "since": "2026-01-01T00:00:00Z", "expires": expires}


NOW_S = 1_767_225_600.0


def reported(*reports: list[dict[str, Any]]) -> int:
    """Requests counted after these reports, 2026-01-01T00:00:00Z."""
    watched = Watched()
    watched.now_s = NOW_S
    for version, entries in enumerate(reports, start=1):
        watched.mirror.feed(Kind.MODEL, a_body(version=version, status={"activation": entries}))
    return watched.mirror.held_ever[CHAT]


@pytest.mark.parametrize(
    ("reports", "held"),
    [
        pytest.param([[an_entry("a", 1)]], 1, id="the first one"),
        pytest.param([[an_entry("a", 1)], [an_entry("a", 500)]], 500, id="more come"),
        pytest.param([[an_entry("a", 5)], [an_entry("a", 5)], [an_entry("a", 5)]], 5, id="a report that is refreshed"),
        pytest.param([[an_entry("a", 5)], [an_entry("a", 2)], [an_entry("a", 4)]], 7, id="some go and others come"),
        pytest.param([[an_entry("a", 3)], [an_entry("a", 3), an_entry("b", 2)]], 5, id="at another activator"),
        pytest.param([[an_entry("a", 3)], [], [an_entry("a", 3)]], 6, id="another burst"),
        pytest.param([[an_entry("a", 3, expires="2025-12-31T23:59:59Z")]], 0, id="a report that has expired"),
    ],
)
def test_requests_that_begin_to_wait_are_counted_from_report_to_report(reports: list[Any], held: int) -> None:
    assert reported(*reports) == held


def test_a_model_that_went_takes_its_count_along() -> None:
    watched = Watched()
    watched.now_s = NOW_S
    body = a_body(status={"activation": [an_entry("a", 3)]})
    watched.mirror.feed(Kind.MODEL, body)
    watched.mirror.feed(Kind.MODEL, body, is_gone=True)
    assert CHAT not in watched.mirror.held_ever
