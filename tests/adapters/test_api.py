"""The API server over a real socket: what is sent, and how its refusals are told."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

import virtual_time
from loopback import Peer, Reply, Request, as_json, kubeconfig, serve
from lull.adapters.api import Api, Lane, Pace, connected, path_of
from lull.errors import BadAnswer, Deposed, Refused, Unreachable

T = TypeVar("T")

DEPLOYMENTS = "/apis/apps/v1/namespaces/demo/deployments"
CHAT = f"{DEPLOYMENTS}/chat"


def talk(url: str, act: Callable[[Api], Awaitable[T]]) -> tuple[T, Api]:
    """Does one thing with the API server at ``url``, over a connection as the operator makes it."""

    async def main() -> tuple[T, Api]:
        async with connected(writes_per_s=1000.0) as api:
            return await act(api), api

    with kubeconfig(url):
        return asyncio.run(main())


def ask(reply: Reply | Callable[[Request], Reply], act: Callable[[Api], Awaitable[T]]) -> tuple[T, Api, Peer]:
    with serve(reply if callable(reply) else lambda _: reply) as peer:
        return (*talk(peer.url, act), peer)


async def everything(api: Api, path: str) -> list[dict[str, Any]]:
    return [item async for item in api.list(path)]


def test_one_object_is_read() -> None:
    found, _, peer = ask(as_json({"kind": "Deployment"}), lambda api: api.get(CHAT))
    assert found == {"kind": "Deployment"}
    (request,) = peer.requests
    assert (request.verb, request.path, request.query) == ("GET", CHAT, {})
    assert request.headers["accept"] == "application/json"
    assert request.headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize("force", [True, False])
def test_an_apply_carries_its_type_its_manager_and_its_force(force: bool) -> None:
    manifest = {"kind": "Deployment", "spec": {"paused": False}}
    _, _, peer = ask(as_json({}), lambda api: api.apply(CHAT, manifest, force=force))
    (request,) = peer.requests
    assert (request.verb, request.path) == ("PATCH", CHAT)
    assert request.query == {"fieldManager": "lull", "force": str(force).lower()}
    assert request.headers["content-type"] == "application/apply-patch+yaml"
    assert json.loads(request.body) == manifest


def test_a_merge_patch_says_that_it_is_one() -> None:
    change = {"spec": {"replicas": 3}}
    _, _, peer = ask(as_json({}), lambda api: api.merge(f"{CHAT}/scale", change))
    (request,) = peer.requests
    assert (request.verb, request.query) == ("PATCH", {"fieldManager": "lull"})
    assert request.headers["content-type"] == "application/merge-patch+json"
    assert json.loads(request.body) == change


def test_a_creation_posts_json() -> None:
    _, _, peer = ask(as_json({}, 201), lambda api: api.create("/api/v1/namespaces/demo/events", {"kind": "Event"}))
    (request,) = peer.requests
    assert (request.verb, request.headers["content-type"]) == ("POST", "application/json")
    assert json.loads(request.body) == {"kind": "Event"}


def test_a_collection_is_read_page_by_page() -> None:
    pages = {
        None: {"items": [{"n": 1}, {"n": 2}], "metadata": {"continue": "a+b/c="}},
        "a+b/c=": {"items": [], "metadata": {"continue": "d"}},
        "d": {"items": [{"n": 3}], "metadata": {}},
    }
    found, _, peer = ask(
        lambda request: as_json(pages[request.query.get("continue")]), lambda api: everything(api, "/api/v1/pods")
    )
    assert [item["n"] for item in found] == [1, 2, 3]
    assert {request.query["limit"] for request in peer.requests} == {"500"}


def test_an_empty_collection_is_empty() -> None:
    assert ask(as_json({"items": None, "metadata": {}}), lambda api: everything(api, "/api/v1/pods"))[0] == []


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        pytest.param(
            as_json({"kind": "Status", "message": 'deployments "chat" not found'}, 404), "not found", id="404"
        ),
        pytest.param(as_json({"message": "object has been modified"}, 409), "has been modified", id="409"),
        pytest.param(as_json({"message": "etcd is slow"}, 500), "etcd is slow", id="500"),
        pytest.param(Reply(b"<html>502 Bad Gateway", 502, "text/html"), "502 Bad Gateway", id="a proxy's page"),
        pytest.param(Reply(b"", 401), "", id="without a word"),
        pytest.param(Reply(b"\xff\xfe", 400), "", id="no text"),
        pytest.param(Reply(b'{"message": "\xff"}', 400), "", id="no UTF-8"),
    ],
)
def test_a_refusal_carries_its_status_and_its_words(reply: Reply, says: str) -> None:
    with pytest.raises(Refused) as refused:
        ask(reply, lambda api: api.get(CHAT))
    assert refused.value.status == reply.status
    assert says in str(refused.value)


@pytest.mark.parametrize("body", [b"", b"half {", b"[]", b'"text"', b'{"a": "\xff"}'])
def test_an_answer_that_is_no_object_cannot_be_used(body: bytes) -> None:
    with pytest.raises(BadAnswer, match=f"GET {CHAT}"):
        ask(Reply(body), lambda api: api.get(CHAT))


def test_a_refused_connection_is_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Unreachable, match=f"GET {CHAT}"):
            talk(url, lambda api: api.get(CHAT))


def test_a_connection_that_breaks_is_unreachable() -> None:
    with pytest.raises(Unreachable):
        ask(Reply(b'{"kind"', length=4000), lambda api: api.get(CHAT))


@pytest.mark.timeout(10)
@pytest.mark.parametrize("verb", ["GET", "PATCH"])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_nothing_is_sent_twice(verb: str, status: int) -> None:
    """The next round tries again, from what is true then."""
    with serve(lambda _: as_json({"message": "busy"}, status)) as peer:
        with pytest.raises(Refused):
            talk(peer.url, lambda api: api.get(CHAT) if verb == "GET" else api.merge(CHAT, {}))
        assert [request.verb for request in peer.requests] == [verb]


def test_requests_are_counted_without_names() -> None:
    async def some(api: Api) -> None:
        await api.get(CHAT)
        await api.get(f"{DEPLOYMENTS}/rank")
        await api.merge(f"{CHAT}/scale", {})
        with pytest.raises(Refused):
            await api.create("/api/v1/namespaces/demo/events", {})

    def answer(request: Request) -> Reply:
        return as_json({}, 403) if request.path.endswith("events") else as_json({})

    _, api, _ = ask(answer, some)
    assert api.requests == {
        ("GET", "deployments", "200"): 2,
        ("PATCH", "deployments/scale", "200"): 1,
        ("POST", "events", "403"): 1,
    }


def test_a_request_without_an_answer_is_counted_too() -> None:
    async def tried(api: Api) -> None:
        with pytest.raises(Unreachable):
            await api.get(CHAT)

    _, api, _ = ask(Reply(b"{", length=4000), tried)
    assert api.requests == {("GET", "deployments", "none"): 1}


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/api/v1/pods", "pods"),
        ("/api/v1/namespaces/demo/pods", "pods"),
        ("/api/v1/namespaces/demo/pods/chat-0", "pods"),
        ("/apis/apps/v1/deployments", "deployments"),
        (f"{CHAT}/scale", "deployments/scale"),
        ("/apis/lull.dev/v1alpha1/namespaces/demo/inferencedeployments/chat/status", "inferencedeployments/status"),
        ("/api/v1/namespaces", "namespaces"),
        ("/api/v1/namespaces/demo", "namespaces"),
    ],
)
def test_the_resource_of_a_path_has_no_names_in_it(path: str, resource: str) -> None:
    _, api, _ = ask(as_json({}), lambda api: api.get(path))
    assert list(api.requests) == [("GET", resource, "200")]


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        (("v1", "pods"), "/api/v1/pods"),
        (("v1", "events", "demo"), "/api/v1/namespaces/demo/events"),
        (("apps/v1", "deployments"), "/apis/apps/v1/deployments"),
        (("apps/v1", "deployments", "demo", "chat"), CHAT),
        (("apps/v1", "deployments", "demo", "chat", "scale"), f"{CHAT}/scale"),
        (("apps/v1", "deployments", "a/b", "../x y"), "/apis/apps/v1/namespaces/a%2Fb/deployments/..%2Fx%20y"),
    ],
)
def test_paths_are_those_of_the_api(parts: tuple[str, ...], path: str) -> None:
    assert path_of(*parts) == path


# The pace of writes, on a clock that takes no time.


async def turns(pace: Pace, count: int) -> list[float]:
    """When each of several callers, all asking at once, has its turn: seconds from now."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()

    async def one() -> float:
        await pace.turn()
        return loop.time() - began_s

    return list(await asyncio.gather(*(one() for _ in range(count))))


