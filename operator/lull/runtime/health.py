"""``/healthz``, ``/readyz``, ``/metrics`` and ``/explain/NAMESPACE/NAME``."""

from __future__ import annotations

from typing import Any, Final

import aiohttp
import msgspec
from aiohttp import web

from lull.model.spec import Key
from lull.runtime.explaining import Answer, explain
from lull.runtime.leader import Leader
from lull.runtime.loop import Loop

_LATE_TICKS: Final = 10
_LATE_S: Final = 120.0
_ASK_S: Final = 20.0
_PASSED_ON: Final = "Lull-Passed-On"


def app_for(loop: Loop, leader: Leader | None = None) -> web.Application:
    """The server beside the loop.

    Alive means that a planning round ended lately; ready means that the first one did. A replica that stands by is
    alive while it tries for the Lease, and ready: a rollout need not wait until it leads. Questions that only the
    leader can answer it passes on.

    Args:
        loop: what plans.
        leader: the candidate; None without an election.
    """
    late_s = max(_LATE_S, _LATE_TICKS * loop.settings.tick_s)
    started_at_s = loop.clock()

    async def healthz(_: web.Request) -> web.Response:
        ago_s, what = _since(loop, leader, started_at_s)
        if ago_s > late_s:
            return web.Response(status=503, text=f"no {what} ended for {ago_s:.0f} s\n")
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        if _stands_by(leader):
            return web.Response(text="standby\n")
        if loop.finished_at_s is None:
            return web.Response(status=503, text="the first planning round has not ended yet\n")
        return web.Response(text="ok\n")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=loop.exposition.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    async def why(request: web.Request) -> web.Response:
        names = request.match_info
        if leader is not None and _stands_by(leader):
            status, body = await _passed_on(request, leader)
        else:
            status, body = await explain(loop, Key(names["namespace"], names["name"]))
        return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/explain/{namespace}/{name}", why)
    return app


def _stands_by(leader: Leader | None) -> bool:
    return leader is not None and leader.led_at_s is None


def _since(loop: Loop, leader: Leader | None, started_at_s: float) -> tuple[float, str]:
    """Seconds since what must happen again and again, and what that is; before its first end, since it was begun."""
    if leader is not None and leader.led_at_s is None:
        return leader.clock() - leader.tried_at_s, "try for the Lease"
    if loop.finished_at_s is not None:
        return loop.clock() - loop.finished_at_s, "planning round"
    if leader is not None and leader.led_at_s is not None:
        return leader.clock() - leader.led_at_s, "planning round"
    return loop.clock() - started_at_s, "planning round"


async def _passed_on(request: web.Request, leader: Leader) -> Answer:
    """The leader's answer, or 503 with why there is none."""
    record = leader.holder
    if record is None or not record.address or _PASSED_ON in request.headers:
        return 503, {"message": "this replica of Lull stands by, and no leader is known; ask again in some seconds"}
    url, patience = f"http://{record.address}{request.rel_url}", aiohttp.ClientTimeout(total=_ASK_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=patience) as session,
            session.get(url, headers={_PASSED_ON: "1"}) as answer,
        ):
            body: Any = msgspec.json.decode(await answer.read())
            return answer.status, body
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as error:
        why = str(error) or type(error).__name__
        return 503, {"message": f"this replica of Lull stands by, and the leader did not answer: {why}"}
