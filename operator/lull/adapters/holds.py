"""What is read back of a status: ``hold``, ``activation`` and ``lastAwake``, as the API server has them."""

from __future__ import annotations

from collections.abc import Container, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from lull.model.fleet import LastAwake
from lull.model.route import Hold, HoldPort, HoldState
from lull.names import FIELD_MANAGER_ACTIVATOR

_LEFT_AFTER_S: Final = 60.0
"""Seconds since it expired after which nobody refreshes an entry: clocks of two nodes may differ."""
_LONGEST_MANAGER: Final = 128


class Waiting(NamedTuple):
    """Requests that wait at the activators."""

    held: int = 0
    since_s: float | None = None
    """When the oldest came; None where none waits, or nobody says."""


def read_hold(status: Mapping[str, Any]) -> Hold | None:
    """Reads ``status.hold``; a form that the CRD does not let pass is none."""
    told = status.get("hold") or {}
    try:
        ports = tuple(
            HoldPort(port.get("name") or "", int(port["port"]), int(port["holdingPort"]))
            for port in told.get("ports") or ()
        )
        return Hold(HoldState(told["state"]), ports, _time_s(told.get("until")))
    except (KeyError, TypeError, ValueError):
        return None


def read_last_awake(status: Mapping[str, Any]) -> LastAwake:
    """Reads ``status.lastAwake``."""
    told = status.get("lastAwake") or {}
    return LastAwake(told.get("replicas"), told.get("template"))


def read_waiting(status: Mapping[str, Any], now_s: float) -> Waiting:
    """Sums what the activators told; entries that have expired no longer count."""
    held, oldest_s = 0, []
    for entry in status.get("activation") or ():
        if (_time_s(entry.get("expires")) or 0.0) > now_s and entry.get("held"):
            held += int(entry["held"])
            oldest_s += [at_s for at_s in (_time_s(entry.get("since")),) if at_s is not None]
    return Waiting(held, min(oldest_s, default=None))


def left_behind(status: Mapping[str, Any], alive: Container[str], now_s: float) -> list[str]:
    """Activator pods that are gone and whose entries are still there, a while after those have expired."""
    entries = status.get("activation") or ()
    over = (str(entry["pod"]) for entry in entries if now_s - (_time_s(entry.get("expires")) or 0.0) > _LEFT_AFTER_S)
    return [pod for pod in over if pod not in alive]


def activator_manager(pod: str) -> str:
    """Field manager of an activator pod's own entry; the API server takes no longer one."""
    return (FIELD_MANAGER_ACTIVATOR + pod)[:_LONGEST_MANAGER]


def _time_s(told: str | None) -> float | None:
    return datetime.fromisoformat(told).timestamp() if told else None
