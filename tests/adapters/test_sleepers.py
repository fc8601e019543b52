"""Sleep and wake of a server, against a stand-in that speaks vLLM's endpoints over loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
import pytest

from lull.adapters.sleepers import Sleepers, Where
from lull.errors import BadAnswer, Refused, Unreachable
from lull.model.doze import Rung
from lull.model.reason import Reason
from sleepy_server import SleepyServer, serving

T = TypeVar("T")


def spoken(server: Callable[[], SleepyServer], act: Callable[[Sleepers, SleepyServer, Where], Awaitable[T]]) -> T:
    async def main() -> T:
        peer, sleepers = server(), Sleepers()
        try:
            async with serving(peer) as where:
                return await act(sleepers, peer, where)
        finally:
            await sleepers.close()

    return asyncio.run(main())


async def ask(where: Where) -> str:
    """One request, as a client sends it."""
    url = f"http://{where[0]}:{where[1]}/v1/completions"
    async with aiohttp.ClientSession() as session, session.post(url, json={}) as answer:
        told = await answer.json()
        return str(told["choices"][0]["text"])


async def soon(holds: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(2000):
        if await holds():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came so far")


@pytest.mark.parametrize("level", [Rung.LEVEL_1, Rung.LEVEL_2])
def test_a_server_sleeps_and_wakes_and_makes_sense_afterwards(level: Rung) -> None:
    async def night(sleepers: Sleepers, _: SleepyServer, where: Where) -> str:
        assert await sleepers.fault(where) is None
        await sleepers.sleep(where, level)
        asleep = await sleepers.state(where)
        assert (asleep.is_sleeping, asleep.level) == (True, level)
        await sleepers.wake_up(where, level)
        awake = await sleepers.state(where)
        assert (awake.is_sleeping, awake.level, awake.in_flight) == (False, None, 0.0)
        return await ask(where)

    assert spoken(SleepyServer, night) == "sense"


def test_weights_that_were_dropped_are_loaded_before_the_server_says_that_it_is_awake() -> None:
    async def night(sleepers: Sleepers, server: SleepyServer, where: Where) -> list[str]:
        await sleepers.sleep(where, Rung.LEVEL_2)
        server.fails["/collective_rpc"] = 1
        with pytest.raises(Refused, match="says no"):
            await sleepers.wake_up(where, Rung.LEVEL_2)
        assert (await sleepers.state(where)).is_sleeping, "a server with wrong weights must not be shown"
        await sleepers.wake_up(where, Rung.LEVEL_2)
        assert server.are_weights_right
        return server.calls

    calls = spoken(SleepyServer, night)
    assert calls[0] == "/sleep?level=2&mode=wait"
    assert calls[-3:] == ["/wake_up?tags=weights", "/collective_rpc", "/wake_up?tags=kv_cache"]


def test_what_runs_is_finished_before_the_server_sleeps() -> None:
    async def night(sleepers: Sleepers, server: SleepyServer, where: Where) -> str:
        asked = asyncio.create_task(ask(where))

        async def runs() -> bool:
            return server.running > 0

        await soon(runs)
        await sleepers.sleep(where, Rung.LEVEL_1)
        assert not server.is_crashed
        return await asked

    assert spoken(SleepyServer, night) == "sense"


def test_a_request_that_meets_it_asleep_shows_and_is_answered_after_the_wake() -> None:
    async def night(sleepers: Sleepers, server: SleepyServer, where: Where) -> str:
        await sleepers.sleep(where, Rung.LEVEL_1)
        asked = asyncio.create_task(ask(where))

        async def is_told() -> bool:
            return (await sleepers.state(where)).in_flight > 0

        await soon(is_told)
        assert server.is_sleeping, "looking does not wake it"
        await sleepers.wake_up(where, Rung.LEVEL_1)
        return await asked

    assert spoken(SleepyServer, night) == "sense"


def test_a_wake_undoes_a_sleep_that_was_never_answered() -> None:
    async def night(sleepers: Sleepers, server: SleepyServer, where: Where) -> bool:
        server.mutes["/sleep"] = 1
        with pytest.raises(Unreachable):
            await sleepers.sleep(where, Rung.LEVEL_1)
        await sleepers.wake_up(where, Rung.LEVEL_1)
        return (await sleepers.state(where)).is_sleeping

    assert spoken(SleepyServer, night) is False


@pytest.mark.parametrize(
    ("server", "reason", "mend"),
    [
        pytest.param(
            lambda: SleepyServer(has_sleep_mode=False), Reason.SLEEP_MODE_OFF, "--enable-sleep-mode", id="off"
        ),
        pytest.param(lambda: SleepyServer(version="0.16.2"), Reason.SERVER_TOO_OLD, "0.17", id="too old"),
        pytest.param(lambda: SleepyServer(version="dev"), Reason.SERVER_TOO_OLD, "0.17", id="nobody knows how old"),
    ],
)
def test_a_server_that_cannot_sleep_is_told_with_the_mend(
    server: Callable[[], SleepyServer], reason: Reason, mend: str
) -> None:
    fault = spoken(server, lambda sleepers, _, where: sleepers.fault(where))
    assert fault is not None
    assert fault.reason is reason
    assert mend in fault.message


def test_a_metric_that_is_missing_is_not_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = SleepyServer.text

    def without_waiting(server: SleepyServer) -> str:
        return "\n".join(line for line in whole(server).splitlines() if "waiting" not in line) + "\n"

    monkeypatch.setattr(SleepyServer, "text", without_waiting)
    with pytest.raises(BadAnswer, match="num_requests_waiting"):
        spoken(SleepyServer, lambda sleepers, _, where: sleepers.state(where))


def test_nobody_there_is_no_answer() -> None:
    async def night(sleepers: Sleepers, _: SleepyServer, where: Where) -> None:
        with pytest.raises(Unreachable):
            await sleepers.state((where[0], 1))

    spoken(SleepyServer, night)


def test_the_stand_in_crashes_where_an_old_server_would() -> None:
    """What the version is asked for."""

    async def night(sleepers: Sleepers, server: SleepyServer, where: Where) -> bool:
        await sleepers.sleep(where, Rung.LEVEL_1)
        with pytest.raises(aiohttp.ClientError):
            await ask(where)
        return server.is_crashed

    assert spoken(lambda: SleepyServer(is_old=True), night)
