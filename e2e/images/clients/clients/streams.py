"""Answers that go on: server-sent events, a WebSocket, and requests that are sent before earlier ones are answered."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import aiohttp
import httpx

TIMEOUT_S = 120.0
EVENTS = 15
CONNECTIONS = 50
IN_A_ROW = 4


def by_events(host: str) -> dict[str, Any]:
    """Fifteen events, a tenth of a second apart, and when each came."""
    came_s: list[float] = []
    with httpx.stream("POST", f"http://{host}:8000/events", json={"events": EVENTS}, timeout=TIMEOUT_S) as answer:
        for line in answer.iter_lines():
            if line.startswith("data:"):
                assert line == f"data: {len(came_s)}", line
                came_s.append(time.monotonic())
        held = answer.headers.get("Lull-Held-Seconds")
    return {
        "statuses": [answer.status_code],
        "events": len(came_s),
        "spread_s": round(came_s[-1] - came_s[0], 3),
        "held_s": float(held) if held else None,
    }


def by_socket(host: str) -> dict[str, Any]:
    """Three messages, each said back."""
    return asyncio.run(_socket(host))


async def _socket(host: str) -> dict[str, Any]:
    began_s = time.monotonic()
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"ws://{host}:8000/socket", timeout=aiohttp.ClientWSTimeout(ws_close=5.0)) as socket,
    ):
        opened_s = time.monotonic() - began_s
        for number in range(3):
            await socket.send_str(f"hello {number}")
            answer = await socket.receive_str(timeout=TIMEOUT_S)
            assert answer.endswith(f" hello {number}"), answer
        return {"statuses": [101], "opened_s": round(opened_s, 3)}


def in_order(host: str) -> dict[str, Any]:
    """Two hundred requests over fifty connections, all sent before any is answered; answers in the order of asking."""
    return asyncio.run(_all_in_order(host))


async def _all_in_order(host: str) -> dict[str, Any]:
    told = await asyncio.gather(*(_in_a_row(host, number) for number in range(CONNECTIONS)))
    return {
        "statuses": [status for statuses, _ in told for status in statuses],
        "in_order": all(numbers == sorted(numbers) and len(numbers) == IN_A_ROW for _, numbers in told),
    }


async def _in_a_row(host: str, connection: int) -> tuple[list[int], list[int]]:
    reader, writer = await asyncio.open_connection(host, 8000)
    for number in range(IN_A_ROW):
        body = json.dumps({"n": number, "of": connection}).encode()
        asked = f"POST /v2/models/standin/infer HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(asked.encode() + body)
    await writer.drain()
    statuses, numbers = [], []
    for _ in range(IN_A_ROW):
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), TIMEOUT_S)
        lines = head.decode().lower().split("\r\n")
        length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length:"))
        answer = json.loads(await reader.readexactly(length))
        statuses.append(int(lines[0].split()[1]))
        if statuses[-1] == 200:
            assert answer["of"] == connection, answer
            numbers.append(answer["n"])
    writer.close()
    return statuses, numbers
