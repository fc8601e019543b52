"""What one client, or one port, may take of the activator, and what all models together may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_MIB: Final = 1 << 20
_BASE_BYTES: Final = 128 * _MIB
"""What the process takes with nobody waiting, objects of ten thousand models included."""
_FEWEST: Final = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one holding port. A connection that exceeds one is closed."""

    connections: int = 12_000
    """Open at once; above the largest ``maxHeld`` that is sensible for one pod, below its open files."""
    head_bytes: int = 8_190
    """Of the request line, and of each header."""
    headers: int = 100
    """In one request."""
    head_s: float = 10.0
    """From the first byte of a request to the last one of its headers."""
    idle_s: float = 300.0
    """Without a request, before the first or after the last one."""
    read_bytes: int = 16_384
    """Of a body read ahead; what is held waits in the client. Twice as much, and one read, may be there."""
    socket_bytes: int = 65_536
    """Receive buffer of the kernel, so at most what one read brings."""
    silent_s: float = 0.5
    """How long a client may be silent on a port that is served: then perhaps the server speaks first."""
    connect_s: float = 2.0
    """To reach a pod."""
    splice_idle_s: float = 300.0
    """Without a byte in either direction, where bytes are passed on unread."""
    splice_s: float = 3_600.0
    """Age of a connection whose bytes are passed on unread: it ends some time, so that clients go to the pods."""

    @property
    def held_bytes(self) -> int:
        """What one held request takes at most.

        Twice what is read ahead and one read more in the process, and as much again as a read in the kernel's receive
        buffer, which counts as the container's too.
        """
        return 2 * self.read_bytes + 2 * self.socket_bytes


@dataclass(slots=True)
class Crowd:
    """Everybody who waits, in all rooms of a process."""

    limit: int | None = None
    """None = no matter how many."""
    held: int = 0

    @classmethod
    def within(cls, memory_bytes: int | None, limits: Limits) -> Crowd:
        """As many as surely fit, and a hundred at least; None = the memory has no bound."""
        if memory_bytes is None:
            return cls()
        return cls(max((memory_bytes - _BASE_BYTES) // limits.held_bytes, _FEWEST))

    @property
    def is_full(self) -> bool:
        """Whether nobody else may wait."""
        return self.limit is not None and self.held >= self.limit
