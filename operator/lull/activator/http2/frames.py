"""Cuts what a peer sends into whole frames, before ``h2`` sees them.

``h2`` takes GOAWAY, sent or received, for the end of a connection, while RFC 9113 (6.8) lets its open streams finish;
so GOAWAY is read and written here and never reaches it. Floods are counted frame by frame before anything is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

PREFACE: Final = -1
"""Not a frame: the 24 bytes that a client begins with."""
DATA: Final = 0
HEADERS: Final = 1
RST_STREAM: Final = 3
SETTINGS: Final = 4
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4

MAX_FRAME_BYTES: Final = 16_384
"""The protocol's own bound; we never offer more."""
LAST_STREAM: Final = 2**31 - 1

_HEAD: Final = struct.Struct(">BHBBI")
_PREFACE_BYTES: Final = 24


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, or the preface."""

    kind: int
    flags: int
    stream_id: int
    length: int
    """Of the payload, as it was announced."""
    raw: bytes
    """Head and payload as they came; of a frame that is too long, the head alone."""

    def has(self, flag: int) -> bool:
        """Whether a flag is set."""
        return bool(self.flags & flag)


class FrameReader:
    """Gives out whole frames; it keeps at most one unfinished frame beside what it was fed."""

    def __init__(self, *, with_preface: bool) -> None:
        self._bytes = bytearray()
        self._with_preface = with_preface

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole now, in order.

        A frame that announces more than ``MAX_FRAME_BYTES`` is given out as soon as its head is there; whoever gets it
        ends the connection.
        """
        self._bytes += data
        while frame := self._next():
            yield frame

    def _next(self) -> Frame | None:
        if self._with_preface:
            if len(self._bytes) < _PREFACE_BYTES:
                return None
            self._with_preface = False
            return Frame(PREFACE, 0, 0, _PREFACE_BYTES, self._cut(_PREFACE_BYTES))
        if len(self._bytes) < _HEAD.size:
            return None
        high, low, kind, flags, stream_id = _HEAD.unpack_from(self._bytes)
        length = high << 16 | low
        size = _HEAD.size + (length if length <= MAX_FRAME_BYTES else 0)
        if len(self._bytes) < size:
            return None
        return Frame(kind, flags, stream_id & LAST_STREAM, length, self._cut(size))

    def _cut(self, size: int) -> bytes:
        cut = bytes(self._bytes[:size])
        del self._bytes[:size]
        return cut


def goaway(last_stream_id: int, why: bytes) -> bytes:
    """A GOAWAY frame that says NO_ERROR: streams up to the last one are served."""
    payload = struct.pack(">II", last_stream_id, 0) + why
    return _HEAD.pack(0, len(payload), GOAWAY, 0, 0) + payload


def last_stream_of(frame: Frame) -> int:
    """The last stream that the sender of a GOAWAY serves; 0 for one that is cut short."""
    payload = frame.raw[_HEAD.size :]
    if len(payload) < 4:
        return 0
    last: int = struct.unpack_from(">I", payload)[0]
    return last & LAST_STREAM
