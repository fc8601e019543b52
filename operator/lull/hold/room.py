"""The waiting room of one model: first in, first out, bounded in number and time, let go at the pods' pace.

A request enters and is let go at once, waits, or is turned away. While a pod is ready nothing waits but those that
came before it was, and whoever comes while they still do. Requests of all ports share one count; each port has its own
queue, so that a port without an endpoint keeps nobody else waiting.

A caller does after every change what ``release`` and ``expired`` return, and comes back at ``next_s``.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Final

from lull.errors import Turned
from lull.hold.pace import Endpoint, Lane, Pace
from lull.hold.policy import HoldPolicy
from lull.hold.wish import WISH_S, Wish

RETRY_S: Final = 5.0
"""Retry-After where nothing better is known: a full room empties at once when the model is awake."""
BLOCKED_RETRY_S: Final = 30.0


class Ticket:
    """A request's place: it waits until ``endpoint`` is set, and works there until it leaves."""

    __slots__ = ("endpoint", "gone", "lane", "number", "port", "since_s", "waiter")

    def __init__(self, number: int, port: str, since_s: float) -> None:
        self.number = number
        self.port = port
        self.since_s = since_s
        self.endpoint: Endpoint | None = None
        self.lane: Lane | None = None
        self.gone = False
        self.waiter: object = None
        """The caller's own, never looked at here."""

    def __lt__(self, other: Ticket) -> bool:
        return self.number < other.number


class _Port:
    """Who waits for one port, and where it is served."""

    __slots__ = ("endpoints", "queue", "waiting")

    def __init__(self) -> None:
        self.endpoints: tuple[Endpoint, ...] = ()
        self.queue: list[Ticket] = []
        self.waiting = 0

    def head(self) -> Ticket | None:
        while self.queue and self.queue[0].gone:
            heapq.heappop(self.queue)
        return self.queue[0] if self.queue else None

    def push(self, ticket: Ticket) -> None:
        heapq.heappush(self.queue, ticket)
        self.waiting += 1

    def pop(self) -> Ticket:
        self.waiting -= 1
        return heapq.heappop(self.queue)

    def drop(self, ticket: Ticket) -> None:
        ticket.gone = True
        self.waiting -= 1
        if len(self.queue) > 2 * self.waiting + 64:  # clients that come and go must not pile up behind the first
            self.queue = [waiting for waiting in self.queue if not waiting.gone]


