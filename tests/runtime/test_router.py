"""Routes on an API server: what is written, in which order, and what becomes of writes that fail."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from bodies import a_deployment, a_slice, an_activator, an_object
from builders import a_body, a_spec, some_settings
from fake_cluster import DEPLOYMENTS, MODELS, SERVICES, FakeCluster, refused
from loopback import Reply
from lull.adapters.api import Api
from lull.adapters.mirror import Kind, Mirror
from lull.model.route import HoldPort, StandIn, Wish
from lull.runtime.route_facts import RouteFacts
from lull.runtime.route_rest import FULL_LOOK_S
from lull.runtime.router import Router

SLICES = "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices"
ACTIVATORS = "/api/v1/namespaces/lull/pods"
KINDS = {
    "inferencedeployments": Kind.MODEL,
    "deployments": Kind.DEPLOYMENT,
    "services": Kind.SERVICE,
    "endpointslices": Kind.ENDPOINT_SLICE,
    "pods": Kind.POD,
}
START_S = 2_000_000_000.0
LONG_S = 150.0


def sleepy(name: str = "chat", mode: str = "Enforce") -> dict[str, Any]:
    target = {"kind": "Deployment", "name": name}
    spec = a_spec(scaleTargetRef=target, serviceRef={"name": name}, scaleToZero={"mode": mode})
    return a_body(name, spec=spec, version=1, status={})


def a_front(name: str = "chat", **spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    return an_object(name, spec={"selector": {"app": name}, "ports": ports, "ipFamilies": ["IPv4"]} | spec)


class Stage:
    """A cluster with sleepy models and two activators, and a router that has been there for long."""

    def __init__(self, *names: str, **settings: Any) -> None:
        self.names = names or ("chat",)
        self.settings = some_settings(**settings)
        self.cluster = FakeCluster()
        for name in self.names:
            self.cluster.has(MODELS, sleepy(name)).has(SERVICES, a_front(name))
            self.cluster.has(DEPLOYMENTS, a_deployment(name, replicas=1))
            self.cluster.has(SLICES, a_slice(f"{name}-abc", service=name))
        self.cluster.has(ACTIVATORS, an_activator("act-1", "10.0.0.1"), an_activator("act-2", "10.0.0.2"))
        self.now_s = START_S
        self.deaf: set[str] = set()
        self.asked: list[tuple[str, str]] = []

    async def ask(self, who: StandIn, ports: tuple[HoldPort, ...], model_uid: str) -> bool | None:
        """In the prober's place."""
        assert ports
        self.asked.append((who.name, model_uid))
        return None if who.name in self.deaf else True

    def play(self, act: Callable[[Router], Awaitable[None]]) -> None:
        async def main(api: Api) -> None:
            mirror = Mirror(lambda: None, 60.0, clock=lambda: self.now_s)
            mirror.home = "lull"
            router = Router(api, mirror, self, self.settings, lambda: self.now_s)  # type: ignore[arg-type]
            self.now_s += LONG_S
            await act(router)

        self.cluster.do(main)

    def show(self, router: Router) -> None:
        """The watches tell everything there is."""
        seen = set()
        for path, body in self.cluster.objects.items():
            kind = KINDS[path.split("/")[-2]]
            router.mirror.feed(kind, copy.deepcopy(body))
            seen.add((kind, body["metadata"]["uid"]))
        for kind in KINDS.values():
            router.mirror.sweep(kind, [uid for of, uid in seen if of is kind], self.now_s + 1.0)

    async def rounds(self, router: Router, count: int = 1) -> None:
        for _ in range(count):
            self.now_s += 1.0
            self.show(router)
            await router.round(self.now_s)

    async def fall_asleep(self, router: Router) -> None:
        """All the way to zero."""
        for name in self.names:
            router.want(f"uid-demo-{name}", Wish.ASLEEP, expected_start_s=44.2)
        await self.rounds(router, 6)
        for name in self.names:
            assert router.may_be_zero(f"uid-demo-{name}")
            self.scale(name, 0)
        await self.rounds(router)

    def scale(self, name: str, replicas: int) -> None:
        """The target and, at once, its pods."""
        self.cluster.objects[f"{DEPLOYMENTS}/{name}"]["spec"]["replicas"] = replicas
        ready = tuple(f"10.1.0.{n}" for n in range(replicas))
        body = a_slice(f"{name}-abc", service=name, ready=ready)
        self.cluster.objects[f"{SLICES}/{name}-abc"] = body
        body["metadata"]["resourceVersion"] = str(self.cluster.turn())
        self.cluster.objects[f"{DEPLOYMENTS}/{name}"]["metadata"]["resourceVersion"] = str(self.cluster.turn())

    def status(self, name: str = "chat") -> Any:
        return self.cluster.objects[f"{MODELS}/{name}"]["status"]

    def listed(self, name: str = "chat") -> set[str] | None:
        body = self.cluster.objects.get(f"{SLICES}/{name}-lull")
        return None if body is None else {at for end in body["endpoints"] for at in end["addresses"]}


