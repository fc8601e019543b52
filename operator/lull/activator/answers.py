"""What the activator answers over HTTP/1.1 in its own name, and how an answer's head is written."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

from lull.errors import Turned
from lull.hold.headers import Field

PROBE: Final = "Lull-Probe"
HELD_SECONDS: Final = b"Lull-Held-Seconds"
ASLEEP: Final = b"asleep\n"

_JSON: Final = (b"Content-Type", b"application/json")
_TEXT: Final = (b"Content-Type", b"text/plain; charset=utf-8")


class Written(web.StreamResponse):
    """Tells aiohttp that the answer is on its way already, byte by byte as we wanted it."""

    def __init__(self, status: int, *, keep_alive: bool) -> None:
        super().__init__(status=status)
        self._stays = keep_alive

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection stays for another request."""
        return self._stays

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:  # noqa: ARG002 - as aiohttp calls it
        """Nothing is left to do."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to do."""


def head(status: int, reason: str | None, fields: Iterable[Field]) -> bytes:
    """Status line and headers, as bytes."""
    lines = [f"HTTP/1.1 {status} {reason or ''}".encode("latin-1", "replace")]
    lines.extend(name + b": " + value for name, value in fields)
    return b"\r\n".join((*lines, b"", b""))


async def answer(
    request: BaseRequest, status: int, fields: Iterable[Field], body: bytes, *, keep_alive: bool
) -> Written:
    """A whole answer of our own."""
    stays = keep_alive and request.keep_alive
    more = [(b"Content-Length", str(len(body)).encode())]
    if not stays:
        more.append((b"Connection", b"close"))
    start = head(status, HTTPStatus(status).phrase, (*fields, *more))
    await request.writer.write(start if request.method == "HEAD" else start + body)
    return Written(status, keep_alive=stays)


async def turned_away(request: BaseRequest, turned: Turned, *, keep_alive: bool) -> Written:
    """Why a request may not wait, or waited in vain, and when to come back."""
    fields = [_JSON]
    if turned.retry_after_s is not None:
        fields.append((b"Retry-After", str(max(math.ceil(turned.retry_after_s), 1)).encode()))
    return await answer(request, turned.status, fields, explained(turned.reason, turned.message), keep_alive=keep_alive)


async def refused(request: BaseRequest, status: int, reason: str, message: str) -> Written:
    """What cannot be passed on; the connection ends, since where the next request begins may be in doubt."""
    return await answer(request, status, [_JSON], explained(reason, message), keep_alive=False)


async def asleep(request: BaseRequest, *, keep_alive: bool) -> Written:
    """To health checks and scrapes, while the model sleeps."""
    return await answer(request, 200, [_TEXT], ASLEEP, keep_alive=keep_alive)


async def proof(request: BaseRequest, activator_uid: str, model_uid: str) -> Written:
    """To the operator's probe: who answers, and for which model."""
    fields = [(b"Lull-Activator", activator_uid.encode()), (b"Lull-Model", model_uid.encode())]
    return await answer(request, 200, fields, b"", keep_alive=False)


def explained(reason: str, message: str) -> bytes:
    """The body of an answer that is an error; Triton's and OpenAI's clients both show what ``error`` says."""
    return json.dumps({"error": message, "reason": reason}).encode() + b"\n"
