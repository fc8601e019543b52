"""Clients that mean no good: each costs little, and loses its connection."""

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from h2.errors import ErrorCodes
from h2.events import PingAckReceived, ResponseReceived, StreamEnded
from h2.settings import SettingCodes
from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st

from h2_peers import GET, Activator, Hand, activator, eventually
from lull.activator.http2.calm import BURST, PER_FRAME_SENT, PER_S, Calm
from lull.activator.http2.frames import (
    CONTINUATION,
    DATA,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Frame,
    FrameReader,
)

CALM = int(ErrorCodes.ENHANCE_YOUR_CALM)
MAGIC = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream_id: int = 0) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream_id) + payload


GREETING = MAGIC + frame(SETTINGS)


def told(story: Callable[[Activator, Hand], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with activator() as at, at.client() as client:
            await client.when(lambda: bool(client.events))
            await asyncio.wait_for(story(at, client), 30)

    asyncio.run(main())


async def calmed(at: Activator, client: Hand, words: bytes) -> None:
    """The connection was closed for this, and holds nothing any more."""
    await client.until_closed()
    assert [(code, words in text) for _, code, text in client.goaways] == [(CALM, True)]
    await eventually(lambda: at.gate.held == 0 and at.connections[0].legs == {})


def block(*headers: tuple[str, str]) -> bytes:
    return Encoder().encode([*GET, *headers])


def test_too_many_pings_are_too_many() -> None:
    async def story(at: Activator, client: Hand) -> None:
        client.raw(frame(PING, bytes(8)) * (BURST + 100))
        await calmed(at, client, b"too_many_pings")

    told(story)


@pytest.mark.parametrize(
    "cheap",
    [
        pytest.param(frame(SETTINGS, struct.pack(">HI", 3, 100)), id="settings"),
        pytest.param(frame(WINDOW_UPDATE, struct.pack(">I", 1)), id="window"),
        pytest.param(frame(2, struct.pack(">IB", 0, 1), stream_id=1), id="priority"),
        pytest.param(frame(0xBE, b"what"), id="unknown"),
    ],
)
def test_too_many_frames_that_move_nothing_are_too_many(cheap: bytes) -> None:
    async def story(at: Activator, client: Hand) -> None:
        client.raw(cheap * (BURST + 100))
        await calmed(at, client, b"move no data")

    told(story)


def test_empty_data_frames_are_too_many_once() -> None:
    async def story(at: Activator, client: Hand) -> None:
        client.ask(ends=False)
        await at.until_held(1)
        client.raw(frame(DATA, stream_id=1) * (BURST + 100))
        await calmed(at, client, b"move no data")

    told(story)


def test_rapid_reset_ends_the_connection_and_leaves_no_demand_behind() -> None:
    async def story(at: Activator, client: Hand) -> None:
        most = 0

        def look() -> None:
            nonlocal most
            most = max(most, at.gate.held)

        at.gate.on_change = look
        for number in range(BURST + 100):
            stream_id = 2 * number + 1
            client.raw(
                frame(HEADERS, block(), flags=5, stream_id=stream_id)
                + frame(RST_STREAM, struct.pack(">I", 8), stream_id=stream_id)
            )
        await calmed(at, client, b"reset")
        assert most <= 256

    told(story)


def test_continuation_without_end_is_cut_off() -> None:
    async def story(at: Activator, client: Hand) -> None:
        client.raw(frame(HEADERS, block(), flags=1, stream_id=1))
        client.raw(frame(CONTINUATION, b"", stream_id=1) * 10)
        client.raw(frame(CONTINUATION, b"\0" * 16_000, stream_id=1) * 5)
        await calmed(at, client, b"header block is too long")

    told(story)


def test_empty_continuations_are_cut_off() -> None:
    async def story(_: Activator, client: Hand) -> None:
        client.raw(frame(HEADERS, block(), flags=1, stream_id=1) + frame(CONTINUATION, b"", stream_id=1) * 100)
        await client.until_closed()

    told(story)


def test_headers_that_unpack_to_too_much_are_refused() -> None:
    async def story(at: Activator, client: Hand) -> None:
        bomb = Encoder()
        first = bomb.encode([*GET, ("x", "y" * 3000)])
        many = first + bomb.encode([("x", "y" * 3000)]) * 10  # one byte each
        assert len(many) < 3000
        client.raw(frame(HEADERS, many, flags=5, stream_id=1))
        await client.until_closed()
        assert client.goaways[0][1] == CALM
        assert at.gate.wanted is None

    told(story)


def test_more_streams_than_allowed_end_the_connection() -> None:
    async def story(at: Activator, client: Hand) -> None:
        assert client.h2.remote_settings.max_concurrent_streams == 256
        for number in range(257):
            client.raw(frame(HEADERS, block(), flags=5, stream_id=2 * number + 1))
        await client.until_closed()
        assert client.goaways[0][1] == ErrorCodes.PROTOCOL_ERROR
        await eventually(lambda: at.gate.held == 0)

    told(story)


def test_a_frame_that_is_too_long_is_not_waited_for() -> None:
    async def story(at: Activator, client: Hand) -> None:
        client.raw(b"\x01\0\0" + bytes((DATA, 0, 0, 0, 0, 1)))
        await calmed(at, client, b"longer than")

    told(story)


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(b"PRI * HTTP/2.0\r\n", id="half a preface"),
        pytest.param(MAGIC, id="no SETTINGS"),
        pytest.param(GREETING + frame(HEADERS, block(), flags=1, stream_id=1), id="half a header block"),
    ],
)
def test_a_slow_start_is_cut_off(start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lull.activator.http2.client.HURRY_S", 0.2)

    async def main() -> None:
        async with activator() as at:
            reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
            writer.write(start)
            said = await asyncio.wait_for(reader.read(), 5)
            assert said.endswith(struct.pack(">I", CALM) + b"too slow")
            writer.close()

    asyncio.run(main())


def test_a_client_in_no_hurry_that_has_started_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lull.activator.http2.client.HURRY_S", 0.1)

    async def story(_: Activator, client: Hand) -> None:
        await asyncio.sleep(0.3)
        client.h2.ping(bytes(8))
        client.flush()
        await client.until(PingAckReceived)

    told(story)


def test_what_is_no_http2_is_closed() -> None:
    async def main() -> None:
        async with activator() as at:
            reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
            writer.write(b"PRI * HTTP/3.0 and more of it than 24 bytes")
            await asyncio.wait_for(reader.read(), 5)
            writer.close()

    asyncio.run(main())


def test_answers_that_nobody_reads_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that asks for more than it reads is dropped; the kernel's own buffers are made small for it."""
    monkeypatch.setattr("lull.activator.http2.wire.MAX_UNSENT_BYTES", 20_000)

    async def main() -> None:
        async with activator() as at:
            at.server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            deaf = socket.socket()
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.setblocking(False)
            await asyncio.get_running_loop().sock_connect(deaf, ("127.0.0.1", at.port))
            asks = (
                frame(HEADERS, block(("lull-probe", "x")), flags=5, stream_id=2 * number + 1)
                for number in range(20_000)
            )
            for sent in (GREETING, *asks):
                with suppress(ConnectionError):
                    await asyncio.get_running_loop().sock_sendall(deaf, sent)
            await eventually(lambda: at.connections[0].is_closed)
            deaf.close()

    asyncio.run(main())


def test_a_client_that_cancels_all_it_asked_goes_on() -> None:
    async def story(at: Activator, client: Hand) -> None:
        asked = [client.ask() for _ in range(200)]
        await at.until_held(200)
        for stream_id in asked:
            client.h2.reset_stream(stream_id, ErrorCodes.CANCEL)
        client.flush()
        await at.until_held(0)
        one = client.ask((*GET, ("lull-probe", "x")))
        await client.until(StreamEnded, one)
        assert client.all(ResponseReceived, one)

    told(story)


def test_small_windows_and_frames_are_kept_to() -> None:
    async def main() -> None:
        async with activator() as at, at.client(settings={SettingCodes.INITIAL_WINDOW_SIZE: 3}) as client:
            one = client.ask((*GET[:1], (":path", "/healthz"), *GET[2:]))
            await client.when(lambda: client.bodies.get(one) == b"asl")
            client.h2.increment_flow_control_window(100, one)
            client.flush()
            await client.until(StreamEnded, one)
            assert client.bodies[one] == b"asleep\n"

    asyncio.run(main())


def cheap(kind: int = PING) -> Frame:
    return Frame(kind, 0, 0, 8, b"")


def test_the_account_fills_with_time_and_with_answers() -> None:
    calm = Calm(0.0)
    assert [calm.judge(cheap(), 0.0) for _ in range(BURST)] == [None] * BURST
    assert calm.judge(cheap(), 0.0) == "too_many_pings"
    calm.credit()
    assert [calm.judge(cheap(), 0.0) is None for _ in range(PER_FRAME_SENT)] == [True] * (PER_FRAME_SENT - 1) + [False]
    assert calm.judge(cheap(), 3 / PER_S) is None


@given(st.lists(st.tuples(st.integers(0, 12), st.binary(max_size=60)), max_size=12), st.data())
def test_frames_come_out_whole_however_they_were_cut(frames: list[tuple[int, bytes]], data: st.DataObject) -> None:
    sent = MAGIC + b"".join(frame(kind, payload, stream_id=7) for kind, payload in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=8)))
    reader, out = FrameReader(with_preface=True), []
    for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        out += reader.feed(sent[start:end])
    assert [(f.kind, f.raw[9:]) for f in out[1:]] == frames
    assert out[0].kind == PREFACE
    assert b"".join(f.raw for f in out) == sent
