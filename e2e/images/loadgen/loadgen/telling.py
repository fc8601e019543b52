"""Tells Prometheus how many requests were sent, where a plan asks for it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


@asynccontextmanager
async def told_at(port: int | None, exposition: Callable[[], str]) -> AsyncIterator[None]:
    """Answers /metrics while it is entered; without a port it does nothing."""
    if port is None:
        yield
        return

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=exposition(), headers={"Content-Type": "text/plain; version=0.0.4"})

    application = web.Application()
    application.router.add_get("/metrics", metrics)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "0.0.0.0", port).start()  # noqa: S104 - a pod's
        yield
    finally:
        await runner.cleanup()
