"""What a client may cost without asking for anything: frames that move no data, and endless header blocks.

Each such frame costs one token. Tokens come back with time and with every frame of an answer: gRPC's clients measure
the way with a PING for what they receive, and give windows back.
"""

from __future__ import annotations

from typing import Final

from lull.activator.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    MAX_FRAME_BYTES,
    PING,
    PREFACE,
    RST_STREAM,
    Frame,
)

BURST: Final = 1000
"""Frames at once: a client with every stream open may cancel all of them, a few times over."""
PER_S: Final = 50.0
PER_FRAME_SENT: Final = 4
"""Two windows, a PING, and one to spare."""
MAX_BLOCK_BYTES: Final = 65_536
"""Of a header block as it is sent; what it may unpack to is bounded by the setting MAX_HEADER_LIST_SIZE."""


class Calm:
    """One client's account.

    Args:
        now_s: the time, on the clock that ``judge`` is given too.
    """

    def __init__(self, now_s: float) -> None:
        self.in_block = False
        """Whether a header block was begun and not ended."""
        self._tokens = float(BURST)
        self._at_s = now_s
        self._block_bytes = 0

    def credit(self) -> None:
        """A frame of an answer was sent."""
        self._tokens = min(float(BURST), self._tokens + PER_FRAME_SENT)

    def judge(self, frame: Frame, now_s: float) -> str | None:
        """Why the connection ends at this frame; None = it goes on."""
        if frame.length > MAX_FRAME_BYTES:
            return "a frame is longer than the settings allow"
        if frame.kind in (HEADERS, CONTINUATION):
            self.in_block = not frame.has(END_HEADERS)
            self._block_bytes = frame.length + (self._block_bytes if frame.kind == CONTINUATION else 0)
            if self._block_bytes > MAX_BLOCK_BYTES:
                return "a header block is too long"
        if _moves_something(frame):
            return None
        self._tokens = min(float(BURST), self._tokens + (now_s - self._at_s) * PER_S) - 1
        self._at_s = now_s
        if self._tokens >= 0:
            return None
        return _WORDS.get(frame.kind, "too many frames that move no data")


def _moves_something(frame: Frame) -> bool:
    """HEADERS are no cheap frames: streams are bounded in number, and ending them early costs a RST_STREAM."""
    if frame.kind == DATA:
        return frame.length > 0 or frame.has(END_STREAM)
    return frame.kind in (PREFACE, HEADERS) or (frame.kind == PING and frame.has(ACK))


_WORDS: Final = {
    PING: "too_many_pings",  # the words that make gRPC's clients double their time between pings
    RST_STREAM: "too many streams were reset",
    CONTINUATION: "too many CONTINUATION frames",
}
