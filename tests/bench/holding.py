"""The activator: the memory of ten thousand held requests, and how soon they are answered once a pod is ready.

The activator runs in a process of its own, so that its memory is its own; clients and the pod share this one.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import time
from multiprocessing.connection import Connection
from pathlib import Path

from aiohttp import web
from figures import Figure

from lull.activator.gate import Endpoint, Gate, HoldPolicy
from lull.activator.listeners import Listeners
from lull.hold.limits import Limits
from lull.model.spec import Key

HELD = 10_000
BODY = bytes(1024)
REQUEST = b"POST /infer HTTP/1.1\r\nHost: chat\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
_KIB = 1024
_DEADLINE_S = 300.0
_AT_ONCE = 200


def holding() -> list[Figure]:
    """Ten thousand POSTs of 1 KiB held, then let go to one pod; fewer where so many files may not be open."""
    held = min(HELD, (_open_files() - 500) // 2)
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_activate, args=(theirs, held), daemon=True)
    process.start()
    try:
        first_s, last_s, empty_kib, held_kib, peak_kib = asyncio.run(_story(ours, held))
    finally:
        process.kill()
        process.join()
    return [
        Figure(f"hold/memory of {held} held POSTs of 1 KiB", (held_kib - empty_kib) / _KIB, "MiB"),
        Figure("hold/memory of one of them", (held_kib - empty_kib) / held, "KiB"),
        Figure(f"hold/memory of the activator, at its most, with {held}", peak_kib / _KIB, "MiB"),
        Figure(f"hold/from a ready pod to the first of {held} answers", first_s, "s"),
        Figure(f"hold/from a ready pod to the last of {held} answers", last_s, "s"),
    ]


def _open_files() -> int:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _resident_kib(pid: int, field: str = "VmRSS") -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(field)))


async def _story(activator: Connection, held: int) -> tuple[float, float, float, float, float]:
    pid, port = activator.recv()
    empty_kib = _resident_kib(pid)
    slots = asyncio.Semaphore(_AT_ONCE)
    times: list[float] = []

    async def one() -> None:
        async with slots:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(REQUEST)
        line = await reader.readline()
        times.append(time.monotonic())
        if not line.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"a held request was answered {line!r}")
        writer.close()

    async with asyncio.timeout(_DEADLINE_S):
        runner = web.ServerRunner(web.Server(_answer))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
        asking = [asyncio.create_task(one()) for _ in range(held)]
        await asyncio.to_thread(activator.recv)
        held_kib = _resident_kib(pid)
        started_s = time.monotonic()
        activator.send(runner.addresses[0][1])
        await asyncio.gather(*asking)
        await runner.cleanup()
    return min(times) - started_s, max(times) - started_s, empty_kib, held_kib, _resident_kib(pid, "VmHWM")


async def _answer(request: web.BaseRequest) -> web.Response:
    return web.Response(body=await request.read())


def _activate(parent: Connection, held: int) -> None:
    _open_files()
    asyncio.run(_activator(parent, held))


async def _activator(parent: Connection, held: int) -> None:
    gate = Gate("uid", Key("bench", "chat"), HoldPolicy(hold_timeout_s=_DEADLINE_S, max_held=held))
    listeners = Listeners("uid", lambda *_: asyncio.Protocol(), Limits(connections=held + 100), "127.0.0.1")
    port = await listeners.open(0, gate, "http")
    full = asyncio.Event()
    gate.on_change = lambda: full.set() if gate.held == held else None
    parent.send((multiprocessing.current_process().pid, port))
    await full.wait()
    await asyncio.sleep(0.5)
    parent.send(held)
    pod = await asyncio.to_thread(parent.recv)
    gate.set_endpoints({"http": [Endpoint("127.0.0.1", pod)]})
    await asyncio.Event().wait()
