"""``/healthz``, ``/readyz`` and ``/metrics`` of an activator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import generate_latest

from lull.activator.keeper import Keeper
from lull.adapters.watching import Watching


@asynccontextmanager
async def answering(
    keeper: Keeper, registry: CollectorRegistry, port: int, host: str | None = None
) -> AsyncIterator[int]:
    """A server beside the gates; tells its port.

    Alive means that the event loop turns: requests wait in it, and a restart would lose them, so that nothing else is
    a reason for one. Ready means that the ports that the first lists asked for were opened.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        if not keeper.is_standing:
            return web.Response(status=503, text="not everything there is to hold for is known yet\n")
        return web.Response(text="ok\n")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(registry), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def gauge_ages(registry: CollectorRegistry, watches: Mapping[str, Watching]) -> None:
    """How long ago each watch told something; NaN before it ever did."""
    clock = asyncio.get_running_loop().time
    ages = Gauge(
        "lull_activator_watch_age_seconds",
        "Since the API server last told something.",
        ["kind"],
        registry=registry,
    )
    for kind, watching in watches.items():
        ages.labels(kind).set_function(partial(_age_s, watching, clock))


def _age_s(watching: Watching, clock: Callable[[], float]) -> float:
    return float("nan") if watching.heard_at_s is None else clock() - watching.heard_at_s
