"""Command: load, serve on 8000, tell on 8002, and finish what is in flight when told to stop."""

from __future__ import annotations

import asyncio
import os
import signal

from aiohttp import web

from standin.serving import metrics, server
from standin.work import Work

GRACE_S = 20.0


async def serve() -> None:
    work = Work(
        model=os.environ.get("MODEL", "standin"),
        load_s=float(os.environ.get("LOAD_S", "0")),
        work_s=float(os.environ.get("WORK_MS", "10")) / 1e3,
        slots=int(os.environ.get("SLOTS", "1")),
    )
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    runners = [
        web.AppRunner(server(work), access_log=None, shutdown_timeout=GRACE_S),
        web.AppRunner(metrics(work), access_log=None),
    ]
    for runner, port in zip(runners, (8000, 8002), strict=True):
        await runner.setup()
        await web.TCPSite(runner, "0.0.0.0", port, backlog=1024).start()  # noqa: S104 - a pod's
    loading = asyncio.create_task(work.load())
    await stopping.wait()
    loading.cancel()
    for runner in runners:
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve())
