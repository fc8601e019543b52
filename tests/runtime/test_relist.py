"""Full lists fill the mirror and drop ghosts."""

from __future__ import annotations

import pytest

from bodies import a_deployment, a_pod, a_service
from builders import START_S, a_body
from fake_cluster import DEPLOYMENTS, MODELS, PODS, SERVICES, FakeCluster, refused
from lull.adapters.mirror import Kind, Mirror
from lull.errors import Refused
from lull.model.spec import Key
from lull.runtime.handlers import registry_for
from lull.runtime.relist import COLLECTIONS, fill

CHAT = Key("demo", "chat")


class Clock:
    """A clock that goes on by itself, so that a list is later than what was fed before it."""

    def __init__(self) -> None:
        self.now_s = START_S

    def __call__(self) -> float:
        self.now_s += 1.0
        return self.now_s


def a_mirror() -> Mirror:
    return Mirror(lambda: None, 60.0, clock=Clock())


def a_cluster() -> FakeCluster:
    cluster = FakeCluster().has(MODELS, a_body()).has(DEPLOYMENTS, a_deployment()).has(SERVICES, a_service())
    return cluster.has(PODS, a_pod("chat-0"), a_pod("chat-1"))


def test_everything_that_is_watched_is_listed() -> None:
    mirror, cluster = a_mirror(), a_cluster()
    assert cluster.do(lambda api: fill(api, mirror)) == 0
    assert CHAT in mirror.models
    assert CHAT in mirror.workloads[Kind.DEPLOYMENT]
    assert CHAT in mirror.services
    assert len(mirror.pods) == 2
    assert len(cluster.sent) == len(COLLECTIONS) == len(Kind)


def test_ghosts_are_dropped_and_counted() -> None:
    mirror, cluster = a_mirror(), a_cluster()
    mirror.feed(Kind.POD, a_pod("ghost"))
    mirror.feed(Kind.SERVICE, a_service("ghost"))
    assert cluster.do(lambda api: fill(api, mirror)) == 2
    assert {key.name for key in mirror.pods} == {"chat-0", "chat-1"}


def test_a_cluster_without_keda_is_a_good_cluster() -> None:
    cluster = a_cluster()
    cluster.refusals["GET", "/apis/keda.sh/v1alpha1/scaledobjects"] = refused(404, "page not found")
    assert cluster.do(lambda api: fill(api, a_mirror())) == 0


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        pytest.param("/apis/lull.dev/v1alpha1/inferencedeployments", 404, "apply -f crds/", id="no CRD"),
        pytest.param("/apis/apps/v1/deployments", 403, "deployments cannot be listed", id="no right"),
        pytest.param(
            "/apis/keda.sh/v1alpha1/scaledobjects", 403, "scaledobjects cannot be listed", id="no right there"
        ),
        pytest.param("/api/v1/pods", 500, "pods cannot be listed", id="trouble"),
    ],
)
def test_a_list_that_must_be_there_is_missed(path: str, status: int, says: str) -> None:
    cluster = a_cluster()
    cluster.refusals["GET", path] = refused(status, "forbidden")
    with pytest.raises(Refused, match=says) as missed:
        cluster.do(lambda api: fill(api, a_mirror()))
    assert missed.value.status == status


def test_what_is_listed_is_watched() -> None:
    """One handler for each kind, and none that writes to objects."""
    registry = registry_for(a_mirror())
    handlers = registry._watching.get_all_handlers()
    assert sorted(str(handler.id) for handler in handlers) == sorted(
        f"feed-{plural}" for _, plural in COLLECTIONS.values()
    )
    assert not registry._changing.get_all_handlers()
    assert not registry._spawning.get_all_handlers()
    assert not registry._indexing.get_all_handlers()


def test_a_watch_event_feeds_the_mirror() -> None:
    mirror = a_mirror()
    (feed,) = (h.fn for h in registry_for(mirror)._watching.get_all_handlers() if h.id == "feed-pods")
    feed(event={"type": "ADDED", "object": a_pod("chat-0")})
    assert len(mirror.pods) == 1
    feed(event={"type": "DELETED", "object": a_pod("chat-0", version=2)})
    assert len(mirror.pods) == 0
