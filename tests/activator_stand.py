"""A holding port and pods on loopback, and clients that speak byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry

from lull.activator.gate import Endpoint, Gate, HoldPolicy
from lull.activator.listeners import Listeners
from lull.activator.meters import Meters
from lull.hold.limits import Limits
from lull.model.spec import Key

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
LOOPBACK = "127.0.0.1"
DEADLINE_S = 10.0


@dataclass
class Stand:
    """One model, asleep until it is woken."""

    gate: Gate
    listeners: Listeners
    port: int
    registry: CollectorRegistry
    pods: list[web.ServerRunner] = field(default_factory=list)

    async def pod(self, handler: Handler) -> Endpoint:
        """Starts a pod that answers by ``handler``; nobody is told of it."""
        runner = web.ServerRunner(web.Server(handler), handle_signals=False, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, LOOPBACK, 0)
        await site.start()
        self.pods.append(runner)
        host, port = runner.addresses[0][:2]
        return Endpoint(host, port)

    def wake(self, *endpoints: Endpoint) -> None:
        """Tells the gate what is ready."""
        self.gate.set_endpoints({"http": endpoints})

    async def wakes(self, handler: Handler) -> Endpoint:
        """Starts a pod and tells the gate."""
        endpoint = await self.pod(handler)
        self.wake(endpoint)
        return endpoint

    async def until_held(self, number: int) -> None:
        """Returns once so many wait."""
        async with asyncio.timeout(DEADLINE_S):
            while self.gate.held != number:
                changed = asyncio.Event()
                self.gate.on_change = changed.set
                await changed.wait()

    def metric(self, name: str, **labels: str) -> float | None:
        """A sample's value."""
        return self.registry.get_sample_value(name, {"namespace": "ns", "model": "chat"} | labels)


@asynccontextmanager
async def a_stand(http2: Any = None, limits: Limits | None = None, **policy: Any) -> AsyncIterator[Stand]:
    registry = CollectorRegistry()
    gate = Gate("model-uid", Key("ns", "chat"), HoldPolicy(**policy), Meters(registry))
    listeners = Listeners("activator-uid", http2 or (lambda *_: asyncio.Protocol()), limits, LOOPBACK)
    port = await listeners.open(0, gate, "http")
    stand = Stand(gate, listeners, port, registry)
    try:
        yield stand
    finally:
        await listeners.close(0.0)
        for pod in stand.pods:
            await pod.cleanup()


def staged(story: Callable[[Stand], Coroutine[Any, Any, None]], **options: Any) -> None:
    """Plays a story on a stand of its own, within a deadline."""

    async def main() -> None:
        async with asyncio.timeout(DEADLINE_S), a_stand(**options) as stand:
            await story(stand)

    asyncio.run(main())


class Client:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the next answer, informational ones included."""
        text = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = text.rstrip("\r\n").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        return int(first.split(" ")[1]), {name.lower(): value for name, value in headers.items()}

    async def whole(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer, with a body of a stated length."""
        status, headers = await self.head()
        return status, headers, await self.reader.readexactly(int(headers.get("content-length", "0")))

    async def rest(self) -> bytes:
        """All until the end, or until it is cut."""
        parts = bytearray()
        with suppress(ConnectionResetError):
            while part := await self.reader.read(65536):
                parts += part
        return bytes(parts)

    async def chunk(self) -> bytes:
        """The next chunk; empty at the end."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    def cut(self) -> None:
        self.writer.transport.abort()


@asynccontextmanager
async def a_client(port: int) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def echo(request: web.BaseRequest) -> web.Response:
    """Answers with what it got."""
    body = b"".join([part async for part in request.content.iter_any()])
    return web.Response(
        body=body,
        headers={"Got-Path": request.raw_path, "Got-Method": request.method, "Got-Bytes": str(len(body))},
    )
