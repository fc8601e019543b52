"""The election on a clock that jumps to the next timer: real candidates, and a Lease that fails them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import virtual_time
from lull.errors import Deposed, Refused, Unreachable
from lull.model.lease import LeaseRecord
from lull.runtime.leader import Leader


def now_s() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class Store:
    """The Lease. ``trouble`` comes before and after each request, and may take long or raise."""

    record: LeaseRecord | None = None
    written: list[tuple[float, str]] = field(default_factory=list)
    trouble: Callable[[], Awaitable[None]] | None = None

    async def read(self, timeout_s: float) -> LeaseRecord | None:
        async def act() -> LeaseRecord | None:
            return self.record

        return await self._exchange(act, timeout_s)

    async def create(self, holder: str, address: str, timeout_s: float) -> LeaseRecord:
        return await self._exchange(lambda: self._write(None, holder, address), timeout_s)

    async def replace(self, held: LeaseRecord, holder: str, address: str, timeout_s: float) -> LeaseRecord:
        return await self._exchange(lambda: self._write(held, holder, address), timeout_s)

    async def _write(self, held: LeaseRecord | None, holder: str, address: str) -> LeaseRecord:
        if (held and held.version) != (self.record and self.record.version):
            raise Refused(409, "somebody was faster")
        self.written.append((now_s(), holder))
        self.record = LeaseRecord(holder, str(len(self.written)), 8.0, 0, address)
        return self.record

    async def _exchange(self, act: Callable[[], Awaitable[Any]], timeout_s: float) -> Any:
        try:
            async with asyncio.timeout(timeout_s):
                if self.trouble:
                    await self.trouble()
                found = await act()
                if self.trouble:
                    await self.trouble()
                return found
        except TimeoutError as error:
            raise Unreachable("no answer") from error


def a_leader(store: Store, me: str = "a", rate: float = 1.0, offset_s: float = 0.0) -> Leader:
    return Leader(store, me, f"{me}:8080", clock=lambda: offset_s + rate * now_s())


API: Any = SimpleNamespace(writing=0)


@asynccontextmanager
async def in_office(leader: Leader) -> AsyncIterator[asyncio.Task[None]]:
    """Leads for as long as the block lasts, unless it is deposed."""
    await leader.win()
    task = asyncio.create_task(leader.keep())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def lost() -> None:
    raise Unreachable("no route")


def test_who_is_alone_leads_at_once_and_stays() -> None:
    async def main() -> None:
        store = Store()
        async with in_office(leader := a_leader(store)):
            assert now_s() == 1000.0
            assert leader.led_at_s == 1000.0
            for _ in range(600):
                await asyncio.sleep(0.1)
                assert leader.may_write()
        assert len(store.written) == pytest.approx(60, abs=2), "once a second"

    virtual_time.run(main())


def test_a_second_one_stands_by_and_takes_over_from_a_dead_one_in_time() -> None:
    async def main() -> None:
        store = Store()
        first, second = a_leader(store), a_leader(store, "b")
        async with in_office(first):
            standby = asyncio.create_task(second.win())
            await asyncio.sleep(60.0)
            assert not second.may_write()
            assert second.holder is not None
            assert second.holder.address == "a:8080"
        died_s = now_s()
        await standby
        assert second.may_write()
        assert not first.may_write()
        assert now_s() - store.written[-2][0] >= 8.0, "not before the last renewal ran out"
        assert now_s() - died_s < 15.0

    virtual_time.run(main())


def test_who_resigns_is_followed_at_once() -> None:
    async def main() -> None:
        store = Store()
        first, second = a_leader(store), a_leader(store, "b")
        async with in_office(first) as keeping:
            standby = asyncio.create_task(second.win())
            await asyncio.sleep(10.2)
            await first.resign(API)
            assert not first.may_write()
            resigned_s = now_s()
            await standby
            assert now_s() - resigned_s <= 1.0
            await asyncio.sleep(5.0)
            assert keeping.done()
            assert keeping.exception() is None, "to let go is no failure"

    virtual_time.run(main())


def test_the_lease_is_given_back_after_the_writes_under_way() -> None:
    async def main() -> None:
        store, api = Store(), SimpleNamespace(writing=1)
        async with in_office(leader := a_leader(store)):
            resigning = asyncio.create_task(leader.resign(api))  # type: ignore[arg-type]
            await asyncio.sleep(1.0)
            assert not leader.may_write()
            assert store.record is not None
            assert store.record.holder == "a"
            api.writing = 0
            await resigning
            assert store.record.holder == ""

    virtual_time.run(main())


def test_with_a_write_that_does_not_end_the_lease_runs_out_by_itself() -> None:
    async def main() -> None:
        store = Store()
        async with in_office(leader := a_leader(store)):
            await leader.resign(SimpleNamespace(writing=1))  # type: ignore[arg-type]
            assert store.record is not None
            assert store.record.holder == "a"

    virtual_time.run(main())


def test_a_standby_that_resigns_takes_nothing_from_the_leader() -> None:
    async def main() -> None:
        store = Store()
        async with in_office(a_leader(store)):
            second = a_leader(store, "b")
            await second.resign(API)
            assert store.record is not None
            assert store.record.holder == "a"

    virtual_time.run(main())


def test_a_leader_that_the_api_server_leaves_alone_is_deposed_at_its_deadline() -> None:
    async def main() -> None:
        store = Store()
        async with in_office(leader := a_leader(store)) as keeping:
            await asyncio.sleep(10.5)
            store.trouble = lost
            renewed_s = store.written[-1][0]
            with pytest.raises(Deposed):
                await keeping
            assert now_s() - renewed_s == pytest.approx(5.0, abs=0.01)
            assert not leader.may_write()

    virtual_time.run(main())


def test_a_hanging_api_server_deposes_as_a_silent_one() -> None:
    async def main() -> None:
        store = Store()
        async with in_office(a_leader(store)) as keeping:
            await asyncio.sleep(10.5)
            store.trouble = lambda: asyncio.sleep(3600.0)
            renewed_s = store.written[-1][0]
            with pytest.raises(Deposed):
                await keeping
            assert now_s() - renewed_s <= 5.01

    virtual_time.run(main())


def test_an_outage_shorter_than_the_deadline_deposes_nobody() -> None:
    async def main() -> None:
        store = Store()
        async with in_office(leader := a_leader(store)) as keeping:
            for _ in range(20):
                store.trouble = lost
                await asyncio.sleep(2.5)
                store.trouble = None
                await asyncio.sleep(2.0)
                assert leader.may_write()
            assert not keeping.done()

    virtual_time.run(main())


def test_a_minute_without_the_api_server_ends_with_one_leader_again() -> None:
    async def main() -> None:
        store = Store(trouble=lost)
        candidates = [a_leader(store, me) for me in "ab"]
        tasks = [asyncio.create_task(candidate.win()) for candidate in candidates]
        await asyncio.sleep(60.0)
        assert not any(task.done() for task in tasks)
        assert all(now_s() - candidate.tried_at_s <= 2.0 for candidate in candidates), "a standby is alive meanwhile"
        store.trouble = None
        await asyncio.sleep(3.0)
        assert sum(candidate.may_write() for candidate in candidates) == 1
        for task in tasks:
            task.cancel()

    virtual_time.run(main())


def test_a_renewal_whose_answer_was_lost_is_found_and_goes_on() -> None:
    async def main() -> None:
        store = Store()
        async with in_office(leader := a_leader(store)) as keeping:
            await asyncio.sleep(10.5)
            calls = iter(range(100))

            async def after_the_write() -> None:
                if next(calls) == 1:
                    raise Unreachable("the answer was lost")

            store.trouble = after_the_write
            await asyncio.sleep(10.0)
            assert leader.may_write()
            assert not keeping.done()

    virtual_time.run(main())


def test_who_finds_the_lease_stolen_stops_though_its_deadline_is_not_over() -> None:
    async def main() -> None:
        store = Store()
        async with in_office(a_leader(store)) as keeping:
            await asyncio.sleep(10.5)
            store.record = LeaseRecord("thief", "99", 8.0)
            stolen_s = now_s()
            with pytest.raises(Deposed):
                await keeping
            assert now_s() - stolen_s <= 2.1

    virtual_time.run(main())


def test_who_was_paused_while_it_was_elected_starts_anew() -> None:
    """Its election is over before it hears of it: it must neither lead nor wait for ever."""

    async def main() -> None:
        store, paused_s = Store(), [0.0]
        calls = iter(range(100))

        async def pause_after_the_write() -> None:
            if next(calls) == 3:
                paused_s[0] = 10.0

        store.trouble = pause_after_the_write
        with pytest.raises(Deposed):
            await Leader(store, "a", clock=lambda: paused_s[0] + now_s()).win()
        assert store.record is not None
        assert store.record.holder == "a"

    virtual_time.run(main())


@given(
    seed=st.integers(0, 2**32 - 1),
    rates=st.lists(st.floats(0.8, 1.2), min_size=2, max_size=3),
    loss=st.floats(0.0, 0.3),
    slow_s=st.floats(0.01, 3.0),
)
def test_candidates_never_lead_together(seed: int, rates: list[float], loss: float, slow_s: float) -> None:
    rng = np.random.default_rng(seed)
    store = Store()
    leaders: list[Leader] = []

    async def trouble() -> None:
        await asyncio.sleep(float(rng.exponential(slow_s)) if rng.random() < 0.2 else 0.001)
        if rng.random() < loss:
            raise Unreachable("lost")

    async def lives(number: int, rate: float) -> None:
        for life in range(1000):
            leaders[number] = a_leader(store, f"n{number}.{life}", rate, offset_s=float(rng.uniform(-1e5, 1e5)))
            try:
                await leaders[number].win()
                await leaders[number].keep()
            except Deposed:
                continue

    async def main() -> None:
        store.trouble = trouble
        leaders.extend(a_leader(store, "nobody") for _ in rates)
        tasks = [asyncio.create_task(lives(number, rate)) for number, rate in enumerate(rates)]
        for _ in range(1200):
            await asyncio.sleep(0.1)
            assert sum(leader.may_write() for leader in leaders) <= 1
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    virtual_time.run(main())
    assert store.written, "somebody led"
