"""The waiting room under any course of events, and its rules one by one."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lull.errors import Turned
from lull.hold.pace import FIRST_WINDOW, Endpoint
from lull.hold.policy import Blocked, HoldPolicy
from lull.hold.room import Room, Ticket

PORTS = ("http", "grpc")
HOSTS = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
ENDPOINTS = tuple(Endpoint(host, 8000 + at) for host in HOSTS for at in range(len(PORTS)))


class AnyCourse(RuleBasedStateMachine):
    """Tickets come, leave, fail and finish; pods come and go; the policy changes; time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.room = Room(HoldPolicy(hold_timeout_s=20.0, max_held=60))
        self.waiting: set[Ticket] = set()
        self.working: set[Ticket] = set()

    def ready(self, port: str) -> bool:
        return port in self.room._ports and bool(self.room._ports[port].endpoints)

    def act(self) -> None:
        """What a gate does after every change, with everything that must be true of it."""
        room, paced = self.room, self.room._somebody_waited
        let_go = room.release(self.now_s)
        for ticket in let_go:
            assert ticket in self.waiting, "released twice, or never there"
            self.waiting.discard(ticket)
            self.working.add(ticket)
            assert ticket.endpoint in room._ports[ticket.port].endpoints
        for port in PORTS:
            released = [ticket.number for ticket in let_go if ticket.port == port]
            assert released == sorted(released)
            left = [ticket.number for ticket in self.waiting if ticket.port == port]
            assert not released or not left or max(released) < min(left), "somebody was overtaken"
        if paced:
            for ticket in let_go:
                assert ticket.lane is not None
                assert ticket.lane.in_flight <= ticket.lane.window(self.now_s), "more than the window"
        for ticket, turned in room.expired(self.now_s):
            assert ticket in self.waiting
            is_late = self.now_s - ticket.since_s >= room.policy.hold_timeout_s
            is_blocked = room.policy.blocked is not None and not self.ready(ticket.port)
            assert turned.status == (503 if is_blocked else 504)
            assert is_blocked or is_late
            assert not room.is_ready(ticket.port, self.now_s)
            self.waiting.discard(ticket)

    @rule(port=st.sampled_from(PORTS), number=st.sampled_from((1, 1, 5, 40)))
    def come(self, port: str, number: int) -> None:
        for _ in range(number):
            before, ready = self.room.held, self.room.is_ready(port, self.now_s)
            if before >= self.room.policy.max_held or (self.room.policy.blocked and not self.ready(port)):
                with pytest.raises(Turned):
                    self.room.enter(port, self.now_s)
            else:
                self.waiting.add(self.room.enter(port, self.now_s))
            self.act()
            if ready and before == 0:
                assert self.room.held == 0, "a request waited though a pod is ready and nobody else waits"

    @rule(data=st.data())
    def give_up(self, data: Any) -> None:
        self._leave(data, self.waiting)

    @rule(data=st.data(), number=st.integers(1, 20))
    def finish(self, data: Any, number: int) -> None:
        for _ in range(number):
            if self.working:
                self._leave(data, self.working)

    def _leave(self, data: Any, group: set[Ticket]) -> None:
        assume(group)
        ticket = data.draw(st.sampled_from(sorted(group)))
        self.room.leave(ticket)
        self.room.leave(ticket)  # a second time changes nothing
        group.discard(ticket)
        self.act()

    @rule(data=st.data())
    def fail(self, data: Any) -> None:
        assume(self.working)
        ticket = data.draw(st.sampled_from(sorted(self.working)))
        self.working.discard(ticket)
        if self.now_s - ticket.since_s >= self.room.policy.hold_timeout_s:
            with pytest.raises(Turned, match="not ready within"):
                self.room.again(ticket, self.now_s)
        else:
            self.room.again(ticket, self.now_s)
            self.waiting.add(ticket)
        self.act()

    @rule(ready=st.sets(st.sampled_from(ENDPOINTS)))
    def endpoints(self, ready: set[Endpoint]) -> None:
        by_port = {name: sorted(e for e in ready if e.port == 8000 + at) for at, name in enumerate(PORTS)}
        self.room.set_endpoints(by_port, self.now_s)
        self.act()

    @rule(blocked=st.booleans(), timeout_s=st.sampled_from((5.0, 20.0)), most=st.sampled_from((3, 60)))
    def policy(self, blocked: bool, timeout_s: float, most: int) -> None:
        why = Blocked("NoCapacity", "none") if blocked else None
        self.room.policy = HoldPolicy(hold_timeout_s=timeout_s, max_held=most, blocked=why)
        self.act()

    @rule(for_s=st.sampled_from((0.1, 0.5, 1.0, 7.0)))
    def wait(self, for_s: float) -> None:
        self.now_s += for_s
        self.act()

    @invariant()
    def nobody_is_lost(self) -> None:
        assert self.room.held == len(self.waiting)
        assert self.room.oldest_since_s == min((ticket.since_s for ticket in self.waiting), default=None)
        for lane in self.room._pace.lanes.values():
            assert lane.in_flight == sum(ticket.lane is lane for ticket in self.working)
        for port in self.room._ports.values():
            assert len(port.queue) <= 2 * port.waiting + 64

    @invariant()
    def nobody_is_forgotten(self) -> None:
        """Whoever waits is let go or sent away by coming back at the times that the room tells, and no others."""
        at_s = self.room.next_s(self.now_s)
        assert (at_s is None) == (not self.waiting)
        assert at_s is None or at_s > self.now_s

    def teardown(self) -> None:
        self.room.policy = HoldPolicy(hold_timeout_s=5.0)
        for _ in range(100):
            self.act()
            at_s = self.room.next_s(self.now_s)
            if at_s is None:
                break
            self.now_s = at_s
        assert not self.waiting, "somebody waits for ever"


