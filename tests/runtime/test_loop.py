"""One round, whole: a real Prometheus protocol and a real Kubernetes protocol on loopback, and Lull between them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

import virtual_time
from bodies import a_deployment, a_pod, a_started_pod, an_activator, an_autoscaler, an_object
from builders import START_S, a_body, a_spec, some_settings
from fake_cluster import DEPLOYMENTS, MODELS, FakeCluster, refused
from loopback import Reply, failure, serve, vector
from lull.adapters.api import Api
from lull.adapters.exposition import Exposition
from lull.adapters.mirror import Kind, Mirror
from lull.adapters.prometheus import Prometheus
from lull.decide.hinder import PATIENCE_S
from lull.memory import Memory
from lull.model.costs import Lesson
from lull.model.fleet import Fault
from lull.model.plan import ModelPlan
from lull.model.spec import Key
from lull.runtime.dozer import Dozer
from lull.runtime.loop import Loop
from lull.runtime.reporter import Reporter
from lull.runtime.router import Router
from lull.runtime.scaler import Scaler
from lull.runtime.upkeep import Upkeep

CHAT = Key("demo", "chat")
STATUS, SCALE = f"{MODELS}/chat/status", f"{DEPLOYMENTS}/chat/scale"
OF_POD = {"namespace": "demo", "pod": "chat-0"}


class World:
    """An adopted model with two replicas, one Ready pod, and a Prometheus that tells a rate."""

    def __init__(self, rps: float = 30.0, **spec: Any) -> None:
        body = a_body(spec=a_spec(**spec))
        self.cluster = FakeCluster().has(MODELS, body).has(DEPLOYMENTS, a_deployment(replicas=2))
        self.mirror = Mirror(lambda: None, 60.0, clock=lambda: START_S)
        self.mirror.feed(Kind.MODEL, body)
        self.mirror.feed(Kind.DEPLOYMENT, self.cluster.objects[f"{DEPLOYMENTS}/chat"])
        self.mirror.feed(Kind.POD, a_pod("chat-0"))
        self.says: Callable[[str], Reply] = lambda query: self.answer(query, rps)
        self.now_s = 1767225600.0 + 3600.0  # an hour after its pod became Ready
        self.settings: dict[str, Any] = {}
        self.loops: list[Loop] = []

    @staticmethod
    def answer(query: str, rps: float) -> Reply:
        if query.startswith("time()"):
            return vector((OF_POD, "4.2"))
        if "success" in query:
            return vector((OF_POD | {"model": "chat"}, str(rps)))
        return vector((OF_POD | {"model": "chat"}, "0"))

    def lives(self, *between: Callable[[], object], every_s: float = 10.0) -> Loop:
        """One round, and another after each thing that happens."""

        async def rounds(api: Api, url: str) -> Loop:
            loop = self._loop(api, url)
            for number, happens in enumerate((lambda: None, *between)):
                happens()
                await loop.tick(self.now_s + number * every_s)
            loop.prometheus.close()
            return loop

        with serve(lambda request: self.says(request.query["query"])) as peer:
            return self.cluster.do(lambda api: rounds(api, peer.url))

    def _loop(self, api: Api, url: str) -> Loop:
        settings = some_settings(prometheus_url=url, prometheus_timeout_s=5.0, **self.settings)
        router = Router(api, self.mirror, None, settings, lambda: self.now_s)  # type: ignore[arg-type]
        scaler = Scaler(api)
        loop = Loop(
            settings=settings,
            mirror=self.mirror,
            prometheus=Prometheus(url, settings.prometheus_timeout_s),
            upkeep=Upkeep(api, self.mirror, settings),
            scaler=scaler,
            reporter=Reporter(api, self.mirror, settings.status_refresh_s),
            exposition=Exposition(api),
            wake=asyncio.Event(),
            router=router,
            dozer=Dozer(api, self.mirror, None, router, scaler, lambda: self.now_s),  # type: ignore[arg-type]
        )
        self.loops.append(loop)
        return loop

    def is_told(self) -> None:
        """The watch tells the mirror how the target is."""
        self.mirror.feed(Kind.DEPLOYMENT, self.cluster.objects[f"{DEPLOYMENTS}/chat"])

    @property
    def size(self) -> int:
        return int(self.cluster.objects[f"{DEPLOYMENTS}/chat"]["spec"]["replicas"])

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.cluster.objects[f"{MODELS}/chat"]["status"]
        return found

    def count(self, path: str) -> int:
        return [at for _, at in self.cluster.writes()].count(path)


def test_a_rise_is_scaled_reported_and_told() -> None:
    world = World(rps=30.0)
    world.lives()
    assert world.size == 5
    assert world.status["replicas"] == {"current": 2, "ready": 1, "desired": 5}
    assert world.status["decision"]["reason"] == "DemandRise"
    (event,) = world.cluster.events
    assert (event["type"], event["reason"]) == ("Normal", "DemandRise")
    assert event["message"] == world.status["decision"]["message"]
    assert event["involvedObject"]["uid"] == "uid-demo-chat"


def test_a_status_is_written_for_the_object_it_speaks_of() -> None:
    """A successor of the same name must not get it."""
    world = World()
    world.lives()
    (written,) = (json.loads(r.body) for r in world.cluster.sent if r.path == STATUS)
    assert written["metadata"]["uid"] == "uid-demo-chat"


@pytest.mark.parametrize("mode", ["Recommend", "Paused"])
def test_other_modes_write_no_size(mode: str) -> None:
    world = World(rps=30.0, mode=mode)
    world.lives()
    assert world.size == 2
    assert world.count(SCALE) == 0
    assert world.status["mode"] == mode


def test_a_contended_target_is_not_touched() -> None:
    world = World(rps=30.0)
    world.mirror.feed(Kind.HPA, an_autoscaler())
    world.lives()
    assert world.count(SCALE) == 0
    assert {event["reason"] for event in world.cluster.events} == {"DemandRise", "TargetContended"}


def test_a_prometheus_that_is_down_changes_nothing_and_is_told_once() -> None:
    world = World()
    world.says = lambda _: failure(503, "down")
    world.lives(lambda: None, lambda: None)
    assert world.size == 2
    assert [event["reason"] for event in world.cluster.events] == ["PrometheusAnswerUnusable"]
    assert "demand" not in world.status


def test_rounds_without_news_write_nothing() -> None:
    world = World(rps=8.0)
    world.lives(world.cluster.forget, lambda: None, lambda: None)
    assert world.cluster.writes() == []
    assert world.cluster.events == []


def test_newer_numbers_alone_are_written_at_most_once_a_minute() -> None:
    world = World()
    rates = iter(range(800, 900))
    world.says = lambda query: world.answer(query, next(rates) / 100.0)
    world.lives(*[lambda: None] * 12, every_s=10.0)
    assert world.count(STATUS) == 3


def test_a_status_that_failed_is_made_good_with_its_events() -> None:
    world = World()
    world.says = lambda _: failure(503, "down")
    world.cluster.refusals["PATCH", STATUS] = refused(500)
    world.lives(lambda: None, world.cluster.refusals.clear)
    assert world.status["conditions"]
    assert [event["reason"] for event in world.cluster.events] == ["PrometheusAnswerUnusable"]


def test_a_scaling_is_told_even_when_its_status_is_not_written() -> None:
    world = World(rps=30.0)
    world.cluster.refusals["PATCH", STATUS] = refused(500)
    world.lives()
    assert [event["reason"] for event in world.cluster.events] == ["DemandRise"]


def test_a_refused_scaling_is_not_counted_and_its_condition_says_why_until_it_goes_through() -> None:
    world = World(rps=30.0)
    world.cluster.refusals["PATCH", SCALE] = refused(403, "no right")
    told, counted = [], []

    def look() -> None:
        told.append({condition["type"]: condition for condition in world.status["conditions"]}["ScalingActive"])
        counted.append([event["reason"] for event in world.cluster.events])

    world.lives(lambda: None, look, world.cluster.refusals.clear, lambda: None, look)

    assert [(condition["status"], condition["reason"]) for condition in told] == [
        ("False", "ScaleRefused"),
        ("True", "Enforcing"),
    ]
    assert "no right" in told[0]["message"]
    assert counted[0] == ["ScaleRefused"]
    assert sorted(counted[1][1:]) == ["DemandRise", "Enforcing"]


def test_events_that_fail_end_nothing() -> None:
    world = World(rps=30.0)
    world.cluster.refusals["POST", "/api/v1/namespaces/demo/events"] = refused(403)
    world.lives()
    assert world.size == 5


def test_a_model_that_went_meanwhile_is_not_written() -> None:
    world = World(rps=8.0)
    world.lives(lambda: (world.mirror.feed(Kind.MODEL, a_body(version=2), is_gone=True), world.cluster.forget()))
    assert world.cluster.writes() == []


def test_rounds_remember() -> None:
    """Scale-in needs a window of them."""
    world = World(rps=8.0)
    loop = world.lives(*[lambda: None] * 3)
    times_s, _ = loop.memory.history.window("need", ["uid-demo-chat"], 0.0)
    assert len(times_s) == 4


def test_the_memory_is_written_with_its_lock_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever explains a model reads it meanwhile."""
    held, learn = [], Memory.learn

    def watched(memory: Memory, lesson: Lesson, now_s: float) -> None:
        held.append(loops[-1].memory_lock.locked())
        learn(memory, lesson, now_s)

    loops: list[Loop] = []
    make = World._loop
    monkeypatch.setattr(World, "_loop", lambda *args: loops.append(make(*args)) or loops[-1])
    monkeypatch.setattr(Memory, "learn", watched)
    World(rps=8.0).lives(lambda: None)
    assert held == [True, True]
    assert not loops[-1].memory_lock.locked()


