"""A gate on a clock that jumps: who waits, who goes, who is sent away, and when."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import virtual_time
from lull.activator.gate import Blocked, Endpoint, Gate, HoldPolicy, Passage, Turned
from lull.hold.limits import Crowd
from lull.model.spec import Key

ONE, TWO = Endpoint("10.0.0.1", 8080), Endpoint("10.0.0.2", 8080)


def told(story: Callable[[Gate], Coroutine[Any, Any, None]], **policy: Any) -> None:
    async def main() -> None:
        await story(Gate("u1", Key("ns", "chat"), HoldPolicy(**policy)))

    virtual_time.run(main())


async def asks(gate: Gate, for_s: float = 0.0) -> Passage:
    async with gate.passage("http") as passage:
        await asyncio.sleep(for_s)
        return passage


def test_a_ready_model_holds_nobody() -> None:
    async def story(gate: Gate) -> None:
        gate.set_endpoints({"http": [ONE]})
        passages = [await asks(gate) for _ in range(3)]
        assert [(p.endpoint, p.held_s) for p in passages] == [(ONE, 0.0)] * 3
        assert gate.wanted is None

    told(story)


def test_who_waits_goes_when_a_pod_is_ready_and_knows_how_long_it_waited() -> None:
    async def story(gate: Gate) -> None:
        asking = asyncio.create_task(asks(gate))
        await asyncio.sleep(7)
        assert (gate.held, gate.wanted) == (1, (1, 1000.0))
        gate.set_endpoints({"http": [ONE]})
        passage = await asking
        assert (passage.endpoint, passage.held_s, gate.held, gate.wanted) == (ONE, 7.0, 0, None)

    told(story)


def test_time_up_is_a_504() -> None:
    async def story(gate: Gate) -> None:
        with pytest.raises(Turned, match="not ready within 20 s") as caught:
            await asks(gate)
        assert (caught.value.status, gate.clock(), gate.held) == (504, 1020.0, 0)

    told(story, hold_timeout_s=20.0)


def test_everybody_has_the_same_patience() -> None:
    async def story(gate: Gate) -> None:
        async def asked_at(start_s: float) -> float:
            await asyncio.sleep(start_s)
            with pytest.raises(Turned):
                await asks(gate)
            return gate.clock() - 1000.0

        assert await asyncio.gather(*map(asked_at, (0.0, 3.0, 11.0))) == [20.0, 23.0, 31.0]

    told(story, hold_timeout_s=20.0)


def test_a_client_that_goes_frees_its_place_at_once() -> None:
    async def story(gate: Gate) -> None:
        first = asyncio.create_task(asks(gate))
        await asyncio.sleep(1)
        with pytest.raises(Turned, match="1 requests wait"):
            await asks(gate)
        first.cancel()
        await asyncio.wait([first])
        assert gate.held == 0
        second = asyncio.create_task(asks(gate))
        await asyncio.sleep(1)
        gate.set_endpoints({"http": [ONE]})
        assert (await second).endpoint == ONE

    told(story, max_held=1)


def test_being_let_go_and_leaving_in_one_breath_leaks_no_place() -> None:
    async def story(gate: Gate) -> None:
        first = asyncio.create_task(asks(gate))
        await asyncio.sleep(1)
        gate.set_endpoints({"http": [ONE]})
        first.cancel()
        await asyncio.wait([first])
        assert gate._room._pace.lanes[ONE.host].in_flight == 0

    told(story)


def test_a_start_longer_than_the_hold_is_told_at_once_and_still_wakes() -> None:
    async def story(gate: Gate) -> None:
        with pytest.raises(Turned, match="needs 90 s") as caught:
            await asks(gate)
        assert (caught.value.status, caught.value.retry_after_s) == (503, 90.0)
        assert (gate.held, gate.wanted) == (0, (1, 1000.0))
        await asyncio.sleep(29)
        assert gate.wanted == (1, 1000.0)
        await asyncio.sleep(1)
        assert gate.wanted is None

    told(story, expected_start_s=90.0)


def test_who_comes_back_when_the_start_is_nearly_over_may_wait() -> None:
    async def story(gate: Gate) -> None:
        with pytest.raises(Turned):
            await asks(gate)
        await asyncio.sleep(40)
        later = asyncio.create_task(asks(gate))
        await asyncio.sleep(1)
        assert gate.held == 1
        gate.set_endpoints({"http": [ONE]})
        await later

    told(story, expected_start_s=90.0)


def test_a_wake_that_is_blocked_turns_away_who_waits_and_who_comes() -> None:
    async def story(gate: Gate) -> None:
        waits = asyncio.create_task(asks(gate))
        await asyncio.sleep(2)
        gate.update(HoldPolicy(blocked=Blocked("NoCapacity", "no node has a GPU left")))
        for asking in (waits, asyncio.create_task(asks(gate))):
            with pytest.raises(Turned, match="no node has a GPU left") as caught:
                await asking
            assert (caught.value.status, caught.value.reason) == (503, "NoCapacity")

    told(story)


def test_a_pod_that_is_ready_counts_more_than_a_blocked_wake() -> None:
    async def story(gate: Gate) -> None:
        gate.set_endpoints({"http": [ONE]})
        assert (await asks(gate)).endpoint == ONE

    told(story, blocked=Blocked("NoCapacity", "for the second replica"))


def test_whom_the_first_endpoint_failed_goes_to_the_next() -> None:
    async def story(gate: Gate) -> None:
        gate.set_endpoints({"http": [ONE, TWO]})
        async with gate.passage("http") as passage:
            first = passage.endpoint
            assert {first, await passage.another()} == {ONE, TWO}
            assert passage.endpoint != first

    told(story)


def test_a_lone_endpoint_that_fails_is_tried_until_the_hold_is_over() -> None:
    async def story(gate: Gate) -> None:
        gate.set_endpoints({"http": [ONE]})
        times: list[float] = []
        with pytest.raises(Turned) as caught:
            await tries(gate, times)
        assert (caught.value.status, gate.clock()) == (504, 1002.0)
        assert times == [1000.0, 1000.5, 1001.0, 1001.5, 1002.0]

    async def tries(gate: Gate, times: list[float]) -> None:
        async with gate.passage("http") as passage:
            while True:
                times.append(gate.clock())
                await passage.another()

    told(story, hold_timeout_s=2.0)


def test_a_thousand_are_let_go_in_order_and_not_all_at_once() -> None:
    async def story(gate: Gate) -> None:
        gone: list[tuple[float, int]] = []

        async def one(number: int) -> None:
            async with gate.passage("http"):
                gone.append((gate.clock(), number))
                await asyncio.sleep(600)

        asking = [asyncio.create_task(one(number)) for number in range(1000)]
        await asyncio.sleep(10)
        gate.set_endpoints({"http": [ONE]})
        await asyncio.gather(*asking)
        assert [number for _, number in gone] == list(range(1000))
        by_second = [sum(1 for at_s, _ in gone if at_s < 1010.5 + second) for second in range(8)]
        assert by_second == [8, 16, 32, 64, 128, 256, 512, 1000]

    told(story)


def test_short_answers_open_the_window_faster() -> None:
    async def story(gate: Gate) -> None:
        asking = [asyncio.create_task(asks(gate, for_s=0.05)) for _ in range(1000)]
        await asyncio.sleep(1)
        gate.set_endpoints({"http": [ONE]})
        await asyncio.gather(*asking)
        assert gate.clock() < 1001.6

    told(story)


def test_a_port_without_an_endpoint_keeps_nobody_else_waiting() -> None:
    async def story(gate: Gate) -> None:
        other = asyncio.create_task(_ask(gate, "grpc"))
        await asyncio.sleep(1)
        gate.set_endpoints({"http": [ONE]})
        assert (await asks(gate)).endpoint == ONE
        assert not other.done()
        gate.set_endpoints({"http": [ONE], "grpc": [Endpoint(ONE.host, 9000)]})
        assert (await other).port == 9000

    async def _ask(gate: Gate, port: str) -> Endpoint:
        async with gate.passage(port) as passage:
            return passage.endpoint

    told(story)


def test_changes_are_told() -> None:
    async def story(gate: Gate) -> None:
        seen: list[tuple[int, bool]] = []
        gate.on_change = lambda: seen.append((gate.held, gate.wanted is not None))
        asking = asyncio.create_task(asks(gate))
        await asyncio.sleep(1)
        gate.set_endpoints({"http": [ONE]})
        await asking
        gate.set_endpoints({})
        gate.update(HoldPolicy(expected_start_s=900.0))
        with pytest.raises(Turned):
            await asks(gate)
        assert seen[0] == (1, True)
        assert (0, False) in seen
        assert seen[-1] == (0, True)

    told(story)


def test_readiness_is_told_once_for_every_time_it_begins() -> None:
    async def story(gate: Gate) -> None:
        told: list[float] = []
        gate.on_ready.add(lambda: told.append(gate.clock()))
        for endpoints in ([ONE], [ONE, TWO], [], [TWO]):
            gate.set_endpoints({"http": endpoints})
            await asyncio.sleep(1)
        assert told == [1000.0, 1003.0]

    told(story)


def test_all_gates_of_a_process_share_its_room() -> None:
    async def story() -> None:
        crowd = Crowd(limit=2)
        first, second = (Gate(uid, Key("ns", uid), HoldPolicy(), crowd=crowd) for uid in ("a", "b"))
        waits = [asyncio.create_task(asks(gate)) for gate in (first, second)]
        await asyncio.sleep(1)
        assert crowd.held == 2
        for gate in (first, second):
            with pytest.raises(Turned, match="all models"):
                await asks(gate)
        first.set_endpoints({"http": [ONE]})
        await waits[0]
        assert crowd.held == 1
        waits.append(asyncio.create_task(asks(second)))
        await asyncio.sleep(1)
        assert crowd.held == 2
        for task in waits:
            task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert crowd.held == 0

    virtual_time.run(story())