class Room:
    """The waiting room of one model."""

    def __init__(self, policy: HoldPolicy) -> None:
        self.policy = policy
        self._ports: dict[str, _Port] = {}
        self._pace = Pace()
        self._entered = 0
        self._somebody_waited = False
        self._wish = Wish()

    @property
    def held(self) -> int:
        """Requests that wait."""
        return sum(port.waiting for port in self._ports.values())

    @property
    def oldest_since_s(self) -> float | None:
        """When the one that waits longest came; None = nobody waits."""
        return min((head.since_s for port in self._ports.values() if (head := port.head())), default=None)

    def wanted(self, now_s: float) -> tuple[int, float] | None:
        """How many want the model and since when; who was told to come later counts as one for ``WISH_S``."""
        since_s, turned_since_s = self.oldest_since_s, self._wish.turned_since_s(now_s)
        if since_s is not None:
            return self.held, since_s
        return None if turned_since_s is None else (1, turned_since_s)

    def is_ready(self, port: str, now_s: float) -> bool:
        """Whether an endpoint of the port may be tried now."""
        known = self._ports.get(port)
        return known is not None and self._may_try(known, now_s)

    def set_endpoints(self, by_port: Mapping[str, Sequence[Endpoint]], now_s: float) -> None:
        """Exactly these are ready."""
        for name in self._ports.keys() | by_port.keys():
            port = self._ports.setdefault(name, _Port())
            port.endpoints = tuple(by_port.get(name, ()))
        ready = [endpoint for port in self._ports.values() for endpoint in port.endpoints]
        self._pace.set_endpoints(ready, now_s)
        if ready:
            self._wish = Wish()

    def enter(self, port: str, now_s: float, *, is_crowded: bool = False) -> Ticket:
        """A request comes; whether it is let go at once ``release`` tells.

        Args:
            port: of the Service.
            now_s: on the caller's clock.
            is_crowded: whether all rooms together hold as many as there is memory for.

        Raises:
            Turned: it may not wait.
        """
        at = self._ports.setdefault(port, _Port())
        if not at.endpoints:
            self._wish.made(now_s, max(self.policy.expected_start_s or 0.0, WISH_S), self.held)
        refusal = self._refusal(at, now_s, is_crowded=is_crowded)
        if refusal is not None:
            self._wish.turned(now_s)
            raise refusal
        self._entered += 1
        ticket = Ticket(self._entered, port, now_s)
        at.push(ticket)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """It is done, or its client is gone."""
        if ticket.gone:
            return
        if ticket.lane is None:
            self._ports[ticket.port].drop(ticket)
            return
        ticket.gone = True
        ticket.lane.finish()

    def again(self, ticket: Ticket, now_s: float) -> None:
        """Its endpoint could not be reached: it waits once more, before all that came after it.

        Raises:
            Turned: its time is up.
        """
        if ticket.lane is not None and ticket.endpoint is not None:
            self._pace.fail(ticket.endpoint, ticket.lane, now_s)
        ticket.lane = ticket.endpoint = None
        waited_s = now_s - ticket.since_s
        if waited_s >= self.policy.hold_timeout_s:
            ticket.gone = True
            raise self._late(waited_s)
        self._ports[ticket.port].push(ticket)

    def release(self, now_s: float) -> list[Ticket]:
        """Those that may go now, in the order in which they came; each has its endpoint and has left the queue."""
        let_go: list[Ticket] = []
        candidates = [port for port in self._ports.values() if port.endpoints]
        while heads := [(head, port) for port in candidates if (head := port.head())]:
            ticket, port = min(heads, key=lambda each: each[0].number)
            taken = self._pace.take(port.endpoints, now_s, paced=self._somebody_waited)
            if taken is None:
                candidates.remove(port)
                continue
            port.pop()
            ticket.endpoint, ticket.lane = taken
            let_go.append(ticket)
        self._somebody_waited = self.held > 0
        return let_go

    def expired(self, now_s: float) -> list[tuple[Ticket, Turned]]:
        """Those that wait in vain; they have left the queue. Where a pod may be tried, waiting is not in vain."""
        sent: list[tuple[Ticket, Turned]] = []
        for port in self._ports.values():
            if self._may_try(port, now_s):
                continue
            while head := port.head():
                blocked = None if port.endpoints else self._blocked()
                waited_s = now_s - head.since_s
                if blocked is None and waited_s < self.policy.hold_timeout_s:
                    break
                port.pop().gone = True
                sent.append((head, blocked or self._late(waited_s)))
                self._wish.turned(now_s)
        return sent

    def next_s(self, now_s: float) -> float | None:
        """When to come back if nothing changes before; None = nobody waits."""
        times = [
            head.since_s + self.policy.hold_timeout_s
            for port in self._ports.values()
            if (head := port.head()) and not self._may_try(port, now_s)
        ]
        opens_s = self._pace.next_s(now_s) if self.held else None
        return min(times if opens_s is None else [*times, opens_s], default=None)

    def _may_try(self, port: _Port, now_s: float) -> bool:
        return any(self._pace.is_usable(endpoint, now_s) for endpoint in port.endpoints)

    def _refusal(self, port: _Port, now_s: float, *, is_crowded: bool) -> Turned | None:
        """Why nobody may come in now, if so."""
        policy, left_s = self.policy, self._wish.start_left_s(self.policy.expected_start_s, now_s)
        if not port.endpoints:
            if blocked := self._blocked():
                return blocked
            if left_s is not None and left_s > policy.hold_timeout_s:
                message = f"the model needs {left_s:.0f} s to start, and nothing is held for over "
                return Turned(503, "StartTooLong", left_s, f"{message}{policy.hold_timeout_s:g} s")
        if self.held >= policy.max_held:
            return Turned(503, "Full", max(left_s or 0.0, RETRY_S), f"{self.held} requests wait for the model already")
        if is_crowded and (self.held or not port.endpoints):
            return Turned(503, "Full", RETRY_S, "as many requests wait for all models as there is room for")
        return None

    def _blocked(self) -> Turned | None:
        blocked = self.policy.blocked
        return Turned(503, blocked.reason, BLOCKED_RETRY_S, blocked.message) if blocked else None

    def _late(self, waited_s: float) -> Turned:
        return Turned(504, "TimeUp", None, f"the model was not ready within {waited_s:.0f} s")
