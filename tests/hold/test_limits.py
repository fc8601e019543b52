"""How many may wait in one process, over all models."""

import pytest

from lull.errors import Turned
from lull.hold.limits import Crowd, Limits
from lull.hold.pace import Endpoint
from lull.hold.policy import HoldPolicy
from lull.hold.room import Room

MIB = 1 << 20


def test_one_held_request_takes_what_is_read_ahead_and_what_the_kernel_keeps() -> None:
    assert Limits(read_bytes=10, socket_bytes=100).held_bytes == 220


def test_as_many_may_wait_as_fit() -> None:
    limits = Limits()
    crowd = Crowd.within(512 * MIB, limits)
    assert crowd.limit is not None
    assert crowd.limit > 2000
    assert crowd.limit * limits.held_bytes <= 384 * MIB


def test_some_may_always_wait() -> None:
    assert Crowd.within(1, Limits()).limit == 100


def test_without_a_bound_nothing_is_full() -> None:
    crowd = Crowd.within(None, Limits())
    crowd.held = 10**9
    assert not crowd.is_full


@pytest.mark.parametrize(("held", "full"), [(0, False), (1, False), (2, True), (3, True)])
def test_a_crowd_is_full_at_its_limit(held: int, full: bool) -> None:
    assert Crowd(2, held).is_full is full


def test_in_a_crowd_nobody_else_may_wait_and_who_is_sent_away_still_wakes() -> None:
    room = Room(HoldPolicy())
    with pytest.raises(Turned, match="all models") as turned:
        room.enter("http", 0.0, is_crowded=True)
    assert (turned.value.status, turned.value.reason) == (503, "Full")
    assert room.wanted(1.0) == (1, 0.0)


def test_a_crowd_elsewhere_is_nothing_to_a_model_that_is_awake() -> None:
    room = Room(HoldPolicy())
    room.set_endpoints({"http": [Endpoint("10.0.0.1", 80)]}, 0.0)
    ticket = room.enter("http", 0.0, is_crowded=True)
    assert room.release(0.0) == [ticket]
