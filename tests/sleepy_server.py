"""A stand-in for vLLM that sleeps and wakes, on loopback: its endpoints, its metrics, and what goes wrong with them.

What it does to requests is vLLM's own since it pauses its scheduler before it sleeps: one that comes while it sleeps
waits in it until it wakes, for as long as its client stays. ``is_old`` brings back what was before: it crashes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from lull.adapters.sleepers import Where

WEIGHTS, CACHE = "weights", "kv_cache"


@dataclass
class SleepyServer:
    """One server.

    Args:
        wake_s: seconds that a wake from level 1 takes; the weights of level 2 take as long again.
        version: what ``/version`` says.
        has_sleep_mode: whether the endpoints of sleep are there.
    """

    wake_s: float = 0.02
    sleep_s: float = 0.01
    work_s: float = 0.02
    version: str = "0.17.1"
    has_sleep_mode: bool = True
    is_old: bool = False
    level: int = 0
    asleep: set[str] = field(default_factory=set)
    are_weights_right: bool = True
    running: int = 0
    waiting: int = 0
    served: int = 0
    calls: list[str] = field(default_factory=list)
    """Calls that change something, in order."""
    fails: dict[str, int] = field(default_factory=dict)
    """By path, how often a call is answered 500 and not carried out."""
    mutes: dict[str, int] = field(default_factory=dict)
    """By path, how often a call is carried out and not answered."""
    is_crashed: bool = False

    def __post_init__(self) -> None:
        self._turn = asyncio.Lock()
        self._awake = asyncio.Event()
        self._awake.set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def is_sleeping(self) -> bool:
        return bool(self.asleep)

    def text(self) -> str:
        """The exposition."""
        states = {"awake": 0, "weights_offloaded": 1, "discard_all": 2}
        lines = [
            f'vllm:engine_sleep_state{{engine="0",sleep_state="{name}"}} {float(self.level == level)}'
            for name, level in states.items()
        ]
        lines.append(f'vllm:num_requests_running{{engine="0",model_name="m"}} {self.running}')
        lines.append(f'vllm:num_requests_waiting{{engine="0",model_name="m"}} {self.waiting}')
        lines.append(f'vllm:request_success_total{{engine="0",finished_reason="stop"}} {self.served}')
        return "\n".join(lines) + "\n"

    async def complete(self) -> str:
        """Serves one request."""
        if self.is_sleeping and self.is_old:
            self.is_crashed = True
            raise web.HTTPInternalServerError
        self.waiting += 1
        try:
            await self._awake.wait()
        finally:
            self.waiting -= 1
        self.running += 1
        self._idle.clear()
        await asyncio.sleep(self.work_s)
        self.running -= 1
        if not self.running:
            self._idle.set()
        self.served += 1
        return "sense" if self.are_weights_right else "nonsense"

    async def sleep(self, level: int, mode: str) -> None:
        """As the engine does: calls wait for each other, and nothing new is begun meanwhile."""
        async with self._turn:
            self._awake.clear()
            if mode == "wait":
                await self._idle.wait()
            elif self.running:
                self.is_crashed = True
            await asyncio.sleep(self.sleep_s)
            if not self.asleep:
                self.level, self.asleep = level, {WEIGHTS, CACHE}
                self.are_weights_right = self.are_weights_right and level == 1

    async def wake_up(self, tags: set[str]) -> None:
        """As the engine does."""
        async with self._turn:
            await asyncio.sleep(self.wake_s)
            self.asleep -= tags
            if not self.asleep:
                self.level = 0
                self._awake.set()

    async def reload_weights(self) -> None:
        """Fails where there is no memory for them."""
        async with self._turn:
            if WEIGHTS in self.asleep:
                raise web.HTTPInternalServerError(text="no memory for weights")
            await asyncio.sleep(self.wake_s)
            self.are_weights_right = True


@asynccontextmanager
async def serving(server: SleepyServer) -> AsyncIterator[Where]:
    """The server behind a socket for as long as the block lasts; gives its address."""
    runner = web.AppRunner(_app(server))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield str(host), int(port)
    finally:
        await runner.cleanup()


def _app(server: SleepyServer) -> web.Application:
    async def called(request: web.Request) -> web.Response:
        server.calls.append(str(request.rel_url))
        if server.fails.get(request.path, 0):
            server.fails[request.path] -= 1
            raise web.HTTPInternalServerError(text="the stand-in says no")
        await _carry_out(server, request)
        if server.mutes.get(request.path, 0):
            server.mutes[request.path] -= 1
            assert request.transport is not None
            request.transport.abort()
        return web.Response()

    async def is_sleeping(_: web.Request) -> web.Response:
        return web.json_response({"is_sleeping": server.is_sleeping})

    async def complete(_: web.Request) -> web.Response:
        return web.json_response({"choices": [{"text": await server.complete()}]})

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=server.text(), content_type="text/plain")

    async def version(_: web.Request) -> web.Response:
        return web.json_response({"version": server.version})

    app = web.Application()
    app.add_routes([web.post("/v1/completions", complete), web.get("/metrics", metrics), web.get("/version", version)])
    if server.has_sleep_mode:
        app.add_routes([web.post(path, called) for path in ("/sleep", "/wake_up", "/collective_rpc")])
        app.add_routes([web.get("/is_sleeping", is_sleeping)])
    return app


async def _carry_out(server: SleepyServer, request: web.Request) -> None:
    if request.path == "/sleep":
        await server.sleep(int(request.query.get("level", "1")), request.query.get("mode", "abort"))
    elif request.path == "/wake_up":
        await server.wake_up(set(request.query.getall("tags", [WEIGHTS, CACHE])))
    else:
        assert (await request.json())["method"] == "reload_weights"
        await server.reload_weights()
