"""What the activator itself says over HTTP/2: refusals, probes, and the health of a model that sleeps."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import unquote

import pytest
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, ResponseReceived, StreamEnded, StreamReset
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from h2_peers import GET, POST, Activator, Hand, activator, grpc_request, pod
from lull.activator.gate import Blocked
from lull.activator.http2.answers import percent_encoded
from lull.activator.meters import Meters


def told(story: Callable[[Activator, Hand], Coroutine[Any, Any, None]], **policy: Any) -> None:
    async def main() -> None:
        async with activator(**policy) as at, at.client() as client:
            await asyncio.wait_for(story(at, client), 30)

    asyncio.run(main())


async def head_of(client: Hand, stream_id: int) -> dict[str, str]:
    await client.until(StreamEnded, stream_id)
    return dict(client.all(ResponseReceived, stream_id)[0].headers)


def get(path: str, *more: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return (GET[0], (":path", path), *GET[2:], *more)


def test_the_operators_probe_learns_which_model_and_which_activator() -> None:
    async def story(at: Activator, client: Hand) -> None:
        head = await head_of(client, client.ask((*GET, ("lull-probe", "another"))))
        assert (head[":status"], head["lull-activator"], head["lull-model"]) == ("200", "pod-uid", "uid-1")
        async with pod() as server:
            at.wake(server)
            assert (await head_of(client, client.ask((*GET, ("lull-probe", "another")))))["lull-model"] == "uid-1"
            assert server.hands == []  # never forwarded
        assert at.gate.wanted is None

    told(story)


def test_scrapes_are_answered_on_the_spot_until_the_model_is_awake() -> None:
    async def story(at: Activator, client: Hand) -> None:
        scrape = get("/metrics?x=1")
        one = client.ask(scrape)
        head = await head_of(client, one)
        assert (head[":status"], client.bodies[one], at.gate.wanted) == ("200", b"asleep\n", None)
        assert "lull-held-seconds" not in head
        async with pod() as server:
            at.wake(server)
            two = client.ask(scrape)
            hand = await server.hand()
            await hand.until(RequestReceived)
            hand.say(1, body=b"metrics")
            await client.until(StreamEnded, two)
            assert client.bodies[two] == b"metrics"

    told(story)


def test_a_head_request_gets_no_body() -> None:
    async def story(_: Activator, client: Hand) -> None:
        one = client.ask(((":method", "HEAD"), *get("/healthz")[1:]))
        assert (await head_of(client, one))[":status"] == "200"
        assert client.all(DataReceived) == []

    told(story)


def test_an_ignored_grpc_client_is_told_no_lie() -> None:
    async def story(at: Activator, client: Hand) -> None:
        one = client.ask(grpc_request("/test.Echo/Unary", ("user-agent", "kube-probe/1.36")), b"\0\0\0\0\0")
        assert (await head_of(client, one))["grpc-status"] == "14"
        assert at.gate.wanted is None

    told(story)


def test_an_answer_on_the_spot_waits_for_the_end_of_the_request() -> None:
    async def story(_: Activator, client: Hand) -> None:
        one = client.ask(grpc_request("/grpc.health.v1.Health/Check"), b"\0\0\0\0\0", ends=False)
        await asyncio.sleep(0.05)
        assert client.all(ResponseReceived) == []
        client.h2.end_stream(one)
        client.flush()
        await client.until(StreamEnded, one)
        assert client.bodies[one] == b"\0\0\0\0\x02\x08\x01"
        assert client.all(StreamReset) == []

    told(story)


def test_a_plain_request_that_is_blocked_gets_503_with_its_reason() -> None:
    async def story(_: Activator, client: Hand) -> None:
        one = client.ask(POST, b"some of it", ends=False)
        head = await head_of(client, one)
        assert (head[":status"], head["content-type"]) == ("503", "application/json")
        assert int(head["retry-after"]) > 0
        assert json.loads(client.bodies[one])["reason"] == "QuotaExceeded"
        assert (await client.until(StreamReset, one)).error_code == ErrorCodes.NO_ERROR  # send no more

    told(story, blocked=Blocked("QuotaExceeded", "no GPU left"))


def test_a_plain_request_that_waited_in_vain_gets_504_and_is_told_how_long() -> None:
    async def story(_: Activator, client: Hand) -> None:
        head = await head_of(client, client.ask())
        assert head[":status"] == "504"
        assert 0.1 <= float(head["lull-held-seconds"]) < 5

    told(story, hold_timeout_s=0.1)


def test_a_full_room_is_unavailable() -> None:
    async def story(at: Activator, client: Hand) -> None:
        client.ask(grpc_request())
        await at.until_held(1)
        head = await head_of(client, client.ask(grpc_request()))
        assert (head["grpc-status"], head[":status"]) == ("14", "200")
        assert int(head["retry-after"]) * 1000 >= int(head["grpc-retry-pushback-ms"]) > 0

    told(story, max_held=1)


def test_connect_is_not_passed_on() -> None:
    async def story(_: Activator, client: Hand) -> None:
        head = await head_of(client, client.ask(((":method", "CONNECT"), (":authority", "chat:80")), ends=False))
        assert head[":status"] == "405"

    told(story)


def test_answers_are_counted_with_their_reasons() -> None:
    async def story(at: Activator, client: Hand) -> None:
        registry = CollectorRegistry()
        at.gate.meters = Meters(registry)

        def count(code: int, reason: str) -> float | None:
            labels = {"namespace": "ns", "model": "chat", "code": str(code), "reason": reason}
            return registry.get_sample_value("lull_activator_answers_total", labels)

        await head_of(client, client.ask(get("/metrics")))
        held = client.ask()
        await at.until_held(1)
        async with pod() as server:
            at.wake(server)
            hand = await server.hand()
            await hand.until(RequestReceived)
            hand.say(1, ((":status", "418"),))
            await client.until(StreamEnded, held)
            broken = client.ask()
            await hand.until(RequestReceived, 3)
            await hand.close()
            await client.until(StreamEnded, broken)
        assert (count(200, "Ignored"), count(418, "Forwarded"), count(502, "PodBroke")) == (1, 1, 1)
        lag = "lull_activator_forward_lag_seconds_count"
        assert registry.get_sample_value(lag, {"namespace": "ns", "model": "chat"}) == 1

    told(story)


def test_a_refused_head_request_gets_no_body_either() -> None:
    async def story(_: Activator, client: Hand) -> None:
        head = await head_of(client, client.ask(((":method", "HEAD"), *get("/")[1:])))
        assert (head[":status"], client.all(DataReceived)) == ("503", [])

    told(story, blocked=Blocked("NoCapacity", "full"))


@given(st.text())
def test_any_message_survives_its_encoding(message: str) -> None:
    encoded = percent_encoded(message)
    assert all(0x20 <= byte <= 0x7E for byte in encoded)
    assert unquote(encoded.decode("ascii"), errors="strict") == message


@pytest.mark.parametrize("path", ["/grpc.health.v1.Health/Check", "/inference.GRPCInferenceService/ModelReady"])
def test_a_pod_that_is_ready_answers_for_itself(path: str) -> None:
    async def story(at: Activator, client: Hand) -> None:
        async with pod() as server:
            at.wake(server)
            client.ask(grpc_request(path), b"\0\0\0\0\0")
            request = await (await server.hand()).until(RequestReceived)
            assert dict(request.headers)[":path"] == path

    told(story)