# Starts: pods tell how long they took, and the memory learns it.


def feed_starts(world: World, *totals_s: int, since: int = 0) -> None:
    for number, total_s in enumerate(totals_s, since):
        world.mirror.feed(Kind.POD, a_started_pod(f"new-{number}", after_s=(1, 3, total_s)))


def start_metrics(loop: Loop) -> dict[str, float]:
    lines = [line.split() for line in loop.exposition.text().decode().splitlines()]
    return {line[0]: float(line[1]) for line in lines if line[0].startswith("lull_model_start_seconds{")}


def test_pods_that_are_ready_when_the_operator_comes_teach_it_in_its_first_round() -> None:
    world = World(rps=8.0)
    feed_starts(world, *[180] * 10)
    loop = world.lives()
    (column,) = loop.memory.find(["uid-demo-chat"])
    told = loop.memory.starts.summary(column)
    assert told.p50_s == pytest.approx(180.0, rel=0.1)
    assert (told.scheduling_s, told.image_s, told.loading_s) == (1.0, 2.0, 177.0)


def test_each_start_is_learned_once_and_planned_with_from_the_next_round_on() -> None:
    world, leads_s, seen = World(rps=8.0), [], []

    def look() -> None:
        (loop,) = world.loops
        (column,) = loop.memory.find(["uid-demo-chat"])
        seen.append(float(loop.memory.starts.seen[column]))
        leads_s.append(float(loop.exposition.plan.lesson.costs.lead_s[0]))

    world.lives(
        lambda: (look(), feed_starts(world, 600)), look, lambda: (look(), feed_starts(world, 610, since=1)), look
    )
    # A start keeps 0.95 of its weight with the one after it.
    assert seen == pytest.approx([0.0, 1.0, 1.0, 1.95])
    assert leads_s[0] == leads_s[1] < 600.0 < leads_s[2]


