"""A client's connection: its streams are held, passed on and answered; after the wake it is asked to go to the pods."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from h2.errors import ErrorCodes
from h2.events import Event, PingAckReceived, RemoteSettingsChanged, RequestReceived
from h2.settings import SettingCodes

from lull.activator.gate import Gate, Turned
from lull.activator.http2.answers import error, held, refusal, request_of, to_probe
from lull.activator.http2.asleep import in_its_place
from lull.activator.http2.calls import POD_BROKE, Call
from lull.activator.http2.calm import Calm
from lull.activator.http2.frames import LAST_STREAM, Frame, goaway
from lull.activator.http2.legs import Leg
from lull.activator.http2.pods import Pods
from lull.activator.http2.wire import CLOSING_S, WIDE_BYTES, WINDOW_BYTES, Wire
from lull.errors import BadAnswer

log = logging.getLogger(__name__)

MAX_STREAMS: Final = 256
"""Of one connection at once; gRPC's clients keep the rest back until there is room."""
MAX_HEADERS_BYTES: Final = 16_384
"""Of one request, unpacked, 32 bytes a line included."""
HURRY_S: Final = 10.0
"""From connecting to the client's SETTINGS, and from a header block's first byte to its last."""
DRAIN_AFTER_S: Final = 1.0
"""From the wake to the GOAWAY: kube-proxy needs about so long to send clients to the pods."""
STRAY_DRAIN_S: Final = 10.0
"""The same for a connection that comes while the model is awake and asks nothing: a client that reconnects at once to
the same place must not do so in a loop."""
ROUND_TRIP_S: Final = 2.0
"""Longest wait between the two GOAWAYs for the client's word that it has seen the first."""

_REFUSED_METHODS: Final = frozenset((b"CONNECT", b"TRACE"))
_DRAIN_PING: Final = b"lulldran"
_SETTINGS: Final = {
    SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
    SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEADERS_BYTES,
    SettingCodes.INITIAL_WINDOW_SIZE: WINDOW_BYTES,
}


