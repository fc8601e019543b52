"""A client's request and its answer: held, passed on, or answered here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from h2.errors import ErrorCodes

from lull.activator.http2.answers import UNAVAILABLE, Answer, Request, error, grpc_status, held
from lull.activator.http2.half import OVER, Half, Headers
from lull.activator.http2.legs import CANCEL, Leg

if TYPE_CHECKING:
    from lull.activator.http2.wire import Wire

POD_BROKE: Final = "PodBroke"
_BROKE: Final = "the model's server ended the connection in the middle of an answer, or before it"


class Call(Leg):
    """The client's side of a stream.

    Args:
        wire: the client's connection.
        stream_id: the stream on it.
        request: its headers.
        client_host: where it comes from; None = not known.
        count: told the status of every answer, and why it is that.
    """

    def __init__(
        self, wire: Wire, stream_id: int, request: Request, client_host: str | None, count: Callable[[int, str], None]
    ) -> None:
        super().__init__(wire, stream_id)
        self.request = request
        self.held_s: float | None = None
        """Seconds it waited for a ready pod; None = it did not."""
        self.since_s = wire.loop.time()
        self.over: asyncio.Future[None] = wire.loop.create_future()
        """Done when the stream is closed."""
        self.task: asyncio.Task[None] | None = None
        """What waits for the pod."""
        self.is_watch = False
        self._client_host = client_host
        self._count = count
        self._ready_answer: Answer | None = None

    def forwarded(self) -> Headers:
        """The headers for the pod: as they came, and who the client is."""
        if self._client_host is None:
            return self.request.headers
        others = tuple(header for header in self.request.headers if header[0] != b"x-forwarded-for")
        hops = [value for name, value in self.request.headers if name == b"x-forwarded-for"]
        return (*others, (b"x-forwarded-for", b", ".join([*hops, self._client_host.encode()])))

    def end(self, trailers: Headers = OVER) -> None:
        """The client has said all."""
        super().end(trailers)
        if self._ready_answer is not None:
            self._say(self._ready_answer)

    def answer_begins(self, headers: Headers, *, ends: bool) -> None:
        """The head of the pod's answer, or of an interim one."""
        status = int(dict(headers).get(b":status", b"200"))
        if status < 200:
            self.send_headers(headers, ends=False)
            return
        self.has_answered = True
        self._count(status, "Forwarded")
        self.send_headers((*headers, *held(self.held_s)), ends=ends)

    def answer_at_end(self, answer: Answer) -> None:
        """Answers once the request is there, for what is answered on the spot."""
        self._ready_answer = answer
        self.inbox.drop()

    def answer_now(self, answer: Answer) -> None:
        """Answers, and asks the client to send no more."""
        self._say(answer)
        self.drop_inbox()

    def end_watch(self) -> None:
        """A Watch that was answered here ends: the pods can be asked now."""
        if self.is_watch and self.outbox is not None:
            self.outbox.tail = grpc_status(UNAVAILABLE, "the model is awake, ask its pods")
            self.wire.wake(self)

    def pod_broke(self) -> None:
        """The pod is gone in the middle."""
        if not self.has_answered:
            self.answer_now(error(self.request, 502, POD_BROKE, _BROKE, *held(self.held_s)))
        elif self.request.is_grpc and self.outbox is not None:
            self.outbox.tail = grpc_status(UNAVAILABLE, f"{POD_BROKE}: {_BROKE}")
            self.wire.wake(self)
            self.drop_inbox()
        else:
            self.abort(int(ErrorCodes.INTERNAL_ERROR))

    def close(self) -> None:
        """The stream is no more: the pod is told, and the place in the room is free."""
        super().close()
        if self.over.done():
            return
        self.over.set_result(None)
        if self.peer is not None:
            if not self.has_ended or self.inbox.tail is None:  # else the rest of the request may still go out
                self.peer.abort(CANCEL)
        elif self.task is not None and not self.has_ended:
            self.task.cancel()

    def _say(self, answer: Answer) -> None:
        self.has_answered = True
        if answer.reason is not None:
            self._count(answer.status, answer.reason)
        body = b"" if self.request.method == b"HEAD" else answer.body
        self.send_headers(answer.headers, ends=not body and answer.tail == OVER)
        self.outbox = Half(_nothing)
        self.outbox.put(body, len(body))
        self.outbox.tail = answer.tail
        self.is_watch = answer.tail is None
        self.wire.wake(self)


def _nothing(_: int) -> None:
    pass
