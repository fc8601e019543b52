"""WebSockets across a wake, frames untouched."""

import asyncio

import aiohttp
import pytest
from aiohttp import web

from activator_stand import Stand, a_client, echo, staged

SHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: chat\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def echoes(request: web.BaseRequest) -> web.StreamResponse:
    socket = web.WebSocketResponse(max_msg_size=0)
    await socket.prepare(request)
    async for message in socket:
        if message.data == "bye":
            await socket.close(code=4001)
        elif message.type is aiohttp.WSMsgType.TEXT:
            await socket.send_str(message.data)
        else:
            await socket.send_bytes(message.data)
    return socket


def test_a_websocket_is_held_and_then_speaks_with_its_pod() -> None:
    async def story(stand: Stand) -> None:
        async with aiohttp.ClientSession() as session:
            dialling = asyncio.create_task(session.ws_connect(f"http://127.0.0.1:{stand.port}/ws", max_msg_size=0))
            await stand.until_held(1)
            await stand.wakes(echoes)
            async with await dialling as socket:
                assert float(socket._response.headers["Lull-Held-Seconds"]) >= 0
                for text in ("one", "two", "x" * 5_000_000):
                    await socket.send_str(text)
                    assert await socket.receive_str() == text
                await socket.send_bytes(bytes(range(256)))
                assert await socket.receive_bytes() == bytes(range(256))
                await socket.send_str("bye")
                last = await socket.receive()
                assert (last.type, socket.close_code) == (aiohttp.WSMsgType.CLOSE, 4001)

    staged(story)


def test_a_pod_that_declines_to_upgrade_is_passed_on() -> None:
    async def story(stand: Stand) -> None:
        await stand.wakes(echo)
        async with a_client(stand.port) as client:
            client.say(SHAKE)
            status, headers, _ = await client.whole()
            assert (status, headers["got-path"]) == (200, "/ws")
            assert await client.rest() == b""

    staged(story)


def test_frames_that_come_with_the_handshake_are_not_lost() -> None:
    async def story(stand: Stand) -> None:
        async with a_client(stand.port) as client:
            client.say(SHAKE, b"\x81\x85\0\0\0\0hello")
            await stand.until_held(1)
            await stand.wakes(echoes)
            status, headers = await client.head()
            assert (status, headers["upgrade"], headers["connection"]) == (101, "websocket", "Upgrade")
            assert await client.reader.readexactly(7) == b"\x81\x05hello"

    staged(story)


def test_a_client_that_goes_ends_the_pods_side_and_the_other_way_round() -> None:
    async def story(stand: Stand) -> None:
        over = asyncio.Event()

        async def pod(request: web.BaseRequest) -> web.StreamResponse:
            response = await echoes(request)
            over.set()
            return response

        await stand.wakes(pod)
        async with a_client(stand.port) as client:
            client.say(SHAKE)
            await client.head()
            client.cut()
            await over.wait()
        async with a_client(stand.port) as client:
            client.say(SHAKE)
            await client.head()
            client.say(b"\x81\x83\0\0\0\0bye")
            assert await client.reader.readexactly(4) == b"\x88\x02\x0f\xa1"
            client.say(b"\x88\x82\0\0\0\0\x0f\xa1")
            assert await client.rest() == b""

    staged(story)


@pytest.mark.parametrize("to", [b"h2c", b"tls/1.0"])
def test_an_upgrade_to_anything_else_is_not_passed_on(to: bytes) -> None:
    async def story(stand: Stand) -> None:
        seen: list[str] = []

        async def pod(request: web.BaseRequest) -> web.Response:
            seen.extend(request.headers)
            return web.Response(text="plain")

        await stand.wakes(pod)
        async with a_client(stand.port) as client:
            client.say(b"GET / HTTP/1.1\r\nHost: chat\r\nConnection: Upgrade, HTTP2-Settings\r\n")
            client.say(b"Upgrade: ", to, b"\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n")
            assert (await client.whole())[2] == b"plain"
        assert not {"Upgrade", "HTTP2-Settings"} & set(seen)

    staged(story)


def test_a_side_that_does_not_read_slows_the_other_down() -> None:
    async def story(stand: Stand) -> None:
        sent = 0

        async def pours(request: web.BaseRequest) -> web.StreamResponse:
            nonlocal sent
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            try:
                while True:
                    await socket.send_bytes(bytes(50_000))
                    sent += 50_000
            except ConnectionError:
                return socket

        await stand.wakes(pours)
        async with a_client(stand.port) as client:
            client.say(SHAKE)
            await client.head()
            client.writer.transport.pause_reading()
            before = -1
            while before != sent:
                before = sent
                await asyncio.sleep(0.3)
            assert sent < 30_000_000
            client.cut()

    staged(story)
