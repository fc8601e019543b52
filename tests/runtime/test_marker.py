"""Pods that shall go are marked before the size is written, and lose their mark where they stay."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from bodies import a_deployment, a_pod, made_by
from builders import a_decision, a_model
from fake_cluster import DEPLOYMENTS, PODS, FakeCluster, refused
from loopback import Reply
from lull.adapters.api import Api, Lane
from lull.adapters.mirror import Kind, Mirror
from lull.adapters.objects import Pod
from lull.adapters.pod_loads import PodLoads
from lull.adapters.tables import Table
from lull.model.fleet import Fault
from lull.model.spec import Key, Runtime
from lull.runtime.marker import LASTS_S, MARKS_MOST, MOMENT_S, Marker
from lull.runtime.scaler import Scaler

COST, MARK = "controller.kubernetes.io/pod-deletion-cost", "lull.dev/deletion-cost"
OURS = {COST: "-1", MARK: "-1"}
CHAT = a_model()
NOW_S = 5000.0
SCALE = ("PATCH", f"{DEPLOYMENTS}/chat/scale")


def pod(
    name: str,
    node: str = "",
    *,
    annotations: dict[str, str] | None = None,
    replica_set: str | None = "uid-rs",
    **rest: Any,
) -> dict[str, Any]:
    metadata = {"labels": {"app": "chat"}, "annotations": annotations or {}} | made_by(replica_set)
    leaving = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if rest.pop("leaving", False) else {}
    body = a_pod(name, metadata=metadata | leaving, **rest)
    body["spec"]["nodeName"] = node or f"node-of-{name}"
    return body


def loads(**by_pod: float) -> PodLoads:
    """Pods of Triton with so many in their queues, and fresh scrapes."""
    keys = {Key("demo", name): value for name, value in by_pod.items()}
    waiting = Table({key: {"chat": value} for key, value in keys.items()})
    busy = Table({key: {"chat": 0.0} for key in keys})
    ages = Table({key: {"": 3.0} for key in keys})
    return PodLoads({Runtime.TRITON: {"waiting": waiting, "busy": busy}}, ages, 60.0)


class Stage:
    """A model with those pods, in a cluster and in a mirror."""

    def __init__(self, *bodies: dict[str, Any], loads: PodLoads | None = None, others: Sequence[Any] = ()) -> None:
        self.cluster = FakeCluster().has(DEPLOYMENTS, a_deployment(replicas=len(bodies))).has(PODS, *bodies)
        self.mirror = Mirror(lambda: None, 60.0, clock=lambda: NOW_S)
        self.others = others
        self.loads = PodLoads() if loads is None else loads

    def show(self, marker: Marker) -> None:
        """The watches tell the mirror, and the mirror a round."""
        for path, body in self.cluster.objects.items():
            if path.startswith(f"{PODS}/"):
                self.mirror.feed(Kind.POD, body)
        others = Mirror(lambda: None, 60.0, clock=lambda: NOW_S)
        for body in self.others:
            others.feed(Kind.POD, body)
        marker.see({CHAT.uid: list(self.mirror.pods.values()), "uid-other": list(others.pods.values())}, self.loads)

    def shrinks(self, after: int) -> Fault | None:
        async def main(api: Api) -> Fault | None:
            scaler = Scaler(api)
            self.show(scaler.marker)
            return await scaler.scale(CHAT, a_decision(self.size, after))

        return self.cluster.do(main)

    @property
    def size(self) -> int:
        return int(self.cluster.objects[f"{DEPLOYMENTS}/chat"]["spec"]["replicas"])

    @property
    def marked(self) -> set[str]:
        """Pods with a cost below others'."""
        bodies = (body for path, body in self.cluster.objects.items() if path.startswith(f"{PODS}/"))
        return {b["metadata"]["name"] for b in bodies if int(b["metadata"]["annotations"].get(COST, 0)) < 0}


