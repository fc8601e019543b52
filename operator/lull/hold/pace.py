"""How many requests a pod that has just become ready is given of those that wait: a window that opens like TCP's.

Released all at once, a thousand held requests would all sit in the queue of the pod that was ready first, and none
would be left for the next one; so each pod starts with a few. Its window grows by one with every request that is done,
and doubles every second besides: answers that take minutes must not keep others waiting whom the pod could take.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

FIRST_WINDOW: Final = 8
DOUBLING_S: Final = 1.0
_MOST_DOUBLINGS: Final = 20
COOL_OFF_S: Final = 0.5
"""Seconds that an endpoint that could not be reached is left out; it may have listened a moment too late."""


class Endpoint(NamedTuple):
    """Where one ready pod serves one port."""

    host: str
    port: int


class Lane:
    """One pod: its window while others wait, and what it is working on."""

    __slots__ = ("done", "in_flight", "since_s", "turn")

    def __init__(self, since_s: float) -> None:
        self.since_s = since_s
        self.done = 0
        self.in_flight = 0
        self.turn = 0

    def doublings(self, now_s: float) -> int:
        """How often its window has doubled."""
        return min(int((now_s - self.since_s) / DOUBLING_S), _MOST_DOUBLINGS)

    def window(self, now_s: float) -> int:
        """Most requests that it works on while somebody waits."""
        return FIRST_WINDOW * int(2 ** self.doublings(now_s)) + self.done

    def finish(self) -> None:
        """A request of it is over, well or not."""
        self.in_flight -= 1
        self.done += 1

    def fail(self, now_s: float) -> None:
        """It could not be reached: its window starts anew."""
        self.in_flight -= 1
        self.done = 0
        self.since_s = now_s


class Pace:
    """The pods of one model, by host: a pod that serves two ports has one window."""

    def __init__(self) -> None:
        self.lanes: dict[str, Lane] = {}
        self._failed_until_s: dict[Endpoint, float] = {}
        self._turns = 0

    def set_endpoints(self, endpoints: Iterable[Endpoint], now_s: float) -> None:
        """Exactly these are ready; the windows of new pods start to open."""
        known, old, failed = frozenset(endpoints), self.lanes, self._failed_until_s
        self.lanes = {endpoint.host: old.get(endpoint.host) or Lane(now_s) for endpoint in known}
        self._failed_until_s = {endpoint: until_s for endpoint, until_s in failed.items() if endpoint in known}

    def fail(self, endpoint: Endpoint, lane: Lane, now_s: float) -> None:
        """A request could not reach it: this one and others go elsewhere for a moment."""
        lane.fail(now_s)
        if endpoint.host in self.lanes:
            self._failed_until_s[endpoint] = now_s + COOL_OFF_S

    def is_usable(self, endpoint: Endpoint, now_s: float) -> bool:
        """Whether it may be tried now."""
        return self._failed_until_s.get(endpoint, now_s) <= now_s

    def take(self, endpoints: Sequence[Endpoint], now_s: float, *, paced: bool) -> tuple[Endpoint, Lane] | None:
        """Gives a request to the pod with the least to do, in turn among equals; None where all are full or left out.

        Args:
            endpoints: of one port; their hosts are among those set.
            now_s: the time.
            paced: whether windows bound what a pod is given: they do only while somebody waits.
        """
        free = [
            (lane.in_flight, lane.turn, at)
            for at, endpoint in enumerate(endpoints)
            if self.is_usable(endpoint, now_s)
            and ((lane := self.lanes[endpoint.host]).in_flight < lane.window(now_s) or not paced)
        ]
        if not free:
            return None
        endpoint = endpoints[min(free)[2]]
        lane = self.lanes[endpoint.host]
        self._turns += 1
        lane.in_flight, lane.turn = lane.in_flight + 1, self._turns
        return endpoint, lane

    def next_s(self, now_s: float) -> float | None:
        """When a window opens further, or an endpoint that failed may be tried again; None = never."""
        doublings = (
            lane.since_s + (lane.doublings(now_s) + 1) * DOUBLING_S
            for lane in self.lanes.values()
            if lane.doublings(now_s) < _MOST_DOUBLINGS
        )
        tries = (until_s for until_s in self._failed_until_s.values() if until_s > now_s)
        return min((*doublings, *tries), default=None)
