"""One stream on one connection; two of them, joined crosswise, are a stream that is passed on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from h2.errors import ErrorCodes

from lull.activator.http2.half import OVER, Half, Headers

if TYPE_CHECKING:
    from lull.activator.http2.wire import Wire

CANCEL: Final = int(ErrorCodes.CANCEL)
NO_ERROR: Final = int(ErrorCodes.NO_ERROR)


class Leg:
    """One side of a stream.

    Args:
        wire: the connection.
        stream_id: the stream on it.
    """

    def __init__(self, wire: Wire, stream_id: int) -> None:
        self.wire = wire
        self.stream_id = stream_id
        self.peer: Leg | None = None
        self.inbox = Half(lambda size: wire.acknowledge(stream_id, size))
        """What came in here; the peer sends it."""
        self.outbox: Half | None = None
        """What goes out here; None while nobody answers."""
        self.has_answered = False
        self.has_ended = False
        """Whether END_STREAM went out."""
        self.is_closed = False
        self._is_done_with = False

    def join(self, peer: Leg) -> None:
        """From now on each sends what comes in at the other."""
        self.peer, peer.peer = peer, self
        self.outbox, peer.outbox = peer.inbox, self.inbox
        self.wire.wake(self)
        peer.wire.wake(peer)

    def put(self, data: bytes, cost: int) -> None:
        """DATA came in; ``cost`` is what it took of the window."""
        self.inbox.put(data, cost)
        self._wake_peer()

    def end(self, trailers: Headers = OVER) -> None:
        """The other side has said all."""
        if self.inbox.tail is None:
            self.inbox.tail = trailers
        self._wake_peer()
        self._settle()

    def send_some(self) -> bool:
        """Sends a frame of the outbox; whether another could follow now."""
        out = self.outbox
        if out is None or self.is_closed or self.has_ended:
            return False
        if len(out):
            room = self.wire.room(self.stream_id)
            if room <= 0:
                self.wire.await_window(self)
                return False
            data = out.take(room)
            self.wire.send_data(self.stream_id, data, ends=out.is_empty_end)
            self.has_ended = out.is_empty_end
        elif out.tail is None:
            return False
        elif out.tail == OVER:
            self.wire.send_data(self.stream_id, b"", ends=True)
            self.has_ended = True
        else:
            self.send_headers(out.tail, ends=True)
        self._settle()
        return not self.has_ended

    def send_headers(self, headers: Headers, *, ends: bool) -> None:
        """Sends headers or trailers, which no window holds up."""
        if not self.is_closed:
            self.wire.send_headers(self.stream_id, headers, ends=ends)
            self.has_ended = ends
            self._settle()

    def abort(self, code: int = CANCEL) -> None:
        """Ends the stream here, whatever its state; the peer is not told."""
        if not self.is_closed:
            self.wire.send_reset(self.stream_id, code)
            self.close()

    def drop_inbox(self) -> None:
        """Nobody wants what comes in: once all is said here, the other side is asked to stop."""
        self._is_done_with = True
        self.inbox.drop()
        self._settle()

    def close(self) -> None:
        """The stream is no more on this wire. What came in whole may still be sent by the peer."""
        if not self.is_closed:
            self.is_closed = True
            self.wire.forget(self)
            if self.inbox.tail is None:
                self.inbox.drop()

    def _wake_peer(self) -> None:
        if self.peer is not None:
            self.peer.wire.wake(self.peer)

    def _settle(self) -> None:
        if not self.has_ended or self.is_closed:
            return
        if self.inbox.tail is not None:
            self.close()
        elif self._is_done_with:
            self.abort(NO_ERROR)
