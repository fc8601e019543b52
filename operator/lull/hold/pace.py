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
"""Seconds that a pod that could not be reached is left out; it may have listened a moment too late."""


class Endpoint(NamedTuple):
    """Where one ready pod serves one port."""

    host: str
    port: int


class Lane:
    """One pod: its window while others wait, and what it is working on."""

    __slots__ = ("done", "failed_until_s", "in_flight", "since_s", "turn")

    def __init__(self, since_s: float) -> None:
        self.since_s = since_s
        self.failed_until_s = since_s
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
        """It could not be reached: this request and others go elsewhere for a moment, and its window starts anew."""
        self.in_flight -= 1
        self.done = 0
        self.since_s = self.failed_until_s = now_s + COOL_OFF_S


class Pace:
    """The pods of one model, by host: a pod that serves two ports has one window."""

    def __init__(self) -> None:
        self.lanes: dict[str, Lane] = {}
        self._turns = 0

    def set_hosts(self, hosts: Iterable[str], now_s: float) -> None:
        """Exactly these pods are ready; the windows of new ones start to open."""
        old = self.lanes
        self.lanes = {host: old.get(host) or Lane(now_s) for host in hosts}

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
            if (lane := self.lanes[endpoint.host]).failed_until_s <= now_s
            and (not paced or lane.in_flight < lane.window(now_s))
        ]
        if not free:
            return None
        endpoint = endpoints[min(free)[2]]
        lane = self.lanes[endpoint.host]
        self._turns += 1
        lane.in_flight, lane.turn = lane.in_flight + 1, self._turns
        return endpoint, lane

    def usable(self, endpoints: Sequence[Endpoint], now_s: float) -> bool:
        """Whether any of them may be tried now."""
        return any(self.lanes[endpoint.host].failed_until_s <= now_s for endpoint in endpoints)

    def next_s(self, now_s: float) -> float | None:
        """When a window opens further, or a pod that failed may be tried again; None = never."""
        times = [
            lane.failed_until_s
            if lane.failed_until_s > now_s
            else lane.since_s + (lane.doublings(now_s) + 1) * DOUBLING_S
            for lane in self.lanes.values()
            if lane.failed_until_s > now_s or lane.doublings(now_s) < _MOST_DOUBLINGS
        ]
        return min(times, default=None)
