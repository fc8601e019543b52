"""What nobody should send, tried over a raw socket: each is refused, and no pod ever sees it."""

import asyncio
import json
import socket

import pytest
from aiohttp import web

from activator_stand import Stand, a_client, echo, staged
from lull.hold.limits import Limits

HEAD = b"POST /infer HTTP/1.1\r\nHost: chat\r\n"
GET = b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n"


def refused(sent: bytes, status: int) -> None:
    """The answer is ``status`` and the end, before and after a pod is ready, and the pod hears of nothing."""

    async def story(stand: Stand) -> None:
        seen: list[str] = []

        async def pod(request: web.BaseRequest) -> web.Response:
            seen.append(request.raw_path)
            return web.Response()

        for ready in (False, True):
            if ready:
                await stand.wakes(pod)
            async with a_client(stand.port) as client:
                client.say(sent)
                got, _, body = await client.whole()
                assert (got, json.loads(body)["reason"]) == (status, "BadRequest")
                assert await client.rest() == b""
        assert (seen, stand.gate.held) == ([], 0)
        assert stand.metric("lull_activator_answers_total", code=str(status), reason="BadRequest") == 2

    staged(story)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(b"Content-Length: 5\r\nTransfer-Encoding: chunked", id="two framings"),
        pytest.param(b"Transfer-Encoding: chunked\r\nContent-Length: 5", id="two framings, the other way round"),
        pytest.param(b"Content-Length: 5\r\nContent-Length: 6", id="two lengths"),
        pytest.param(b"Content-Length: 5\r\nContent-Length: 5", id="one length twice"),
        pytest.param(b"Content-Length: 5, 5", id="a list of lengths"),
        pytest.param(b"Content-Length: +5", id="a signed length"),
        pytest.param(b"Content-Length: 0x5", id="a length in hexadecimal"),
        pytest.param(b"Content-Length: -1", id="a negative length"),
        pytest.param(b"Content-Length: 99999999999999999999999", id="an endless length"),
        pytest.param(b"Content-Length : 5", id="a space before the colon"),
        pytest.param(b"Transfer-Encoding: xchunked", id="an unknown encoding"),
        pytest.param(b"Transfer-Encoding: chunked, identity", id="chunked not last"),
        pytest.param(b"Transfer-Encoding: gzip, chunked", id="an encoding besides chunked"),
        pytest.param(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", id="chunked twice"),
        pytest.param(b"Transfer-Encoding: \x0bchunked", id="a control character before chunked"),
        pytest.param(b"X-Folded: a\r\n b", id="a folded header"),
        pytest.param(b"X-Bare: a\nX-Smuggled: b", id="a line that ends without a carriage return"),
        pytest.param(b"X-Bare: a\rX-Smuggled: b", id="a bare carriage return"),
        pytest.param(b"X-Null: a\0b", id="a null"),
        pytest.param(b"X-Latin: caf\xe9", id="a value that is not UTF-8"),
        pytest.param(b"X Space: a", id="a space in a name"),
        pytest.param(b": a", id="no name"),
        pytest.param(b"Host: other", id="two hosts"),
        pytest.param(b"X-Long: " + bytes(9000).replace(b"\0", b"a"), id="a header that is too long"),
        pytest.param(b"\r\n".join(b"X-%d: a" % n for n in range(200)), id="too many headers"),
    ],
)
def test_a_head_that_two_servers_may_read_differently_is_refused(lines: bytes) -> None:
    refused(HEAD + lines + b"\r\n\r\nhello", 400)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="no host"),
        pytest.param(b"GET http://other/ HTTP/1.1\r\nHost: chat\r\n\r\n", 400, id="an absolute target"),
        pytest.param(b"GET /a b HTTP/1.1\r\nHost: chat\r\n\r\n", 400, id="a space in the target"),
        pytest.param(b"CONNECT chat:80 HTTP/1.1\r\nHost: chat\r\n\r\n", 405, id="a tunnel"),
        pytest.param(b"TRACE / HTTP/1.1\r\nHost: chat\r\n\r\n", 405, id="a trace"),
        pytest.param(b"GET / HTTP/1.2\r\nHost: chat\r\n\r\n", 400, id="a version that is none"),
        pytest.param(b"GET / HTTP/3.7\r\nHost: chat\r\n\r\n", 400, id="a version to come"),
        pytest.param(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, id="chunks in HTTP/1.0"),
        pytest.param(b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: chat\r\n\r\n", 400, id="a target that is too long"),
    ],
)
def test_a_request_line_that_is_out_of_order_is_refused(sent: bytes, status: int) -> None:
    refused(sent, status)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"zz\r\nhello\r\n0\r\n\r\n", id="no number"),
        pytest.param(b"-5\r\nhello\r\n0\r\n\r\n", id="a negative size"),
        pytest.param(b"0x5\r\nhello\r\n0\r\n\r\n", id="a prefix"),
        pytest.param(b"5 \r\nhello\r\n0\r\n\r\n", id="a space after the size"),
        pytest.param(b"5\nhello\r\n0\r\n\r\n", id="a bare newline after the size"),
        pytest.param(b"5\r\nhelloX\r\n0\r\n\r\n", id="a chunk that is longer than it says"),
        pytest.param(b"fffffffffffffffff\r\nhello", id="a size beyond all numbers"),
        pytest.param(b"5;a\nhello\r\n0\r\n\r\n", id="a bare newline after an extension"),
    ],
)
def test_a_body_of_bad_chunks_reaches_no_pod_whole(body: bytes) -> None:
    async def story(stand: Stand) -> None:
        whole: list[bytes] = []

        async def pod(request: web.BaseRequest) -> web.Response:
            whole.append(b"".join([part async for part in request.content.iter_any()]))
            return web.Response()

        endpoint = await stand.pod(pod)
        for is_held in (True, False):
            async with a_client(stand.port) as client:
                client.say(HEAD, b"Transfer-Encoding: chunked\r\n\r\n")
                if is_held:
                    await stand.until_held(1)
                client.say(body, GET)
                await asyncio.sleep(0.02)
                stand.wake(endpoint)
                status, _, text = await client.whole()
                assert (status, json.loads(text)["reason"]) == (400, "BadRequest")
                assert await client.rest() == b""
        assert whole == []

    staged(story)


