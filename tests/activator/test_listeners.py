"""Holding ports: opened and closed as told, gently."""

import asyncio

from activator_stand import Stand, a_client, echo, staged
from lull.activator.gate import Gate, HoldPolicy
from lull.model.spec import Key

GET = b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n"
PROBE = b"GET / HTTP/1.1\r\nHost: chat\r\nLull-Probe: x\r\n\r\n"


async def model_at(port: int) -> str | None:
    """Whose port it is; None = nobody listens."""
    try:
        async with a_client(port) as client:
            client.say(PROBE)
            return (await client.whole())[1]["lull-model"]
    except (ConnectionRefusedError, asyncio.IncompleteReadError):
        return None


async def free_port() -> int:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    return port


def test_ports_follow_what_is_wanted() -> None:
    async def story(stand: Stand) -> None:
        other = Gate("other-uid", Key("ns", "other"), HoldPolicy())
        one, two = await free_port(), await free_port()
        listeners = stand.listeners
        assert await listeners.hold({one: (stand.gate, "http"), two: (other, "http")}, 5.0) == {}
        assert [await model_at(port) for port in (stand.port, one, two)] == [None, "model-uid", "other-uid"]
        assert await listeners.hold({one: (stand.gate, "http")}, 5.0) == {}
        assert [await model_at(port) for port in (one, two)] == ["model-uid", None]
        assert set(listeners.ports) == {one}

    staged(story)


def test_a_port_can_go_to_another_model_at_once() -> None:
    async def story(stand: Stand) -> None:
        other = Gate("other-uid", Key("ns", "other"), HoldPolicy())
        async with a_client(stand.port) as held:
            held.say(GET)
            await stand.until_held(1)
            assert await stand.listeners.hold({stand.port: (other, "http")}, 5.0) == {}
            assert await model_at(stand.port) == "other-uid"
            await stand.wakes(echo)
            assert (await held.whole())[0] == 200

    staged(story)


def test_a_port_that_is_taken_is_told_and_tried_again() -> None:
    async def story(stand: Stand) -> None:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        taken = server.sockets[0].getsockname()[1]
        wanted = {stand.port: (stand.gate, "http"), taken: (stand.gate, "grpc")}
        faults = await stand.listeners.hold(wanted, 5.0)
        assert set(faults) == {taken}
        assert await model_at(stand.port) == "model-uid"
        server.close()
        await server.wait_closed()
        assert await stand.listeners.hold(wanted, 5.0) == {}
        assert await model_at(taken) == "model-uid"

    staged(story)


def test_a_port_that_closes_lets_its_requests_finish() -> None:
    async def story(stand: Stand) -> None:
        async with a_client(stand.port) as held, a_client(stand.port) as idle, a_client(stand.port) as silent:
            idle.say(b"GET /metrics HTTP/1.1\r\nHost: chat\r\n\r\n")
            await idle.whole()
            held.say(GET, b"GET /metrics HTTP/1.1\r\nHost: chat\r\n\r\n")
            await stand.until_held(1)
            await stand.listeners.hold({}, grace_s=10.0)
            assert (await idle.rest(), await silent.rest()) == (b"", b"")
            assert await model_at(stand.port) is None
            await stand.wakes(echo)
            # What was sent before the answer came is a request that is under way, too.
            assert [(await held.whole())[0] for _ in range(2)] == [200, 200]
            assert await held.rest() == b""

    staged(story)


def test_a_port_that_was_empty_before_lets_its_requests_finish_too() -> None:
    async def story(stand: Stand) -> None:
        assert await model_at(stand.port) == "model-uid", "comes and goes"
        async with a_client(stand.port) as held:
            held.say(GET)
            await stand.until_held(1)
            closing = asyncio.create_task(stand.listeners.close(10.0))
            await asyncio.sleep(0.1)
            assert not closing.done()
            await stand.wakes(echo)
            assert (await held.whole())[0] == 200
            await closing

    staged(story)


def test_a_port_that_closes_cuts_who_takes_too_long() -> None:
    async def story(stand: Stand) -> None:
        async with a_client(stand.port) as held:
            held.say(GET)
            await stand.until_held(1)
            await stand.listeners.hold({}, grace_s=0.1)
            assert await held.rest() == b""
            assert stand.gate.held == 0

    staged(story)


def test_http_2_goes_to_the_factory_with_its_first_bytes() -> None:
    got: list[tuple[str, str, bytes]] = []

    class Speaker(asyncio.Protocol):
        def __init__(self, gate: Gate, port_name: str) -> None:
            self.who = (gate.uid, port_name)

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            got.append((*self.who, data))
            self.transport.write(b"spoken")

        def drain(self) -> None:
            self.transport.write(b" and drained")
            self.transport.close()

    async def story(stand: Stand) -> None:
        async with a_client(stand.port) as client:
            client.say(b"PRI * HT")
            await asyncio.sleep(0.05)
            client.say(b"TP/2.0\r\n\r\nSM\r\n\r\n")
            assert await client.reader.readexactly(6) == b"spoken"
            assert stand.metric("lull_activator_connections", protocol="http2") == 1
            await stand.listeners.hold({}, grace_s=5.0)
            assert await client.rest() == b" and drained"
        assert got == [("model-uid", "http", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")]
        assert stand.metric("lull_activator_connections", protocol="http2") == 0

    staged(story, http2=Speaker)


def test_a_models_metrics_go_with_it() -> None:
    async def story(stand: Stand) -> None:
        await model_at(stand.port)
        async with a_client(stand.port) as client:
            client.say(GET)
            await stand.until_held(1)
        await stand.until_held(0)
        await asyncio.sleep(0.02)
        stand.gate.meters.forget(stand.gate.key)
        assert not [sample for metric in stand.registry.collect() for sample in metric.samples]

    staged(story)
