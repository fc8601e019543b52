"""Asks stand-ins whether they listen for a model, on every port that stands for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import aiohttp

from lull.model.route import HoldPort, StandIn
from lull.names import HEADER_ACTIVATOR, HEADER_MODEL, HEADER_PROBE

TIMEOUT_S: Final = 1.0
_AT_ONCE: Final = 200


class Prober:
    """Probes over connections of its own: a kept one would prove yesterday's listener."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(_AT_ONCE)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True), timeout=timeout, auto_decompress=False
        )

    async def close(self) -> None:
        """Closes its connections."""
        await self._session.close()

    async def ask(self, who: StandIn, ports: Iterable[HoldPort], model_uid: str) -> bool | None:
        """Whether it answers for the model on all ports; None where it gives no answer, False where another's."""
        answers = await asyncio.gather(*(self._ask_one(who, port.holding_port, model_uid) for port in ports))
        if False in answers:
            return False
        return None if None in answers else True

    async def _ask_one(self, who: StandIn, port: int, model_uid: str) -> bool | None:
        host = f"[{who.address}]" if ":" in who.address else who.address
        async with self._turns:
            try:
                async with self._session.get(
                    f"http://{host}:{port}/", headers={HEADER_PROBE: model_uid}, allow_redirects=False
                ) as answer:
                    told = (answer.headers.get(HEADER_ACTIVATOR), answer.headers.get(HEADER_MODEL))
                    return answer.status == 200 and told == (who.uid, model_uid)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
                return None
