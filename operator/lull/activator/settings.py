"""The activator's settings: one frozen object, read once at start from the environment, passed by hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lull.errors import SettingsError
from lull.settings import PREFIX, LogFormat, LogLevel, one_of, parse_duration_s, parse_port

_RANGE: Final = re.compile(r"([0-9]+)-([0-9]+)")


@dataclass(frozen=True, slots=True)
class ActivatorSettings:
    """What the chart sets, and which pod this is, as the Downward API tells it."""

    pod: str
    """Name of the pod: its entries in ``status.activation`` are under it."""

    pod_uid: str
    """What it answers to the operator's probes."""

    pod_ip: str
    """By which EndpointSlices list it."""

    ports: range = range(20000, 30000)
    """Those that requests may be held on; no other is ever opened."""

    health_port: int = 8081
    """Port of /healthz, /readyz and /metrics."""

    drain_s: float = 950.0
    """Seconds to end in, once told to: less than the pod's grace period."""

    drain_pause_s: float = 5.0
    """Seconds that every kube-proxy needs for a changed EndpointSlice, as the operator's setting of that name."""

    memory_bytes: int | None = None
    """What the container may take; as many requests may wait as fit. None = no bound."""

    log_format: LogFormat = LogFormat.JSON
    """Shape of a log line."""

    log_level: LogLevel = LogLevel.INFO
    """Least severe lines that are written."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> ActivatorSettings:
        """Reads ``LULL_*`` and ``POD_*`` variables. Absent means the default.

        Raises:
            SettingsError: with every fault found, unknown ``LULL_`` variables included.
        """
        values: dict[str, Any] = {}
        faults = [
            f"{name}: no such setting of the activator; known are {', '.join(sorted(_OPTIONS))}"
            for name in sorted(env)
            if name.startswith(PREFIX) and name not in _OPTIONS
        ]
        faults += [f"{name}: not set; let the Downward API set it" for name in _POD if not env.get(name)]
        for variable, (field, read) in {**_POD, **_OPTIONS}.items():
            if env.get(variable):
                try:
                    values[field] = read(env[variable])
                except ValueError as error:
                    faults.append(f"{variable}={env[variable]!r}: {error}")
        # What could not be read counts as empty or as its default here, so that one run tells all faults.
        settings = cls(**dict.fromkeys((field for field, _ in _POD.values()), "") | values)
        if settings.health_port in settings.ports:
            faults.append(f"LULL_HEALTH_PORT={settings.health_port}: one of LULL_ACTIVATOR_PORTS; choose another")
        if faults:
            raise SettingsError(faults)
        return settings


def _ports(text: str) -> range:
    found = _RANGE.fullmatch(text)
    if not found:
        raise ValueError("write the first port and the last, such as 20000-29999")
    first, last = (parse_port(number) for number in found.groups())
    if first > last:
        raise ValueError("write the lower one first")
    return range(first, last + 1)


def _duration(text: str) -> float:
    value = parse_duration_s(text)
    if value <= 0:
        raise ValueError("must be greater than 0")
    return value


def _bytes(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise ValueError("write a number of bytes")
    return int(text)


_POD: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "POD_NAME": ("pod", str),
    "POD_UID": ("pod_uid", str),
    "POD_IP": ("pod_ip", str),
}
_OPTIONS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "LULL_ACTIVATOR_PORTS": ("ports", _ports),
    "LULL_HEALTH_PORT": ("health_port", parse_port),
    "LULL_DRAIN": ("drain_s", _duration),
    "LULL_DRAIN_PAUSE": ("drain_pause_s", _duration),
    "LULL_MEMORY": ("memory_bytes", _bytes),
    "LULL_LOG_FORMAT": ("log_format", one_of(LogFormat)),
    "LULL_LOG_LEVEL": ("log_level", one_of(LogLevel)),
}