def test_a_burst_of_two_seconds_goes_through_at_once_and_the_rest_at_the_pace() -> None:
    found = virtual_time.run(turns(Pace(10.0), 50))
    assert found[:20] == pytest.approx([0.0] * 20, abs=1e-6)
    assert found[20:] == pytest.approx([0.1 * n for n in range(1, 31)])


def test_turns_are_in_the_order_of_asking() -> None:
    """Growth is asked for first, so it is written first."""
    found = virtual_time.run(turns(Pace(10.0), 50))
    assert found == sorted(found)


def test_after_a_rest_there_is_a_burst_again_and_no_larger_one() -> None:
    async def twice() -> list[float]:
        pace = Pace(10.0)
        await turns(pace, 50)
        await asyncio.sleep(3600.0)
        return await turns(pace, 30)

    found = virtual_time.run(twice())
    assert found[:20] == pytest.approx([0.0] * 20, abs=1e-6)
    assert found[-1] == pytest.approx(1.0)


def test_a_steady_trickle_never_waits() -> None:
    async def trickle() -> list[float]:
        pace, waited = Pace(10.0), []
        for _ in range(100):
            waited += await turns(pace, 1)
            await asyncio.sleep(0.1)
        return waited

    assert max(virtual_time.run(trickle())) == pytest.approx(0.0, abs=1e-6)


