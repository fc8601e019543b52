"""Send what is due when it is due. The only module that talks; it draws and judges nothing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp

from loadgen.outcome import Fate, Outcome, fate_of_error, fate_of_status, held_for_s

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loadgen.plan import Plan, Target
    from loadgen.schedule import Arrival
    from loadgen.tally import Tally

MAX_OPEN_REQUESTS = 5_000
"""An open loop against a dead server piles up requests; beyond this they are counted as `not_sent`."""

LEAVE_AFTER_S = 5.0
"""How long a run that was told to stop waits for what is in flight: well inside a pod's 30 s of grace."""


@dataclass(slots=True)
class Run:
    """One run in progress: when it began, what it counted, and whether it was told to stop."""

    plan: Plan
    tallies: list[Tally]
    started_s: float = field(default_factory=time.monotonic)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def now_s(self) -> float:
        return time.monotonic() - self.started_s


async def send_all(run: Run, arrivals: Sequence[Arrival], tell: Callable[[], None]) -> None:
    """Send every arrival at its time, calling `tell` once a second, until all are answered or given up."""
    connector = aiohttp.TCPConnector(limit=0, force_close=not run.plan.keep_alive)
    timeout = aiohttp.ClientTimeout(total=run.plan.timeout_s)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        teller = asyncio.create_task(_tell_each_second(run, tell))
        pending = await _send_on_time(run, arrivals, session)
        await _wait_for_answers(run, pending)
        teller.cancel()


async def _send_on_time(
    run: Run, arrivals: Sequence[Arrival], session: aiohttp.ClientSession
) -> set[asyncio.Task[None]]:
    pending: set[asyncio.Task[None]] = set()
    for arrival in arrivals:
        if not await _wait_until(run, arrival.due_s):
            break
        tally = run.tallies[arrival.target]
        now_s = run.now_s()
        tally.note_sent(now_s, now_s - arrival.due_s)
        if len(pending) >= MAX_OPEN_REQUESTS:
            tally.note_outcome(Outcome(Fate.NOT_SENT, 0.0, f"{len(pending)} requests open"), run.now_s())
            continue
        task = asyncio.create_task(_send_one(run, session, run.plan.targets[arrival.target], tally))
        pending.add(task)
        task.add_done_callback(pending.discard)
    else:
        await _wait_until(run, run.plan.run_s)
    return pending


async def _wait_until(run: Run, due_s: float) -> bool:
    """Sleep until `due_s` of the run; False when the run was told to stop."""
    left_s = due_s - run.now_s()
    if left_s <= 0.0:
        # Behind time: let the answers that are in be read before the next burst is sent.
        await asyncio.sleep(0)
    else:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(run.stopping.wait(), left_s)
    return not run.stopping.is_set()


async def _send_one(run: Run, session: aiohttp.ClientSession, target: Target, tally: Tally) -> None:
    started_s, held_s = time.monotonic(), None
    try:
        async with session.post(
            target.url, data=target.body, headers={"Content-Type": "application/json"}, allow_redirects=False
        ) as response:
            answer = await response.read()
            fate = fate_of_status(response.status)
            held_s = held_for_s(response.headers.get("Lull-Held-Seconds"))
            detail = f"{response.status}: {answer[:160].decode(errors='replace')}"
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        fate, detail = fate_of_error(error), f"{type(error).__name__}: {error}"
    tally.note_outcome(Outcome(fate, time.monotonic() - started_s, detail, held_s), run.now_s())


async def _wait_for_answers(run: Run, pending: set[asyncio.Task[None]]) -> None:
    """Each request has its own time limit, so this ends; when told to stop it ends sooner."""
    give_up_s = time.monotonic() + run.plan.timeout_s + 1.0
    while pending and time.monotonic() < give_up_s:
        if run.stopping.is_set():
            give_up_s = min(give_up_s, time.monotonic() + LEAVE_AFTER_S)
            await asyncio.wait(pending, timeout=max(0.0, give_up_s - time.monotonic()))
            break
        await asyncio.wait(pending, timeout=0.2)
    for task in list(pending):
        task.cancel()


async def _tell_each_second(run: Run, tell: Callable[[], None]) -> None:
    second = 1
    while True:
        await asyncio.sleep(max(0.0, second - run.now_s()))
        tell()
        second += 1
