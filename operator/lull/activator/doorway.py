"""A new connection on a holding port: what it speaks is found out, and who speaks that takes over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from lull.activator.sockets import is_gone, prepare
from lull.hold.limits import Limits
from lull.hold.sniff import Spoken, sniff


@runtime_checkable
class Drains(Protocol):
    """A protocol that can be asked to end with what is under way."""

    def drain(self) -> None:
        """Ends soon, at once where nothing is under way."""


class Host(Protocol):
    """The port that a connection came in on."""

    limits: Limits

    def comes(self, door: Doorway) -> bool:
        """Whether there is room for one more."""

    def speaks(self, door: Doorway, spoken: Spoken) -> asyncio.Protocol:
        """Who takes over."""

    def goes(self, door: Doorway) -> None:
        """It is lost."""

    def is_served(self) -> bool:
        """Whether a pod could answer now."""


class Doorway(asyncio.Protocol):
    """Stays the connection's protocol for good and hands every call on, so that the port knows of its end."""

    __slots__ = ("_first", "_host", "_timer", "guest", "spoken", "transport")

    def __init__(self, host: Host) -> None:
        self._host = host
        self._first = b""
        self._timer: asyncio.TimerHandle | None = None
        self.guest: asyncio.Protocol | None = None
        self.spoken: Spoken | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Waits for its first bytes, if there is room for it."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a TCP connection's always is one
        self.transport = transport
        prepare(transport)
        if not self._host.comes(self):
            transport.abort()
            return
        self.await_word()

    def await_word(self) -> None:
        """Where a pod could answer, silence may mean that the client waits for the server to begin."""
        if self.guest is None and self.transport and not self._first:
            limits = self._host.limits
            if self._host.is_served():
                self._set_timer(limits.silent_s, lambda: self._hand_over(Spoken.OTHER))
            else:
                self._set_timer(limits.idle_s, self.transport.close)

    def data_received(self, data: bytes) -> None:
        """Finds out what is spoken; then hands on."""
        if self.guest is not None:
            self.guest.data_received(data)
            return
        if not self._first and self.transport:
            self._set_timer(self._host.limits.head_s, self.transport.close)
        self._first += data
        spoken = sniff(self._first)
        if spoken is not None:
            self._hand_over(spoken)

    def become(self, guest: asyncio.Protocol) -> None:
        """Another takes over; it has been told of the connection already."""
        self.guest = guest

    def eof_received(self) -> bool | None:
        """Hands on; who has not said what it wants is gone."""
        return self.guest.eof_received() if self.guest else False

    def pause_writing(self) -> None:
        """Hands on."""
        if self.guest:
            self.guest.pause_writing()

    def resume_writing(self) -> None:
        """Hands on."""
        if self.guest:
            self.guest.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Hands on, and tells the port."""
        self._stop_timer()
        if self.guest:
            self.guest.connection_lost(exc)
        self._host.goes(self)

    def drain(self) -> None:
        """Ends soon."""
        guest: object = self.guest
        if guest is None and self.transport:
            self.transport.close()
        elif isinstance(guest, Drains):
            guest.drain()

    def look(self) -> None:
        """Lets go of a client that left while nothing of its connection is read, which nobody would notice else."""
        waits = getattr(self.guest, "waits", False)
        if waits and self.transport and not self.transport.is_reading() and is_gone(self.transport):
            self.transport.abort()

    def _hand_over(self, spoken: Spoken) -> None:
        self._stop_timer()
        self.spoken = spoken
        if self.transport is None or self.transport.is_closing():
            return
        self.guest = self._host.speaks(self, spoken)
        first, self._first = self._first, b""
        self.guest.connection_made(self.transport)
        if first:
            self.guest.data_received(first)

    def _set_timer(self, after_s: float, then: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(after_s, then)

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
