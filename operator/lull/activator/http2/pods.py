"""Connections to the pods: one for each endpoint that a client's streams go to, and for no other client.

A pool for all clients would save connections for the seconds between a wake and the GOAWAY, and cost more: windows are
coupled, so a client that does not read would stop the others on the same connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from h2.errors import ErrorCodes
from h2.events import (
    Event,
    InformationalResponseReceived,
    RemoteSettingsChanged,
    ResponseReceived,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from lull.activator.gate import Endpoint, Passage
from lull.activator.http2.calls import Call
from lull.activator.http2.legs import Leg
from lull.activator.http2.wire import WIDE_BYTES, WINDOW_BYTES, Wire
from lull.activator.sockets import prepare
from lull.errors import BadAnswer, LullError, Unreachable

CONNECT_S: Final = 2.0
GREETING_S: Final = 10.0
"""For the pod's SETTINGS, before which nothing of a request is sent: a server that has just started may be slow."""

_SETTINGS: Final = {
    SettingCodes.ENABLE_PUSH: 0,
    SettingCodes.INITIAL_WINDOW_SIZE: WINDOW_BYTES,
    SettingCodes.MAX_HEADER_LIST_SIZE: 65_536,
}


class PodConnection(Wire):
    """A connection to one endpoint. Streams open in the order in which they were let go."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(client_side=True, settings=dict(_SETTINGS))
        self.endpoint = endpoint
        self.takes_more = True
        """Whether new streams may be opened on it."""
        self._queue: deque[tuple[Call, asyncio.Future[None]]] = deque()
        self._greeting: asyncio.Future[None] = self.loop.create_future()
        self._connecting = self.loop.create_task(self._connect())

    def open(self, call: Call) -> asyncio.Future[None]:
        """Opens a stream for a call when it is its turn; done once its headers were sent.

        Raises:
            Unreachable: nothing of the call was sent, and nothing will be.
            BadAnswer: the same, and the pod does not speak HTTP/2 on this port.
        """
        opened: asyncio.Future[None] = self.loop.create_future()
        self._queue.append((call, opened))
        self._open_next()
        return opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        prepare(transport)
        super().connection_made(transport)
        if not self.is_closed:
            self.h2.increment_flow_control_window(WIDE_BYTES - WINDOW_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        """The pod is gone."""
        super().connection_lost(exc)
        self._give_up(Unreachable("the pod closed the connection"))

    def on_event(self, event: Event) -> None:
        """Settings and the heads of answers."""
        if isinstance(event, RemoteSettingsChanged):
            if not self._greeting.done():
                self._greeting.set_result(None)
        elif isinstance(event, ResponseReceived | InformationalResponseReceived):
            leg = self.legs.get(event.stream_id)
            if leg is not None and isinstance(call := leg.peer, Call):
                is_all = isinstance(event, ResponseReceived) and event.stream_ended is not None
                call.answer_begins(tuple(event.headers), ends=is_all)

    def on_goaway(self, last_stream_id: int) -> None:
        """What the pod does not serve any more was not worked on: its clients are told so, and may try again."""
        self.takes_more = False
        for leg in [leg for leg in self.legs.values() if leg.stream_id > last_stream_id]:
            leg.close()
            if leg.peer is not None:
                leg.peer.abort(int(ErrorCodes.REFUSED_STREAM))
        self._give_up(Unreachable("the pod takes no more streams"))
        self.soon()

    def on_violation(self, error: ProtocolError) -> None:
        """Whose first words are no HTTP/2 will not learn it: trying again would only keep clients waiting."""
        if not self._greeting.done():
            self._give_up(BadAnswer(f"the model's server does not speak HTTP/2: {error}"))
        super().on_violation(error)

    def on_reset(self, leg: Leg, code: int) -> None:
        """A pod that has said all may ask to be sent no more; any other reset is the client's too."""
        said_all = leg.inbox.tail is not None
        leg.close()
        if leg.peer is None:
            return
        if said_all:
            leg.peer.drop_inbox()
        else:
            leg.peer.abort(code)

    def on_leg_lost(self, leg: Leg) -> None:
        """The pod broke; what it said whole is still passed on."""
        said_all = leg.inbox.tail is not None
        leg.close()
        if not isinstance(call := leg.peer, Call):
            return
        if said_all:
            call.drop_inbox()
        else:
            call.pod_broke()

    def on_turn_end(self) -> None:
        """Streams may have ended and left room for others."""
        self._open_next()
        if not self.takes_more and not self.legs:
            self.shut()

    def shut(self) -> None:
        """Closes, also while it is still connecting."""
        self.takes_more = False
        if self.transport is None:
            self._connecting.cancel()
        super().shut()

    async def _connect(self) -> None:
        host, port = self.endpoint
        try:
            async with asyncio.timeout(CONNECT_S):
                await self.loop.create_connection(lambda: self, host, port)
            async with asyncio.timeout(GREETING_S):
                await self._greeting
        except OSError as error:  # a timeout is one, without words
            self.shut()
            self._give_up(Unreachable(str(error) or "no answer in time"))
        self._open_next()

    def _open_next(self) -> None:
        while self._queue and self._has_room():
            call, opened = self._queue.popleft()
            if call.is_closed or opened.done():
                continue
            self._begin(call)
            opened.set_result(None)

    def _has_room(self) -> bool:
        if not self.takes_more or self.is_closed or not self._greeting.done():
            return False
        return self.h2.open_outbound_streams < self.h2.remote_settings.max_concurrent_streams

    def _begin(self, call: Call) -> None:
        leg = Leg(self, self.h2.get_next_available_stream_id())
        self.legs[leg.stream_id] = leg
        leg.send_headers(call.forwarded(), ends=call.inbox.is_empty_end)
        leg.join(call)

    def _give_up(self, why: LullError) -> None:
        self.takes_more = False
        if not self._greeting.done():
            self._greeting.cancel()
        while self._queue:
            _, opened = self._queue.popleft()
            if not opened.done():
                opened.set_exception(why)


class Pods:
    """One client's connections to the pods."""

    def __init__(self) -> None:
        self._by_endpoint: dict[Endpoint, PodConnection] = {}

    async def open(self, passage: Passage, call: Call) -> None:
        """Opens a stream for a call at the passage's endpoint, or at another where that one cannot be reached.

        Raises:
            Turned: none could be reached in time.
            BadAnswer: what was reached does not speak HTTP/2.
        """
        endpoint = passage.endpoint
        while True:
            if passage.was_held:
                call.held_s = passage.held_s
            try:
                await self._at(endpoint).open(call)
            except Unreachable:
                endpoint = await passage.another()
            else:
                passage.sent()
                return

    def shut(self) -> None:
        """The client is gone."""
        for pod in self._by_endpoint.values():
            pod.shut()

    def _at(self, endpoint: Endpoint) -> PodConnection:
        known = self._by_endpoint.get(endpoint)
        if known is None or not known.takes_more:
            known = self._by_endpoint[endpoint] = PodConnection(endpoint)
        return known
