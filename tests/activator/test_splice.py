"""TLS and what else cannot be read: held as a whole, then passed on byte by byte."""

import asyncio
from collections.abc import Awaitable, Callable

from activator_stand import Client, Stand, a_client, echo, staged
from lull.activator.gate import Blocked, Endpoint
from lull.hold.limits import Limits

HELLO = b"\x16\x03\x01\x00\x05hello"
Speaks = Callable[[Client], Awaitable[None]]


async def a_server(speaks: Speaks) -> tuple[asyncio.Server, Endpoint]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await speaks(Client(reader, writer))
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, Endpoint("127.0.0.1", server.sockets[0].getsockname()[1])


async def parrots(client: Client) -> None:
    while data := await client.reader.read(65536):
        client.say(data.upper())
        await client.writer.drain()


def spliced(speaks: Speaks, story: Callable[[Stand, Endpoint], Awaitable[None]], **options: object) -> None:
    async def whole(stand: Stand) -> None:
        server, endpoint = await a_server(speaks)
        try:
            await story(stand, endpoint)
        finally:
            server.close()

    staged(whole, **options)


def test_a_tls_connection_is_held_and_then_passed_on() -> None:
    async def story(stand: Stand, endpoint: Endpoint) -> None:
        async with a_client(stand.port) as client:
            client.say(HELLO)
            await stand.until_held(1)
            assert stand.metric("lull_activator_connections", protocol="tls") == 1
            stand.wake(endpoint)
            assert await client.reader.readexactly(len(HELLO)) == HELLO.upper()
            client.say(b"more")
            assert await client.reader.readexactly(4) == b"MORE"
        assert stand.metric("lull_activator_answers_total", code="0", reason="Spliced") == 1

    spliced(parrots, story)


def test_a_connection_that_may_not_wait_is_closed() -> None:
    async def story(stand: Stand) -> None:
        async with a_client(stand.port) as client:
            client.say(HELLO)
            assert await client.rest() == b""
        assert stand.metric("lull_activator_answers_total", code="0", reason="NoCapacity") == 1

    staged(story, blocked=Blocked("NoCapacity", "no node is left"))


def test_a_held_connection_has_a_bounded_age() -> None:
    async def story(stand: Stand) -> None:
        async with a_client(stand.port) as client:
            client.say(HELLO)
            assert await client.rest() == b""
        assert stand.metric("lull_activator_answers_total", code="0", reason="TimeUp") == 1

    staged(story, hold_timeout_s=0.1)


def test_what_is_held_of_a_connection_is_bounded() -> None:
    async def story(stand: Stand, endpoint: Endpoint) -> None:
        size = 20_000_000
        async with a_client(stand.port) as client:
            client.say(HELLO, bytes(size))
            await stand.until_held(1)
            await asyncio.sleep(0.3)
            assert client.writer.transport.get_write_buffer_size() > size - 8_000_000
            door = next(iter(stand.listeners.ports[stand.port]._doors))
            assert door.guest._first_bytes < 200_000  # type: ignore[union-attr]
            stand.wake(endpoint)
            client.writer.write_eof()
            assert len(await client.rest()) == size + len(HELLO)

    spliced(parrots, story)


def test_a_held_client_that_leaves_frees_its_place() -> None:
    async def story(stand: Stand) -> None:
        for more in (b"", bytes(50_000)):
            async with a_client(stand.port) as client:
                client.say(HELLO, more)
                await stand.until_held(1)
                client.writer.close()
                await stand.until_held(0)

    staged(story, limits=Limits(read_bytes=1024))


def test_half_closes_are_passed_on() -> None:
    async def counts(client: Client) -> None:
        client.say(b"%d" % len(await client.rest()))

    async def story(stand: Stand, endpoint: Endpoint) -> None:
        stand.wake(endpoint)
        async with a_client(stand.port) as client:
            client.say(HELLO)
            await asyncio.sleep(0.1)
            client.writer.write_eof()
            assert await client.rest() == b"%d" % len(HELLO)

    spliced(counts, story)


def test_a_pod_that_ends_ends_the_clients_side_after_its_last_byte() -> None:
    async def pours(client: Client) -> None:
        await client.reader.readexactly(len(HELLO))
        client.say(bytes(1_000_000))
        await client.writer.drain()

    async def story(stand: Stand, endpoint: Endpoint) -> None:
        stand.wake(endpoint)
        async with a_client(stand.port) as client:
            client.say(HELLO)
            await asyncio.sleep(0.1)
            assert len(await client.rest()) == 1_000_000

    spliced(pours, story)


def test_a_server_that_speaks_first_is_reached_by_a_silent_client_once_it_is_ready() -> None:
    async def greets(client: Client) -> None:
        client.say(b"220 welcome\r\n")
        await parrots(client)

    async def story(stand: Stand, endpoint: Endpoint) -> None:
        async with a_client(stand.port) as client:
            await asyncio.sleep(0.2)
            assert stand.gate.wanted is None
            stand.wake(endpoint)
            assert await client.reader.readline() == b"220 welcome\r\n"
        async with a_client(stand.port) as late:
            assert await late.reader.readline() == b"220 welcome\r\n"

    spliced(greets, story, limits=Limits(silent_s=0.05))


def test_a_silent_client_that_speaks_http_in_time_is_understood() -> None:
    async def story(stand: Stand) -> None:
        async with a_client(stand.port) as client:
            await stand.wakes(echo)
            await asyncio.sleep(0.05)
            client.say(b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n")
            assert (await client.whole())[1]["connection"] == "close"

    staged(story)


def test_a_spliced_connection_ends_when_nothing_is_said_and_when_it_is_old() -> None:
    async def story(stand: Stand, endpoint: Endpoint) -> None:
        clock = asyncio.get_running_loop().time
        stand.wake(endpoint)
        async with a_client(stand.port) as silent, a_client(stand.port) as busy:
            started_s = clock()
            silent.say(HELLO)
            busy.say(HELLO)

            async def keeps_talking() -> float:
                while not busy.reader.at_eof():
                    busy.say(b"x")
                    await asyncio.sleep(0.05)
                    await busy.reader.read(100)
                return clock() - started_s

            talking = asyncio.create_task(keeps_talking())
            assert (await silent.rest()) == HELLO.upper()
            assert 0.25 < clock() - started_s < 0.8
            assert 0.9 < await talking < 2.0

    spliced(parrots, story, limits=Limits(splice_idle_s=0.3, splice_s=1.0))


def test_a_slow_reader_slows_the_pod_down() -> None:
    sent = 0

    async def pours(client: Client) -> None:
        nonlocal sent
        while True:
            client.say(bytes(50_000))
            await client.writer.drain()
            sent += 50_000

    async def story(stand: Stand, endpoint: Endpoint) -> None:
        stand.wake(endpoint)
        async with a_client(stand.port) as client:
            client.writer.transport.pause_reading()
            client.say(HELLO)
            before = -1
            while before != sent:
                before = sent
                await asyncio.sleep(0.3)
            assert sent < 30_000_000
            client.cut()

    spliced(pours, story)
