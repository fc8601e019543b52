"""Opens and closes the holding ports, as it is told which model and Service port each stands for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from lull.activator.doorway import Doorway
from lull.activator.gate import Gate
from lull.activator.http1 import Server
from lull.activator.relay import Relay
from lull.activator.splice import Splice
from lull.hold.limits import Limits
from lull.hold.sniff import Spoken

Http2Factory: TypeAlias = Callable[[Gate, str], asyncio.Protocol]
"""Of a model's gate and the Service port's name; the protocol is told of the connection and its first bytes."""

_BACKLOG: Final = 4096
_LOOK_S: Final = 1.0


class HoldingPort:
    """One open port: its connections, and who takes each over."""

    def __init__(
        self,
        gate: Gate,
        port_name: str,
        limits: Limits,
        http1: Callable[[], asyncio.Protocol],
        http2: Callable[[], asyncio.Protocol],
    ) -> None:
        self.gate = gate
        self.port_name = port_name
        self.limits = limits
        self._http1 = http1
        self._http2 = http2
        self._doors: set[Doorway] = set()
        self._server: asyncio.Server | None = None
        self._looker: asyncio.TimerHandle | None = None
        self._emptied = asyncio.Event()

    async def open(self, host: str | None, port: int) -> int:
        """Listens, and tells on which port (any free one for 0).

        Raises:
            OSError: the port is taken.
        """
        loop = asyncio.get_running_loop()
        sock = _listening(host, port, self.limits.socket_bytes)
        self._server = await loop.create_server(lambda: Doorway(self), sock=sock, backlog=_BACKLOG)
        self.gate.on_ready.add(self._on_ready)
        self._look()
        return int(sock.getsockname()[1])

    def stop(self) -> None:
        """Takes no new connections, and asks the open ones to end with what is under way."""
        if self._server:
            self._server.close()
        for door in tuple(self._doors):
            door.drain()

    async def emptied(self, grace_s: float) -> None:
        """Returns once no connection is open; those that still are after ``grace_s`` are cut."""
        if self._doors:
            try:
                async with asyncio.timeout(grace_s):
                    await self._emptied.wait()
            except TimeoutError:
                for door in tuple(self._doors):
                    if door.transport:
                        door.transport.abort()
                await self._emptied.wait()
        self.gate.on_ready.discard(self._on_ready)
        if self._looker:
            self._looker.cancel()

    @property
    def connections(self) -> int:
        """Open now."""
        return len(self._doors)

    def comes(self, door: Doorway) -> bool:
        """Whether there is room for one more."""
        self._doors.add(door)
        self._emptied.clear()
        return len(self._doors) <= self.limits.connections

    def speaks(self, door: Doorway, spoken: Spoken) -> asyncio.Protocol:
        """Who takes over."""
        self.gate.meters.connected(self.gate.key, spoken, 1)
        if spoken is Spoken.HTTP1:
            return self._http1()
        if spoken is Spoken.HTTP2:
            return self._http2()
        return Splice(self.gate, self.port_name, self.limits, door.become)

    def goes(self, door: Doorway) -> None:
        """It is lost."""
        self._doors.discard(door)
        if door.guest is not None and door.spoken is not None:
            self.gate.meters.connected(self.gate.key, door.spoken, -1)
        if not self._doors:
            self._emptied.set()

    def is_served(self) -> bool:
        """Whether a pod could answer now."""
        return self.gate.serves(self.port_name)

    def _on_ready(self) -> None:
        for door in tuple(self._doors):
            door.await_word()

    def _look(self) -> None:
        for door in tuple(self._doors) if self.gate.held else ():
            door.look()
        self._looker = asyncio.get_running_loop().call_later(_LOOK_S, self._look)


class Listeners:
    """All holding ports of this activator."""

    def __init__(
        self, activator_uid: str, http2: Http2Factory, limits: Limits | None = None, host: str | None = None
    ) -> None:
        self.limits = limits or Limits()
        self._activator_uid = activator_uid
        self._http2 = http2
        self._host = host
        self._relay = Relay(self.limits)
        self._ports: dict[int, HoldingPort] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def ports(self) -> Mapping[int, HoldingPort]:
        """Those that are open."""
        return self._ports

    async def hold(self, wanted: Mapping[int, tuple[Gate, str]], grace_s: float) -> dict[int, OSError]:
        """Listens on exactly these ports; what is no longer wanted takes nothing new and finishes in the background.

        Args:
            wanted: by holding port: the model's gate and the Service port's name.
            grace_s: how long open connections of a port that closes may go on.

        Returns:
            The ports that cannot be opened, and why; they are tried again with the next call.
        """
        for number, port in tuple(self._ports.items()):
            gate, name = wanted.get(number, (None, ""))
            if gate is not port.gate or name != port.port_name:
                del self._ports[number]
                self._finish(port, grace_s)
        faults: dict[int, OSError] = {}
        for number in wanted.keys() - self._ports.keys():
            try:
                await self.open(number, *wanted[number])
            except OSError as error:
                faults[number] = error
        return faults

    async def open(self, number: int, gate: Gate, port_name: str) -> int:
        """Listens on one more port, and tells which it is (any free one for 0).

        Raises:
            OSError: the port is taken.
        """
        server = Server(gate, port_name, self._activator_uid, self._relay, self.limits)
        port = HoldingPort(gate, port_name, self.limits, server, lambda: self._http2(gate, port_name))
        number = await port.open(self._host, number)
        self._ports[number] = port
        return number

    async def close(self, grace_s: float) -> None:
        """Closes all ports, lets what is under way finish, then ends every connection."""
        for port in self._ports.values():
            self._finish(port, grace_s)
        self._ports.clear()
        while self._closing:
            await asyncio.wait(self._closing)
        await self._relay.close()

    def _finish(self, port: HoldingPort, grace_s: float) -> None:
        port.stop()  # at once: another model may be given the same number
        task = asyncio.get_running_loop().create_task(port.emptied(grace_s))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _listening(host: str | None, port: int, receive_bytes: int) -> socket.socket:
    """A socket of both families, or of the address's; accepted connections inherit its receive buffer."""
    host = host or ("::" if socket.has_dualstack_ipv6() else "0.0.0.0")  # noqa: S104 - a pod's own address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.setblocking(False)  # noqa: FBT003 - its only argument
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock
