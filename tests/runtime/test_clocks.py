"""A wall clock that jumps moves neither the rounds nor the Lease."""

from __future__ import annotations

import asyncio
import time

import pytest

from fake_cluster import LEASES, FakeCluster
from lull.adapters.api import Api
from lull.adapters.lease import Lease
from lull.runtime.leader import Leader, uptime_s
from lull.runtime.loop import steady_clock

DAY_S = 86_400.0


@pytest.fixture(params=[DAY_S, -DAY_S], ids=["forwards", "backwards"])
def jump(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> object:
    """Makes the wall clock jump."""
    real = time.time

    def happens() -> None:
        monkeypatch.setattr(time, "time", lambda: real() + request.param)

    return happens


def test_the_loops_clock_goes_on(jump: object) -> None:
    clock = steady_clock()
    before_s = clock()
    jump()  # type: ignore[operator]
    assert 0.0 <= clock() - before_s < 10.0


def test_the_elections_clock_goes_on(jump: object) -> None:
    before_s = uptime_s()
    jump()  # type: ignore[operator]
    assert 0.0 <= uptime_s() - before_s < 10.0


def test_a_leader_stays_leader(jump: object) -> None:
    async def act(api: Api) -> bool:
        leader = Leader(Lease(api, "lull-system", 8.0), "a")
        await leader.win()
        jump()  # type: ignore[operator]
        keeping = asyncio.create_task(leader.keep())
        await asyncio.sleep(1.5)
        is_leader = leader.may_write() and not keeping.done()
        keeping.cancel()
        return is_leader

    assert FakeCluster().do(act)


@pytest.mark.parametrize("told", ["1999-01-01T00:00:00.000000Z", "2099-01-01T00:00:00.000000Z", "nonsense"])
def test_the_time_that_a_leader_tells_is_nobodys_reason(told: str) -> None:
    """A leader whose wall clock is a century off: the Lease is neither taken from it early, nor left to it for ever."""
    spec = {"holderIdentity": "off", "leaseDurationSeconds": 8, "renewTime": told}
    cluster = FakeCluster().has(LEASES, {"metadata": {"name": "lull-operator", "resourceVersion": "1"}, "spec": spec})
    now_s = [1000.0]

    async def act(api: Api) -> list[bool]:
        leader = Leader(Lease(api, "lull-system", 8.0), "a", clock=lambda: now_s[0])
        led = []
        for later_s in (0.0, 7.9, 0.2):
            now_s[0] += later_s
            standby = asyncio.create_task(leader.win())
            await asyncio.sleep(0.5)
            led.append(standby.done())
            standby.cancel()
        return led

    assert cluster.do(act) == [False, False, True]
