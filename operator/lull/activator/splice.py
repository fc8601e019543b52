"""A connection that cannot be understood, TLS among them: held as a whole, then passed on byte by byte.

Its first bytes count as one request: nobody sees more of it. What cannot be read cannot be answered either, so whoever
is turned away finds the connection closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from lull.activator.gate import Gate, Passage
from lull.activator.pipe import Flow, Pipe
from lull.errors import Turned
from lull.hold.limits import Limits


class Splice(asyncio.Protocol):
    """Waits with the client's first bytes in hand, then becomes one end of a pipe to a pod."""

    def __init__(self, gate: Gate, port_name: str, limits: Limits, become: Callable[[asyncio.Protocol], None]) -> None:
        self.waits = False
        """Whether it is held."""
        self._gate = gate
        self._port_name = port_name
        self._limits = limits
        self._become = become
        self._first: list[bytes] = []
        self._first_bytes = 0
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins to wait."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a TCP connection's always is one
        self._transport = transport
        self._task = asyncio.get_running_loop().create_task(self._pass(transport))

    def data_received(self, data: bytes) -> None:
        """Keeps them; once there are enough, the client has to wait."""
        self._first.append(data)
        self._first_bytes += len(data)
        if self._first_bytes >= self._limits.read_bytes and self._transport:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Gone while it waited: whoever half-closes before an answer began is not told apart from who left."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as asyncio calls it
        """The client is gone: its place is free at once."""
        if self._task:
            self._task.cancel()

    async def _pass(self, client: asyncio.Transport) -> None:
        gate, flow = self._gate, Flow()
        self.waits = True
        try:
            async with gate.passage(self._port_name) as passage:
                self.waits = False
                pod = await self._reach(passage, Pipe(client, flow))
                passage.sent()
                gate.meters.answered(gate.key, 0, "Spliced")
                try:
                    self._join(client, Pipe(pod, flow))
                    await flow.until_over(self._limits.splice_idle_s, self._limits.splice_s)
                finally:
                    pod.close()
        except Turned as turned:
            gate.meters.answered(gate.key, 0, turned.reason)
        finally:
            client.close()

    async def _reach(self, passage: Passage, inner: Pipe) -> asyncio.Transport:
        loop = asyncio.get_running_loop()
        while True:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(self._limits.connect_s):
                    pod, _ = await loop.create_connection(lambda: inner, *passage.endpoint)
                return pod
            await passage.another()

    def _join(self, client: asyncio.Transport, outer: Pipe) -> None:
        """From here on the pipe hears the client, beginning with what was kept."""
        self._become(outer)
        outer.connection_made(client)
        outer.data_received(b"".join(self._first))
        self._first.clear()
        client.resume_reading()
