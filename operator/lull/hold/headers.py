"""Header rules of an HTTP/1.1 proxy: which requests are refused, and which fields go on to the next hop.

Fields are pairs of bytes, as they were sent. aiohttp's parser refuses most of what is ambiguous; what it lets pass and
another server might read differently is refused here, since who reads one request as two can be made to answer the
second to somebody else (request smuggling, RFC 9112, 11.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

Field: TypeAlias = tuple[bytes, bytes]

_HOP_BY_HOP: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade")
)
"""RFC 9110, 7.6.1: they are about one connection."""

_NEVER_DROPPED: Final = frozenset((b"host", b"content-length", b"authorization", b"x-forwarded-for", b"content-type"))
"""Naming these in ``Connection`` would change what a request means, so it has no effect."""

_REFUSED_METHODS: Final = frozenset(("CONNECT", "TRACE"))


def fault_of(method: str, target: str, version: tuple[int, ...], fields: Sequence[Field]) -> tuple[int, str] | None:
    """Why a request is refused, as status and sentence; None = it is fine.

    Args:
        method: as it was sent.
        target: of the request line, as it was sent.
        version: of HTTP.
        fields: of the request.
    """
    if version not in {(1, 0), (1, 1)}:
        return 505, "only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here"
    if method in _REFUSED_METHODS:
        return 405, f"{method} is not passed on"
    if not target.startswith("/"):
        return 400, "the target must be a path that begins with a slash"
    message = _host_fault(version, fields) or _length_fault(version, fields) or _value_fault(fields)
    return None if message is None else (400, message)


def _host_fault(version: tuple[int, ...], fields: Sequence[Field]) -> str | None:
    hosts = _values(fields, b"host")
    if len(hosts) > 1 or (not hosts and version == (1, 1)):
        return "one Host header is needed"
    return None


def _length_fault(version: tuple[int, ...], fields: Sequence[Field]) -> str | None:
    lengths, encodings = _values(fields, b"content-length"), _values(fields, b"transfer-encoding")
    if encodings and lengths:
        return "Content-Length and Transfer-Encoding contradict each other"
    if encodings and (version == (1, 0) or [value.lower() for value in encodings] != [b"chunked"]):
        return "Transfer-Encoding may be chunked alone, in HTTP/1.1"
    if len(lengths) > 1 or not all(value.isdigit() for value in lengths):
        return "Content-Length must be one number"
    return None


def _value_fault(fields: Sequence[Field]) -> str | None:
    for _, value in fields:
        if any(byte in value for byte in (b"\r", b"\n", b"\0")):
            return "a header's value must be one line"
        try:
            value.decode()
        except UnicodeDecodeError:
            return "a header's value must be UTF-8"  # aiohttp's client would send it on without the rest
    return None


def _values(fields: Iterable[Field], name: bytes) -> list[bytes]:
    return [value.strip() for field, value in fields if field.lower() == name]


def end_to_end(fields: Sequence[Field]) -> list[Field]:
    """The fields that go on, in their order: all but those about this connection, or named in ``Connection``."""
    named = {name.strip().lower() for value in _values(fields, b"connection") for name in value.split(b",")}
    dropped = _HOP_BY_HOP | (named - _NEVER_DROPPED)
    return [(name, value) for name, value in fields if name.lower() not in dropped]


def request_fields(fields: Sequence[Field], client: str) -> list[Field]:
    """The fields of a request as they go to the pod: it learns from ``X-Forwarded-For`` who asked.

    ``Expect`` stays here: the activator itself says when the body may come, since not every server does.

    Args:
        fields: as they were sent.
        client: address of who sent them.
    """
    kept = [(name, value) for name, value in end_to_end(fields) if name.lower() not in {b"expect", b"x-forwarded-for"}]
    hops = [*_values(fields, b"x-forwarded-for"), client.encode()]
    return [*kept, (b"X-Forwarded-For", b", ".join(hops))]


def is_upgrade(fields: Sequence[Field], to: bytes) -> bool:
    """Whether the message asks for, or agrees to, another protocol on this connection: RFC 9110, 7.8."""
    named = {name.strip().lower() for value in _values(fields, b"connection") for name in value.split(b",")}
    return b"upgrade" in named and [value.lower() for value in _values(fields, b"upgrade")] == [to]
