"""HTTP/1.1 through a holding port, to real pods on loopback."""

import asyncio
import json
from types import SimpleNamespace

import aiohttp
from aiohttp import web

from activator_stand import Client, Stand, a_client, echo, staged
from lull.activator.gate import Blocked, Endpoint
from lull.activator.relay import Upload
from lull.hold.limits import Limits

GET = b"GET /v1/chat HTTP/1.1\r\nHost: chat\r\n\r\n"


def post(body: bytes, *headers: bytes) -> bytes:
    lines = (b"POST /infer HTTP/1.1", b"Host: chat", b"Content-Length: %d" % len(body), *headers)
    return b"\r\n".join((*lines, b"", body))


async def refused_port() -> Endpoint:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return Endpoint("127.0.0.1", port)


def test_a_request_is_held_until_a_pod_is_ready_and_then_answered_by_it() -> None:
    async def story(stand: Stand) -> None:
        async with a_client(stand.port) as client:
            client.say(post(b"hello"))
            await stand.until_held(1)
            await asyncio.sleep(0.02)
            await stand.wakes(echo)
            status, headers, body = await client.whole()
            assert (status, body, headers["got-path"]) == (200, b"hello", "/infer")
            assert float(headers["lull-held-seconds"]) > 0
            assert headers["connection"] == "close"
            assert await client.rest() == b""
        assert stand.metric("lull_activator_answers_total", code="200", reason="Forwarded") == 1
        assert stand.metric("lull_activator_held_seconds_count") == 1
        assert stand.metric("lull_activator_forward_lag_seconds_count") == 1
        assert stand.metric("lull_activator_held_requests") == 0

    staged(story)


def test_a_request_that_meets_a_ready_pod_says_nothing_of_being_held() -> None:
    async def story(stand: Stand) -> None:
        await stand.wakes(echo)
        async with a_client(stand.port) as client:
            client.say(GET)
            status, headers, _ = await client.whole()
            assert status == 200
            assert "lull-held-seconds" not in headers
            assert headers["connection"] == "close"

    staged(story)


def test_path_query_host_and_headers_arrive_as_they_were_sent() -> None:
    async def story(stand: Stand) -> None:
        seen: list[web.BaseRequest] = []

        async def pod(request: web.BaseRequest) -> web.Response:
            seen.append(request)
            return web.Response(text="ok")

        await stand.wakes(pod)
        async with a_client(stand.port) as client:
            client.say(
                b"GET //a%2Fb/../c;d?x=%20y&z=a+b HTTP/1.1\r\nhOST: chat.example:8080\r\nX-Forwarded-For: 1.2.3.4\r\n",
                b"Cookie: a=b; c=d\r\nX-Twice: 1\r\nX-Twice: 2\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\n",
                b"X-Bytes: caf\xc3\xa9\r\nTE: trailers\r\nKeep-Alive: 5\r\n\r\n",
            )
            assert (await client.whole())[0] == 200
        request = seen[0]
        assert request.raw_path == "//a%2Fb/../c;d?x=%20y&z=a+b"
        assert request.headers["Host"] == "chat.example:8080"
        assert request.headers["X-Forwarded-For"] == "1.2.3.4, 127.0.0.1"
        assert request.headers.getall("X-Twice") == ["1", "2"]
        assert request.headers["Cookie"] == "a=b; c=d"
        assert request.headers["X-Bytes"] == "café"
        assert not {"X-Hop", "TE", "Keep-Alive", "User-Agent", "Accept", "Accept-Encoding"} & set(request.headers)

    staged(story)