def test_the_idle_pod_is_marked_before_the_size_is_written() -> None:
    stage = Stage(pod("a"), pod("b"), pod("c"), loads=loads(a=3.0, b=0.0, c=1.0))
    assert stage.shrinks(2) is None
    assert stage.marked == {"b"}
    assert stage.cluster.writes() == [("PATCH", f"{PODS}/b"), SCALE]
    assert stage.cluster.objects[f"{PODS}/b"]["metadata"]["annotations"] == OURS
    assert stage.size == 2


def test_of_idle_pods_the_one_that_frees_its_node_goes() -> None:
    """Another model's pod keeps the other node in use."""
    told = loads(a=0.0, b=0.0)
    stage = Stage(pod("a", "n1"), pod("b", "n2"), loads=told, others=[pod("x", "n1")])
    stage.shrinks(1)
    assert stage.marked == {"b"}


def test_what_kubernetes_takes_first_anyway_is_not_chosen() -> None:
    """The one that is not Ready goes by Kubernetes' own rule, and one more has to be chosen."""
    stage = Stage(pod("a"), pod("b"), pod("c", ready=False), pod("d"), loads=loads(a=3.0, b=0.0, d=2.0))
    stage.shrinks(2)
    assert stage.marked == {"b"}


@pytest.mark.parametrize(
    ("bodies", "after"),
    [
        pytest.param([pod("a"), pod("b"), pod("c", ready=False)], 2, id="the one that is not Ready is enough"),
        pytest.param([pod("a"), pod("b", leaving=True)], 1, id="one is on its way out already"),
        pytest.param([pod("a"), pod("b")], 0, id="all go"),
        pytest.param([pod("a"), pod("b", replica_set="uid-rs2")], 1, id="a rollout is under way"),
        pytest.param([pod("a", replica_set=None), pod("b", replica_set=None)], 1, id="a StatefulSet"),
        pytest.param([pod("a"), pod("b", annotations={COST: "7"})], 1, id="somebody else's costs"),
        pytest.param([pod("a"), pod("b", annotations=OURS)], 1, id="the right one is marked already"),
    ],
)
def test_nothing_is_written_where_nothing_is_to_be_chosen(bodies: list[dict[str, Any]], after: int) -> None:
    stage = Stage(*bodies, loads=loads(a=3.0, b=0.0, c=0.0))
    stage.cluster.objects[f"{DEPLOYMENTS}/chat"]["spec"]["replicas"] = 2
    assert stage.shrinks(after) is None
    assert stage.cluster.writes() == [SCALE]


def test_growth_marks_nobody() -> None:
    stage = Stage(pod("a"), pod("b"), loads=loads(a=3.0, b=0.0))
    stage.shrinks(5)
    assert stage.cluster.writes() == [SCALE]


def test_an_old_mark_on_a_pod_that_is_busy_now_goes_first() -> None:
    """With it the wrong one would be deleted."""
    stage = Stage(pod("a", annotations=OURS), pod("b"), loads=loads(a=3.0, b=0.0))
    stage.shrinks(1)
    assert stage.marked == {"b"}
    assert stage.cluster.objects[f"{PODS}/a"]["metadata"]["annotations"] == {}


