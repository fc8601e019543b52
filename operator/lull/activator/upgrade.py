"""A WebSocket once its pod has agreed: bytes both ways, not a frame of them read."""

from __future__ import annotations

import asyncio
from typing import Final, cast

from aiohttp import ClientResponse
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter
from aiohttp.http_websocket import WebSocketReader
from aiohttp.web_request import BaseRequest

from lull.activator import answers
from lull.activator.answers import Written
from lull.hold.headers import Field, end_to_end

WEBSOCKET: Final = b"websocket"
FIELDS: Final[tuple[Field, ...]] = ((b"Connection", b"Upgrade"), (b"Upgrade", WEBSOCKET))

_MOST_BYTES: Final = 65_536


class _Feed:
    """Stands where aiohttp would parse frames: what comes is written on, and no more read than is taken there."""

    def __init__(self, source: asyncio.Transport, sink: AbstractStreamWriter) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._source = source
        self._sink = sink
        self._draining: asyncio.Task[None] | None = None

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        transport = self._sink.transport
        if transport is None or transport.is_closing():
            return True, b""
        transport.write(data)
        if transport.get_write_buffer_size() > _MOST_BYTES and self._draining is None:
            self._source.pause_reading()
            self._draining = asyncio.get_running_loop().create_task(self._drain())
        return False, b""

    def feed_eof(self) -> None:
        if not self.over.done():
            self.over.set_result(None)

    async def _drain(self) -> None:
        try:
            await self._sink.drain()
        except ConnectionError:
            return  # the loss of either side ends both
        self._draining = None
        self._source.resume_reading()


async def join(request: BaseRequest, response: ClientResponse, held: list[Field]) -> Written:
    """Tells the client that the pod agreed, then passes bytes on until either goes."""
    connection = response.connection
    protocol = None if connection is None else connection.protocol
    client, pod = request.transport, None if protocol is None else protocol.transport
    if client is None or pod is None or protocol is None:
        raise ConnectionResetError("a side is gone")
    fields = [*end_to_end(response.raw_headers), *FIELDS, *held]
    await request.writer.write(answers.head(response.status, response.reason, fields))
    to_client = _Feed(pod, request.writer)
    to_pod = _Feed(client, StreamWriter(protocol, asyncio.get_running_loop()))
    protocol.set_parser(to_client, None)
    request.protocol.set_parser(cast("WebSocketReader", to_pod))
    await to_client.over  # a client that goes cancels this
    return Written(response.status, keep_alive=False)
