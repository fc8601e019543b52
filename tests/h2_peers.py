"""HTTP/2 peers on loopback: clients and pods driven by hand, and an activator's port between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event
from h2.settings import Settings

from lull.activator.gate import Endpoint, Gate, HoldPolicy
from lull.activator.http2.client import ClientConnection
from lull.activator.http2.frames import GOAWAY, FrameReader, last_stream_of
from lull.model.spec import Key

PORT = "grpc"
SOON_S = 5.0
Kind = TypeVar("Kind", bound=Event)

GET = ((":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "chat.ns:80"))
POST = ((":method", "POST"), *GET[1:])
OK = ((":status", "200"),)


async def eventually(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(2 * SOON_S):
        while not is_so():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)


def grpc_request(path: str = "/test.Echo/Unary", *more: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    head = ((":method", "POST"), (":path", path), (":scheme", "http"), (":authority", "chat.ns:80"))
    return (*head, ("te", "trailers"), ("content-type", "application/grpc"), *more)


class Hand:
    """One side of a connection, and all that came in on it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        client_side: bool,
        settings: dict[Any, int] | None = None,
        acknowledges: bool = True,
        reacts: Callable[[Hand, Event], None] | None = None,
    ) -> None:
        self.reader, self.writer = reader, writer
        self.h2 = H2Connection(H2Configuration(client_side=client_side, header_encoding="utf-8"))
        if settings:
            self.h2.local_settings = Settings(client=client_side, initial_values=settings)
        self.acknowledges = acknowledges
        self.reacts = reacts
        self.events: list[Event] = []
        self.bodies: dict[int, bytes] = {}
        self.goaways: list[tuple[int, int, bytes]] = []
        """Last stream, error code and words."""
        self.is_closed = False
        self._frames = FrameReader(with_preface=not client_side)
        self._changed = asyncio.Event()
        self.h2.initiate_connection()
        self.flush()
        self._reading = asyncio.create_task(self._read())

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    def ask(self, headers: Iterable[tuple[str, str]] = GET, body: bytes | None = None, *, ends: bool = True) -> int:
        """Opens a stream; ``body`` has to fit into the windows."""
        stream_id = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream_id, list(headers), end_stream=ends and body is None)
        if body is not None:
            self.h2.send_data(stream_id, body, end_stream=ends)
        self.flush()
        return stream_id

    def say(
        self, stream_id: int, headers: Iterable[tuple[str, str]] = OK, body: bytes = b"", *, ends: bool = True
    ) -> None:
        """Answers a stream."""
        self.h2.send_headers(stream_id, list(headers), end_stream=ends and not body)
        if body:
            self.h2.send_data(stream_id, body, end_stream=ends)
        self.flush()

    def raw(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self.flush()
        self.writer.write(data)

    def all(self, kind: type[Kind], stream_id: int | None = None) -> list[Kind]:
        return [
            event
            for event in self.events
            if isinstance(event, kind) and (stream_id is None or getattr(event, "stream_id", None) == stream_id)
        ]

    async def until(self, kind: type[Kind], stream_id: int | None = None, count: int = 1) -> Kind:
        """The ``count``-th event of its kind, now or soon."""
        await self.when(lambda: len(self.all(kind, stream_id)) >= count, f"{kind.__name__} on {stream_id}")
        return self.all(kind, stream_id)[count - 1]

    async def when(self, is_so: Callable[[], bool], what: str = "it") -> None:
        async def waiting() -> None:
            while not is_so():
                assert not self.is_closed, f"closed before {what}: {self.events[-5:]} {self.goaways}"
                self._changed.clear()
                await self._changed.wait()

        try:
            await asyncio.wait_for(waiting(), SOON_S)
        except TimeoutError:
            raise AssertionError(f"no {what}: {self.events[-5:]} {self.goaways}") from None

    async def until_closed(self) -> None:
        await asyncio.wait_for(asyncio.wait([self._reading]), SOON_S)

    async def close(self) -> None:
        self._reading.cancel()
        self.writer.close()
        with suppress(ConnectionError, asyncio.CancelledError):
            await self.writer.wait_closed()

    async def _read(self) -> None:
        with suppress(ConnectionError):
            while data := await self.reader.read(65_536):
                for frame in self._frames.feed(data):
                    if frame.kind == GOAWAY:
                        code = int.from_bytes(frame.raw[13:17], "big")
                        self.goaways.append((last_stream_of(frame), code, frame.raw[17:]))
                    else:
                        self._take(frame.raw)
                self.flush()
                self._changed.set()
        self.is_closed = True
        self._changed.set()

    def _take(self, raw: bytes) -> None:
        for event in self.h2.receive_data(raw):
            self.events.append(event)
            if isinstance(event, DataReceived):
                self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
                if self.acknowledges:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if self.reacts is not None:
                self.reacts(self, event)


@dataclass
class Pod:
    """A server driven by hand: its connections as they come."""

    endpoint: Endpoint = Endpoint("127.0.0.1", 0)  # noqa: RUF009 - frozen
    hands: list[Hand] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def hand(self, at: int = 0) -> Hand:
        while len(self.hands) <= at:
            self.came.clear()
            await asyncio.wait_for(self.came.wait(), SOON_S)
        return self.hands[at]


@asynccontextmanager
async def pod(**how: Any) -> AsyncIterator[Pod]:
    """A pod that listens; ``how`` is given to each ``Hand``."""
    it = Pod()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        it.hands.append(Hand(reader, writer, client_side=False, **how))
        it.came.set()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    it.endpoint = Endpoint(*server.sockets[0].getsockname()[:2])
    try:
        yield it
    finally:
        server.close()
        for hand in it.hands:
            await hand.close()
        await server.wait_closed()


@dataclass
class Activator:
    """One port of an activator."""

    gate: Gate
    port: int
    connections: list[ClientConnection]
    server: asyncio.Server

    def wake(self, *pods: Pod | Endpoint) -> None:
        self.gate.set_endpoints({PORT: [pod.endpoint if isinstance(pod, Pod) else pod for pod in pods]})

    @asynccontextmanager
    async def client(self, **how: Any) -> AsyncIterator[Hand]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        hand = Hand(reader, writer, client_side=True, **how)
        try:
            yield hand
        finally:
            await hand.close()

    async def until_held(self, count: int) -> None:
        await eventually(lambda: self.gate.held == count)


@asynccontextmanager
async def activator(**policy: Any) -> AsyncIterator[Activator]:
    """A port for a model that sleeps."""
    gate = Gate("uid-1", Key("ns", "chat"), HoldPolicy(**policy))
    connections: list[ClientConnection] = []

    def accept() -> ClientConnection:
        connections.append(ClientConnection(gate, PORT, "pod-uid"))
        return connections[-1]

    server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
    try:
        yield Activator(gate, server.sockets[0].getsockname()[1], connections, server)
    finally:
        server.close()
        for connection in connections:
            if connection.transport is not None:
                connection.transport.abort()
        await server.wait_closed()
        await asyncio.sleep(0)