def test_the_setting_is_the_prior() -> None:
    usual, slow = World(rps=8.0), World(rps=8.0)
    slow.settings = {"cold_start_s": 300.0}
    lead_s, slow_lead_s = (world.lives().exposition.plan.lesson.costs.lead_s[0] for world in (usual, slow))
    assert slow_lead_s == pytest.approx(5.0 * lead_s)


def test_start_times_are_a_metric_once_starts_were_seen() -> None:
    world = World(rps=8.0)
    assert start_metrics(world.lives()) == {}
    feed_starts(world, *[180] * 20)
    loop = world.lives()
    (column,) = loop.memory.find(["uid-demo-chat"])
    told = loop.memory.starts.summary(column)
    labels = 'name="chat",namespace="demo",quantile='
    assert start_metrics(loop) == {
        f'lull_model_start_seconds{{{labels}"0.5"}}': told.p50_s,
        f'lull_model_start_seconds{{{labels}"0.95"}}': told.p95_s,
    }


def test_start_times_of_a_model_that_went_are_no_metric() -> None:
    world = World(rps=8.0)
    feed_starts(world, 180)
    loop = world.lives(lambda: world.mirror.feed(Kind.MODEL, a_body(version=2), is_gone=True))
    assert start_metrics(loop) == {}


def test_the_metrics_tell_what_was_decided() -> None:
    loop = World(rps=30.0).lives()
    text = loop.exposition.text().decode()
    of_chat = 'name="chat",namespace="demo"'
    for line in (
        f"lull_model_replicas{{{of_chat}}} 2.0",
        f"lull_model_replicas_ready{{{of_chat}}} 1.0",
        f"lull_model_replicas_desired{{{of_chat}}} 5.0",
        f"lull_model_requests_per_second{{{of_chat}}} 30.0",
        f"lull_model_data_age_seconds{{{of_chat}}} 4.2",
        'lull_model_reason{name="chat",namespace="demo",reason="DemandRise"} 1.0',
        'lull_model_condition{condition="ScalingActive",name="chat",namespace="demo",status="True"} 1.0',
        'lull_decisions_total{name="chat",namespace="demo",reason="DemandRise"} 1.0',
        'lull_api_requests_total{code="200",resource="deployments/scale",verb="PATCH"} 1.0',
        'lull_cycle_seconds_count{phase="plan"} 1.0',
    ):
        assert line in text


