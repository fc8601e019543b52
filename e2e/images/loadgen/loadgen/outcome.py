"""What became of one request. Pure; aiohttp's errors are named here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import aiohttp


class Fate(StrEnum):
    """`ANSWERED` is a 200 whose body arrived in full; everything else is lost, and says how."""

    ANSWERED = "answered"
    REFUSED = "refused"
    RESET = "reset"
    TIMEOUT = "timeout"
    HTTP_5XX = "http_5xx"
    HTTP_4XX = "http_4xx"
    HTTP_OTHER = "http_other"
    UNREACHABLE = "unreachable"
    NOT_SENT = "not_sent"
    """The generator's own bound on open requests was reached: perhaps its own fault, so counted apart."""


HELD_S = 0.05
"""Shortest wait that counts as one."""

LOSSES = tuple(fate for fate in Fate if fate is not Fate.ANSWERED)


@dataclass(frozen=True, slots=True)
class Outcome:
    fate: Fate
    latency_s: float
    """From the first byte of the connection attempt to the last byte of the answer."""
    detail: str = ""
    held_s: float | None = None
    """For how long it waited for a sleeping model, where the answer says that it did."""


def fate_of_status(status: int) -> Fate:
    if status == 200:
        return Fate.ANSWERED
    return {4: Fate.HTTP_4XX, 5: Fate.HTTP_5XX}.get(status // 100, Fate.HTTP_OTHER)


def held_for_s(told: str | None) -> float | None:
    """What the answer's header says; a request that was only passed on did not wait."""
    waited_s = float(told) if told else 0.0
    return waited_s if waited_s >= HELD_S else None


def fate_of_error(error: BaseException) -> Fate:
    """Most specific first: aiohttp wraps the system's errors, and its connector errors are OSErrors too."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, TimeoutError):
        return Fate.TIMEOUT
    if isinstance(cause, ConnectionRefusedError):
        return Fate.REFUSED
    if isinstance(error, aiohttp.ClientConnectorError):
        return Fate.UNREACHABLE
    if isinstance(error, ConnectionError | aiohttp.ClientOSError | aiohttp.ClientPayloadError):
        return Fate.RESET
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return Fate.RESET
    return Fate.UNREACHABLE
