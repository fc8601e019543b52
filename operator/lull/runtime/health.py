"""``/healthz``, ``/readyz``, ``/metrics`` and ``/explain/NAMESPACE/NAME``."""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

from lull.model.spec import Key
from lull.runtime.explaining import explain
from lull.runtime.loop import Loop

_LATE_TICKS: Final = 10
_LATE_S: Final = 120.0


def app_for(loop: Loop) -> web.Application:
    """The server beside the loop.

    Alive means that a planning round ended lately; ready means that the first one did.
    """
    started_at_s = loop.clock()
    late_s = max(_LATE_S, _LATE_TICKS * loop.settings.tick_s)

    async def healthz(_: web.Request) -> web.Response:
        ago_s = loop.clock() - (loop.finished_at_s or started_at_s)
        if ago_s > late_s:
            return web.Response(status=503, text=f"no planning round ended for {ago_s:.0f} s\n")
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        if loop.finished_at_s is None:
            return web.Response(status=503, text="the first planning round has not ended yet\n")
        return web.Response(text="ok\n")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=loop.exposition.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    async def why(request: web.Request) -> web.Response:
        names = request.match_info
        status, body = await explain(loop, Key(names["namespace"], names["name"]))
        return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/explain/{namespace}/{name}", why)
    return app