def test_what_is_unknown_is_no_metric() -> None:
    world = World()
    world.says = lambda _: failure(503, "down")
    text = world.lives().exposition.text().decode()
    assert 'lull_model_replicas{name="chat",namespace="demo"} 2.0' in text
    assert "lull_model_requests_per_second{" not in text
    assert "lull_model_data_age_seconds{" not in text


def test_a_model_that_went_is_no_metric() -> None:
    world = World(rps=30.0)
    loop = world.lives(lambda: world.mirror.feed(Kind.MODEL, a_body(version=2), is_gone=True))
    assert b'name="chat"' not in loop.exposition.text()


def test_before_the_first_round_there_are_metrics_without_models() -> None:
    async def look(api: Api) -> str:
        return Exposition(api).text().decode()

    text = FakeCluster().do(look)
    assert "lull_cycle_failures_total 0.0" in text
    assert "lull_model_replicas{" not in text


# The loop around the rounds, on a clock that takes no time.


class Failing:
    """An upkeep in which every round ends in a mistake of our own, until the loop is stopped."""

    def __init__(self, rounds: int, happens: Callable[[], object]) -> None:
        self.at_s: list[float] = []
        self._rounds = rounds
        self._happens = happens

    async def run(self, _: float) -> dict[Key, tuple[Fault, ...]]:
        self.at_s.append(asyncio.get_running_loop().time())
        if len(self.at_s) > self._rounds:
            raise asyncio.CancelledError
        self._happens()
        raise RuntimeError("a mistake of our own")


def fail(rounds: int, *, spec_changes: bool = False) -> tuple[Failing, Loop]:
    """Runs the loop until it has failed so often."""

    async def main() -> tuple[Failing, Loop]:
        api: Any = SimpleNamespace(requests={})
        loop = World()._loop(api, "http://nowhere")
        failing: Any = Failing(rounds, loop.wake.set if spec_changes else lambda: None)
        loop.upkeep = failing
        with pytest.raises(asyncio.CancelledError):
            await loop.run()
        return failing, loop

    return virtual_time.run(main())


def test_a_round_that_fails_is_counted_and_does_not_end_the_loop() -> None:
    _, loop = fail(3)
    assert b"lull_cycle_failures_total 3.0" in loop.exposition.text()
    assert loop.finished_at_s is None, "the liveness probe shall see that no round ended"


@pytest.mark.parametrize(("spec_changes", "seconds"), [(False, 10.0), (True, 1.0)])
def test_rounds_come_every_tick_and_sooner_when_a_spec_changed(spec_changes: bool, seconds: float) -> None:
    """Never sooner than a second, however often specs change."""
    failing, _ = fail(3, spec_changes=spec_changes)
    apart_s = [later - earlier for earlier, later in pairwise(failing.at_s)]
    assert apart_s == pytest.approx([seconds] * 3)


def a_waiting_sleeper(name: str = "chat") -> dict[str, Any]:
    """A model for which an activator says that three requests wait."""
    target = {"kind": "Deployment", "name": name}
    spec = a_spec(scaleTargetRef=target, mode="Enforce", scaleToZero={"mode": "Enforce", "allowLongStart": True})
    waits = {"pod": "activator-0", "held": 3, "expires": "2999-01-01T00:00:00Z"}
    return a_body(name, spec=spec, version=900) | {"status": {"activation": [waits]}}


