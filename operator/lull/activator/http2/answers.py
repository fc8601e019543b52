"""What the activator answers itself, in the words of gRPC or of plain HTTP."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from lull.activator.answers import explained
from lull.activator.http2.half import OVER, Headers
from lull.errors import Turned

UNAVAILABLE: Final = 14
GRPC: Final = b"application/grpc"

_GRPC_CODES: Final = {400: 13, 405: 12, 504: 4}
"""INTERNAL, UNIMPLEMENTED, DEADLINE_EXCEEDED; any other status of ours is UNAVAILABLE."""
_HELD: Final = b"lull-held-seconds"
_LEAST_HELD_S: Final = 0.001
"""Who was turned away sooner did not wait."""
_AS_IT_IS: Final = frozenset(range(0x20, 0x7F)) - {ord("%")}


@dataclass(frozen=True, slots=True)
class Answer:
    """Headers, bytes and an end."""

    headers: Headers
    body: bytes = b""
    tail: Headers | None = OVER
    """Trailers; None = more may come."""
    status: int = 200
    """In the terms of HTTP, also where a gRPC client reads another word; for the metrics."""
    reason: str | None = None
    """Why, in one word; None = not counted."""


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


def plain(status: int, reason: str, body: bytes, content_type: bytes, *more: tuple[bytes, bytes]) -> Answer:
    """An answer of plain HTTP."""
    headers = (
        (b":status", b"%d" % status),
        (b"content-type", content_type),
        (b"content-length", b"%d" % len(body)),
        *more,
    )
    return Answer(headers, body, status=status, reason=reason)


def grpc_error(status: int, reason: str, message: str, *more: tuple[bytes, bytes]) -> Answer:
    """A gRPC answer that is an error and nothing else: headers that are trailers too."""
    said = grpc_status(_GRPC_CODES.get(status, UNAVAILABLE), f"{reason}: {message}")
    return Answer(((b":status", b"200"), (b"content-type", GRPC), *said, *more), status=status, reason=reason)


def grpc_status(code: int, message: str) -> Headers:
    """The trailers of a gRPC answer."""
    return (b"grpc-status", b"%d" % code), (b"grpc-message", percent_encoded(message))


def percent_encoded(message: str) -> bytes:
    """A ``grpc-message``: UTF-8, in which all but printable ASCII, and the percent sign, is escaped."""
    return b"".join(b"%c" % byte if byte in _AS_IT_IS else b"%%%02X" % byte for byte in message.encode())


def to_probe(model_uid: str, activator_uid: str) -> Answer:
    """For the operator, which proves with it that this port stands for this model."""
    who = ((b"lull-activator", activator_uid.encode()), (b"lull-model", model_uid.encode()))
    return Answer(((b":status", b"200"), (b"content-length", b"0"), *who))


def refusal(request: Request, turned: Turned, held_s: float) -> Answer:
    """For a request that may not wait, or waited in vain.

    ``grpc-retry-pushback-ms`` is what gRPC's retry policies read; ``retry-after`` is for people and proxies.
    """
    more = held(held_s if turned.status == 504 or held_s >= _LEAST_HELD_S else None)
    if turned.retry_after_s is not None:
        after_s = max(math.ceil(turned.retry_after_s), 1)
        more = (*more, (b"retry-after", b"%d" % after_s))
        if request.is_grpc:
            more = (*more, (b"grpc-retry-pushback-ms", b"%d" % (1000 * after_s)))
    return error(request, turned.status, turned.reason, turned.message, *more)


def error(request: Request, status: int, reason: str, message: str, *more: tuple[bytes, bytes]) -> Answer:
    """An error in the client's words: the status is HTTP's, and a gRPC client is told the one nearest to it."""
    if request.is_grpc:
        return grpc_error(status, reason, message, *more)
    return plain(status, reason, explained(reason, message), b"application/json", *more)


def held(held_s: float | None) -> Headers:
    """The header that says how long a request waited; nothing for one that did not."""
    return () if held_s is None else ((_HELD, b"%.3f" % held_s),)
