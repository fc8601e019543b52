"""Full lists fill the mirror and drop ghosts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bodies import a_deployment, a_pod, a_service
from builders import START_S, a_body
from fake_cluster import DEPLOYMENTS, MODELS, PODS, SERVICES, FakeCluster, refused
from loopback import Reply
from lull.adapters.api import Api
from lull.adapters.mirror import Kind, Mirror
from lull.errors import Refused, WatchLost
from lull.model.spec import Key
from lull.runtime.handlers import registry_for
from lull.runtime.relist import COLLECTIONS, fill, fill_in_time, sweep

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
    assert cluster.do(lambda api: fill(api, mirror)).ghosts == 0
    assert CHAT in mirror.models
    assert CHAT in mirror.workloads[Kind.DEPLOYMENT]
    assert CHAT in mirror.services
    assert len(mirror.pods) == 2
    assert len(cluster.sent) == len(COLLECTIONS) == len(Kind)


def test_ghosts_are_dropped_and_counted() -> None:
    mirror, cluster = a_mirror(), a_cluster()
    mirror.feed(Kind.POD, a_pod("ghost"))
    mirror.feed(Kind.SERVICE, a_service("ghost"))
    assert cluster.do(lambda api: fill(api, mirror)).ghosts == 2
    assert {key.name for key in mirror.pods} == {"chat-0", "chat-1"}


def test_a_cluster_without_keda_is_a_good_cluster() -> None:
    cluster = a_cluster()
    cluster.refusals["GET", "/apis/keda.sh/v1alpha1/scaledobjects"] = refused(404, "page not found")
    assert cluster.do(lambda api: fill(api, a_mirror())).ghosts == 0


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


# A watch that dies silently.


def sweeps(
    cluster: FakeCluster,
    mirror: Mirror,
    monkeypatch: pytest.MonkeyPatch,
    *,
    count: int = 3,
    between: Callable[[], object] = lambda: None,
) -> None:
    """Some sweeps, with no time between them; ``between`` happens after each list."""
    naps = iter(range(2 * count))

    async def nap(seconds: float) -> None:
        """The second nap of a sweep is the one in which the watches may still tell."""
        number = next(naps, None)
        if number is None:
            raise asyncio.CancelledError
        mirror.clock.now_s += seconds  # type: ignore[attr-defined]
        if number % 2:
            between()

    async def act(api: Api) -> None:
        monkeypatch.setattr("lull.runtime.relist.asyncio.sleep", nap)
        try:
            await sweep(api, mirror)
        except asyncio.CancelledError:
            return
        finally:
            monkeypatch.undo()

    cluster.do(act)


def test_a_watch_that_does_not_tell_what_a_list_found_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    mirror, cluster = a_mirror(), a_cluster()
    cluster.do(lambda api: fill(api, mirror))
    cluster.has(PODS, a_pod("chat-2", version=200))
    with pytest.raises(WatchLost, match="the watch of Pod has not told"):
        sweeps(cluster, mirror, monkeypatch, between=lambda: mirror.hear(Kind.SERVICE, a_service(), is_gone=False))


def test_a_watch_that_tells_a_little_later_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    mirror, cluster = a_mirror(), a_cluster()
    cluster.do(lambda api: fill(api, mirror))
    pod = a_pod("chat-2", version=200)
    cluster.has(PODS, pod)
    sweeps(cluster, mirror, monkeypatch, between=lambda: mirror.hear(Kind.POD, pod, is_gone=False))


def test_a_quiet_cluster_is_no_dead_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    mirror, cluster = a_mirror(), a_cluster()
    cluster.do(lambda api: fill(api, mirror))
    sweeps(cluster, mirror, monkeypatch, count=10)


def test_a_deletion_that_fell_into_a_gap_is_no_dead_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """No watch tells it, by design of the API."""
    mirror, cluster = a_mirror(), a_cluster()
    cluster.do(lambda api: fill(api, mirror))
    del cluster.objects[f"{PODS}/chat-1"]
    sweeps(cluster, mirror, monkeypatch)
    assert {key.name for key in mirror.pods} == {"chat-0"}


def test_with_neither_lists_nor_watches_there_is_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    mirror, cluster = a_mirror(), a_cluster()
    cluster.refusals["GET", "/api/v1/pods"] = refused(500, "etcd is away")
    sweeps(cluster, mirror, monkeypatch, count=2)
    with pytest.raises(WatchLost, match="neither lists nor watches"):
        sweeps(cluster, mirror, monkeypatch, count=10)


def test_lists_that_fail_are_borne_while_watches_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    mirror, cluster = a_mirror(), a_cluster()
    cluster.refusals["GET", "/api/v1/pods"] = refused(500, "etcd is away")
    pod = a_pod("chat-0")
    sweeps(cluster, mirror, monkeypatch, count=10, between=lambda: mirror.hear(Kind.POD, pod, is_gone=False))


# The first lists.


@pytest.mark.parametrize("trouble", [refused(410), refused(429), refused(500), refused(503)])
def test_the_first_lists_wait_for_a_server_in_trouble(trouble: Reply, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror, cluster, waits = a_mirror(), a_cluster(), []
    cluster.refusals["GET", "/api/v1/pods"] = trouble

    async def nap(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 20:
            cluster.refusals.clear()

    async def act(api: Api) -> None:
        monkeypatch.setattr("lull.runtime.relist.asyncio.sleep", nap)
        await fill_in_time(api, mirror)

    cluster.do(act)
    assert len(mirror.pods) == 2


def test_the_first_lists_do_not_wait_for_a_right_that_is_missing() -> None:
    cluster = a_cluster()
    cluster.refusals["GET", "/api/v1/pods"] = refused(403)
    with pytest.raises(Refused, match="pods cannot be listed"):
        cluster.do(lambda api: fill_in_time(api, a_mirror()))