def test_the_answer_arrives_as_the_pod_gave_it() -> None:
    async def story(stand: Stand) -> None:
        async def pod(_: web.BaseRequest) -> web.Response:
            response = web.Response(status=418, reason="I am small", body=b"\x1f\x8b not really gzip")
            response.headers["Content-Encoding"] = "gzip"
            response.headers["Server"] = "triton"
            response.headers.add("Set-Cookie", "a=1")
            response.headers.add("Set-Cookie", "b=2")
            return response

        await stand.wakes(pod)
        async with a_client(stand.port) as client:
            client.say(GET)
            text = await client.rest()
        head, body = text.split(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 418 I am small\r\n")
        assert body == b"\x1f\x8b not really gzip"
        assert head.count(b"Set-Cookie") == 2
        assert b"Server: triton" in head

    staged(story)


def test_head_and_bodiless_answers_keep_their_headers() -> None:
    async def story(stand: Stand) -> None:
        async def pod(request: web.BaseRequest) -> web.Response:
            return web.Response(status=204) if request.method == "DELETE" else web.Response(text="twelve bytes")

        await stand.wakes(pod)
        for line, status, length in ((b"HEAD", 200, "12"), (b"DELETE", 204, None)):
            async with a_client(stand.port) as client:
                client.say(line, b" / HTTP/1.1\r\nHost: chat\r\n\r\n")
                got, headers = await client.head()
                assert (got, headers.get("content-length")) == (status, length)
                assert "transfer-encoding" not in headers
                assert await client.rest() == b""

    staged(story)


def test_events_arrive_one_by_one() -> None:
    async def story(stand: Stand) -> None:
        more = asyncio.Event()

        async def pod(request: web.BaseRequest) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            for number in range(3):
                await response.write(b"data: %d\n\n" % number)
                await more.wait()
                more.clear()
            return response

        await stand.wakes(pod)
        async with a_client(stand.port) as client:
            client.say(GET)
            status, headers = await client.head()
            assert (status, headers["transfer-encoding"], headers["connection"]) == (200, "chunked", "close")
            for number in range(3):
                assert await client.chunk() == b"data: %d\n\n" % number
                more.set()
            assert await client.chunk() == b""

    staged(story)


def test_a_client_of_http_1_0_gets_the_answer_until_the_end() -> None:
    async def story(stand: Stand) -> None:
        async def pod(request: web.BaseRequest) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"one")
            await response.write(b"two")
            return response

        await stand.wakes(pod)
        async with a_client(stand.port) as client:
            client.say(b"GET / HTTP/1.0\r\n\r\n")
            status, headers = await client.head()
            assert status == 200
            assert "transfer-encoding" not in headers
            assert await client.rest() == b"onetwo"

    staged(story)


