"""What one client, or one port, may take of the activator."""

from __future__ import annotations

from dataclasses import dataclass


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
