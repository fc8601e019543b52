"""vLLM's endpoints of sleep: what a server says of itself, to sleep, and to wake.

They are there with ``VLLM_SERVER_DEV_MODE=1`` and ``--enable-sleep-mode`` alone. Nothing that is asked here wakes a
server: ``/is_sleeping``, ``/version`` and ``/metrics`` never do. An engine carries calls out in the order in which it
hears them, so a wake that is answered has undone every sleep that was sent before it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from lull.errors import BadAnswer, Refused, Unreachable
from lull.model.doze import Rung, ServerState
from lull.model.fleet import Fault
from lull.model.reason import Reason

OLDEST: Final = (0, 17)
"""First version that stops its scheduler before it sleeps: before, a request that met a sleeping server crashed it. By
dates: the change (vllm#34528) was proposed in February 2026, and this is the first release that is clearly later."""

LOOK_S: Final = 3.0
"""Longest time that a look may take."""

CALL_S: Final = 120.0
"""Longest time that a call to sleep or to wake may take: weights of hundreds of GB have to be moved."""

_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)\.")
_LEVELS: Final = {"weights_offloaded": Rung.LEVEL_1, "discard_all": Rung.LEVEL_2}
_STATE: Final = "vllm:engine_sleep_state"
_IN_FLIGHT: Final = ("vllm:num_requests_running", "vllm:num_requests_waiting")
_SERVED: Final = "vllm:request_success_total"

Where = tuple[str, int]
"""Address and port of a server."""


class Sleepers:
    """Speaks with servers that can sleep, over connections of its own."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))

    async def close(self) -> None:
        """Closes its connections."""
        await self._session.close()

    async def fault(self, where: Where) -> Fault | None:
        """Why the server cannot be put to sleep, with the mend; None where it can.

        Raises:
            Unreachable: when it gave no answer in time.
            BadAnswer: when what answers is no vLLM.
        """
        try:
            await self._ask(where, "/is_sleeping")
        except Refused:
            return Fault(
                Reason.SLEEP_MODE_OFF,
                "the server does not answer GET /is_sleeping; start vLLM with --enable-sleep-mode and the environment "
                "variable VLLM_SERVER_DEV_MODE=1, where only trusted callers or a gateway reach its port",
            )
        version = str((await self._json(where, "/version")).get("version", ""))
        found = _VERSION.match(version)
        if found is None or (int(found[1]), int(found[2])) < OLDEST:
            return Fault(
                Reason.SERVER_TOO_OLD,
                f"vLLM {version or 'of no version'} may crash when a request meets it asleep; upgrade to "
                f"{OLDEST[0]}.{OLDEST[1]} or newer",
            )
        await self.state(where)
        return None

    async def state(self, where: Where) -> ServerState:
        """What the server says of itself.

        Raises:
            Unreachable: when it gave no answer in time.
            BadAnswer: when it does not say what is needed.
            Refused: when it has no such endpoint.
        """
        told = (await self._json(where, "/is_sleeping")).get("is_sleeping")
        if not isinstance(told, bool):
            raise BadAnswer(f"{_url(where)}/is_sleeping does not say whether the server sleeps")
        values = _read(await self._ask(where, "/metrics"), where)
        return ServerState(
            is_sleeping=told,
            level=_level(values) if told else None,
            in_flight=sum(_sum(values, name, where) for name in _IN_FLIGHT),
            served=_sum(values, _SERVED, where),
        )

    async def sleep(self, where: Where, level: Rung) -> None:
        """Puts the server to sleep, once it has done what it has begun.

        Raises:
            Unreachable: when it gave no answer; it may sleep all the same, now or a moment later.
            Refused: when it said no.
        """
        await self._call(where, f"/sleep?level={int(level)}&mode=wait")

    async def wake_up(self, where: Where, level: Rung) -> None:
        """Wakes the server from a level; one that is awake stays so. May be tried again after a failure.

        From level 2 the memory for the weights comes first, then the weights, and only then the cache, so that a server
        whose weights are not there yet still says that it sleeps.

        Raises:
            Unreachable: when it gave no answer.
            Refused: when it said no.
        """
        if level is not Rung.LEVEL_2:
            await self._call(where, "/wake_up")
            return
        await self._call(where, "/wake_up?tags=weights")
        await self._call(where, "/collective_rpc", {"method": "reload_weights"})
        await self._call(where, "/wake_up?tags=kv_cache")

    async def _call(self, where: Where, path: str, body: Mapping[str, Any] | None = None) -> None:
        async with self._answer("POST", where, path, CALL_S, body) as answer:
            await answer.read()

    async def _ask(self, where: Where, path: str) -> bytes:
        async with self._answer("GET", where, path, LOOK_S) as answer:
            return await answer.read()

    async def _json(self, where: Where, path: str) -> Mapping[str, Any]:
        data = await self._ask(where, path)
        try:
            told = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadAnswer(f"the answer to {_url(where)}{path} is no JSON: {error}") from error
        if not isinstance(told, dict):
            raise BadAnswer(f"the answer to {_url(where)}{path} is no object")
        return told

    @asynccontextmanager
    async def _answer(
        self, verb: str, where: Where, path: str, within_s: float, body: Mapping[str, Any] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        timeout = aiohttp.ClientTimeout(total=within_s)
        url = f"{_url(where)}{path}"
        try:
            async with self._session.request(verb, url, json=body, timeout=timeout, allow_redirects=False) as answer:
                if answer.status != 200:
                    raise Refused(answer.status, f"{verb} {url}: {(await answer.text())[:200]}")
                yield answer
        except (aiohttp.ClientError, TimeoutError, OSError, UnicodeDecodeError) as error:
            raise Unreachable(f"no answer to {verb} {url}: {str(error) or type(error).__name__}") from error


def _url(where: Where) -> str:
    address, port = where
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def _read(exposition: bytes, where: Where) -> list[tuple[str, Mapping[str, str], float]]:
    try:
        families = list(text_string_to_metric_families(exposition.decode()))
    except (ValueError, UnicodeDecodeError) as error:
        raise BadAnswer(f"{_url(where)}/metrics cannot be read: {error}") from error
    return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]


def _sum(values: list[tuple[str, Mapping[str, str], float]], name: str, where: Where) -> float:
    """Over all engines of the server; a metric that is missing is not zero."""
    found = [value for known, _, value in values if known == name]
    if not found:
        raise BadAnswer(f"{_url(where)}/metrics does not tell {name}")
    return sum(found)


def _level(values: list[tuple[str, Mapping[str, str], float]]) -> Rung | None:
    told = {labels.get("sleep_state") for name, labels, value in values if name == _STATE and value == 1.0}
    levels = {_LEVELS[state] for state in told if state in _LEVELS}
    return max(levels, default=None)
