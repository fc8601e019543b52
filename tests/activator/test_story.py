"""An activator beside an API server: what it is told, what it tells, and what its clients see, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from activator_cluster import (
    LOOPBACK,
    POD,
    Activator,
    SleepingCluster,
    a_pod,
    a_sleeper,
    an_activator,
    beside,
    free_ports,
    get,
    is_open,
    until,
)
from bodies import a_slice
from fake_cluster import MODELS, SLICES, Body, refused
from lull.model.route import Timing

CHAT = f"{MODELS}/chat"
STATUS = f"{CHAT}/status"
INFER = ("/v2/models/chat/infer",)


def told(
    story: Callable[[SleepingCluster, Activator, int], Coroutine[Any, Any, None]],
    *bodies: Callable[[int], Body],
    timing: Timing | None = None,
    **settings: Any,
) -> SleepingCluster:
    """Plays a story with one sleeping model, or with those that ``bodies`` makes of the holding port."""
    (port,) = free_ports(1)
    cluster = SleepingCluster()
    cluster.has(MODELS, *[make(port) for make in bodies or (lambda at: a_sleeper("chat", at),)])

    async def main() -> None:
        async with asyncio.timeout(30.0), an_activator(timing, **settings) as activator:
            await activator.standing()
            await story(cluster, activator, port)

    with beside(cluster):
        asyncio.run(main())
    return cluster


def test_a_held_request_is_reported_at_once_answered_when_a_pod_is_ready_and_then_forgotten() -> None:
    async def story(cluster: SleepingCluster, activator: Activator, port: int) -> None:
        async with a_pod() as pod:
            asked_s = time.monotonic()
            asked = asyncio.create_task(get(port, *INFER))
            await until(lambda: cluster.reports)
            at_s, name, entries = cluster.reports[0]
            assert at_s - asked_s < 0.1
            assert (name, [(entry["pod"], entry["held"]) for entry in entries]) == ("chat", [(POD, 1)])
            assert not asked.done()

            cluster.wakes("chat", pod)
            assert await asked == (200, "")
            await until(lambda: cluster.activation() == [])
            assert (await activator.asked("/metrics"))[1].count("lull_activator_report_seconds_count") == 1

    cluster = told(story)
    assert [entries[0]["held"] for _, _, entries in cluster.reports if entries] == [1]


def test_an_entry_tells_since_when_and_expires_within_a_minute() -> None:
    async def story(cluster: SleepingCluster, _: Activator, port: int) -> None:
        asked = asyncio.create_task(get(port))
        await until(cluster.activation)
        (entry,) = cluster.activation()
        asked.cancel()
        now = time.strftime("%Y-%m-%dT%H:%M", time.gmtime())
        assert entry["since"].startswith(now) or entry["since"].endswith(("58Z", "59Z"))
        assert entry["since"] < entry["expires"]

    told(story)


def test_many_models_are_reported_at_the_same_time() -> None:
    names = [f"m{number}" for number in range(30)]
    ports = free_ports(len(names))
    bodies = [lambda _, at=at, name=name: a_sleeper(name, at) for name, at in zip(names, ports, strict=True)]

    async def story(cluster: SleepingCluster, _: Activator, __: int) -> None:
        asked = [asyncio.create_task(get(port)) for port in ports]
        began_s = time.monotonic()
        await until(lambda: {name for _, name, _ in cluster.reports} == set(names))
        assert max(at_s for at_s, *_ in cluster.reports) - began_s < 1.0
        for task in asked:
            task.cancel()

    told(story, *bodies)


def test_a_report_that_is_refused_is_sent_again_within_moments() -> None:
    async def story(cluster: SleepingCluster, _: Activator, port: int) -> None:
        cluster.refusals["PATCH", STATUS] = refused(500)
        asked = asyncio.create_task(get(port))
        await asyncio.sleep(0.3)
        cluster.refusals.clear()
        mended_s = time.monotonic()
        await until(cluster.activation)
        assert time.monotonic() - mended_s < 1.0
        asked.cancel()

    told(story)


def test_a_model_that_pods_answer_for_again_wakes_nothing() -> None:
    async def story(cluster: SleepingCluster, _: Activator, port: int) -> None:
        async with a_pod() as pod:
            cluster.wakes("chat", pod)
            # Until the slice is known the first ones are held.
            assert (await get(port))[0] == 200
            cluster.reports.clear()
            for _ in range(5):
                assert (await get(port))[0] == 200
            assert [entries for _, _, entries in cluster.reports if entries] == []

    told(story)


def test_a_wake_that_is_blocked_turns_away_who_waits_and_says_why() -> None:
    async def story(cluster: SleepingCluster, _: Activator, port: int) -> None:
        asked = asyncio.create_task(get(port))
        await until(cluster.activation)
        condition = {"type": "Active", "status": "False", "reason": "NoCapacity", "message": "no node has a GPU left"}
        cluster.changes(CHAT, lambda body: body["status"].update(conditions=[condition]))
        status, body = await asked
        assert status == 503
        assert "NoCapacity" in body
        assert "no node has a GPU left" in body

    told(story)


def test_a_model_that_sleeps_blocks_nobody() -> None:
    asleep = {"type": "Active", "status": "False", "reason": "Asleep", "message": "asleep"}

    async def story(cluster: SleepingCluster, _: Activator, port: int) -> None:
        asked = asyncio.create_task(get(port))
        await until(cluster.activation)
        asked.cancel()

    told(story, lambda at: a_sleeper("chat", at, conditions=[asleep]))


def test_the_probe_is_answered_for_the_model_of_the_port() -> None:
    async def story(cluster: SleepingCluster, _: Activator, port: int) -> None:
        uid = cluster.objects[CHAT]["metadata"]["uid"]
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.write(f"GET / HTTP/1.1\r\nHost: chat\r\nLull-Probe: {uid}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        writer.close()
        assert head.startswith("HTTP/1.1 200")
        assert f"Lull-Model: {uid}\r\n" in head
        assert "Lull-Activator: uid-of-pod\r\n" in head

    assert told(story).reports == []


def test_ports_open_and_close_with_the_hold() -> None:
    async def story(cluster: SleepingCluster, _: Activator, port: int) -> None:
        (other,) = free_ports(1)
        cluster.adds(MODELS, a_sleeper("more", other, hold={"state": "Preparing"}))
        await until(lambda: is_open(other))
        cluster.changes(f"{MODELS}/more", lambda body: body["status"].pop("hold"))
        await until(lambda: closed(other))
        cluster.drops(CHAT)
        await until(lambda: closed(port))

    told(story)


def test_a_quarantine_ends_by_itself() -> None:
    until_s = time.time() + 2.0
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until_s + 1.0))

    async def story(_: SleepingCluster, __: Activator, port: int) -> None:
        assert await is_open(port)
        await until(lambda: closed(port))
        assert time.time() >= until_s

    told(story, lambda port: a_sleeper("chat", port, hold={"state": "Quarantined", "until": at}))


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda body: body["status"]["hold"].update(state="Unheard"), id="a state of tomorrow"),
        pytest.param(lambda body: body["status"]["hold"].update(ports=[{"name": "http"}]), id="ports without numbers"),
        pytest.param(lambda body: body["spec"].update(slo=None), id="a spec of tomorrow"),
        pytest.param(lambda body: body.update(status="gone"), id="a status that is none"),
    ],
)
def test_what_cannot_be_read_closes_nothing(spoil: Callable[[Body], None]) -> None:
    async def story(cluster: SleepingCluster, _: Activator, port: int) -> None:
        (later,) = free_ports(1)
        cluster.changes(CHAT, spoil)
        cluster.adds(MODELS, a_sleeper("later", later))
        await until(lambda: is_open(later))
        assert await is_open(port)

    told(story)


def test_ports_that_are_not_the_activators_stay_closed() -> None:
    async def story(_: SleepingCluster, activator: Activator, port: int) -> None:
        assert await is_open(activator.health_port)
        assert not await is_open(port)

    told(story, lambda port: a_sleeper("chat", port), ports=range(1, 2))


def test_a_model_deleted_while_nobody_watched_closes_its_ports() -> None:
    async def story(cluster: SleepingCluster, _: Activator, port: int) -> None:
        asked = asyncio.create_task(get(port))
        await until(cluster.activation)
        cluster.drops(CHAT, unseen=True)
        cluster.errors["inferencedeployments"] = {"kind": "Status", "code": 410, "message": "too old"}
        assert (await asked)[0] == 503
        await until(lambda: closed(port))

    told(story)


def test_an_api_server_that_is_gone_for_a_while_costs_no_held_request() -> None:
    async def story(cluster: SleepingCluster, activator: Activator, port: int) -> None:
        async with a_pod() as pod:
            cluster.is_gone = True
            asked = asyncio.create_task(get(port, *INFER))
            await asyncio.sleep(0.5)
            assert (await activator.asked("/healthz"))[0] == 200
            assert await activator.is_ready()
            cluster.is_gone = False
            await until(cluster.activation)
            cluster.wakes("chat", pod)
            assert (await asked)[0] == 200

    told(story)


def test_nothing_is_ready_before_everything_there_is_was_told() -> None:
    cluster = SleepingCluster()
    (port,) = free_ports(1)
    cluster.has(MODELS, a_sleeper("chat", port))
    cluster.refusals = {}
    cluster.is_gone = True

    async def main() -> None:
        async with asyncio.timeout(10.0), an_activator() as activator:
            await until(lambda: is_answered(activator, "/healthz", 200))
            assert (await activator.asked("/readyz"))[0] == 503
            assert not await is_open(port)
            cluster.is_gone = False
            await activator.standing()
            assert await is_open(port)

    with beside(cluster):
        asyncio.run(main())


def test_told_to_end_it_serves_until_nobody_is_sent_to_it_and_nobody_waits() -> None:
    ours = a_slice("chat-lull", ready=("10.0.0.1",), ports={"http": 80})
    ours["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] = "lull.dev"

    async def story(cluster: SleepingCluster, activator: Activator, port: int) -> None:
        cluster.adds(SLICES, ours)
        await asyncio.sleep(0.3)
        activator.stop.set()
        await asyncio.sleep(0.5)
        assert await is_open(port), "a slice lists it"
        async with a_pod() as pod:
            asked = asyncio.create_task(get(port, *INFER))
            await until(cluster.activation)
            cluster.drops(f"{SLICES}/chat-lull")
            await asyncio.sleep(0.5)
            assert not activator.task.done(), "somebody waits"
            cluster.wakes("chat", pod)
            assert (await asked)[0] == 200
            await asyncio.wait_for(activator.task, 5.0)
        assert await closed(port)
        assert cluster.activation() == []

    told(story)


def test_told_to_end_it_serves_as_long_as_a_permission_may_have_effect() -> None:
    async def story(_: SleepingCluster, activator: Activator, port: int) -> None:
        activator.stop.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(activator.task), 0.7)
        assert await is_open(port)
        await asyncio.wait_for(activator.task, 5.0)

    told(story, timing=Timing(lag_s=0.1, write_s=0.5, mirror_s=0.4))


def test_told_to_end_it_is_bounded_by_its_grace() -> None:
    async def story(cluster: SleepingCluster, activator: Activator, port: int) -> None:
        asked = asyncio.create_task(get(port))
        await until(cluster.activation)
        activator.stop.set()
        began_s = time.monotonic()
        await asyncio.wait_for(activator.task, 15.0)
        assert 1.0 < time.monotonic() - began_s < 12.0
        asked.cancel()

    told(story, drain_s=7.0)


async def closed(port: int) -> bool:
    return not await is_open(port)


async def is_answered(activator: Activator, path: str, status: int) -> bool:
    return (await activator.asked(path))[0] == status
