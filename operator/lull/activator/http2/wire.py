"""One HTTP/2 connection on one socket: frames in and out, windows, and a fair turn for each of its streams."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import FrameTooLargeError, ProtocolError, StreamClosedError
from h2.settings import SettingCodes, Settings

from lull.activator.http2.frames import GOAWAY, MAX_FRAME_BYTES, Frame, FrameReader, last_stream_of
from lull.activator.http2.half import Headers
from lull.activator.http2.legs import Leg

log = logging.getLogger(__name__)

WINDOW_BYTES: Final = 65_535
"""Of one stream, and of a connection that was not widened: so much waits for one held stream at most."""
WIDE_BYTES: Final = 1 << 20
"""Of a connection whose streams are passed on: one of them that is not taken may not stop the others."""
MAX_UNSENT_BYTES: Final = 1 << 20
"""What may wait for a socket whose peer does not read; streams stop far below, so this is answers to floods."""
CLOSING_S: Final = 2.0
"""What a peer gets to read the last words."""
_FRAMES_A_TURN: Final = 64
"""Frames sent before other connections get their turn."""


class Wire(asyncio.Protocol):
    """What both sides share; the sides differ in the events that they know."""

    def __init__(self, *, client_side: bool, settings: dict[SettingCodes, int]) -> None:
        self.loop = asyncio.get_running_loop()
        # What goes out came in on another connection, where it was validated, or is our own.
        self.h2 = H2Connection(
            H2Configuration(client_side=client_side, header_encoding=None, validate_outbound_headers=False)
        )
        self.h2.local_settings = Settings(client=client_side, initial_values=settings)
        self.h2.decoder.max_header_list_size = settings[SettingCodes.MAX_HEADER_LIST_SIZE]
        self.legs: dict[int, Leg] = {}
        self.transport: asyncio.Transport | None = None
        self.is_closed = False
        self._reader = FrameReader(with_preface=not client_side)
        self._eager: dict[Leg, None] = {}
        self._without_window: set[Leg] = set()
        self._is_writable = True
        self._turn: asyncio.Handle | None = None
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there: our settings go out."""
        self.transport = cast(asyncio.Transport, transport)
        self.h2.initiate_connection()
        self.soon()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        for frame in self._reader.feed(data):
            if self.is_closed:
                return
            self._receive(frame)
        self.soon()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - whatever the cause, it is gone
        """The socket is gone, and every stream on it."""
        self.is_closed = True
        for handle in (self._turn, self._end):
            if handle:
                handle.cancel()
        for leg in tuple(self.legs.values()):
            self.on_leg_lost(leg)

    def pause_writing(self) -> None:
        """The peer reads too slowly."""
        self._is_writable = False

    def resume_writing(self) -> None:
        """It has caught up."""
        self._is_writable = True
        self.soon()

    def judge(self, frame: Frame) -> str | None:  # noqa: ARG002 - pods are trusted
        """Why the connection ends at this frame; None = it goes on."""
        return None

    def on_event(self, event: Event) -> None:
        """An event that only one side knows."""

    def on_goaway(self, last_stream_id: int) -> None:
        """The peer opens no streams any more, and serves ours up to the last one."""

    def on_violation(self, error: ProtocolError) -> None:
        """The peer does not keep to HTTP/2; the GOAWAY that ``h2`` has ready goes out."""
        log.debug("an HTTP/2 connection ends: %s", error)
        self.shut()

    def on_reset(self, leg: Leg, code: int) -> None:
        """The peer ended a stream."""
        raise NotImplementedError

    def on_leg_lost(self, leg: Leg) -> None:
        """The connection broke under a stream."""
        raise NotImplementedError

    def on_sent(self) -> None:
        """A frame of an answer went out."""

    def on_turn_end(self) -> None:
        """All was sent that could be."""

    def wake(self, leg: Leg) -> None:
        """A stream may have something to send."""
        if not leg.is_closed:
            self._eager[leg] = None
            self.soon()

    def await_window(self, leg: Leg) -> None:
        """A stream has something to send, and no window."""
        self._without_window.add(leg)

    def forget(self, leg: Leg) -> None:
        """A stream is closed."""
        self.legs.pop(leg.stream_id, None)
        self._eager.pop(leg, None)
        self._without_window.discard(leg)
        self.soon()

    def room(self, stream_id: int) -> int:
        """Bytes that may be sent on a stream in one frame now."""
        window = self.h2.local_flow_control_window(stream_id)
        return min(window, self.h2.max_outbound_frame_size, MAX_FRAME_BYTES)

    def send_headers(self, stream_id: int, headers: Headers, *, ends: bool) -> None:
        """Sends headers or trailers; quietly nothing where the connection or the stream is gone."""
        if self.is_closed:
            return
        with self._sending():
            self.h2.send_headers(stream_id, headers, end_stream=ends)
            self.on_sent()

    def send_data(self, stream_id: int, data: bytes, *, ends: bool) -> None:
        """Sends bytes that the window has room for."""
        if self.is_closed:
            return
        with self._sending():
            self.h2.send_data(stream_id, data, end_stream=ends)
            self.on_sent()

    def send_reset(self, stream_id: int, code: int) -> None:
        """Ends a stream, unless it is gone."""
        if self.is_closed:
            return
        with self._sending():
            self.h2.reset_stream(stream_id, code)

    def acknowledge(self, stream_id: int, size: int) -> None:
        """Gives the peer its window back."""
        if size and not self.is_closed:
            self.h2.acknowledge_received_data(size, stream_id)
            self.soon()

    def fail(self, code: ErrorCodes, why: str) -> None:
        """Ends the connection with a word of why."""
        if not self.is_closed:
            self.h2.close_connection(code, why.encode())
            self.shut()

    def shut(self) -> None:
        """Closes the socket once what was said is sent, and cuts it off soon after."""
        if self.is_closed or self.transport is None:
            self.is_closed = True
            return
        self.flush()
        self.is_closed = True
        self.transport.close()
        self._end = self.loop.call_later(CLOSING_S, self.transport.abort)

    def soon(self) -> None:
        """Sends what there is when the loop comes round."""
        if self._turn is None and self.transport is not None and not self.is_closed:
            self._turn = self.loop.call_soon(self._take_turn)

    def flush(self) -> None:
        """Hands to the socket what is ready."""
        if self.transport is None or self.is_closed or not (data := self.h2.data_to_send()):
            return
        self.transport.write(data)
        if self.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self.transport.abort()

    @contextmanager
    def _sending(self) -> Iterator[None]:
        """A stream that is gone is told nothing; anything else that cannot be sent may have left HPACK amiss."""
        try:
            yield
            self.soon()
        except StreamClosedError:
            pass
        except ProtocolError as error:
            log.warning("an HTTP/2 connection ends, something could not be sent: %s", error)
            self.shut()

    def _take_turn(self) -> None:
        self._turn = None
        self.flush()
        for _ in range(_FRAMES_A_TURN):
            if not self._eager or not self._is_writable or self.is_closed:
                break
            leg = next(iter(self._eager))
            del self._eager[leg]
            if leg.send_some():
                self._eager[leg] = None
            self.flush()
        self.on_turn_end()
        self.flush()
        if self._eager and self._is_writable:
            self.soon()

    def _receive(self, frame: Frame) -> None:
        if why := self.judge(frame):
            self.fail(ErrorCodes.ENHANCE_YOUR_CALM, why)
        elif frame.length > MAX_FRAME_BYTES:
            self.on_violation(FrameTooLargeError(f"a frame of {frame.length} bytes"))
        elif frame.kind == GOAWAY:
            self.on_goaway(last_stream_of(frame))
        else:
            try:
                for event in self.h2.receive_data(frame.raw):
                    self._tell(event)
            except ProtocolError as error:
                self.on_violation(error)

    def _tell(self, event: Event) -> None:
        if isinstance(event, WindowUpdated | RemoteSettingsChanged):
            self._window_opened(getattr(event, "stream_id", 0))
        leg = self.legs.get(getattr(event, "stream_id", None) or 0)
        if leg is None:
            self.on_event(event)
        elif isinstance(event, DataReceived):
            leg.put(event.data, event.flow_controlled_length)
        elif isinstance(event, TrailersReceived):
            leg.end(tuple(event.headers))
        elif isinstance(event, StreamEnded):
            leg.end()
        elif isinstance(event, StreamReset):
            self.on_reset(leg, int(event.error_code))
        else:
            self.on_event(event)

    def _window_opened(self, stream_id: int) -> None:
        opened = {self.legs.get(stream_id)} & self._without_window if stream_id else set(self._without_window)
        self._without_window -= opened
        for leg in sorted(filter(None, opened), key=lambda leg: leg.stream_id):
            self.wake(leg)
