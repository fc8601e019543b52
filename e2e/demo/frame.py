"""One moment of the demo as values: what the screen shows and the summary adds up. Pure.

`demo.watch` fills these from the cluster; unknown is None, never zero.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_PART = re.compile(r"(\d+)(h|ms|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@dataclass(frozen=True, slots=True)
class Model:
    """What does not change while the demo runs: the InferenceDeployment's own words."""

    name: str
    runtime: str
    slo_p95_s: float
    max_replicas: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What Lull writes in an InferenceDeployment's status, and the pods behind it."""

    current: int | None = None
    ready: int | None = None
    desired: int | None = None
    pods: int | None = None
    """Pods that hold a place on a node, those on their way out included: what is paid for."""
    reason: str = ""
    message: str = ""
    is_asleep: bool = False
    waiting: int = 0
    """Requests that wait for it to wake."""


@dataclass(frozen=True, slots=True)
class Load:
    """One line of the load generator: counts since the start, the 95th percentile of the last ten seconds."""

    t_s: float
    sent: int
    answered: int
    lost: int
    in_flight: int
    p95_s: float | None


@dataclass(frozen=True, slots=True)
class Row:
    model: Model
    seen: Seen
    load: Load | None
    rates_rps: tuple[float, ...]
    """Requests sent in each second so far."""


@dataclass(frozen=True, slots=True)
class Frame:
    elapsed_s: float
    run_s: float
    rows: tuple[Row, ...]


def model_of(deployment: Mapping[str, Any]) -> Model:
    spec = deployment["spec"]
    latency = next(goal for goal in spec["slo"]["objectives"] if goal["metric"] == "Latency")
    return Model(
        name=deployment["metadata"]["name"],
        runtime=spec["server"]["runtime"],
        slo_p95_s=seconds(latency["threshold"]),
        max_replicas=spec["maxReplicas"],
    )


def seen_of(deployment: Mapping[str, Any], pods: int | None) -> Seen:
    status = deployment.get("status", {})
    replicas, decision = status.get("replicas", {}), status.get("decision", {})
    return Seen(
        current=replicas.get("current"),
        ready=replicas.get("ready"),
        desired=replicas.get("desired"),
        pods=pods,
        reason=decision.get("reason", ""),
        message=decision.get("message", ""),
        is_asleep=status.get("route") == "Hold" and not replicas.get("ready"),
        waiting=sum(entry.get("held", 0) for entry in status.get("activation", ())),
    )


def load_of(line: Mapping[str, Any]) -> Load:
    return Load(
        t_s=float(line["t_s"]),
        sent=int(line["sent"]),
        answered=int(line["answered"]),
        lost=int(line["lost"]),
        in_flight=int(line["in_flight"]),
        p95_s=line["p95_s"],
    )


def seconds(written: str) -> float:
    """A Kubernetes duration such as 800ms or 1m30s."""
    parts = _PART.findall(written)
    if not parts or "".join(number + unit for number, unit in parts) != written:
        raise ValueError(f"{written!r} is no duration; write it like 800ms or 1m30s")
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)
