"""Bytes passed on unread between two connections, in both directions, with backpressure and half-closes."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

_BUFFER_BYTES: Final = 65_536


class Flow:
    """What both directions of a pair of connections have in common."""

    def __init__(self) -> None:
        self.passed_bytes = 0
        self.ended = 0
        """Directions in which no more comes."""
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def finish(self) -> None:
        """A side is gone."""
        if not self._over.done():
            self._over.set_result(None)

    async def until_over(self, idle_s: float, age_s: float) -> None:
        """Returns once a side is gone, nothing was passed for ``idle_s``, or after ``age_s``."""
        clock = asyncio.get_running_loop().time
        ends_s, before = clock() + age_s, -1
        while before != self.passed_bytes and clock() < ends_s and not self._over.done():
            before = self.passed_bytes
            with suppress(TimeoutError):
                async with asyncio.timeout(min(idle_s, ends_s - clock())):
                    await asyncio.shield(self._over)


class Pipe(asyncio.Protocol):
    """What comes in on its connection goes out on another, no faster than it is taken there."""

    def __init__(self, to: asyncio.Transport, flow: Flow) -> None:
        self._to = to
        self._flow = flow

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bounds what may wait to be sent on its own connection."""
        if isinstance(transport, asyncio.Transport):
            transport.set_write_buffer_limits(high=_BUFFER_BYTES)

    def data_received(self, data: bytes) -> None:
        """Sends them on."""
        self._flow.passed_bytes += len(data)
        if not self._to.is_closing():
            self._to.write(data)

    def eof_received(self) -> bool:
        """The sender is done: the other side is told, and may go on until it is done as well."""
        self._flow.ended += 1
        if not self._to.is_closing():
            self._to.write_eof()
        return self._flow.ended < 2

    def pause_writing(self) -> None:
        """Too much waits to be sent here: the other side is read no further."""
        if not self._to.is_closing():
            self._to.pause_reading()

    def resume_writing(self) -> None:
        """There is room again."""
        if not self._to.is_closing():
            self._to.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Neither side outlives the other; what was written before a clean end is still sent."""
        if exc is None:
            self._to.close()
        else:
            self._to.abort()
        self._flow.finish()
