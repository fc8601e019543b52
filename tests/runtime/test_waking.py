"""Every sleeper is awake before the installation goes, and at every moment somebody answers its Service."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from bodies import a_deployment, a_pod, an_object
from builders import a_body, a_spec
from fake_cluster import DEPLOYMENTS, LEASES, MODELS, PODS, SLICES, Body, FakeCluster, refused
from loopback import Reply, Request, kubeconfig, serve
from lull.adapters.api import Api
from lull.adapters.lease import Lease
from lull.cli import main
from lull.errors import Unreachable
from lull.model.route import Timing
from lull.runtime.leader import Leader, uptime_s
from lull.runtime.waking import Waking, Woken, in_office, operator_stopped

OPERATORS = "/apis/apps/v1/namespaces/lull-system/deployments"
OPERATOR_PODS = "/api/v1/namespaces/lull-system/pods"
LEASE = f"{LEASES}/lull-operator"
SCALE = f"{DEPLOYMENTS}/chat/scale"
OURS, OWN = f"{SLICES}/chat-lull", f"{SLICES}/chat-abc12"


def a_slice(name: str, manager: str, ready: bool | None) -> Body:
    labels = {"kubernetes.io/service-name": "chat", "endpointslice.kubernetes.io/managed-by": manager}
    labels |= {"lull.dev/model": "chat"} if manager == "lull.dev" else {}
    endpoints = [] if ready is None else [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}]
    return an_object(name, metadata={"labels": labels}, endpoints=endpoints)


NOW_S = 1767225600.0
"""The first moment of 2026."""
PORTS = [{"name": "http", "port": 80, "holdingPort": 20007}]


@dataclass
class Sleeping(FakeCluster):
    """A cluster whose models sleep; pods come some looks after a size was written, and Kubernetes lists them later."""

    ready_after: int = 2
    listed_after: int = 2
    looks: dict[str, int] = field(default_factory=dict)

    def answer(self, request: Request) -> Reply:
        if request.verb == "GET" and request.path in (PODS, SLICES):
            self._goes_on(request.path)
        if request.path == f"{OPERATORS}/lull/scale" and request.verb == "PATCH":
            self.objects = {at: o for at, o in self.objects.items() if not at.startswith(OPERATOR_PODS)}
        return super().answer(request)

    def _goes_on(self, path: str) -> None:
        size = self.objects[f"{DEPLOYMENTS}/chat"]["spec"]["replicas"]
        looks = self.looks[path] = self.looks.get(path, 0) + bool(size)
        if path == PODS and looks > self.ready_after:
            self.has(PODS, *(a_pod(f"chat-{number}") for number in range(size)))
        if path == SLICES and looks > self.listed_after:
            self.has(SLICES, a_slice("chat-abc12", "endpointslice-controller.k8s.io", ready=True))


def a_sleeper(**changes: Any) -> Sleeping:
    """The model ``chat`` at zero, held by the activator."""
    spec = a_spec(minReplicas=2) | {"scaleToZero": {"mode": "Enforce"}}
    model = a_body(spec=spec) | {
        "status": {"route": "Hold", "hold": {"state": "Attached", "ports": PORTS, "waiting": 3}}
    }
    cluster = Sleeping(**changes).has(MODELS, model).has(DEPLOYMENTS, a_deployment(replicas=0))
    own = a_slice("chat-abc12", "endpointslice-controller.k8s.io", ready=None)
    cluster.has(SLICES, a_slice("chat-lull", "lull.dev", ready=True), own)
    assert isinstance(cluster, Sleeping)
    return cluster


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lull.runtime.waking._LOOK_EVERY_S", 0.01)


def woken(cluster: FakeCluster, timeout_s: float = 5.0) -> list[Woken]:
    return cluster.do(lambda api: Waking(api, timeout_s, uptime_s, lambda: NOW_S).run())


def test_a_sleeper_gets_its_lower_bound_and_its_service_back() -> None:
    cluster = a_sleeper()
    (one,) = woken(cluster)
    assert (str(one.key), one.replicas, one.fault) == ("demo/chat", 2, "")
    assert cluster.objects[f"{DEPLOYMENTS}/chat"]["spec"]["replicas"] == 2
    assert OURS not in cluster.objects
    assert OWN in cluster.objects


def test_activators_go_on_listening_for_those_who_are_still_sent_to_them() -> None:
    """Some kube-proxy may not have heard yet that the slice is gone."""
    cluster = a_sleeper()
    woken(cluster)
    until = "2026-01-01T00:02:00Z"
    hold = {"state": "Quarantined", "ports": PORTS, "waiting": 0, "until": until}
    assert cluster.objects[f"{MODELS}/chat"]["status"] == {"route": "Own", "hold": hold}
    assert Timing().rest_s == 120.0


@pytest.mark.parametrize(("before", "after"), [(5, 5), (1, 2), (99, 20), (None, 2)])
def test_a_sleeper_gets_the_size_it_had_within_its_bounds(before: int | None, after: int) -> None:
    cluster = a_sleeper()
    told = {} if before is None else {"replicas": before}
    cluster.objects[f"{MODELS}/chat"]["status"]["lastAwake"] = told | {"template": "abc"}
    (one,) = woken(cluster)
    assert (one.replicas, one.fault) == (after, "")
    assert cluster.objects[f"{DEPLOYMENTS}/chat"]["spec"]["replicas"] == after


def test_first_the_size_then_ready_pods_then_their_listing_and_only_then_our_slice_goes() -> None:
    cluster = a_sleeper()
    seen: list[tuple[bool, bool]] = []
    answer = cluster.answer

    def looked(request: Request) -> Reply:
        if request.verb == "DELETE":
            ready = sum(at.startswith(PODS) for at in cluster.objects)
            seen.append((ready >= 2, bool(cluster.objects[OWN]["endpoints"])))
        return answer(request)

    cluster.answer = looked  # type: ignore[method-assign]
    woken(cluster)
    assert seen == [(True, True)]
    assert [path for _, path in cluster.writes()] == [SCALE, OURS, f"{MODELS}/chat/status"]


def test_a_model_that_wakes_already_is_not_scaled_again() -> None:
    cluster = a_sleeper()
    cluster.objects[f"{DEPLOYMENTS}/chat"]["spec"]["replicas"] = 3
    (one,) = woken(cluster)
    assert (one.replicas, one.fault) == (3, "")
    assert SCALE not in [path for _, path in cluster.writes()]
    assert OURS not in cluster.objects


@pytest.mark.parametrize(
    ("replicas", "mode", "status"),
    [
        pytest.param(2, "Enforce", {"route": "Own"}, id="awake"),
        pytest.param(2, "Off", {}, id="never routed"),
        pytest.param(0, "Off", {}, id="somebody else's zero"),
        pytest.param(0, "Recommend", {"route": "Own"}, id="somebody else's zero, with advice"),
    ],
)
def test_what_lull_has_not_put_to_sleep_is_left_alone(replicas: int, mode: str, status: Body) -> None:
    model = a_body(spec=a_spec() | {"scaleToZero": {"mode": mode}}) | {"status": status}
    cluster = FakeCluster().has(MODELS, model).has(DEPLOYMENTS, a_deployment(replicas=replicas))
    assert woken(cluster) == []
    assert cluster.writes() == []


def test_a_model_without_lower_bound_gets_one_replica() -> None:
    cluster = a_sleeper()
    cluster.objects[f"{MODELS}/chat"]["spec"]["minReplicas"] = None
    del cluster.objects[f"{MODELS}/chat"]["spec"]["minReplicas"]
    assert woken(cluster)[0].replicas == 1


def test_a_model_that_does_not_become_ready_keeps_its_activator_and_says_so() -> None:
    cluster = a_sleeper(ready_after=10**6)
    (one,) = woken(cluster, timeout_s=0.3)
    assert "2 replicas are not Ready" in one.fault
    assert OURS in cluster.objects
    assert cluster.objects[f"{MODELS}/chat"]["status"]["route"] == "Hold"


def test_ready_pods_that_kubernetes_does_not_list_yet_keep_the_activator() -> None:
    cluster = a_sleeper(listed_after=10**6)
    (one,) = woken(cluster, timeout_s=0.3)
    assert "Service 'chat' lists none of its own pods" in one.fault
    assert OURS in cluster.objects


def test_one_that_fails_keeps_no_other_from_waking() -> None:
    cluster = a_sleeper()
    lost = a_body("lost", spec=a_spec(scaleTargetRef={"kind": "Deployment", "name": "gone"})) | {
        "status": {"route": "Hold"}
    }
    broken = a_body("broken") | {"spec": {"server": 7}, "status": {"route": "Hold"}}
    cluster.has(MODELS, lost, broken)
    faults = {one.key.name: one.fault for one in woken(cluster)}
    assert faults["chat"] == ""
    assert "not found" in faults["lost"]
    assert "spec cannot be read" in faults["broken"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_api_server_is_asked_again(status: int) -> None:
    cluster = a_sleeper()
    answer, left = cluster.answer, [3]

    def busy(request: Request) -> Reply:
        if request.verb == "GET" and request.path == SCALE and cluster.looks and left[0]:
            left[0] -= 1
            return refused(status, "too many requests")
        return answer(request)

    cluster.answer = busy  # type: ignore[method-assign]
    assert woken(cluster)[0].fault == ""
    assert left == [0]


def test_a_size_that_somebody_else_wrote_meanwhile_stays() -> None:
    cluster = a_sleeper()
    cluster.refusals["PATCH", SCALE] = refused(409, "the object has been modified")
    answer, asked = cluster.answer, [0]

    def raced(request: Request) -> Reply:
        if request.verb == "PATCH" and request.path == SCALE:
            asked[0] += 1
            cluster.objects[f"{DEPLOYMENTS}/chat"]["spec"]["replicas"] = 4
        return answer(request)

    cluster.answer = raced  # type: ignore[method-assign]
    cluster.ready_after = 0
    assert woken(cluster)[0].fault == ""
    assert cluster.objects[f"{DEPLOYMENTS}/chat"]["spec"]["replicas"] == 4
    assert asked == [1]


def test_without_the_crd_there_is_nothing_to_wake() -> None:
    cluster = FakeCluster()
    cluster.refusals["GET", "/apis/lull.dev/v1alpha1/inferencedeployments"] = refused(404, "page not found")
    assert woken(cluster) == []


# The operator, which must not put them to sleep again.


def with_operator(cluster: Sleeping, pods: int = 2) -> Sleeping:
    cluster.has(OPERATORS, a_deployment("lull", "lull-system", replicas=2))
    cluster.has(OPERATOR_PODS, *(a_pod(f"lull-{number}", "lull-system") for number in range(pods)))
    return cluster


def test_the_operator_is_stopped_and_its_pods_are_gone() -> None:
    cluster = with_operator(Sleeping())
    told = cluster.do(lambda api: operator_stopped(api, "lull-system", "lull", 5.0))
    assert told == "operator lull-system/lull scaled from 2 to 0"
    assert cluster.objects[f"{OPERATORS}/lull"]["spec"]["replicas"] == 0


def test_an_operator_that_does_not_end_is_told() -> None:
    cluster = FakeCluster().has(OPERATORS, a_deployment("lull", "lull-system", replicas=1))
    cluster.has(OPERATOR_PODS, a_pod("lull-0", "lull-system"))
    with pytest.raises(Unreachable, match="are still there after 0 s"):
        cluster.do(lambda api: operator_stopped(api, "lull-system", "lull", 0.3))


def test_an_operator_that_is_not_there_need_not_be_stopped() -> None:
    told = FakeCluster().do(lambda api: operator_stopped(api, "lull-system", "lull", 5.0))
    assert told == "there is no operator lull-system/lull"


def test_the_lease_is_held_while_models_wake_and_given_back() -> None:
    cluster = FakeCluster()

    async def act(api: Api) -> tuple[str, bool]:
        async def work() -> tuple[str, bool]:
            other = Leader(Lease(api, "lull-system", 8.0), "operator")
            standby = asyncio.create_task(other.win())
            await asyncio.sleep(1.5)
            standby.cancel()
            return cluster.objects[LEASE]["spec"]["holderIdentity"], other.may_write()

        return await in_office(api, api, "lull-system", work, 5.0)

    holder, other_leads = cluster.do(act)
    assert holder.startswith("wake_")
    assert not other_leads
    assert cluster.objects[LEASE]["spec"]["holderIdentity"] == ""


def test_who_cannot_have_the_lease_wakes_nobody() -> None:
    held = {"holderIdentity": "operator", "leaseDurationSeconds": 3600}
    cluster = FakeCluster().has(LEASES, {"metadata": {"name": "lull-operator", "resourceVersion": "1"}, "spec": held})
    done: list[None] = []

    async def work() -> None:
        done.append(None)

    with pytest.raises(Unreachable, match="does another one run"):
        cluster.do(lambda api: in_office(api, api, "lull-system", work, 0.5))
    assert not done
    assert cluster.objects[LEASE]["spec"] == held


# The command.


def run(cluster: FakeCluster, *args: str) -> int:
    with serve(cluster.answer) as peer, kubeconfig(peer.url):
        return main(["wake", "--all", *args])


def test_the_command_stops_the_operator_first_and_tells_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = with_operator(a_sleeper())
    assert run(cluster) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "operator lull-system/lull scaled from 2 to 0"
    assert told[1].startswith("demo/chat is awake: 2 Ready, ")
    assert told[2] == "1 slept, 1 are awake"
    writes = [path for _, path in cluster.writes()]
    assert writes.index(f"{OPERATORS}/lull/scale") < writes.index(LEASES) < writes.index(SCALE)
    assert cluster.objects[LEASE]["spec"]["holderIdentity"] == ""


def test_the_command_fails_with_a_model_that_is_not_awake(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(with_operator(a_sleeper(ready_after=10**6)), "--timeout", "300ms") == 1
    told = capsys.readouterr()
    assert told.out.splitlines()[-1] == "1 slept, 0 are awake"
    assert told.err.startswith("lull: demo/chat is not awake: after 0 s 2 replicas are not Ready")


def test_without_a_lease_none_is_taken() -> None:
    cluster = with_operator(a_sleeper())
    assert run(cluster, "--without-lease") == 0
    assert LEASE not in cluster.objects


def test_an_api_server_that_refuses_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = a_sleeper()
    cluster.refusals["GET", "/apis/lull.dev/v1alpha1/inferencedeployments"] = refused(403, "forbidden")
    assert run(cluster) == 1
    assert capsys.readouterr().err == "lull: forbidden; nothing is known of the models\n"


@pytest.mark.parametrize("args", [[], ["--operator", "lull", "--all"], ["--all", "--timeout", "5"]])
def test_a_wrong_call_ends_with_2(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["wake", *args])
    assert ended.value.code == 2
    assert "usage: lull wake" in capsys.readouterr().err
