"""Passes one HTTP/1.1 request on to a pod and its answer back, both as streams.

Every request has a connection of its own to the pod: on one that was used before, a request can cross the pod's closing
of it, and then nobody knows whether the pod has read it. So a request that found no connection goes elsewhere, and one
of which a byte was sent is never sent again.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Final

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, ClientSession, hdrs
from aiohttp.client_exceptions import ClientConnectorError, ConnectionTimeoutError
from aiohttp.web_request import BaseRequest
from yarl import URL

from lull.activator import answers, upgrade
from lull.activator.answers import Written
from lull.activator.gate import Gate, Passage
from lull.activator.sockets import cut
from lull.hold.headers import Field, end_to_end, is_upgrade, request_fields
from lull.hold.limits import Limits

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_BODILESS: Final = frozenset((204, 304))
_POD_HEAD_BYTES: Final = 65_536
_CLOSE: Final = (b"Connection", b"close")
_CHUNKED: Final = (b"Transfer-Encoding", b"chunked")


class Relay:
    """One client session for all models; made and closed within the running loop."""

    def __init__(self, limits: Limits) -> None:
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_on_sent)
        self._session = ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True, happy_eyeballs_delay=None),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.connect_s),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=(hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE),
            trace_configs=[trace],
            middlewares=[_once],
            max_line_size=_POD_HEAD_BYTES,
            max_field_size=_POD_HEAD_BYTES,
        )

    async def close(self) -> None:
        """Ends every connection to a pod."""
        await self._session.close()

    async def forward(
        self, request: BaseRequest, passage: Passage, gate: Gate, is_followed: Callable[[], bool]
    ) -> Written:
        """The pod's answer, or 502 where it broke before it gave one.

        Args:
            request: the client's.
            passage: to a pod.
            gate: of the model.
            is_followed: whether the client has sent another request on the connection by now, which then stays.

        Raises:
            Turned: no pod could be reached in time.
        """
        upload = Upload(request)
        try:
            response = await self._reach(request, upload, passage)
        except _Broke as error:
            return await self._broken(request, upload, gate, error)
        async with response:
            gate.meters.answered(gate.key, response.status, "Forwarded")
            upload.answered = True
            held = [(answers.HELD_SECONDS, f"{passage.held_s:.3f}".encode())] if passage.was_held else []
            if response.status == 101:
                return await upgrade.join(request, response, held)
            return await self._pass_back(request, response, held, stays=request.keep_alive and is_followed())

    async def _reach(self, request: BaseRequest, upload: Upload, passage: Passage) -> ClientResponse:
        fields = request_fields(request.raw_headers, (request.remote or "unknown").removeprefix("::ffff:"))
        upgrades = is_upgrade(request.raw_headers, upgrade.WEBSOCKET)
        if upgrades:
            fields += upgrade.FIELDS
        headers = [(name.decode(), value.decode()) for name, value in fields]
        while True:
            host, port = passage.endpoint
            bracketed = f"[{host}]" if ":" in host else host
            try:
                return await self._session.request(
                    request.method,
                    URL(f"http://{bracketed}:{port}{request.raw_path}", encoded=True),
                    headers=headers,
                    data=upload if request.body_exists else None,
                    allow_redirects=False,
                    read_until_eof=not upgrades,  # else aiohttp takes what follows a 101 for its body
                    trace_request_ctx=passage,
                )
            except _Unreached:
                await passage.another()

    async def _broken(self, request: BaseRequest, upload: Upload, gate: Gate, error: _Broke) -> Written:
        upload.answered = True
        if request.content.exception() is not None:
            gate.meters.answered(gate.key, 400, "BadRequest")
            return await answers.refused(request, 400, "BadRequest", "the body is not what its headers announced")
        gate.meters.answered(gate.key, 502, "PodBroke")
        message = f"the model's server ended the connection without an answer: {error}"
        return await answers.refused(request, 502, "PodBroke", message)

    async def _pass_back(
        self, request: BaseRequest, response: ClientResponse, held: list[Field], *, stays: bool
    ) -> Written:
        """Head and body as they come; cut where the pod's answer is cut."""
        writer, is_whole = request.writer, _has_no_body(request, response) or _has_length(response)
        chunks = not is_whole and tuple(request.version) == (1, 1)
        fields = _framed(end_to_end(response.raw_headers), response, is_whole=is_whole)
        stays = stays and (is_whole or chunks)
        more = [*held, *([] if stays else [_CLOSE]), *([_CHUNKED] if chunks else [])]
        await writer.write(answers.head(response.status, response.reason, [*fields, *more]))
        if chunks:
            writer.enable_chunking()
        try:
            async for chunk in response.content.iter_any():
                await writer.write(chunk)
        except aiohttp.ClientPayloadError:
            cut(request.transport)
        else:
            await writer.write_eof()
        return Written(response.status, keep_alive=stays)


class Upload:
    """The client's body, read as fast as the pod takes it; asked for only then where the client waits for that."""

    def __init__(self, request: BaseRequest) -> None:
        self.answered = False
        """Whether an answer has begun, so that nothing may be said before it any more."""
        self._request = request
        self._is_awaited = request.headers.get(hdrs.EXPECT, "").lower() == "100-continue"

    def __aiter__(self) -> Upload:
        return self

    async def __anext__(self) -> bytes:
        if self._is_awaited and not self.answered:
            self._is_awaited = False
            await self._request.writer.write(_CONTINUE)
        chunk = await self._request.content.readany()
        if not chunk:
            raise StopAsyncIteration
        return chunk


class _Unreached(Exception):
    """The pod could not be connected to; nothing was sent."""


class _Broke(Exception):
    """The pod, or the client's body, broke off after something was sent."""


async def _once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Renames what went wrong: by its own names aiohttp's session would send a GET that a pod has seen once more."""
    try:
        return await handler(request)
    except (ClientConnectorError, ConnectionTimeoutError) as error:
        raise _Unreached(str(error)) from error
    except (aiohttp.ClientError, OSError) as error:
        raise _Broke(type(error).__name__) from error


async def _on_sent(_: ClientSession, context: SimpleNamespace, __: aiohttp.TraceRequestHeadersSentParams) -> None:
    passage: Passage = context.trace_request_ctx
    passage.sent()


def _has_no_body(request: BaseRequest, response: ClientResponse) -> bool:
    return request.method == hdrs.METH_HEAD or response.status in _BODILESS


def _has_length(response: ClientResponse) -> bool:
    return hdrs.CONTENT_LENGTH in response.headers and hdrs.TRANSFER_ENCODING not in response.headers


def _framed(fields: list[Field], response: ClientResponse, *, is_whole: bool) -> list[Field]:
    """Without a length that the answer does not go by; what framed it on its way here is gone already."""
    if is_whole or hdrs.CONTENT_LENGTH not in response.headers:
        return fields
    return [(name, value) for name, value in fields if name.lower() != b"content-length"]
