"""HTTP/1.1 on one holding port: each request is held until its model is awake, then relayed to a pod.

A body is not read before its request may go: what is held waits in the client, but for what one read brought along.
While the model sleeps connections stay open; once it is awake every answer says ``Connection: close``, so that the
client's next connection goes to a pod. Idle connections are left alone then: closing them could cross a request that
is on its way already, and be that request's loss. A request that was sent before the answer to the one before it is
answered too, on the same connection.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

from lull.activator import answers
from lull.activator.gate import Gate
from lull.activator.relay import Relay
from lull.errors import Turned
from lull.hold.headers import fault_of
from lull.hold.limits import Limits

_LINGER_S: Final = 2.0


class Connection(RequestHandler):
    """aiohttp's side of one connection, with a time limit on each request's head."""

    __slots__ = ("_head_s", "_head_timer", "at_work", "drains", "on_refused", "waits")

    def __init__(self, manager: Server, *, loop: asyncio.AbstractEventLoop, **options: Any) -> None:
        super().__init__(manager, loop=loop, **options)
        self.at_work = False
        self.waits = False
        self.drains = False
        self._head_timer: asyncio.TimerHandle | None = None
        self.on_refused = manager.on_refused
        self._head_s = manager.limits.head_s

    def data_received(self, data: bytes) -> None:
        """A first byte between two requests starts the clock."""
        if data and not self.at_work and self._head_timer is None:
            self._head_timer = self._loop.call_later(self._head_s, self.force_close)
        super().data_received(data)
        if self._messages and not isinstance(self._messages[-1][0], RawRequestMessage):
            self._break_bodies()

    @property
    def is_followed(self) -> bool:
        """Whether the client has sent another request already."""
        return bool(self._messages) or self._buffer_paused

    def begins(self) -> None:
        """A request's head is whole."""
        self.at_work = True
        self._stop_timer()

    def ends(self) -> None:
        """Its answer is on its way."""
        self.at_work = self.waits = False

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nothing is awaited any more."""
        self._stop_timer()
        super().connection_lost(exc)

    def drain(self) -> None:
        """Ends with the request that is under way; at once where there is none."""
        self.drains = True
        if not self.at_work:
            self.force_close()

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """A request that the parser refuses, or a fault of ours; only the latter is worth a line in the log."""
        if status == 500:
            return super().handle_error(request, status, exc, message)
        self._stop_timer()
        self.on_refused(status)
        body = answers.explained("BadRequest", message or "this is no HTTP request")
        response = web.Response(status=status, body=body, content_type="application/json")
        response.force_close()
        return response

    def log_exception(self, *args: Any, **options: Any) -> None:
        """A client that has gone is no fault."""
        if self.transport is not None:
            super().log_exception(*args, **options)

    def _break_bodies(self) -> None:
        """After what is no HTTP the parser hears nothing more: who reads a body would wait for its end for ever."""
        payloads = [payload for _, payload in self._messages]
        if self._current_request:
            payloads.append(self._current_request.content)
        for payload in payloads:
            if not payload.is_eof() and payload.exception() is None:
                payload.set_exception(web.RequestPayloadError("the body is not what its headers announced"))

    def _stop_timer(self) -> None:
        if self._head_timer:
            self._head_timer.cancel()
            self._head_timer = None


class Server(web.Server):
    """Makes the connections of one holding port."""

    def __init__(self, gate: Gate, port_name: str, activator_uid: str, relay: Relay, limits: Limits) -> None:
        super().__init__(self._answer, handler_cancellation=True)
        self.limits = limits
        self._gate = gate
        self._port_name = port_name
        self._activator_uid = activator_uid
        self._relay = relay

    def __call__(self) -> Connection:
        """A protocol for one connection."""
        limits = self.limits
        return Connection(
            self,
            loop=self._loop,
            keepalive_timeout=limits.idle_s,
            tcp_keepalive=False,
            access_log=None,
            max_line_size=limits.head_bytes,
            max_field_size=limits.head_bytes,
            max_headers=limits.headers,
            lingering_time=_LINGER_S,
            read_bufsize=limits.read_bytes,
            auto_decompress=False,
        )

    def on_refused(self, status: int) -> None:
        """The parser refused a request."""
        self._gate.meters.answered(self._gate.key, status, "BadRequest")

    async def _answer(self, request: BaseRequest) -> web.StreamResponse:
        connection = cast("Connection", request.protocol)
        connection.begins()
        try:
            in_place = await self._in_place(request, connection)
            return await self._held(request, connection) if in_place is None else in_place
        finally:
            connection.ends()

    async def _in_place(self, request: BaseRequest, connection: Connection) -> web.StreamResponse | None:
        """The answer, where the model is not needed for it."""
        gate, headers = self._gate, request.headers
        fault = fault_of(request.method, request.raw_path, request.version, request.raw_headers)
        if fault:
            self.on_refused(fault[0])
            return await answers.refused(request, fault[0], "BadRequest", fault[1])
        if answers.PROBE in headers:
            return await answers.proof(request, self._activator_uid, gate.uid)
        is_ignored = gate.policy.ignore.matches(request.method, request.raw_path, headers.get("User-Agent"))
        if is_ignored and not gate.serves(self._port_name):
            gate.meters.answered(gate.key, 200, "Ignored")
            return await answers.asleep(request, keep_alive=not connection.drains)
        return None

    async def _held(self, request: BaseRequest, connection: Connection) -> web.StreamResponse:
        gate = self._gate
        connection.waits = True
        try:
            async with gate.passage(self._port_name) as passage:
                connection.waits = False
                return await self._relay.forward(request, passage, gate, lambda: connection.is_followed)
        except Turned as turned:
            gate.meters.answered(gate.key, turned.status, turned.reason)
            return await answers.turned_away(request, turned, keep_alive=not connection.drains)