def test_a_model_falls_asleep_step_by_step() -> None:
    stage = Stage()
    stage.play(stage.fall_asleep)
    assert stage.listed() == {"10.0.0.1", "10.0.0.2"}
    status = stage.status()
    assert (status["route"], status["hold"]["state"], status["hold"]["expectedStart"]) == ("Hold", "Attached", "45s")
    (port,) = status["hold"]["ports"]
    assert (port["name"], port["port"]) == ("http", 80)
    body = stage.cluster.objects[f"{SLICES}/chat-lull"]
    assert body["ports"] == [{"name": "http", "port": port["holdingPort"], "protocol": "TCP"}]
    way = [(verb, path.rpartition("/")[2]) for verb, path in stage.cluster.writes()]
    attach = way.index(("POST", "endpointslices"))
    assert ("PATCH", "status") in way[:attach], "activators listen before anything points at them"
    assert stage.asked, "and have said so"


def test_and_wakes_step_by_step() -> None:
    stage = Stage()

    async def night(router: Router) -> None:
        await stage.fall_asleep(router)
        router.want("uid-demo-chat", Wish.AWAKE)
        await stage.rounds(router, 3)
        assert stage.listed(), "nobody of its own answers yet"
        stage.scale("chat", 1)
        stage.now_s += LONG_S
        await stage.rounds(router, 2)
        assert stage.listed() is None
        assert stage.status()["route"] == "Own"
        assert stage.status()["hold"]["state"] == "Quarantined"
        stage.now_s += LONG_S
        await stage.rounds(router, 2)
        assert stage.status() == {"route": "Own"}
        stage.cluster.forget()
        await stage.rounds(router, 5)

    stage.play(night)
    assert stage.cluster.writes() == [], "a route that is as wanted costs no write"


def test_a_model_that_sleeps_again_soon_has_its_ports_back_even_from_a_new_leader() -> None:
    stage = Stage()

    async def nights(router: Router) -> None:
        await stage.fall_asleep(router)
        ports = stage.status()["hold"]["ports"]
        router.want("uid-demo-chat", Wish.AWAKE)
        stage.scale("chat", 1)
        await stage.rounds(router, 30)
        assert stage.status()["hold"]["state"] == "Quarantined"
        for _ in range(5):
            router.begin()
            router.want("uid-demo-chat", Wish.AWAKE)
            await stage.rounds(router, 5)
        await stage.rounds(router, 20)
        router.want("uid-demo-chat", Wish.ASLEEP)
        await stage.rounds(router, 5)
        assert router.may_be_zero("uid-demo-chat")
        assert stage.status()["hold"]["ports"] == ports

    stage.play(nights)


def test_a_sleeping_fleet_at_rest_writes_nothing() -> None:
    stage = Stage("chat", "rank")

    async def night(router: Router) -> None:
        await stage.fall_asleep(router)
        await stage.rounds(router, 2)
        stage.cluster.forget()
        await stage.rounds(router, 10)

    stage.play(night)
    assert stage.cluster.writes() == []


def test_zero_is_not_permitted_until_the_activators_have_said_that_they_listen() -> None:
    stage = Stage()
    stage.deaf = {"act-2"}

    async def night(router: Router) -> None:
        router.want("uid-demo-chat", Wish.ASLEEP)
        await stage.rounds(router, 8)
        assert not router.may_be_zero("uid-demo-chat")
        assert stage.listed() is None
        stage.deaf = set()
        await stage.rounds(router, 5)
        assert router.may_be_zero("uid-demo-chat")
        assert not router.may_be_zero("uid-of-nobody")

    stage.play(night)


