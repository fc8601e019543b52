"""The operator process: standby until it leads; then kopf's watches, the loop and the sweep as supervised siblings.

If one of them dies, the process ends and Kubernetes starts it anew: state is rebuilt from the cluster and Prometheus,
and a half-dead operator would be worse than a restarted one. Before it ends it gives the Lease back, so that the other
replica goes on within seconds.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import kopf
from aiohttp import web

from lull.adapters.api import Api, connected
from lull.adapters.exposition import Exposition
from lull.adapters.lease import Lease
from lull.adapters.mirror import Mirror
from lull.adapters.probing import Prober
from lull.adapters.prometheus import Prometheus
from lull.adapters.sleepers import Sleepers
from lull.decide.leadership import Terms
from lull.errors import WatchLost
from lull.runtime.dozer import Dozer
from lull.runtime.handlers import registry_for
from lull.runtime.health import app_for
from lull.runtime.leader import Leader
from lull.runtime.loop import Loop, steady_clock
from lull.runtime.relist import fill_in_time, sweep
from lull.runtime.reporter import Reporter
from lull.runtime.router import Router
from lull.runtime.scaler import Scaler
from lull.runtime.seat import Seat
from lull.runtime.upkeep import Upkeep
from lull.settings import Settings

_LOG = logging.getLogger("lull.operator")


class _Stopped(Exception):
    """Ends the task group after a signal."""


async def run(settings: Settings, seat: Seat | None) -> None:
    """Runs the operator until SIGTERM or SIGINT.

    Args:
        settings: of the platform team.
        seat: the pod that stands for election; None runs without one, and then there must be nobody else.

    Raises:
        LullError: in a group, when a part of it ended; a new process has to begin.
    """
    # The election has connections of its own: renewals must not wait behind requests that a slow server keeps open.
    async with connected(settings.writes_per_s) as api, connected(settings.writes_per_s) as line:
        line.requests = api.requests
        wake = asyncio.Event()
        mirror = Mirror(on_spec=wake.set, keep_gone_s=settings.rate_window_s, clock=steady_clock())
        prometheus = Prometheus(settings.prometheus_url, settings.prometheus_timeout_s)
        mirror.home = seat.namespace if seat else None
        prober = Prober()
        router = Router(api, mirror, prober, settings, steady_clock())
        sleepers = Sleepers()
        loop = _loop(settings, api, mirror, prometheus, wake, router, sleepers)
        office = _Office(api, _leader(settings, line, seat) if seat else None)
        if office.leader is not None:
            api.may_write = loop.exposition.leads = office.leader.may_write
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(office.during(_until_signal()))
                group.create_task(office.during(_serve(app_for(loop, office.leader), settings.health_port)))
                await office.during(_lead(group, office, loop))
        except* _Stopped:
            _LOG.info("stopped")
        finally:
            await prober.close()
            await sleepers.close()
            prometheus.close()


@dataclass(frozen=True, slots=True)
class _Office:
    """What leads while all of its parts live."""

    api: Api
    leader: Leader | None

    async def during(self, part: Coroutine[Any, Any, None]) -> None:
        """A part; when it fails, the Lease is given back before anything else is stopped, which may take a while."""
        try:
            await part
        except Exception:
            if self.leader is not None:
                await self.leader.resign(self.api)
            raise


async def _lead(group: asyncio.TaskGroup, office: _Office, loop: Loop) -> None:
    """Waits until it leads, and begins."""
    if office.leader is not None:
        await office.leader.win()
        group.create_task(office.during(office.leader.keep()))
    await fill_in_time(office.api, loop.mirror)
    _LOG.info("planning starts", extra={"models": len(loop.mirror.models), "mode": str(loop.settings.mode)})
    # Before kopf: at its end kopf cancels every task that it did not find at its start.
    loop.router.begin()
    loop.dozer.begin()
    loops = (loop.router.run(), loop.dozer.run(), loop.wake_up(), loop.run(), loop.remember())
    for part in (*loops, sweep(office.api, loop.mirror), _watch(loop.mirror)):
        group.create_task(office.during(part))


def _leader(settings: Settings, line: Api, seat: Seat) -> Leader:
    terms = Terms()
    lease = Lease(line, seat.namespace, terms.lease_s)
    return Leader(lease, seat.new_identity(), seat.address(settings.health_port), terms)


def _loop(
    settings: Settings,
    api: Api,
    mirror: Mirror,
    prometheus: Prometheus,
    wake: asyncio.Event,
    router: Router,
    sleepers: Sleepers,
) -> Loop:
    scaler = Scaler(api)
    return Loop(
        settings=settings,
        mirror=mirror,
        prometheus=prometheus,
        upkeep=Upkeep(api, mirror, settings),
        scaler=scaler,
        reporter=Reporter(api, mirror, settings.status_refresh_s),
        exposition=Exposition(api),
        wake=wake,
        router=router,
        dozer=Dozer(api, mirror, sleepers, router, scaler, steady_clock()),
    )


async def _watch(mirror: Mirror) -> None:
    """Watches until a signal comes, which kopf takes over once it runs.

    An error in a watch other than 410 ends kopf, which then waits for seconds for whatever runs beside it. Its parts
    are looked at here, so that the first one's end is known at once.

    Raises:
        WatchLost: a part of kopf ended in an error.
        _Stopped: a signal came.
    """
    # Its identity is for peering, which Lull does not use; without one it looks for the user's name, and a container
    # has none.
    identity: Any = "lull"
    beside = asyncio.all_tasks()
    parts = await kopf.spawn_tasks(registry=registry_for(mirror), clusterwide=True, standalone=True, identity=identity)
    running = asyncio.create_task(kopf.run_tasks(parts, ignored=beside))
    try:
        done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
    finally:
        running.cancel()
    for part in done:
        if not part.cancelled() and (error := part.exception()) is not None:
            raise WatchLost(f"the watches ended: {error}") from error
    raise _Stopped


async def _serve(app: web.Application, port: int) -> None:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, None, port).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


async def _until_signal() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    raise _Stopped
