"""What clients call: inference, health, a stream of events, a WebSocket. Talks, and leaves the work to `work`."""

from __future__ import annotations

import asyncio
import socket

from aiohttp import WSMsgType, web

from standin.work import Work

WORK = web.AppKey("work", Work)
EVENTS_MOST = 1000


def server(work: Work) -> web.Application:
    """The application that serves the model."""
    app = web.Application(client_max_size=16 * 1024 * 1024)
    app[WORK] = work
    app.add_routes(
        [
            web.get("/v2/health/live", _live),
            web.get("/v2/health/ready", _ready),
            web.get("/v2/models/{model}/ready", _ready),
            web.post("/v2/models/{model}/infer", _infer),
            web.post("/events", _events),
            web.get("/socket", _socket),
        ]
    )
    return app


def metrics(work: Work) -> web.Application:
    """The application that tells of the work."""
    app = web.Application()
    app[WORK] = work
    app.add_routes([web.get("/metrics", _metrics)])
    return app


async def _live(_: web.Request) -> web.Response:
    return web.Response()


async def _ready(request: web.Request) -> web.Response:
    return web.Response(status=200 if request.app[WORK].is_loaded else 503)


async def _infer(request: web.Request) -> web.Response:
    """Answers what was asked, with the pod that did it."""
    work = request.app[WORK]
    if not work.is_loaded:
        return web.Response(status=503, text="the model is not loaded")
    asked = await request.read()
    async with work.slot():
        return web.Response(
            body=asked,
            headers={"Content-Type": request.headers.get("Content-Type", "application/json"), "Pod": _POD},
        )


async def _events(request: web.Request) -> web.StreamResponse:
    """As many server-sent events as the body says, one every 100 ms."""
    asked = await request.json()
    count = min(int(asked["events"]), EVENTS_MOST)
    work = request.app[WORK]
    if not work.is_loaded:
        return web.Response(status=503, text="the model is not loaded")
    async with work.slot():
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Pod": _POD})
        await answer.prepare(request)
        for number in range(count):
            await answer.write(f"data: {number}\n\n".encode())
            await asyncio.sleep(0.1)
        await answer.write_eof()
        return answer


async def _socket(request: web.Request) -> web.StreamResponse:
    """Says back what it is told."""
    if not request.app[WORK].is_loaded:
        return web.Response(status=503, text="the model is not loaded")
    answer = web.WebSocketResponse()
    await answer.prepare(request)
    async for message in answer:
        if message.type is WSMsgType.TEXT:
            async with request.app[WORK].slot():
                await answer.send_str(f"{_POD} {message.data}")
    return answer


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(text=request.app[WORK].exposition(), headers={"Content-Type": "text/plain; version=0.0.4"})


_POD = socket.gethostname()
