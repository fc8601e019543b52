"""The gate of one model: what both protocols pass through on their way to its pods.

The room concludes (``lull.hold.room``), the gate waits. It is told the policy and the ready endpoints, and tells by
``on_change`` when the number of those that wait changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from prometheus_client import CollectorRegistry

from lull.activator.meters import Meters
from lull.errors import Turned
from lull.hold.limits import Crowd
from lull.hold.pace import Endpoint
from lull.hold.policy import Blocked, HoldPolicy
from lull.hold.room import Room, Ticket
from lull.model.spec import Key

__all__ = ["Blocked", "Endpoint", "Gate", "HoldPolicy", "Passage", "Turned"]

_LEAST_SLEEP_S: Final = 0.001


class Passage:
    """A request's leave to go to one endpoint, for as long as its context lasts."""

    __slots__ = ("_gate", "_ticket", "endpoint", "held_s", "was_held")

    def __init__(self, gate: Gate, ticket: Ticket, endpoint: Endpoint) -> None:
        self._gate = gate
        self._ticket = ticket
        self.endpoint = endpoint
        """Where to go."""
        self.held_s = gate.clock() - ticket.since_s
        """Seconds that it waited so far."""
        self.was_held = ticket.waiter is not None
        """Whether it had to wait at all."""

    def sent(self) -> None:
        """Says that the request is on its way to the endpoint."""
        if self.was_held:
            self._gate.went(self._ticket)

    async def another(self) -> Endpoint:
        """Another endpoint, where connecting to this one failed before any byte was sent; waits if need be.

        Raises:
            Turned: none could be reached within the hold timeout.
        """
        self.endpoint = await self._gate.wait_again(self._ticket)
        self.held_s = self._gate.clock() - self._ticket.since_s
        return self.endpoint


class Gate:
    """One model's waiting room, on the running event loop's clock."""

    def __init__(
        self, uid: str, key: Key, policy: HoldPolicy, meters: Meters | None = None, crowd: Crowd | None = None
    ) -> None:
        self.uid = uid
        self.key = key
        self.meters = meters or Meters(CollectorRegistry())
        self.on_change: Callable[[], None] = _nothing
        """Called whenever ``held`` or ``wanted`` may have changed; must be quick."""
        self.on_ready: set[Callable[[], None]] = set()
        """Each is called when the first endpoint is ready: connections end, so that clients go to the pods."""
        self.ready_since_s: float | None = None
        """When the first endpoint was told after there was none; None = there is none."""
        self._loop = asyncio.get_running_loop()
        self.clock: Callable[[], float] = self._loop.time
        self._room = Room(policy)
        self._crowd = crowd or Crowd()
        self._counted = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def policy(self) -> HoldPolicy:
        """What it abides by."""
        return self._room.policy

    @property
    def held(self) -> int:
        """Requests that wait."""
        return self._room.held

    @property
    def oldest_since_s(self) -> float | None:
        """When the one that waits longest came, on ``clock``; None = nobody waits."""
        return self._room.oldest_since_s

    @property
    def wanted(self) -> tuple[int, float] | None:
        """What to report as demand: how many want the model and since when, on ``clock``; None = nobody.

        Those that wait; where nobody does, one for 30 s after somebody was turned away, since who was told to come
        back for a long start would otherwise never have started it.
        """
        return self._room.wanted(self.clock())

    @property
    def is_ready(self) -> bool:
        """Whether any endpoint is ready."""
        return self.ready_since_s is not None

    def serves(self, port_name: str) -> bool:
        """Whether an endpoint of this port may be tried now: then nothing is answered in the model's place."""
        return self._room.is_ready(port_name, self.clock())

    def update(self, policy: HoldPolicy) -> None:
        """Abides by this from now on; who waits is turned away at once where it says blocked."""
        self._room.policy = policy
        self._turn()

    def set_endpoints(self, by_port: Mapping[str, Sequence[Endpoint]]) -> None:
        """Exactly these are ready, by the Service port's name."""
        now_s, was_ready = self.clock(), self.is_ready
        self._room.set_endpoints(by_port, now_s)
        if not any(by_port.values()):
            self.ready_since_s = None
        elif not was_ready:
            self.ready_since_s = now_s
        self._turn()
        if self.is_ready and not was_ready:
            for tell in tuple(self.on_ready):
                tell()

    @asynccontextmanager
    async def passage(self, port_name: str) -> AsyncIterator[Passage]:
        """Enters, waits for its turn at a ready endpoint; leaving says that the request is done.

        Raises:
            Turned: it may not wait, or waited in vain.
        """
        try:
            ticket = self._room.enter(port_name, self.clock(), is_crowded=self._crowd.is_full)
        except Turned:
            self._tell()
            raise
        try:
            try:
                endpoint = await self._wait(ticket)
            finally:
                if ticket.waiter is not None:
                    self.meters.held(self.key, self.clock() - ticket.since_s)
            yield Passage(self, ticket, endpoint)
        finally:
            self._room.leave(ticket)
            self._turn()

    def went(self, ticket: Ticket) -> None:
        """A request that was held is on its way; see ``Passage.sent``."""
        could_go_s = max(ticket.since_s, self.ready_since_s or ticket.since_s)
        self.meters.forwarded(self.key, self.clock() - could_go_s)

    async def wait_again(self, ticket: Ticket) -> Endpoint:
        """Waits at the place that the ticket's number gives it; see ``Passage.another``."""
        self._room.again(ticket, self.clock())
        return await self._wait(ticket)

    async def _wait(self, ticket: Ticket) -> Endpoint:
        self._turn()
        while ticket.endpoint is None:
            ticket.waiter = waiter = self._loop.create_future()
            await waiter
        return ticket.endpoint

    def _turn(self) -> None:
        """Lets go whoever may, sends away whose time is up, and comes back for the next one."""
        now_s = self.clock()
        for ticket in self._room.release(now_s):
            _settle(ticket, None)
        for ticket, turned in self._room.expired(now_s):
            _settle(ticket, turned)
        self._come_back(now_s)
        self._tell()

    def _tell(self) -> None:
        self._crowd.held += self.held - self._counted
        self._counted = self.held
        self.meters.held_now(self.key, self.held)
        self.on_change()

    def _come_back(self, now_s: float) -> None:
        """Sets the timer; one that is set for an earlier moment stays, since most turns change nothing about it."""
        next_s = self._room.next_s(now_s)
        if self._timer and (next_s is None or self._timer.when() > next_s or self._timer.when() <= now_s):
            self._timer.cancel()
            self._timer = None
        if next_s is not None and not self._timer:
            # Timers fire a hair early: without a least sleep the same one would be set again and again.
            self._timer = self._loop.call_at(max(next_s, now_s + _LEAST_SLEEP_S), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._turn()


def _settle(ticket: Ticket, turned: Turned | None) -> None:
    waiter = ticket.waiter
    if not isinstance(waiter, asyncio.Future) or waiter.done():
        return
    if turned is None:
        waiter.set_result(None)
    else:
        waiter.set_exception(turned)


def _nothing() -> None:
    pass