def woken(world: World, *names: str, size: int = 0, until: Callable[[], object] | None = None) -> Loop:
    """The wake lane while requests begin to wait for these, until it has no more to do, or until something happened."""

    async def lives(api: Api) -> Loop:
        loop = world._loop(api, "http://127.0.0.1:9")
        lane = asyncio.create_task(loop.wake_up())
        for name in names:
            world.mirror.feed(Kind.MODEL, a_waiting_sleeper(name))
            await asyncio.sleep(0.05)
        async with asyncio.timeout(5.0):
            while not until() if until else loop.woken or loop.waking:  # noqa: ASYNC110 - many things may end it
                await asyncio.sleep(0.01)
        lane.cancel()
        loop.prometheus.close()
        return loop

    for name in names:
        world.cluster.has(MODELS, a_waiting_sleeper(name)).has(DEPLOYMENTS, a_deployment(name, replicas=size))
        world.mirror.feed(Kind.DEPLOYMENT, world.cluster.objects[f"{DEPLOYMENTS}/{name}"])
    return world.cluster.do(lives)


def wakes_counted(loop: Loop) -> float:
    (line,) = (li for li in loop.exposition.text().decode().splitlines() if li.startswith("lull_wake_seconds_count"))
    return float(line.split()[1])


def test_requests_that_wait_wake_a_sleeper_without_a_round() -> None:
    """Only the woken model is planned, and nothing is asked of Prometheus."""
    world = World(rps=0.0)
    loop = woken(world, "chat")
    assert world.size == 1
    assert world.status["decision"]["reason"] == "Woken"
    assert wakes_counted(loop) == 1.0


def test_a_wake_that_is_needless_or_fails_counts_for_no_time() -> None:
    awake = World(rps=0.0)
    assert wakes_counted(woken(awake, "chat", size=2)) == 0.0
    refusing = World(rps=0.0)
    refusing.cluster.refusals["PATCH", SCALE] = refused(403, "no right")
    loop = woken(refusing, "chat")
    assert wakes_counted(loop) == 0.0
    assert loop.scale_faults


@pytest.mark.parametrize("slow", [f"{MODELS}/chat/status", SCALE], ids=["its status", "its size"])
def test_who_begins_to_wait_next_waits_for_no_write_of_another_wake(slow: str) -> None:
    world = World(rps=0.0)
    world.cluster.refusals["PATCH", slow] = Reply(b"{}", after_s=30.0)
    rank = f"{DEPLOYMENTS}/rank"
    woken(world, "chat", "rank", until=lambda: world.cluster.objects[rank]["spec"]["replicas"])
    assert world.cluster.objects[rank]["spec"]["replicas"] == 1


def test_an_error_of_our_own_ends_no_other_wake(monkeypatch: pytest.MonkeyPatch) -> None:
    route = Loop._route

    def breaks(loop: Loop, plan: ModelPlan) -> None:
        if plan.key == CHAT:
            raise RuntimeError("a mistake of ours")
        route(loop, plan)

    monkeypatch.setattr(Loop, "_route", breaks)
    world = World(rps=0.0)
    loop = woken(world, "chat", "rank")
    assert world.cluster.objects[f"{DEPLOYMENTS}/rank"]["spec"]["replicas"] == 1
    assert b"lull_cycle_failures_total 1.0" in loop.exposition.text()


@pytest.mark.parametrize(("held", "is_round"), [(3, True), (0, False)])
def test_a_start_that_meets_an_obstacle_is_told_soon_to_those_who_wait(held: int, is_round: bool) -> None:
    """Where nobody waits, the next tick is soon enough."""
    world = World(rps=0.0)
    waits = {"pod": "activator-0", "held": held, "expires": "2999-01-01T00:00:00Z"}
    body = a_body("chat", spec=a_spec(mode="Enforce", scaleToZero={"mode": "Enforce"}))
    body |= {"status": {"activation": [waits]}}
    body["metadata"] |= {"resourceVersion": "900"}

    async def meets_an_obstacle() -> bool:
        api: Any = SimpleNamespace(requests={})
        loop = world._loop(api, "http://127.0.0.1:9")
        world.mirror.feed(Kind.MODEL, body)
        loop.wake.clear()
        world.mirror.on_obstacle("demo")
        await asyncio.sleep(PATIENCE_S + 0.1)
        return loop.wake.is_set()

    assert virtual_time.run(meets_an_obstacle()) is is_round


# A template that changed while its model slept.