@pytest.mark.parametrize("trouble", [refused(403, "no right"), refused(500), Reply(b"{", length=900)])
def test_a_mark_that_fails_holds_no_change_of_size_up(trouble: Reply, caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(pod("a"), pod("b"), loads=loads(a=3.0, b=0.0))
    stage.cluster.refusals["PATCH", f"{PODS}/b"] = trouble
    assert stage.shrinks(1) is None
    assert stage.size == 1
    assert [record.message for record in caplog.records] == ["pods not marked"]


def test_an_api_server_that_does_not_answer_delays_it_by_a_moment() -> None:
    stage = Stage(pod("a"), pod("b"), loads=loads(a=3.0, b=0.0))
    answer = stage.cluster.answer

    def slow(request: Any) -> Reply:
        if request.path == f"{PODS}/b":
            time.sleep(3.0 * MOMENT_S)
        return answer(request)

    stage.cluster.answer = slow  # type: ignore[method-assign]
    began_s = time.monotonic()

    async def main(api: Api) -> float:
        scaler = Scaler(api)
        stage.show(scaler.marker)
        await scaler.scale(CHAT, a_decision(2, 1))
        return time.monotonic() - began_s

    assert stage.cluster.do(main) < 2.0 * MOMENT_S
    assert stage.size == 1


def test_many_that_go_are_marked_up_to_a_bound() -> None:
    names = [f"p{n:03}" for n in range(3 * MARKS_MOST)]
    stage = Stage(*map(pod, names), loads=loads(**{name: float(i % 2) for i, name in enumerate(names)}))
    stage.shrinks(1)
    assert len(stage.marked) == MARKS_MOST
    assert stage.marked <= set(names[::2])


def test_marks_that_would_have_to_wait_are_left_out() -> None:
    stage = Stage(pod("a"), pod("b"), loads=loads(a=3.0, b=0.0))

    async def main(api: Api) -> None:
        scaler = Scaler(api)
        stage.show(scaler.marker)
        for _ in range(2000):
            turn = asyncio.ensure_future(api._paces[Lane.SPARE].turn())
            await asyncio.sleep(0)
            turn.cancel()
        await scaler.scale(CHAT, a_decision(2, 1))

    stage.cluster.do(main)
    assert stage.cluster.writes() == [SCALE]


# Marks of pods that stayed.


def tidied(stage: Stage, *moments_s: float) -> None:
    async def main(api: Api) -> None:
        marker = Marker(api)
        for now_s in moments_s:
            stage.show(marker)
            await marker.tidy(stage.mirror.marked_pods, now_s)

    stage.cluster.do(main)


def test_a_pod_that_stays_loses_its_mark() -> None:
    stage = Stage(pod("a", annotations=OURS | {"mine": "stays"}), pod("b"))
    tidied(stage, NOW_S, NOW_S + LASTS_S / 2)
    assert stage.marked == {"a"}, "Kubernetes may need a while"
    tidied(stage, NOW_S, NOW_S + LASTS_S + 1.0)
    assert stage.marked == set()
    assert stage.cluster.objects[f"{PODS}/a"]["metadata"]["annotations"] == {"mine": "stays"}


def test_one_that_goes_keeps_it_and_somebody_elses_cost_is_left_alone() -> None:
    stage = Stage(pod("a", annotations=OURS, leaving=True), pod("b", annotations={COST: "-5"}))
    tidied(stage, NOW_S, NOW_S + LASTS_S + 1.0)
    assert stage.cluster.writes() == []


def test_a_mark_that_was_overwritten_is_no_longer_lulls() -> None:
    stage = Stage(pod("a", annotations={COST: "100", MARK: "-1"}))
    tidied(stage, NOW_S, NOW_S + LASTS_S + 1.0)
    assert stage.cluster.writes() == []
    (read,) = stage.mirror.pods.values()
    assert (read.is_marked, read.is_priced) == (False, True)


def test_the_mirror_forgets_marks_of_pods_that_went() -> None:
    mirror = Mirror(lambda: None, 60.0, clock=lambda: NOW_S)
    mirror.feed(Kind.POD, pod("a", annotations=OURS))
    assert [found.key.name for found in mirror.marked_pods] == ["a"]
    mirror.feed(Kind.POD, pod("a", version=2))
    assert mirror.marked_pods == []
    mirror.feed(Kind.POD, pod("a", annotations=OURS, version=3))
    mirror.feed(Kind.POD, pod("a", annotations=OURS, version=3), is_gone=True)
    assert mirror.marked_pods == []


def test_only_a_controlling_replica_set_counts() -> None:
    (read,) = reads(pod("a"))
    assert read.replica_set == "uid-rs"
    (read,) = reads(pod("a", replica_set=None))
    assert read.replica_set is None


def reads(*bodies: dict[str, Any]) -> list[Pod]:
    mirror = Mirror(lambda: None, 60.0, clock=lambda: NOW_S)
    for body in bodies:
        mirror.feed(Kind.POD, body)
    return list(mirror.pods.values())
