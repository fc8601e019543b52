"""gRPC's own client and server, with a sleeping model's port between them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from h2_peers import PORT, Activator, activator, eventually
from lull.activator.gate import Blocked, Endpoint, Gate, HoldPolicy
from lull.activator.http2.client import http2
from lull.activator.listeners import Listeners
from lull.model.spec import Key

LARGE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
MB5 = bytes(range(256)) * 4 * 1024 * 5


class Echo(grpc.GenericRpcHandler):
    """A server that tells what it saw."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.cancelled = threading.Event()
        self.working = threading.Event()
        self.metadata: dict[str, str] = {}

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        self.metadata = dict(details.invocation_metadata)
        handlers = {
            "/test.Echo/Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "/test.Echo/Down": grpc.unary_stream_rpc_method_handler(self.down),
            "/test.Echo/Up": grpc.stream_unary_rpc_method_handler(self.up),
            "/test.Echo/Both": grpc.stream_stream_rpc_method_handler(self.both),
            "/test.Echo/Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "/test.Echo/Slow": grpc.unary_unary_rpc_method_handler(self.slow),
        }
        return handlers.get(details.method)

    def unary(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.seen.append(request)
        context.set_trailing_metadata([("said", "all")])
        return request

    def down(self, request: bytes, _: grpc.ServicerContext) -> Iterator[bytes]:
        for part in range(20):
            yield request + b"%d" % part

    def up(self, requests: Iterator[bytes], _: grpc.ServicerContext) -> bytes:
        return b"".join(requests)

    def both(self, requests: Iterator[bytes], _: grpc.ServicerContext) -> Iterator[bytes]:
        for request in requests:
            yield request.upper()

    def fail(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{request.decode()}: 100 % wrong, ä")
        raise AssertionError

    def slow(self, _: bytes, context: grpc.ServicerContext) -> bytes:
        context.add_callback(self.cancelled.set)
        self.working.set()
        self.cancelled.wait(10)
        return b"too late"


@asynccontextmanager
async def grpc_pod(port: int = 0) -> AsyncIterator[tuple[Echo, Endpoint]]:
    echo = Echo()
    with ThreadPoolExecutor(8) as threads:
        server = grpc.server(threads, handlers=[echo], options=LARGE)
        port = server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        try:
            yield echo, Endpoint("127.0.0.1", port)
        finally:
            await asyncio.to_thread(server.stop(0).wait)


@asynccontextmanager
async def channel(*ports: int) -> AsyncIterator[grpc.Channel]:
    target = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
    own = [("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 100)]
    to = grpc.insecure_channel(target, options=[*LARGE, *own])
    try:
        yield to
    finally:
        await asyncio.to_thread(to.close)


def told(story: Callable[[Activator, grpc.Channel], Coroutine[Any, Any, None]], **policy: Any) -> None:
    async def main() -> None:
        async with activator(**policy) as at, channel(at.port) as to:
            await asyncio.wait_for(story(at, to), 60)

    asyncio.run(main())


def in_thread(call: Callable[..., Any], *args: Any, **kwargs: Any) -> asyncio.Task[Any]:
    return asyncio.create_task(asyncio.to_thread(call, *args, **kwargs))


def test_a_unary_call_waits_for_the_wake() -> None:
    async def story(at: Activator, to: grpc.Channel) -> None:
        asked = in_thread(to.unary_unary("/test.Echo/Unary").with_call, b"hello", metadata=[("key-bin", b"\0\xff")])
        await at.until_held(1)
        await asyncio.sleep(0.1)
        async with grpc_pod() as (echo, endpoint):
            at.wake(endpoint)
            answer, call = await asked
            assert (answer, echo.seen, call.code()) == (b"hello", [b"hello"], grpc.StatusCode.OK)
            held_s = float(dict(call.initial_metadata())["lull-held-seconds"])
            assert 0.1 <= held_s < 5
            assert dict(call.trailing_metadata())["said"] == "all"
            assert echo.metadata["key-bin"] == b"\0\xff"
            assert echo.metadata["x-forwarded-for"] == "127.0.0.1"

    told(story)


def test_a_stream_of_answers_comes_whole() -> None:
    async def story(at: Activator, to: grpc.Channel) -> None:
        asked = in_thread(lambda: list(to.unary_stream("/test.Echo/Down")(b"n")))
        await at.until_held(1)
        async with grpc_pod() as (_, endpoint):
            at.wake(endpoint)
            assert await asked == [b"n%d" % part for part in range(20)]

    told(story)


def test_a_stream_of_requests_comes_whole() -> None:
    async def story(at: Activator, to: grpc.Channel) -> None:
        parts = [b"%d," % part for part in range(500)]
        asked = in_thread(lambda: to.stream_unary("/test.Echo/Up")(iter(parts)))
        await at.until_held(1)
        async with grpc_pod() as (_, endpoint):
            at.wake(endpoint)
            assert await asked == b"".join(parts)

    told(story)


def test_both_sides_talk_in_turn() -> None:
    async def story(at: Activator, to: grpc.Channel) -> None:
        def talk() -> list[bytes]:
            heard, turn = [], threading.Semaphore(1)

            def requests() -> Iterator[bytes]:
                for word in (b"a", b"b", b"c"):
                    assert turn.acquire(timeout=10)
                    yield word

            for answer in to.stream_stream("/test.Echo/Both")(requests()):
                heard.append(answer)
                turn.release()  # the next word only once this one was answered
            return heard

        asked = in_thread(talk)
        await at.until_held(1)
        async with grpc_pod() as (_, endpoint):
            at.wake(endpoint)
            assert await asked == [b"A", b"B", b"C"]

    told(story)


def test_five_megabytes_go_both_ways() -> None:
    async def story(at: Activator, to: grpc.Channel) -> None:
        asked = in_thread(to.unary_unary("/test.Echo/Unary"), MB5)
        await at.until_held(1)
        async with grpc_pod() as (_, endpoint):
            at.wake(endpoint)
            assert await asked == MB5

    told(story)


def test_the_pods_errors_are_the_clients() -> None:
    async def story(at: Activator, to: grpc.Channel) -> None:
        asked = in_thread(to.unary_unary("/test.Echo/Fail"), b"you")
        await at.until_held(1)
        async with grpc_pod() as (_, endpoint):
            at.wake(endpoint)
            with pytest.raises(grpc.RpcError) as caught:
                await asked
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert caught.value.details() == "you: 100 % wrong, ä"
            with pytest.raises(grpc.RpcError) as unknown:
                await in_thread(to.unary_unary("/test.Echo/Nothing"), b"")
            assert unknown.value.code() is grpc.StatusCode.UNIMPLEMENTED

    told(story)


def test_a_deadline_that_passes_while_it_waits_frees_the_place() -> None:
    async def story(at: Activator, to: grpc.Channel) -> None:
        asked = in_thread(to.unary_unary("/test.Echo/Unary"), b"", timeout=0.5)
        await at.until_held(1)
        with pytest.raises(grpc.RpcError) as caught:
            await asked
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await at.until_held(0)

    told(story)


def test_a_call_that_is_cancelled_while_it_is_served_is_cancelled_at_the_pod() -> None:
    async def story(at: Activator, to: grpc.Channel) -> None:
        asked = to.unary_unary("/test.Echo/Slow").future(b"")
        await at.until_held(1)
        async with grpc_pod() as (echo, endpoint):
            at.wake(endpoint)
            assert await asyncio.to_thread(echo.working.wait, 5)
            assert not echo.cancelled.is_set()
            asked.cancel()
            assert await asyncio.to_thread(echo.cancelled.wait, 5)

    told(story)


def test_time_up_is_deadline_exceeded() -> None:
    async def story(_: Activator, to: grpc.Channel) -> None:
        with pytest.raises(grpc.RpcError) as caught:
            await in_thread(to.unary_unary("/test.Echo/Unary"), b"")
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "not ready within" in caught.value.details()
        assert float(dict(caught.value.initial_metadata() or caught.value.trailing_metadata())["lull-held-seconds"]) > 0

    told(story, hold_timeout_s=0.3)


def test_a_blocked_wake_is_unavailable_with_its_reason() -> None:
    async def story(_: Activator, to: grpc.Channel) -> None:
        with pytest.raises(grpc.RpcError) as caught:
            await in_thread(to.unary_unary("/test.Echo/Unary"), b"")
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "NoCapacity" in caught.value.details()
        assert "no room for ä" in caught.value.details()
        assert int(dict(caught.value.trailing_metadata())["grpc-retry-pushback-ms"]) > 0

    told(story, blocked=Blocked("NoCapacity", "no room for ä"))


def test_more_calls_than_a_connection_may_hold_are_all_served() -> None:
    async def story(at: Activator, to: grpc.Channel) -> None:
        call = to.unary_unary("/test.Echo/Unary")
        asked = []
        for number in range(300):  # more than a connection may hold; the client keeps the rest back
            asked.append(call.future(b"%d" % number))
            if number < 200:
                await at.until_held(number + 1)
        await at.until_held(256)
        async with grpc_pod() as (echo, endpoint):
            at.wake(endpoint)
            answers = await asyncio.to_thread(lambda: [future.result(20) for future in asked])
            assert answers == [b"%d" % number for number in range(300)]
            assert len(echo.seen) == 300
        assert len(at.connections) == 1

    told(story)


def test_after_the_wake_the_channel_goes_to_the_pods() -> None:
    async def story(at: Activator, _: grpc.Channel) -> None:
        async with grpc_pod() as (echo, endpoint), channel(at.port, endpoint.port) as either:
            states: list[grpc.ChannelConnectivity] = []
            either.subscribe(states.append)
            call = either.unary_unary("/test.Echo/Unary")
            asked = in_thread(call, b"held")
            await at.until_held(1)
            at.wake(endpoint)
            assert await asked == b"held"
            assert "x-forwarded-for" in echo.metadata  # it came through the activator
            at.server.close()  # as when its address has left the Service
            await eventually(lambda: at.connections[0].is_closed)
            assert await in_thread(call, b"direct", wait_for_ready=True, timeout=10) == b"direct"
            assert "x-forwarded-for" not in echo.metadata
            assert grpc.ChannelConnectivity.TRANSIENT_FAILURE not in states

    told(story)


@pytest.mark.parametrize(
    "method",
    [
        "/grpc.health.v1.Health/Check",
        "/inference.GRPCInferenceService/ServerLive",
        "/inference.GRPCInferenceService/ServerReady",
        "/inference.GRPCInferenceService/ModelReady",
    ],
)
def test_a_health_check_is_answered_and_wakes_nothing(method: str) -> None:
    async def story(at: Activator, to: grpc.Channel) -> None:
        wishes: list[object] = []
        at.gate.on_change = lambda: wishes.append(at.gate.wanted)
        assert await in_thread(to.unary_unary(method), b"", timeout=5) == b"\x08\x01"
        assert [wish for wish in wishes if wish] == []

    told(story)


def test_a_watch_is_answered_and_ends_after_the_wake() -> None:
    async def story(at: Activator, to: grpc.Channel) -> None:
        watch = to.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        assert await in_thread(next, watch) == b"\x08\x01"
        assert at.gate.wanted is None
        async with grpc_pod() as (_, endpoint):
            at.wake(endpoint)
            with pytest.raises(grpc.RpcError) as caught:
                await in_thread(next, watch)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

    told(story)


def test_a_holding_port_serves_grpc_and_closes_with_what_is_under_way() -> None:
    async def main() -> None:
        gate = Gate("uid-1", Key("ns", "chat"), HoldPolicy())
        listeners = Listeners("pod-uid", http2("pod-uid"), host="127.0.0.1")
        port = await listeners.open(0, gate, PORT)
        async with channel(port) as to, grpc_pod() as (echo, endpoint):
            asked = in_thread(to.unary_unary("/test.Echo/Slow"), b"")
            await eventually(lambda: gate.held == 1)
            gate.set_endpoints({PORT: [endpoint]})
            assert await asyncio.to_thread(echo.working.wait, 5)
            closing = asyncio.create_task(listeners.close(grace_s=20))
            await asyncio.sleep(0.1)
            assert not closing.done()
            echo.cancelled.set()
            assert await asked == b"too late"
            await asyncio.wait_for(closing, 10)

    asyncio.run(main())