# The fence.


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda api: api.apply(CHAT, {}, force=True), id="apply"),
        pytest.param(lambda api: api.merge(CHAT, {}), id="merge"),
        pytest.param(lambda api: api.create(DEPLOYMENTS, {}), id="create"),
    ],
)
def test_who_does_not_lead_writes_nothing(write: Callable[[Api], Awaitable[Any]]) -> None:
    async def act(api: Api) -> None:
        api.may_write = lambda: False
        with pytest.raises(Deposed):
            await write(api)
        assert api.writing == 0
        await api.get(CHAT)

    _, _, peer = ask(as_json({}), act)
    assert [request.verb for request in peer.requests] == ["GET"]


def test_the_fence_is_asked_when_a_write_is_sent_and_not_when_it_is_asked_for() -> None:
    """A write that waited for its turn while leadership was lost."""

    async def act(api: Api) -> list[Any]:
        is_leader = True
        api.may_write = lambda: is_leader
        pace = api._paces[Lane.ROUTINE] = Pace(per_s=10.0)
        pace._burst_s = 0.0
        writes = [asyncio.create_task(api.merge(CHAT, {"n": n})) for n in range(4)]
        await asyncio.sleep(0.25)
        is_leader = False
        return await asyncio.gather(*writes, return_exceptions=True)

    found, _, peer = ask(as_json({}), act)
    fenced = [isinstance(answer, Deposed) for answer in found]
    assert fenced == sorted(fenced)
    assert 1 <= len(peer.requests) == fenced.count(False) < 4


def test_writes_under_way_are_counted() -> None:
    async def act(api: Api) -> tuple[int, int]:
        write = asyncio.create_task(api.merge(CHAT, {}))
        await asyncio.sleep(0.2)
        during = api.writing
        await write
        return during, api.writing

    assert ask(Reply(b"{}", after_s=0.6), act)[0] == (1, 0)


