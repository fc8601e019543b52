"""The operator process: kopf's watches, the planning loop, the sweep and the health server as supervised siblings.

If one of them dies, the process ends and Kubernetes starts it anew: state is rebuilt from the cluster and Prometheus,
and a half-dead operator would be worse than a restarted one.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import Any

import kopf
from aiohttp import web

from lull.adapters.api import Api, connected
from lull.adapters.exposition import Exposition
from lull.adapters.mirror import Mirror
from lull.adapters.prometheus import Prometheus
from lull.runtime.handlers import registry_for
from lull.runtime.health import app_for
from lull.runtime.loop import Loop, steady_clock
from lull.runtime.relist import fill, sweep
from lull.runtime.reporter import Reporter
from lull.runtime.scaler import Scaler
from lull.runtime.upkeep import Upkeep
from lull.settings import Settings

_LOG = logging.getLogger("lull.operator")


class _Stopped(Exception):
    """Ends the task group after a signal."""


async def run(settings: Settings) -> None:
    """Runs the operator until SIGTERM or SIGINT."""
    async with connected(settings.writes_per_s) as api:
        wake = asyncio.Event()
        mirror = Mirror(on_spec=wake.set, keep_gone_s=settings.rate_window_s, clock=steady_clock())
        prometheus = Prometheus(settings.prometheus_url, settings.prometheus_timeout_s)
        loop = _loop(settings, api, mirror, prometheus, wake)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_until_signal())
                group.create_task(_serve(app_for(loop), settings.health_port))
                await fill(api, mirror)
                _LOG.info("planning starts", extra={"models": len(mirror.models), "mode": str(settings.mode)})
                # Before kopf: at its end kopf cancels every task that it did not find at its start.
                group.create_task(loop.run())
                group.create_task(loop.remember())
                group.create_task(sweep(api, mirror))
                group.create_task(_watch(mirror))
        except* _Stopped:
            _LOG.info("stopped")
        finally:
            prometheus.close()


def _loop(settings: Settings, api: Api, mirror: Mirror, prometheus: Prometheus, wake: asyncio.Event) -> Loop:
    return Loop(
        settings=settings,
        mirror=mirror,
        prometheus=prometheus,
        upkeep=Upkeep(api, mirror, settings),
        scaler=Scaler(api),
        reporter=Reporter(api, mirror, settings.status_refresh_s),
        exposition=Exposition(api),
        wake=wake,
    )


async def _watch(mirror: Mirror) -> None:
    # kopf takes the signals over once it runs, and returns when one came.
    # Its identity is for peering, which Lull does not use; without one it looks for the user's name, and a container
    # has none.
    identity: Any = "lull"
    await kopf.operator(registry=registry_for(mirror), clusterwide=True, standalone=True, identity=identity)
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