TestAnyCourse = AnyCourse.TestCase

ONE, TWO = Endpoint("10.0.0.1", 80), Endpoint("10.0.0.2", 80)


def a_full_room(number: int, **policy: Any) -> tuple[Room, list[Ticket]]:
    room = Room(HoldPolicy(**policy))
    tickets = [room.enter("http", 0.0) for _ in range(number)]
    assert room.release(0.0) == []
    return room, tickets


def test_the_first_pod_is_given_a_window_and_the_next_one_its_own() -> None:
    room, tickets = a_full_room(100)
    room.set_endpoints({"http": [ONE]}, 10.0)
    assert room.release(10.0) == tickets[:FIRST_WINDOW]
    room.set_endpoints({"http": [ONE, TWO]}, 10.5)
    second = room.release(10.5)
    assert second == tickets[FIRST_WINDOW : 2 * FIRST_WINDOW]
    assert {ticket.endpoint for ticket in second} == {TWO}


def test_each_request_that_is_done_lets_two_more_go() -> None:
    room, tickets = a_full_room(100)
    room.set_endpoints({"http": [ONE]}, 0.0)
    first = room.release(0.0)
    room.leave(first[0])
    assert room.release(0.0) == tickets[FIRST_WINDOW : FIRST_WINDOW + 2]


def test_requests_of_two_ports_go_in_the_order_in_which_they_came() -> None:
    room = Room(HoldPolicy())
    tickets = [room.enter(PORTS[at % 2], 0.0) for at in range(40)]
    room.release(0.0)
    room.set_endpoints({"http": [Endpoint(ONE.host, 80)], "grpc": [Endpoint(ONE.host, 90)]}, 1.0)
    assert room.release(1.0) == tickets[:FIRST_WINDOW], "one pod has one window, whatever the port"


def test_a_port_whose_pods_are_full_keeps_the_other_ports_requests_not() -> None:
    room = Room(HoldPolicy())
    grpc = [room.enter("grpc", 0.0) for _ in range(20)]
    http = [room.enter("http", 0.0) for _ in range(5)]
    room.release(0.0)
    room.set_endpoints({"grpc": [ONE], "http": [TWO]}, 1.0)
    assert room.release(1.0) == grpc[:FIRST_WINDOW] + http


