"""One direction of one stream: what came in on one side and was not yet taken by the other.

Only what was taken is acknowledged to its sender, so never more than the sender's window waits here: what the slower
side does not take, the faster one does not send.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

OVER: Headers = ()
"""The tail of a direction that ends without trailers."""


class Half:
    """Bytes in order, and how they end.

    Args:
        acknowledge: told how many bytes of the sender's window are free again.
    """

    __slots__ = ("_acknowledge", "_is_dropped", "_pending", "tail")

    def __init__(self, acknowledge: Callable[[int], None]) -> None:
        self.tail: Headers | None = None
        """Trailers, ``OVER`` where there are none; None = more may come."""
        self._acknowledge = acknowledge
        self._pending = bytearray()
        self._is_dropped = False

    def __len__(self) -> int:
        return len(self._pending)

    def put(self, data: bytes, cost: int) -> None:
        """Takes in what came.

        Args:
            data: the bytes.
            cost: what they took of the sender's window: padding counts too, and is given back at once.
        """
        if self._is_dropped:
            self._acknowledge(cost)
            return
        self._pending += data
        if cost > len(data):
            self._acknowledge(cost - len(data))

    def take(self, limit: int) -> bytes:
        """The next bytes, ``limit`` at most; they have been passed on."""
        chunk = bytes(memoryview(self._pending)[:limit])
        del self._pending[: len(chunk)]
        if chunk:
            self._acknowledge(len(chunk))
        return chunk

    def drop(self) -> None:
        """Nobody takes it any more: what is here and what still comes costs the sender nothing."""
        self._is_dropped = True
        self.take(len(self._pending))

    @property
    def is_empty_end(self) -> bool:
        """Whether nothing is left but to say that it is over, without trailers."""
        return not self._pending and self.tail == OVER