# A server that asks for patience.


def busy(status: int, retry_after: str | None) -> Reply:
    return (
        as_json({"message": "too many requests"}, status)
        if retry_after is None
        else Reply(b'{"message": "too many requests"}', status, headers={"Retry-After": retry_after})
    )


@pytest.mark.parametrize(
    ("status", "retry_after", "waited_s"),
    [
        pytest.param(429, "7", 7.0, id="as long as it says"),
        pytest.param(503, "2", 2.0, id="busy in another way"),
        pytest.param(429, "86400", 30.0, id="not for ever"),
        pytest.param(429, None, 1.0, id="it does not say"),
        pytest.param(429, "Fri, 31 Dec 1999 23:59:59 GMT", 1.0, id="a date"),
        pytest.param(429, "-3", 1.0, id="nonsense"),
    ],
)
def test_a_list_is_read_again_when_a_busy_server_said(
    monkeypatch: pytest.MonkeyPatch, status: int, retry_after: str | None, waited_s: float
) -> None:
    waits: list[float] = []
    replies = iter([busy(status, retry_after), busy(status, retry_after), as_json({"items": [{"n": 1}]})])

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("lull.adapters.api.asyncio.sleep", sleep)
    found, _, _ = ask(lambda _: next(replies), lambda api: everything(api, "/api/v1/pods"))
    assert found == [{"n": 1}]
    assert waits == [waited_s, waited_s]


@pytest.mark.parametrize(("status", "tries"), [(429, 6), (503, 6), (500, 1), (403, 1)])
def test_patience_has_an_end_and_is_for_busy_servers(status: int, tries: int) -> None:
    asked = 0

    def answer(_: Request) -> Reply:
        nonlocal asked
        asked += 1
        return busy(status, "0")

    with pytest.raises(Refused) as refused:
        ask(answer, lambda api: everything(api, "/api/v1/pods"))
    assert (refused.value.status, asked, refused.value.retry_after_s) == (status, tries, 0.0)


def test_a_busy_server_is_sent_a_write_once() -> None:
    """The next round decides anew: a write that waited would carry an old decision."""
    asked = 0

    def answer(_: Request) -> Reply:
        nonlocal asked
        asked += 1
        return busy(429, "0")

    with pytest.raises(Refused):
        ask(answer, lambda api: api.merge(CHAT, {}))
    assert asked == 1


# Lanes.


def test_an_urgent_write_does_not_wait_behind_routine_ones() -> None:
    """A dead activator is in the slice of every sleeping model, whatever else there is to tell."""

    async def main() -> tuple[list[float], list[float]]:
        async with connected(writes_per_s=10.0) as api:
            routine = asyncio.create_task(turns(api._paces[Lane.ROUTINE], 200))
            await asyncio.sleep(0)
            urgent = await turns(api._paces[Lane.URGENT], 1000)
            return urgent, await routine

    with kubeconfig("http://127.0.0.1:1"):
        urgent, routine = virtual_time.run(main())
    assert max(urgent) < 2.0
    assert max(routine) == pytest.approx(18.0)


def test_a_deletion_names_what_it_means() -> None:
    _, _, peer = ask(as_json({}), lambda api: api.delete(CHAT, uid="u", version="7", lane=Lane.URGENT))
    (request,) = peer.requests
    assert json.loads(request.body) == {"preconditions": {"uid": "u", "resourceVersion": "7"}}


def test_a_deletion_of_what_has_changed_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        ask(as_json({"message": "changed"}, 409), lambda api: api.delete(CHAT, uid="u", version="7"))
    assert refused.value.status == 409


def test_an_apply_may_be_another_managers() -> None:
    _, _, peer = ask(as_json({}), lambda api: api.apply(CHAT, {}, force=True, manager="lull-route"))
    assert peer.requests[0].query["fieldManager"] == "lull-route"