def test_chunks_are_relayed_while_they_come_in_both_directions() -> None:
    async def story(stand: Stand) -> None:
        async def pod(request: web.BaseRequest) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            async for part in request.content.iter_any():
                await response.write(part.upper())
            return response

        await stand.wakes(pod)
        async with a_client(stand.port) as client:
            client.say(b"POST / HTTP/1.1\r\nHost: chat\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            await client.head()
            assert await client.chunk() == b"ABC"
            client.say(b"2\r\nde\r\n")
            assert await client.chunk() == b"DE"
            client.say(b"0\r\n\r\n")
            assert await client.chunk() == b""

    staged(story)


def test_who_expects_continue_is_told_only_when_a_pod_is_there() -> None:
    async def story(stand: Stand) -> None:
        async with a_client(stand.port) as client:
            client.say(b"POST / HTTP/1.1\r\nHost: chat\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            await stand.until_held(1)
            await asyncio.sleep(0.05)
            assert not client.reader._buffer  # type: ignore[attr-defined]
            await stand.wakes(echo)
            assert (await client.head())[0] == 100
            client.say(b"hello")
            assert (await client.whole())[2] == b"hello"

    staged(story)


def test_who_expects_continue_and_is_turned_away_need_not_send_its_body() -> None:
    async def story(stand: Stand) -> None:
        async with a_client(stand.port) as client:
            client.say(b"POST / HTTP/1.1\r\nHost: chat\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            status, _, body = await client.whole()
            assert (status, json.loads(body)["reason"]) == (503, "NoCapacity")

    staged(story, blocked=Blocked("NoCapacity", "no node is left"))


def test_nobody_is_told_to_continue_once_an_answer_has_begun() -> None:
    async def story(stand: Stand) -> None:
        written: list[bytes] = []

        async def asks(request: web.BaseRequest) -> web.Response:
            async def write(part: bytes) -> None:
                written.append(part)

            said = SimpleNamespace(
                headers=request.headers, content=request.content, writer=SimpleNamespace(write=write)
            )
            uploads = Upload(said), Upload(said)  # type: ignore[arg-type]
            uploads[0].answered = True
            assert [await anext(upload) for upload in uploads] == [b"he", b"llo"]
            return web.Response(text="done")

        endpoint = await stand.pod(asks)
        async with a_client(endpoint.port) as client:
            client.say(b"POST / HTTP/1.1\r\nHost: chat\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhe")
            await asyncio.sleep(0.05)
            client.say(b"llo")
            assert (await client.whole())[2] == b"done"
        assert written == [b"HTTP/1.1 100 Continue\r\n\r\n"]

    staged(story)


def test_a_large_body_waits_in_the_client() -> None:
    async def story(stand: Stand) -> None:
        size = 30_000_000
        async with a_client(stand.port) as client:
            client.say(post(bytes(size)))
            await stand.until_held(1)
            await asyncio.sleep(0.3)
            assert client.writer.transport.get_write_buffer_size() > size - 8_000_000
            door = next(iter(stand.listeners.ports[stand.port]._doors))
            assert door.guest._messages == door.guest._messages.__class__()  # type: ignore[union-attr]
            held = door.guest._current_request.content._size  # type: ignore[union-attr]
            assert held < 200_000
            await stand.wakes(echo)
            status, headers = await client.head()
            assert (status, headers["got-bytes"]) == (200, str(size))
            assert len(await client.rest()) == size

    staged(story)


def test_a_client_that_leaves_frees_its_place_at_once() -> None:
    async def story(stand: Stand) -> None:
        async with a_client(stand.port) as client:
            client.say(GET)
            await stand.until_held(1)
            client.cut()
            await stand.until_held(0)
        assert stand.metric("lull_activator_held_seconds_count") == 1

    staged(story)


def test_a_client_that_leaves_while_its_body_is_not_read_is_noticed_too() -> None:
    async def story(stand: Stand) -> None:
        for leave in ("close", "abort"):
            async with a_client(stand.port) as client:
                client.say(b"POST / HTTP/1.1\r\nHost: chat\r\nContent-Length: 900000\r\n\r\n", bytes(60_000))
                await stand.until_held(1)
                await client.writer.drain()
                getattr(client.writer.transport, leave)()
                await stand.until_held(0)

    staged(story, limits=Limits(read_bytes=1024))


def test_a_client_that_leaves_while_its_answer_is_made_stops_the_pod() -> None:
    async def story(stand: Stand) -> None:
        began, stopped = asyncio.Event(), asyncio.Event()

        async def pod(request: web.BaseRequest) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            began.set()
            try:
                while True:
                    await response.write(b"token ")
                    await asyncio.sleep(0.01)
            except ConnectionError:
                stopped.set()
                raise

        await stand.wakes(pod)
        async with a_client(stand.port) as client:
            client.say(GET)
            await began.wait()
            client.cut()
            await stopped.wait()

    staged(story)


def test_requests_of_one_connection_keep_their_order() -> None:
    async def story(stand: Stand) -> None:
        async with a_client(stand.port) as client:
            client.say(
                *(b"GET /%d HTTP/1.1\r\nHost: chat\r\nUser-Agent: kube-probe/1.31\r\n\r\n" % n for n in range(3))
            )
            assert [(await client.whole())[2] for _ in range(3)] == [b"asleep\n"] * 3
            client.say(GET)
            await stand.until_held(1)
            await stand.wakes(echo)
            assert (await client.whole())[0] == 200
            assert await client.rest() == b""

    staged(story)


def test_requests_sent_before_an_answer_came_are_all_answered_in_their_order() -> None:
    """The answer after which the connection ends is the last one that the client has asked for."""

    async def story(stand: Stand) -> None:
        async with a_client(stand.port) as client:
            client.say(*(post(b"%d" % n) for n in range(4)))
            await stand.until_held(1)
            await stand.wakes(echo)
            told = [await client.whole() for _ in range(4)]
            assert [(status, body) for status, _, body in told] == [(200, b"%d" % n) for n in range(4)]
            assert ["connection" in headers for _, headers, _ in told] == [False, False, False, True]
            assert await client.rest() == b""

    staged(story)


def test_health_checks_and_scrapes_are_answered_asleep_and_wake_nothing() -> None:
    async def story(stand: Stand) -> None:
        for line in (b"GET /metrics", b"HEAD /v2/health/ready", b"GET /v2/models/m/ready?x=1", b"GET /health"):
            async with a_client(stand.port) as client:
                client.say(line, b" HTTP/1.1\r\nHost: chat\r\n\r\n")
                status, headers = await client.head()
                assert (status, headers.get("content-length")) == (200, "7")
        assert stand.gate.wanted is None
        await stand.wakes(echo)
        async with a_client(stand.port) as client:
            client.say(b"GET /metrics HTTP/1.1\r\nHost: chat\r\n\r\n")
            assert (await client.whole())[1]["got-path"] == "/metrics"
        assert stand.metric("lull_activator_answers_total", code="200", reason="Ignored") == 4

    staged(story)


def test_the_operators_probe_is_answered_here_even_when_a_pod_is_ready() -> None:
    async def story(stand: Stand) -> None:
        await stand.wakes(echo)
        async with a_client(stand.port) as client:
            client.say(b"GET / HTTP/1.1\r\nHost: x\r\nlull-probe: somebody-else\r\n\r\n")
            status, headers, body = await client.whole()
            assert (status, body) == (200, b"")
            assert (headers["lull-activator"], headers["lull-model"]) == ("activator-uid", "model-uid")
        assert stand.gate.wanted is None

    staged(story)


def test_a_full_room_says_when_to_come_back() -> None:
    async def story(stand: Stand) -> None:
        async with a_client(stand.port) as first, a_client(stand.port) as second:
            first.say(GET)
            await stand.until_held(1)
            second.say(GET)
            status, headers, body = await second.whole()
            assert (status, headers["retry-after"]) == (503, "40")
            assert json.loads(body) == {"error": "1 requests wait for the model already", "reason": "Full"}
        assert stand.metric("lull_activator_answers_total", code="503", reason="Full") == 1

    staged(story, max_held=1, expected_start_s=40.0)


def test_a_start_that_is_too_long_is_told_at_once() -> None:
    async def story(stand: Stand) -> None:
        async with a_client(stand.port) as client:
            client.say(GET)
            status, headers, body = await client.whole()
            assert (status, headers["retry-after"], json.loads(body)["reason"]) == (503, "91", "StartTooLong")
        assert stand.gate.wanted is not None

    staged(story, expected_start_s=90.5)


def test_who_waited_in_vain_gets_a_504() -> None:
    async def story(stand: Stand) -> None:
        async with a_client(stand.port) as client:
            client.say(GET)
            status, headers, body = await client.whole()
            assert (status, json.loads(body)["reason"]) == (504, "TimeUp")
            assert "retry-after" not in headers

    staged(story, hold_timeout_s=0.1)


def test_a_pod_that_cannot_be_reached_costs_no_request() -> None:
    async def story(stand: Stand) -> None:
        dead = await refused_port()
        alive = await stand.pod(echo)
        clients = [asyncio.create_task(_posted(stand, number)) for number in range(20)]
        await stand.until_held(20)
        stand.wake(dead, alive)
        assert await asyncio.gather(*clients) == [b"%d" % number for number in range(20)]

    async def _posted(stand: Stand, number: int) -> bytes:
        async with a_client(stand.port) as client:
            client.say(post(b"%d" % number))
            return (await client.whole())[2]

    staged(story)


def test_a_request_that_a_pod_has_seen_is_never_sent_again() -> None:
    async def story(stand: Stand) -> None:
        seen = 0

        async def breaks(request: web.BaseRequest) -> web.Response:
            nonlocal seen
            seen += 1
            assert request.transport
            request.transport.abort()
            return web.Response()

        await stand.wakes(breaks)
        for line in (GET, post(b"x")):
            async with a_client(stand.port) as client:
                client.say(line)
                status, _, body = await client.whole()
                assert (status, json.loads(body)["reason"]) == (502, "PodBroke")
        assert seen == 2

    staged(story)


def test_an_answer_that_breaks_off_is_cut_here_too() -> None:
    async def story(stand: Stand) -> None:
        async def half(request: web.BaseRequest) -> web.StreamResponse:
            response = web.StreamResponse()
            if request.raw_path == "/length":
                response.content_length = 100
            await response.prepare(request)
            await response.write(b"half of it")
            assert request.transport
            request.transport.close()
            await asyncio.sleep(0)
            return response

        await stand.wakes(half)
        for path, version in ((b"/length", b"1.1"), (b"/chunked", b"1.1"), (b"/chunked", b"1.0")):
            reader, writer = await asyncio.open_connection("127.0.0.1", stand.port)
            writer.write(b"GET %s HTTP/%s\r\nHost: chat\r\n\r\n" % (path, version))
            client = Client(reader, writer)
            assert (await client.head())[0] == 200
            cut = False
            try:
                while True:
                    part = await reader.read(1000)
                    assert b"0\r\n\r\n" not in part
                    if not part:
                        break
            except ConnectionResetError:
                cut = True
            assert cut
            writer.close()

    staged(story)


def test_a_burst_is_answered_whole() -> None:
    async def story(stand: Stand) -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def one(number: int) -> tuple[int, str]:
                async with session.post(f"http://127.0.0.1:{stand.port}/", data=str(number)) as response:
                    return response.status, await response.text()

            asking = [asyncio.create_task(one(number)) for number in range(300)]
            await stand.until_held(300)
            first, second = await stand.pod(echo), await stand.pod(echo)
            stand.wake(first)
            await asyncio.sleep(0.01)
            stand.wake(first, second)
            assert await asyncio.gather(*asking) == [(200, str(number)) for number in range(300)]

    staged(story)