def test_a_gone_activator_is_out_of_every_slice_before_anything_else_is_written() -> None:
    names = tuple(f"m{n}" for n in range(20))
    stage = Stage(*names, "late")
    stage.names = names

    async def night(router: Router) -> None:
        await stage.fall_asleep(router)
        router.want("uid-demo-late", Wish.ASLEEP)  # which would be prepared now
        del stage.cluster.objects[f"{ACTIVATORS}/act-1"]
        stage.cluster.forget()
        await stage.rounds(router)

    stage.play(night)
    assert {frozenset(stage.listed(name) or ()) for name in names} == {frozenset({"10.0.0.2"})}
    assert len(stage.cluster.writes()) == len(names)
    assert {path.rpartition("/")[0] for _, path in stage.cluster.writes()} == {SLICES}


def test_a_repair_that_fails_is_tried_again_and_holds_nothing_else_up_meanwhile() -> None:
    stage = Stage()
    path = f"{SLICES}/chat-lull"

    async def night(router: Router) -> None:
        await stage.fall_asleep(router)
        del stage.cluster.objects[f"{ACTIVATORS}/act-1"]
        stage.cluster.refusals["PATCH", path] = refused(500, "etcd is slow")
        await stage.rounds(router)
        assert stage.listed() == {"10.0.0.1", "10.0.0.2"}
        del stage.cluster.refusals["PATCH", path]
        await stage.rounds(router)

    stage.play(night)
    assert stage.listed() == {"10.0.0.2"}


@pytest.mark.parametrize("trouble", [refused(500), refused(503), Reply(b"{", length=900)])
def test_while_a_deletion_may_still_land_nothing_goes_to_zero(trouble: Reply) -> None:
    stage = Stage()

    async def night(router: Router) -> None:
        router.want("uid-demo-chat", Wish.ASLEEP)
        await stage.rounds(router, 6)
        router.want("uid-demo-chat", Wish.AWAKE)
        stage.cluster.refusals["DELETE", f"{SLICES}/chat-lull"] = trouble
        await stage.rounds(router)
        router.want("uid-demo-chat", Wish.ASLEEP)
        await stage.rounds(router, 2)
        assert not router.may_be_zero("uid-demo-chat")
        await stage.rounds(router, 16)
        assert router.may_be_zero("uid-demo-chat")

    stage.play(night)


def test_a_refusal_is_an_answer_after_which_nothing_lands() -> None:
    stage = Stage()

    async def night(router: Router) -> None:
        router.want("uid-demo-chat", Wish.ASLEEP)
        await stage.rounds(router, 6)
        router.want("uid-demo-chat", Wish.AWAKE)
        stage.cluster.refusals["DELETE", f"{SLICES}/chat-lull"] = refused(403)
        await stage.rounds(router)
        router.want("uid-demo-chat", Wish.ASLEEP)
        await stage.rounds(router, 2)
        assert router.may_be_zero("uid-demo-chat")

    stage.play(night)


def test_a_status_that_changed_meanwhile_is_not_overwritten() -> None:
    """Others write to the same object: what was concluded from an old one does not land."""
    stage = Stage()

    async def night(router: Router) -> None:
        router.want("uid-demo-chat", Wish.ASLEEP)
        stage.now_s += 1.0
        stage.show(router)
        stage.cluster.objects[f"{MODELS}/chat"]["metadata"]["resourceVersion"] = str(stage.cluster.turn())
        await router.round(stage.now_s)
        assert "hold" not in stage.status()
        await stage.rounds(router)
        assert stage.status()["hold"]["state"] == "Preparing"

    stage.play(night)


def test_when_all_ports_are_taken_the_reason_says_so() -> None:
    stage = Stage("chat", "rank", activator_ports_from=20000, activator_ports_to=20000)

    async def night(router: Router) -> None:
        for name in stage.names:
            router.want(f"uid-demo-{name}", Wish.ASLEEP)
        await stage.rounds(router, 6)
        is_without = [f"uid-demo-{name}" in router.portless for name in stage.names]
        assert sorted(is_without) == [False, True]
        assert [router.may_be_zero(f"uid-demo-{name}") for name in stage.names] == [not one for one in is_without]

    stage.play(night)


def test_a_service_that_cannot_be_routed_is_left_alone() -> None:
    stage = Stage()
    stage.cluster.has(SERVICES, a_front(clusterIP="None"))

    async def night(router: Router) -> None:
        router.want("uid-demo-chat", Wish.ASLEEP)
        await stage.rounds(router, 6)
        assert not router.may_be_zero("uid-demo-chat")

    stage.play(night)
    assert stage.listed() is None
    assert "hold" not in stage.status()