def test_a_second_request_hidden_behind_a_first_is_answered_as_a_second() -> None:
    async def story(stand: Stand) -> None:
        seen: list[str] = []

        async def pod(request: web.BaseRequest) -> web.Response:
            seen.append(request.raw_path)
            return web.Response(text="ok")

        await stand.wakes(pod)
        async with a_client(stand.port) as client:
            client.say(HEAD, b"Content-Length: 0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: chat\r\n\r\n")
            assert [(await client.whole())[0] for _ in range(2)] == [200, 200]
            assert await client.rest() == b""
        assert seen == ["/infer", "/hidden"], "each is judged and relayed by itself"

    staged(story)


def test_a_head_that_comes_byte_by_byte_is_given_up() -> None:
    async def story(stand: Stand) -> None:
        for first in (b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: chat\r\nX-A: "):
            async with a_client(stand.port) as client:
                for byte in first:
                    client.say(bytes([byte]))
                started_s = asyncio.get_running_loop().time()
                assert await client.rest() == b""
                assert 0.2 < asyncio.get_running_loop().time() - started_s < 2.0
        assert stand.gate.wanted is None

    staged(story, limits=Limits(head_s=0.3, idle_s=60.0))


def test_the_second_head_of_a_connection_is_timed_as_well() -> None:
    async def story(stand: Stand) -> None:
        async with a_client(stand.port) as client:
            client.say(b"GET /metrics HTTP/1.1\r\nHost: chat\r\n\r\n")
            await client.whole()
            await asyncio.sleep(0.5)
            client.say(b"GET / HT")
            assert await client.rest() == b""

    staged(story, limits=Limits(head_s=0.3, idle_s=60.0))


def test_a_connection_that_says_nothing_is_given_up_and_wakes_nothing() -> None:
    async def story(stand: Stand) -> None:
        async with a_client(stand.port) as client:
            assert await client.rest() == b""
        assert stand.gate.wanted is None

    staged(story, limits=Limits(idle_s=0.2))


def test_a_client_that_is_gone_without_a_word_is_found_out_by_the_kernel() -> None:
    async def story(stand: Stand) -> None:
        async with a_client(stand.port) as client:
            client.say(GET)
            await stand.until_held(1)
            door = next(iter(stand.listeners.ports[stand.port]._doors))
            sock = door.transport.get_extra_info("socket")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
            assert [sock.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [30, 10, 3, 60_000]
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * 32_768, "Linux doubles it"

    staged(story, limits=Limits(socket_bytes=32_768))


def test_a_held_request_outlasts_the_limits_of_its_head() -> None:
    async def story(stand: Stand) -> None:
        async with a_client(stand.port) as client:
            client.say(GET)
            await stand.until_held(1)
            await asyncio.sleep(0.6)
            await stand.wakes(echo)
            assert (await client.whole())[0] == 200

    staged(story, limits=Limits(head_s=0.1, idle_s=0.2))


def test_more_connections_than_a_port_may_have_are_closed() -> None:
    async def story(stand: Stand) -> None:
        async with a_client(stand.port) as one, a_client(stand.port) as two:
            one.say(GET)
            two.say(GET)
            await stand.until_held(2)
            async with a_client(stand.port) as third:
                third.say(GET)
                assert await third.rest() == b""
            two.cut()
            await stand.until_held(1)
            async with a_client(stand.port) as fourth:
                fourth.say(GET)
                await stand.until_held(2)

    staged(story, limits=Limits(connections=2))


def test_an_endless_body_that_is_turned_away_ends() -> None:
    async def story(stand: Stand) -> None:
        async with a_client(stand.port) as client:
            client.say(HEAD, b"Content-Length: 1000000000\r\n\r\n", bytes(1000))
            status, _, _ = await client.whole()
            assert status == 503
            assert await client.rest() == b""

    staged(story, expected_start_s=500.0)
