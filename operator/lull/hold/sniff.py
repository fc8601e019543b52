"""What a client speaks, by the first bytes that it sends. One port serves whatever a model's port may be used for."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

H2_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""RFC 9113, 3.4."""

_TELLING: Final = len(b"PRI * HTTP/2.0")
_LONGEST_METHOD: Final = 32
_METHOD_BYTES: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ-")
_TLS_HANDSHAKE: Final = b"\x16\x03"
"""Record type handshake and the major version that all of SSL 3.0 to TLS 1.3 have (RFC 8446, 5.1)."""


class Spoken(StrEnum):
    """Protocols that are told apart."""

    HTTP1 = "http1"
    HTTP2 = "http2"
    TLS = "tls"
    OTHER = "other"


def sniff(first: bytes) -> Spoken | None:
    """What is spoken; None = these bytes do not tell yet, which never lasts for more than 36 of them.

    Args:
        first: all that the client has sent so far.
    """
    if _TLS_HANDSHAKE.startswith(first[:2]):
        return Spoken.TLS if len(first) >= len(_TLS_HANDSHAKE) else None
    if first[:_TELLING] == H2_PREFACE[:_TELLING]:
        return Spoken.HTTP2
    return _http1(_without_blank_lines(first))


def _without_blank_lines(first: bytes) -> bytes:
    """RFC 9112, 2.2: a server should ignore an empty line before a request; two are passed over here."""
    for _ in range(2):
        first = first.removeprefix(b"\r\n")
    return b"" if first == b"\r" else first


def _http1(line: bytes) -> Spoken | None:
    method, space, _ = line[: _LONGEST_METHOD + 1].partition(b" ")
    if not _METHOD_BYTES.issuperset(method) or len(method) > _LONGEST_METHOD:
        return Spoken.OTHER
    if space:
        # "PRI " may still be the preface of HTTP/2; no method of HTTP/1 has that name.
        if method == b"PRI":
            return None if H2_PREFACE.startswith(line) else Spoken.OTHER
        return Spoken.HTTP1 if method else Spoken.OTHER
    return None
