"""Owned objects are made, mended and left alone, against an API server on loopback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bodies import a_deployment
from builders import START_S, a_body, a_template, an_owned_spec, some_settings
from fake_cluster import DEPLOYMENTS, SERVICES, FakeCluster, refused
from lull.adapters.api import Api
from lull.adapters.mirror import Kind, Mirror
from lull.model.fleet import Fault
from lull.model.reason import Reason
from lull.model.spec import Key
from lull.runtime.upkeep import Upkeep

CHAT = Key("demo", "chat")
DEPLOYMENT, SERVICE = f"{DEPLOYMENTS}/chat", f"{SERVICES}/chat"


class World:
    """A cluster, the mirror of it, and rounds of upkeep between which things happen."""

    def __init__(self, *models: dict[str, Any]) -> None:
        self.cluster = FakeCluster()
        self.mirror = Mirror(lambda: None, 60.0, clock=lambda: START_S)
        self.found: list[dict[Key, tuple[Fault, ...]]] = []
        for body in models or (owning(),):
            self.mirror.feed(Kind.MODEL, body)

    def keeps(self, *between: Callable[[], object], every_s: float = 10.0) -> World:
        """Runs one round, and another after each thing that happens."""

        async def rounds(api: Api) -> None:
            upkeep = Upkeep(api, self.mirror, some_settings())
            for number, happens in enumerate((lambda: None, *between)):
                happens()
                self.found.append(await upkeep.run(START_S + number * every_s))

        self.cluster.do(rounds)
        return self

    def is_told(self) -> None:
        """The watch tells the mirror how things are."""
        for kind, path in ((Kind.DEPLOYMENT, DEPLOYMENT), (Kind.SERVICE, SERVICE)):
            if body := self.cluster.objects.get(path):
                self.mirror.feed(kind, body)

    def edited(self, path: str, **spec: Any) -> Callable[[], None]:
        """Somebody edits an object by hand, and the watch tells."""

        def edit() -> None:
            body = self.cluster.objects[path]
            body["spec"] |= spec
            body["metadata"]["resourceVersion"] = str(int(body["metadata"]["resourceVersion"]) + 500)
            if "generation" in body["metadata"]:
                body["metadata"]["generation"] += 1
            self.is_told()
            self.cluster.forget()

        return edit

    def quiet(self) -> None:
        """The watch tells, and what was written so far is forgotten."""
        self.is_told()
        self.cluster.forget()


def owning(name: str = "chat", **spec: Any) -> dict[str, Any]:
    return a_body(name, spec=an_owned_spec(**spec))


def test_a_new_model_gets_its_deployment_and_its_service() -> None:
    world = World().keeps()
    assert world.cluster.writes() == [("PATCH", DEPLOYMENT), ("PATCH", SERVICE)]
    assert world.found == [{}]
    assert CHAT in world.mirror.workloads[Kind.DEPLOYMENT], "the plan of this very round shall see it"


def test_what_is_as_it_should_be_is_not_written() -> None:
    world = World()
    world.keeps(world.quiet, lambda: None)
    assert world.cluster.writes() == []


def test_a_restart_writes_nothing() -> None:
    world = World().keeps()
    world.quiet()
    world.keeps()
    assert world.cluster.writes() == []


def test_an_adopted_model_is_left_alone() -> None:
    assert World(a_body()).keeps().cluster.sent == []


@pytest.mark.parametrize(
    ("path", "edit"),
    [
        pytest.param(DEPLOYMENT, {"strategy": {"type": "Recreate"}}, id="Deployment"),
        pytest.param(SERVICE, {"selector": {"app": "somebody-else"}}, id="Service"),
    ],
)
def test_an_edit_by_hand_is_mended(path: str, edit: dict[str, Any]) -> None:
    world = World()
    world.keeps(world.quiet, world.edited(path, **edit))
    assert world.cluster.writes() == [("PATCH", path)]


def test_an_edit_of_what_lull_does_not_own_stays() -> None:
    world = World()
    world.keeps(world.quiet, world.edited(DEPLOYMENT, paused=True, replicas=7))
    assert world.cluster.writes() == []
    assert world.cluster.objects[DEPLOYMENT]["spec"]["replicas"] == 7


def test_a_value_that_the_api_server_rewrites_is_not_fought_over() -> None:
    """It makes "1500m" of "1.5": that is not somebody's edit."""
    template = a_template()
    template["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "1.5"}}
    world = World(owning(template=template))
    answer = world.cluster.answer

    def rewriting(request: Any) -> Any:
        reply = answer(request)
        if (request.verb, request.path) == ("PATCH", DEPLOYMENT):
            containers = world.cluster.objects[DEPLOYMENT]["spec"]["template"]["spec"]["containers"]
            containers[0]["resources"] = {"limits": {"cpu": "1500m"}}
        return reply

    world.cluster.answer = rewriting  # type: ignore[method-assign]
    world.keeps(world.quiet, lambda: None, lambda: None)
    assert world.cluster.writes() == []


def test_a_changed_template_is_applied() -> None:
    world = World()
    changed = a_body(spec=an_owned_spec(template=a_template(nodeSelector={"gpu": "yes"})), generation=2, version=2)

    def changes() -> None:
        world.quiet()
        world.mirror.feed(Kind.MODEL, changed)

    world.keeps(changes)
    assert world.cluster.writes() == [("PATCH", DEPLOYMENT)]


@pytest.mark.parametrize("owner", [None, "uid-of-another"])
def test_an_object_that_is_not_ours_is_a_fault_and_never_written(owner: str | None) -> None:
    world = World()
    world.mirror.feed(Kind.DEPLOYMENT, a_deployment(owner=owner))
    world.keeps()
    (fault,) = world.found[0][CHAT]
    assert fault.reason is Reason.OBJECT_NOT_OURS
    assert "scaleTargetRef" in fault.message
    assert ("PATCH", DEPLOYMENT) not in world.cluster.writes()


def test_a_refused_template_is_a_fault_and_is_tried_again_a_minute_later() -> None:
    world = World()
    world.cluster.refusals["PATCH", DEPLOYMENT] = refused(422, "unknown field containers[0].imge")
    world.keeps(*[lambda: None] * 11, every_s=10.0)
    for found in world.found:
        (fault,) = found[CHAT]
        assert fault.reason is Reason.TEMPLATE_REFUSED
        assert "imge" in fault.message
    assert world.cluster.writes().count(("PATCH", DEPLOYMENT)) == 2


def test_a_mended_template_does_not_wait() -> None:
    world = World()
    world.cluster.refusals["PATCH", DEPLOYMENT] = refused(422)

    def mends() -> None:
        del world.cluster.refusals["PATCH", DEPLOYMENT]
        spec = an_owned_spec(template=a_template(nodeSelector={"gpu": "yes"}))
        world.mirror.feed(Kind.MODEL, a_body(spec=spec, generation=2, version=2))

    world.keeps(mends)
    assert world.found[1] == {}
    assert DEPLOYMENT in world.cluster.objects


def test_a_silent_api_server_is_told_as_such() -> None:
    world = World()
    world.cluster.refusals["PATCH", SERVICE] = refused(200).__class__(b"{", length=900)
    world.keeps()
    (fault,) = world.found[0][CHAT]
    assert fault.reason is Reason.API_UNREACHABLE


def test_one_models_trouble_is_its_own() -> None:
    broken = a_template(terminationGracePeriodSeconds="soon")
    world = World(owning("broken", template=broken), owning("chat")).keeps()
    (fault,) = world.found[0][Key("demo", "broken")]
    assert fault.reason is Reason.TEMPLATE_REFUSED
    assert CHAT not in world.found[0]
    assert DEPLOYMENT in world.cluster.objects


# The first size.


def test_a_new_deployment_starts_at_the_minimum() -> None:
    world = World(owning(minReplicas=3)).keeps()
    assert world.cluster.objects[DEPLOYMENT]["spec"]["replicas"] == 3
    assert world.mirror.workloads[Kind.DEPLOYMENT][CHAT].replicas == 3


def test_a_minimum_of_one_is_what_a_new_deployment_has() -> None:
    assert ("PATCH", f"{DEPLOYMENT}/scale") not in World(owning(minReplicas=1)).keeps().cluster.writes()


def test_a_deployment_that_was_scaled_before_keeps_its_size() -> None:
    """A restart of the operator finds it at any size, and the planner decides from there."""
    world = World(owning(minReplicas=3)).keeps()
    world.cluster.objects[DEPLOYMENT]["spec"]["replicas"] = 7
    world.cluster.objects[DEPLOYMENT]["metadata"] |= {"generation": 4, "resourceVersion": "900"}
    world.quiet()
    world.keeps()
    assert world.cluster.writes() == []


def test_a_first_size_that_fails_is_given_by_the_next_round() -> None:
    world = World(owning(minReplicas=3))
    world.cluster.refusals["PATCH", f"{DEPLOYMENT}/scale"] = refused(500)
    world.keeps(world.cluster.refusals.clear)
    assert world.cluster.objects[DEPLOYMENT]["spec"]["replicas"] == 3
    assert world.found == [{}, {}]
