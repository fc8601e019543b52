"""What the activator answers itself, in the words of gRPC or of plain HTTP."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Final

from lull.activator.http2.half import OVER, Headers
from lull.errors import Turned

UNAVAILABLE: Final = 14
DEADLINE_EXCEEDED: Final = 4
GRPC: Final = b"application/grpc"

_HELD: Final = b"lull-held-seconds"
_AS_IT_IS: Final = frozenset(range(0x20, 0x7F)) - {ord("%")}
_LEAST_HELD_S: Final = 0.001
"""Below that a request did not wait, it only passed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Headers, bytes and an end."""

    headers: Headers
    body: bytes = b""
    tail: Headers | None = OVER
    """Trailers; None = more may come."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the activator reads of a request; it is passed on as it came."""

    headers: Headers
    method: bytes
    path: bytes
    user_agent: bytes
    content_type: bytes
    probe: bytes | None
    """The value of ``lull-probe``."""

    @property
    def is_grpc(self) -> bool:
        """Whether its client reads a gRPC status, and no HTTP status."""
        return self.content_type.startswith(GRPC)


def request_of(headers: Headers) -> Request:
    """Reads the headers of a stream."""
    first: dict[bytes, bytes] = {}
    for name, value in headers:
        first.setdefault(name, value)
    return Request(
        headers,
        first.get(b":method", b""),
        first.get(b":path", b""),
        first.get(b"user-agent", b""),
        first.get(b"content-type", b""),
        first.get(b"lull-probe"),
    )


def plain(status: int, body: bytes, content_type: bytes, *more: tuple[bytes, bytes]) -> Answer:
    """An answer of plain HTTP."""
    headers = (
        (b":status", b"%d" % status),
        (b"content-type", content_type),
        (b"content-length", b"%d" % len(body)),
        *more,
    )
    return Answer(headers, body)


def grpc_error(code: int, message: str, *more: tuple[bytes, bytes]) -> Answer:
    """A gRPC answer that is an error and nothing else: headers that are trailers too."""
    return Answer(((b":status", b"200"), (b"content-type", GRPC), *grpc_status(code, message), *more))


def grpc_status(code: int, message: str) -> Headers:
    """The trailers of a gRPC answer."""
    return (b"grpc-status", b"%d" % code), (b"grpc-message", percent_encoded(message))


def percent_encoded(message: str) -> bytes:
    """A ``grpc-message``: UTF-8, in which all but printable ASCII, and the percent sign, is escaped."""
    return b"".join(b"%c" % byte if byte in _AS_IT_IS else b"%%%02X" % byte for byte in message.encode())


def to_probe(model_uid: str, pod_uid: str) -> Answer:
    """For the operator, which proves with it that this port stands for this model."""
    who = ((b"lull-activator", pod_uid.encode()), (b"lull-model", model_uid.encode()))
    return Answer(((b":status", b"200"), (b"content-length", b"0"), *who))


def refusal(request: Request, turned: Turned, held_s: float) -> Answer:
    """For a request that may not wait, or waited in vain.

    ``grpc-retry-pushback-ms`` is what gRPC's retry policies read; ``retry-after`` is for people and proxies.
    """
    more = held(held_s)
    if turned.retry_after_s is not None:
        more = (*more, (b"retry-after", b"%d" % math.ceil(turned.retry_after_s)))
    if not request.is_grpc:
        body = {"error": {"reason": turned.reason, "message": turned.message}}
        return plain(turned.status, json.dumps(body).encode() + b"\n", b"application/json", *more)
    if turned.retry_after_s is not None:
        more = (*more, (b"grpc-retry-pushback-ms", b"%d" % math.ceil(1000 * turned.retry_after_s)))
    code = DEADLINE_EXCEEDED if turned.status == 504 else UNAVAILABLE
    return grpc_error(code, f"{turned.reason}: {turned.message}", *more)


def broken(request: Request, message: str, held_s: float) -> Answer:
    """For a request whose pod broke before it answered: it may have been worked on, so it is not sent again."""
    if request.is_grpc:
        return grpc_error(UNAVAILABLE, message, *held(held_s))
    body = {"error": {"reason": "BadGateway", "message": message}}
    return plain(502, json.dumps(body).encode() + b"\n", b"application/json", *held(held_s))


def held(held_s: float) -> Headers:
    """The header that says how long a request waited; nothing for one that did not."""
    return ((_HELD, b"%.3f" % held_s),) if held_s >= _LEAST_HELD_S else ()