def test_how_many_wait_and_since_when_is_told() -> None:
    stage = Stage()

    async def night(router: Router) -> None:
        await stage.fall_asleep(router)
        entries = [
            {"pod": "act-1", "held": 3, "since": "2033-05-18T03:30:00Z", "expires": "2040-01-01T00:00:00Z"},
            {"pod": "act-2", "held": 4, "since": "2033-05-18T03:20:00Z", "expires": "2040-01-01T00:00:00Z"},
            {"pod": "act-0", "held": 9, "since": "2020-01-01T00:00:00Z", "expires": "2020-01-01T00:00:30Z"},
        ]
        stage.status()["activation"] = entries
        stage.cluster.objects[f"{MODELS}/chat"]["metadata"]["resourceVersion"] = str(stage.cluster.turn())
        await stage.rounds(router)

    stage.play(night)
    hold = stage.status()["hold"]
    assert (hold["waiting"], hold["waitingSince"]) == (7, "2033-05-18T03:20:00Z")


def test_a_model_that_may_no_longer_sleep_is_given_back() -> None:
    stage = Stage()

    async def night(router: Router) -> None:
        await stage.fall_asleep(router)
        stage.cluster.has(MODELS, sleepy(mode="Off") | {"status": stage.status()})
        stage.cluster.objects[f"{MODELS}/chat"]["metadata"]["resourceVersion"] = str(stage.cluster.turn())
        await stage.rounds(router)
        assert stage.listed(), "nobody of its own answers yet"
        stage.scale("chat", 1)
        stage.now_s += LONG_S
        await stage.rounds(router, 2)
        assert stage.listed() is None

    stage.play(night)


def test_a_restarted_operator_keeps_what_is_and_repairs_it() -> None:
    stage = Stage()

    async def before(router: Router) -> None:
        await stage.fall_asleep(router)

    async def after(router: Router) -> None:
        stage.now_s -= LONG_S
        router.begin()
        stage.cluster.forget()
        await stage.rounds(router, 3)
        assert stage.cluster.writes() == []
        del stage.cluster.objects[f"{ACTIVATORS}/act-2"]
        await stage.rounds(router)

    stage.play(before)
    stage.play(after)
    assert stage.listed() == {"10.0.0.1"}


def test_a_round_begins_at_once_when_a_slice_changes() -> None:
    """Repairs must not wait for the next second."""
    stage = Stage()

    async def night(router: Router) -> None:
        await stage.fall_asleep(router)
        running = asyncio.create_task(router.run())
        await asyncio.sleep(0.2)
        del stage.cluster.objects[f"{ACTIVATORS}/act-1"]
        stage.now_s += 1.0
        stage.show(router)
        router.mirror.feed(Kind.POD, an_activator("act-1", version=9), is_gone=True)
        for _ in range(80):
            await asyncio.sleep(0.01)
            if stage.listed() == {"10.0.0.2"}:
                break
        running.cancel()
        assert stage.listed() == {"10.0.0.2"}

    stage.play(night)


# Entries of activators that are gone.


def waits(pod: str, expires_s: float, held: int = 0) -> dict[str, Any]:
    return {"pod": pod, "held": held, "expires": datetime.fromtimestamp(expires_s, UTC).isoformat()}


def entries_left(router_rounds: int, *entries: dict[str, Any]) -> tuple[set[str], list[Any]]:
    """Pods whose entries are still there after some rounds, and what was written."""
    stage = Stage()

    async def night(router: Router) -> None:
        await stage.fall_asleep(router)
        await stage.rounds(router, 2)
        stage.status()["activation"] = [dict(entry) for entry in entries]
        stage.cluster.objects[f"{MODELS}/chat"]["metadata"]["resourceVersion"] = str(stage.cluster.turn())
        stage.cluster.forget()
        await stage.rounds(router, router_rounds)

    stage.play(night)
    managers = [r.query.get("fieldManager") for r in stage.cluster.sent if r.verb == "PATCH"]
    return {entry["pod"] for entry in stage.status().get("activation", ())}, managers