class ClientConnection(Wire):
    """One client of one model's port.

    Args:
        gate: the model's.
        port_name: the Service port that the client asked.
        activator_uid: of the activator's own pod, for the operator's probe.
    """

    def __init__(self, gate: Gate, port_name: str, activator_uid: str) -> None:
        super().__init__(client_side=False, settings=dict(_SETTINGS))
        self._gate = gate
        self._port_name = port_name
        self._activator_uid = activator_uid
        self._pods = Pods()
        self._calm = Calm(self.loop.time())
        self._host: str | None = None
        self._is_greeted = False
        self._is_wide = False
        self._is_draining = False
        self._is_leaving = False
        self._last_stream: int | None = None
        self._hurry: asyncio.TimerHandle | None = None
        self._later: set[asyncio.TimerHandle] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self._host = str(peer[0]).removeprefix("::ffff:") if isinstance(peer, tuple) else None
        self._gate.on_ready.add(self._on_ready)
        self._be_in_a_hurry()
        if self._gate.is_ready:
            self._in(STRAY_DRAIN_S, self._drain_if_awake)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: its places are free, and its streams at the pods end."""
        self._gate.on_ready.discard(self._on_ready)
        for timer in (*self._later, self._hurry):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        self._pods.shut()

    def drain(self) -> None:
        """Asks the client to open its next streams elsewhere; those that are open, or on their way, are served."""
        if self._is_draining or self.is_closed:
            return
        self._is_draining = True
        self._send_goaway(LAST_STREAM)
        self.h2.ping(_DRAIN_PING)
        self._in(ROUND_TRIP_S, self._draw_the_line)
        for call in tuple(self.legs.values()):
            if isinstance(call, Call):
                call.end_watch()
        self.soon()

    def judge(self, frame: Frame) -> str | None:
        """Whether the client still behaves."""
        verdict = self._calm.judge(frame, self.loop.time())
        self._be_in_a_hurry()
        return verdict

    def on_event(self, event: Event) -> None:
        """Requests, and the client's word that it has seen the first GOAWAY."""
        if isinstance(event, RequestReceived):
            self._on_request(event)
        elif isinstance(event, RemoteSettingsChanged):
            self._is_greeted = True
            self._be_in_a_hurry()
        elif isinstance(event, PingAckReceived) and event.ping_data == _DRAIN_PING:
            self._draw_the_line()

    def on_reset(self, leg: Leg, code: int) -> None:
        """The client wants no answer any more; its pod is told with the same code."""
        if leg.peer is not None:
            leg.peer.abort(code)
        leg.close()

    def on_leg_lost(self, leg: Leg) -> None:
        """The client is gone."""
        leg.close()

    def on_sent(self) -> None:
        """An answer makes up for the frames that the client needs to receive it."""
        self._calm.credit()

    def on_turn_end(self) -> None:
        """The last stream of a connection that was asked to go may be done."""
        if self._last_stream is not None and not self.legs and not self._is_leaving:
            self._is_leaving = True
            self._in(CLOSING_S, self.shut)  # most clients close first, and lose nothing that is still on its way

    def _on_request(self, event: RequestReceived) -> None:
        call = Call(self, event.stream_id, request_of(tuple(event.headers)), self._host, self._count)
        self.legs[call.stream_id] = call
        request = call.request
        if self._last_stream is not None and call.stream_id > self._last_stream:
            call.abort(int(ErrorCodes.REFUSED_STREAM))
        elif request.method in _REFUSED_METHODS:
            call.answer_now(error(request, 405, "BadRequest", "this method is not passed on"))
        elif request.probe is not None:
            call.answer_at_end(to_probe(self._gate.uid, self._activator_uid))
        elif not self._gate.serves(self._port_name) and (answer := in_its_place(request, self._gate.policy.ignore)):
            call.answer_at_end(answer)
        else:
            call.task = self.loop.create_task(self._serve(call))
            call.task.add_done_callback(_report)

    def _count(self, status: int, reason: str) -> None:
        self._gate.meters.answered(self._gate.key, status, reason)

    async def _serve(self, call: Call) -> None:
        try:
            async with self._gate.passage(self._port_name) as passage:
                self._go_on()
                await self._pods.open(passage, call)
                await call.over
        except Turned as turned:
            call.answer_now(refusal(call.request, turned, self.loop.time() - call.since_s))
        except BadAnswer as fault:
            call.answer_now(error(call.request, 502, POD_BROKE, str(fault), *held(call.held_s)))

    def _go_on(self) -> None:
        """The first stream was let go: bodies may flow, and the client may look for the pods."""
        if self._is_wide or self.is_closed:
            return
        self._is_wide = True
        self.h2.increment_flow_control_window(WIDE_BYTES - WINDOW_BYTES)
        self.soon()
        self._in(DRAIN_AFTER_S, self._drain_if_awake)

    def _on_ready(self) -> None:
        self._in(DRAIN_AFTER_S, self._drain_if_awake)

    def _drain_if_awake(self) -> None:
        if self._gate.is_ready:
            self.drain()

    def _draw_the_line(self) -> None:
        if self._last_stream is None and not self.is_closed:
            self._last_stream = self.h2.highest_inbound_stream_id
            self._send_goaway(self._last_stream)
            self.soon()

    def _send_goaway(self, last_stream_id: int) -> None:
        """Past ``h2``, for which a GOAWAY is the end of everything."""
        self.flush()
        if self.transport is not None:
            self.transport.write(goaway(last_stream_id, b"the model is awake: reconnect to reach its pods"))

    def _be_in_a_hurry(self) -> None:
        """Sets the timer while something that costs a client nothing is awaited from it."""
        is_awaited = not self._is_greeted or self._calm.in_block
        if is_awaited and self._hurry is None and not self.is_closed:
            self._hurry = self.loop.call_later(HURRY_S, self.fail, ErrorCodes.ENHANCE_YOUR_CALM, "too slow")
        elif not is_awaited and self._hurry is not None:
            self._hurry.cancel()
            self._hurry = None

    def _in(self, delay_s: float, what: Callable[[], None]) -> None:
        self._later = {timer for timer in self._later if not timer.cancelled() and timer.when() > self.loop.time()}
        self._later.add(self.loop.call_later(delay_s, what))


def http2(activator_uid: str) -> Callable[[Gate, str], asyncio.Protocol]:
    """What makes the protocol of a connection that began with HTTP/2's preface, for a gate and a Service port's name.

    Args:
        activator_uid: uid of the activator's own pod.
    """

    def connection(gate: Gate, port_name: str) -> asyncio.Protocol:
        return ClientConnection(gate, port_name, activator_uid)

    return connection


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a stream was not served", exc_info=error)