def test_long_answers_keep_nobody_waiting_for_long() -> None:
    room, tickets = a_full_room(1000)
    room.set_endpoints({"http": [ONE]}, 0.0)
    gone = 0
    for second in range(math.ceil(math.log2(1000 / FIRST_WINDOW)) + 1):
        gone += len(room.release(float(second)))
    assert gone == len(tickets)


def test_pods_that_are_equally_busy_take_turns() -> None:
    room = Room(HoldPolicy())
    room.set_endpoints({"http": [ONE, TWO]}, 0.0)
    taken = []
    for _ in range(4):
        ticket = room.enter("http", 0.0)
        room.release(0.0)
        taken.append(ticket.endpoint)
        room.leave(ticket)
    assert taken in ([ONE, TWO, ONE, TWO], [TWO, ONE, TWO, ONE])


def test_a_pod_that_failed_on_one_port_is_still_tried_on_the_other() -> None:
    room = Room(HoldPolicy())
    grpc = Endpoint(ONE.host, 90)
    room.set_endpoints({"http": [ONE], "grpc": [grpc]}, 0.0)
    ticket = room.enter("http", 0.0)
    room.release(0.0)
    room.again(ticket, 0.0)
    assert room.release(0.0) == []
    assert (room.is_ready("http", 0.1), room.is_ready("grpc", 0.1)) == (False, True)
    assert room.is_ready("http", 0.6)


def test_a_pod_that_failed_a_moment_ago_is_waited_for_whatever_blocks_the_next_one() -> None:
    room = Room(HoldPolicy(blocked=Blocked("QuotaExceeded", "no second replica")))
    room.set_endpoints({"http": [ONE]}, 0.0)
    ticket = room.enter("http", 0.0)
    room.release(0.0)
    room.again(ticket, 0.0)
    assert (room.release(0.1), room.expired(0.1)) == ([], [])
    assert room.release(0.5) == [ticket]


@pytest.mark.parametrize(
    ("policy", "held", "reason", "retry_after_s"),
    [
        pytest.param({"max_held": 3}, 3, "Full", 5.0, id="full"),
        pytest.param({"max_held": 3, "expected_start_s": 40.0}, 3, "Full", 40.0, id="full, start known"),
        pytest.param({"expected_start_s": 60.5}, 0, "StartTooLong", 60.5, id="start longer than the hold"),
        pytest.param({"expected_start_s": 60.0}, 0, None, None, id="start as long as the hold"),
        pytest.param({"blocked": Blocked("ImagePull", "no such image")}, 0, "ImagePull", 30.0, id="blocked"),
        pytest.param({}, 999, None, None, id="room for one more"),
    ],
)
def test_who_may_wait(policy: dict[str, Any], held: int, reason: str | None, retry_after_s: float | None) -> None:
    room, _ = a_full_room(held, **policy)
    if reason is None:
        room.enter("http", 0.0)
        assert room.held == held + 1
        return
    with pytest.raises(Turned) as caught:
        room.enter("http", 0.0)
    assert (caught.value.status, caught.value.reason, caught.value.retry_after_s) == (503, reason, retry_after_s)


def test_a_wish_counts_from_its_first_request_and_lapses() -> None:
    room = Room(HoldPolicy(hold_timeout_s=10.0, expected_start_s=100.0))

    def left_at(now_s: float) -> float | None:
        try:
            room.leave(room.enter("http", now_s))
        except Turned as turned:
            return turned.retry_after_s
        return None

    assert [left_at(0.0), left_at(60.0), left_at(95.0)] == [100.0, 40.0, None]
    assert left_at(194.0) is None
    assert left_at(294.0) == 100.0, "nobody had asked for as long as a start takes"


def test_clients_that_come_and_go_do_not_pile_up() -> None:
    room, _ = a_full_room(1)
    for _ in range(10_000):
        room.leave(room.enter("http", 1.0))
    assert len(room._ports["http"].queue) < 100