def test_entries_of_activators_that_are_gone_are_taken_out_in_their_name() -> None:
    long_ago, now = START_S, START_S + LONG_S + 50.0
    left, managers = entries_left(
        5, waits("act-7", long_ago), waits("act-8", long_ago, held=3), waits("act-1", long_ago), waits("act-9", now)
    )
    assert left == {"act-1", "act-9"}, "the pod is there; the entry may yet be refreshed"
    assert managers == ["lull-activator-act-7", "lull-activator-act-8"]


def test_an_entry_that_stays_is_not_written_at_in_every_round() -> None:
    """One that somebody else wrote is not the gone pod's to take away."""
    stage = Stage()

    async def night(router: Router) -> None:
        await stage.fall_asleep(router)
        await stage.rounds(router, 2)
        stage.status()["activation"] = [waits("act-7", START_S)]
        stage.cluster.refusals["PATCH", f"{MODELS}/chat/status"] = refused(403)
        stage.cluster.forget()
        await stage.rounds(router, 50)
        assert len(stage.cluster.writes()) == 1
        await stage.rounds(router, 20)
        assert len(stage.cluster.writes()) == 2

    stage.play(night)


def test_without_any_activator_in_sight_no_entry_is_taken_for_left_behind() -> None:
    """The mirror may not know Lull's own namespace."""
    stage = Stage()

    async def night(router: Router) -> None:
        await stage.fall_asleep(router)
        stage.status()["activation"] = [waits("act-1", START_S)]
        router.mirror.home = None
        await stage.rounds(router, 5)

    stage.play(night)
    assert stage.status()["activation"]


# Rest.


def test_what_has_nothing_to_do_is_not_looked_at_until_something_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage("chat", "rank")
    looked: list[str] = []
    of = RouteFacts.of
    monkeypatch.setattr(
        RouteFacts, "of", lambda self, model, now_s: looked.append(model.key.name) or of(self, model, now_s)
    )

    def looks(router: Router, happens: Callable[[], object] = lambda: None) -> list[str]:
        stage.now_s += 0.1
        happens()
        looked.clear()
        router.start_round(stage.now_s)
        return sorted(looked)

    def turned(kind: Kind, path: str) -> Callable[[], object]:
        """The object is told anew, another one than before."""

        def happens() -> None:
            body = copy.deepcopy(stage.cluster.objects[path])
            body["metadata"] |= {"resourceVersion": str(stage.cluster.turn()), "uid": body["metadata"]["uid"]}
            body.setdefault("status", {})["waitedFor"] = stage.now_s
            body.setdefault("spec", {})["replicas"] = 0
            body["metadata"]["generation"] = int(stage.now_s)
            mirror.feed(kind, body)

        return happens

    async def night(router: Router) -> None:
        nonlocal mirror
        mirror = router.mirror
        await stage.fall_asleep(router)
        await stage.rounds(router, 12)
        await router.round(stage.now_s)
        assert looks(router) == []
        assert looks(router, turned(Kind.DEPLOYMENT, f"{DEPLOYMENTS}/chat")) == ["chat"]
        assert looks(router) == []
        assert looks(router, turned(Kind.ENDPOINT_SLICE, f"{SLICES}/rank-abc")) == ["rank"]
        assert looks(router, lambda: router.want("uid-demo-chat", Wish.ASLEEP, expected_start_s=9.0)) == ["chat"]
        await router.round(stage.now_s)
        assert looks(router, lambda: mirror.feed(Kind.POD, an_activator("act-3", "10.0.0.3", version=9))) == [
            "chat",
            "rank",
        ]
        for _ in range(4):
            await router.round(stage.now_s)  # proves it and lists it
        assert looks(router) == []
        stage.now_s += FULL_LOOK_S
        assert looks(router) == ["chat", "rank"], "whatever was missed is found all the same"

    mirror: Mirror = Mirror(lambda: None, 0.0, clock=lambda: 0.0)
    stage.play(night)


def test_one_that_waits_for_a_time_goes_on_being_looked_at() -> None:
    """Nothing changes while a quarantine runs out."""
    stage = Stage()

    async def night(router: Router) -> None:
        await stage.fall_asleep(router)
        router.want("uid-demo-chat", Wish.AWAKE)
        stage.scale("chat", 1)
        stage.now_s += LONG_S
        await stage.rounds(router, 3)
        assert stage.status()["hold"]["state"] == "Quarantined"
        stage.now_s += LONG_S
        stage.show(router)
        await router.round(stage.now_s)
        assert "hold" not in stage.status()

    stage.play(night)