class Asleep(World):
    """A sleeper, with the Service and the activator that it takes."""

    def __init__(self) -> None:
        super().__init__(rps=0.0, serviceRef={"name": "chat"}, scaleToZero={"mode": "Enforce", "allowLongStart": True})
        ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
        self.mirror.home = "lull"
        self.mirror.feed(Kind.SERVICE, an_object("chat", spec={"selector": {"app": "chat"}, "ports": ports}))
        self.mirror.feed(Kind.POD, an_activator())
        self.version = 900
        self.is_like("triton:1", replicas=2, ready=1)

    def is_like(self, image: str, *, replicas: int, ready: int) -> None:
        """The Deployment, its status and its pod."""
        self.version += 1
        body = self.cluster.objects[f"{DEPLOYMENTS}/chat"]
        body["metadata"] |= {"resourceVersion": str(self.version)}
        body["spec"] |= {"replicas": replicas, "template": {"spec": {"containers": [{"image": image}]}}}
        body["status"] = {"observedGeneration": 99, "replicas": ready, "updatedReplicas": ready, "readyReplicas": ready}
        self.is_told()
        self.mirror.feed(Kind.POD, a_pod("chat-0", version=self.version, ready=ready > 0))

    def is_read_again(self) -> None:
        """What the API server has of the model, as the watch tells it."""
        self.version += 1
        body = self.cluster.objects[f"{MODELS}/chat"]
        body["metadata"]["resourceVersion"] = str(self.version)
        self.mirror.feed(Kind.MODEL, body)


def test_a_template_that_changed_in_sleep_is_proven_by_one_start_also_after_a_restart() -> None:
    world = Asleep()
    world.lives()
    proven = world.status["lastAwake"]["template"]
    assert world.status["lastAwake"]["replicas"] == 2

    world.is_read_again()
    world.is_like("triton:1", replicas=0, ready=0)
    world.lives()  # a new operator knows what the status says
    assert (world.size, world.status["decision"]["reason"]) == (0, "Asleep")
    assert world.status["lastAwake"] == {"replicas": 2, "template": proven}

    world.is_read_again()
    world.is_like("triton:2", replicas=0, ready=0)
    world.lives()
    assert (world.size, world.status["decision"]["reason"]) == (1, "TemplateProof")
    assert world.status["lastAwake"]["template"] == proven, "nothing was Ready yet"
    assert "TemplateProof" in {event["reason"] for event in world.cluster.events}

    world.is_read_again()
    world.is_like("triton:2", replicas=1, ready=1)
    world.lives()
    assert world.status["lastAwake"]["template"] != proven
    assert world.status["lastAwake"]["replicas"] == 2, "the one that proved it is no size that anybody wanted"
    assert world.count(SCALE) == 1


def test_another_size_is_no_other_template() -> None:
    world = Asleep()
    world.lives()
    world.is_read_again()
    world.is_like("triton:1", replicas=0, ready=0)
    world.cluster.objects[f"{DEPLOYMENTS}/chat"]["metadata"]["generation"] = 57
    world.is_told()
    world.lives()
    assert world.size == 0


def test_a_wake_that_a_quota_forbids_begins_anew_once_it_was_left_alone_for_a_while() -> None:
    """Nobody tells Kubernetes that the quota was raised; a size that changes makes it look at once."""
    world = Asleep()
    world.mirror.feed(Kind.POD, a_pod("chat-0", version=990), is_gone=True)
    model, target = (world.cluster.objects[f"{path}/chat"] for path in (MODELS, DEPLOYMENTS))
    waits = {"pod": "activator-0", "held": 1, "expires": "2999-01-01T00:00:00Z"}
    port = {"name": "http", "port": 80, "holdingPort": 20000}
    model["status"] = {"activation": [waits], "hold": {"state": "Attached", "ports": [port]}}
    refusal = "pods is forbidden: exceeded quota: gpus"
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": refusal}
    target["spec"]["replicas"], target["status"] = 1, {"observedGeneration": 99, "conditions": [failure]}
    sizes: list[int] = []

    def time_passes() -> None:
        target["metadata"]["resourceVersion"] = str(1000 + len(sizes))
        world.is_told()
        sizes.append(world.size)

    world.is_read_again()
    world.lives(*[time_passes] * 8)
    # A new leader tries at once, for it does not know when that was done last.
    assert sizes == [1, 0, 1, 1, 1, 1, 0, 1]
    assert {"QuotaExceeded", "Woken"} <= {event["reason"] for event in world.cluster.events}
