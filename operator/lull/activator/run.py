"""The activator process: watches, gates, ports and reports side by side, until it is told to end.

Told to end it goes on as before until no EndpointSlice of Lull's lists it any more, that is known everywhere, and
nobody waits; only then it closes. A part that fails is begun again: requests wait in this process, and they are worth
more than a clean start.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry

from lull.activator.health import answering, gauge_ages
from lull.activator.http2.client import http2
from lull.activator.keeper import Keeper, watches
from lull.activator.listeners import Listeners
from lull.activator.meters import Meters
from lull.activator.reporter import Reporter
from lull.activator.settings import ActivatorSettings
from lull.activator.table import Table
from lull.adapters.api import Api, connected
from lull.hold.limits import Crowd, Limits
from lull.model.route import Timing

_LOG = logging.getLogger("lull.activator")
_WRITES_PER_S: Final = 1000.0
"""Reports are few and small, and one that waits for its turn delays a wake."""
_AGAIN_S: Final = 1.0
_LOOK_S: Final = 0.1
_LAST_WORDS_S: Final = 5.0
"""Of the time to end in, what is kept for removing the entries of this pod."""


async def run(settings: ActivatorSettings) -> None:
    """Runs the activator until SIGTERM or SIGINT, and then until it may end."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(settings, stop, Timing(lag_s=settings.drain_pause_s))


async def serve(settings: ActivatorSettings, stop: asyncio.Event, timing: Timing, host: str | None = None) -> None:
    """Runs the activator until ``stop`` is set, and then until it may end.

    Args:
        settings: of the chart.
        stop: tells it to end.
        timing: how late things may be.
        host: address to listen on; None = all.
    """
    open_files = raise_open_files()
    registry = CollectorRegistry()
    async with connected(_WRITES_PER_S) as api:
        keeper = keeper_for(settings, api, registry, host)
        followed = watches(api)
        gauge_ages(registry, followed)
        heeded = (partial(keeper.heed_models, followed["models"]), partial(keeper.heed_slices, followed["slices"]))
        async with answering(keeper, registry, settings.health_port, host):
            watching = [asyncio.create_task(_without_end(part)) for part in heeded]
            opening = asyncio.create_task(_without_end(keeper.keep_ports))
            _LOG.info("holding", extra={"pod": settings.pod, "open_files": open_files, "places": keeper.crowd.limit})
            try:
                await stop.wait()
                end_s = asyncio.get_running_loop().time() + settings.drain_s
                await until_free(keeper, settings.pod_ip, timing, end_s)
                await _ended(opening)  # or the ports would be opened again
                await keeper.listeners.close(max(end_s - _LAST_WORDS_S - asyncio.get_running_loop().time(), 0.0))
                await keeper.reporter.close(_LAST_WORDS_S)
            finally:
                await _ended(opening, *watching)
                await keeper.listeners.close(0.0)
                await keeper.reporter.close(0.0)
    _LOG.info("stopped")


def keeper_for(settings: ActivatorSettings, api: Api, registry: CollectorRegistry, host: str | None = None) -> Keeper:
    """Everything of an activator that holds."""
    meters, limits = Meters(registry), Limits()
    return Keeper(
        table=Table(settings.ports),
        listeners=Listeners(settings.pod_uid, http2(settings.pod_uid), limits, host),
        reporter=Reporter(api, settings.pod, meters, time.time),
        meters=meters,
        crowd=Crowd.within(settings.memory_bytes, limits),
        wall=time.time,
        grace_s=settings.drain_s,
    )


async def until_free(keeper: Keeper, address: str, timing: Timing, end_s: float) -> None:
    """Returns once nobody comes any more and nobody waits, or shortly before ``end_s`` on the event loop's clock."""
    _LOG.info("told to end", extra={"held": keeper.held})
    with suppress(TimeoutError):
        async with asyncio.timeout_at(end_s - _LAST_WORDS_S):
            await unlisted(keeper, address, timing)
            while keeper.held:  # noqa: ASYNC110 - looked at rarely, and for minutes at most
                await asyncio.sleep(_LOOK_S)


async def unlisted(keeper: Keeper, address: str, timing: Timing) -> None:
    """Returns once no slice of ours has listed the address for as long as every kube-proxy may need to hear of it.

    At least as long as a permission, given before this pod was known to leave, may still have an effect.
    """
    clock = asyncio.get_running_loop().time
    told_s = listed_s = clock()
    while clock() - listed_s < timing.lag_s or clock() - told_s < timing.settle_s + timing.lag_s:
        await asyncio.sleep(_LOOK_S)
        if keeper.table.lists(address):
            listed_s = clock()


def raise_open_files() -> int:
    """Lets this process have as many connections as it ever may; returns how many files that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


async def _without_end(part: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await part()
        except Exception:
            _LOG.exception("a part failed, and is begun again")
        await asyncio.sleep(_AGAIN_S)


async def _ended(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
