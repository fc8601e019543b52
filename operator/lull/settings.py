"""The operator's settings: one frozen object, read once at start from the environment, passed by hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, fields
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from lull.errors import SettingsError

PREFIX: Final = "LULL_"
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_DAY_S: Final = 86_400.0
_TICKS_TO_WAIT: Final = 6.0
_SHORTEST_WINDOW_S: Final = 4.0
_UNIT_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Mode(StrEnum):
    """Ceiling for what Lull may do to a model."""

    RECOMMEND = "Recommend"
    ENFORCE = "Enforce"
    PAUSED = "Paused"


class LogFormat(StrEnum):
    """Shape of a log line."""

    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """Least severe lines that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the platform team sets, each with the chart value of the same meaning."""

    prometheus_url: str
    """Base URL of a Prometheus-compatible endpoint, path prefix included."""

    prometheus_timeout_s: float = 10.0
    """Seconds one query may take; then it counts as not answered."""

    rate_window_s: float = 60.0
    """Seconds over which rates are taken. At least four scrapes must fit, or one lost scrape hides a model."""

    stale_after_s: float = 60.0
    """Seconds after which a pod's newest scrape no longer counts as knowledge."""

    tick_s: float = 10.0
    """Seconds between planning rounds, at least one. A changed spec does not wait for the next one."""

    forecast_step_s: float = 60.0
    """Seconds per step of the forecast: it learns the mean rate of each and looks 1 to 60 of them ahead."""

    cold_start_s: float = 60.0
    """Median seconds from the decision for a replica to Ready on a node that has its image. A prior: it counts until
    starts of the model, or of others of its runtime, were seen."""

    start_energy_s: float = 120.0
    """Energy of a start beyond the time it takes, in seconds of the replica's idle power."""

    mode: Mode = Mode.RECOMMEND
    """Mode of every InferenceDeployment that names none."""

    drain_pause_s: float = 5.0
    """Seconds an owned pod goes on serving after it was told to stop, while kube-proxy takes it out everywhere.
    Measured: without it 4 % of new connections were refused during scale-in, with 5 s none."""

    status_refresh_s: float = 60.0
    """Fewest seconds between two status writes of one model that carry nothing but newer numbers."""

    writes_per_s: float = 20.0
    """Writes to the API server per second, over all models."""

    leader_election: bool = True
    """Whether a Lease decides which of several replicas acts. Without it there must be one alone."""

    activator_ports_from: int = 20000
    """First of the ports on which activators hold requests: one for each port of each sleeping model's Service."""

    activator_ports_to: int = 29999
    """Last of them."""

    health_port: int = 8080
    """Port of /healthz, /readyz and /metrics."""

    log_format: LogFormat = LogFormat.JSON
    """Shape of a log line."""

    log_level: LogLevel = LogLevel.INFO
    """Least severe lines that are written."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Reads ``LULL_*`` variables.

        Durations are written ``500ms``, ``10s`` or ``1m30s``; a variable's name is the field's without its unit,
        such as ``LULL_TICK`` for ``tick_s``. Absent means the default.

        Raises:
            SettingsError: with every fault found, unknown ``LULL_`` variables included.
        """
        readers = {_variable(field.name): (field.name, _reader(field)) for field in fields(cls)}
        values: dict[str, Any] = {}
        faults = [
            f"{name}: no such setting; known are {', '.join(sorted(readers))}"
            for name in sorted(env)
            if name.startswith(PREFIX) and name not in readers
        ]
        for variable, (field_name, read) in readers.items():
            if env.get(variable):
                try:
                    values[field_name] = read(env[variable])
                except ValueError as error:
                    faults.append(f"{variable}={env[variable]!r}: {error}")
        if not env.get("LULL_PROMETHEUS_URL"):
            faults.append(
                "LULL_PROMETHEUS_URL: not set; write your Prometheus, such as http://prometheus.monitoring:9090"
            )
        values.setdefault("prometheus_url", "")
        # What could not be read counts as its default here, so that one run tells all faults.
        faults += _clashes(cls(**values))
        if faults:
            raise SettingsError(faults)
        return cls(**values)


def parse_duration_s(text: str) -> float:
    """Seconds of a duration such as ``800ms``, ``10s`` or ``1m30s``.

    Raises:
        ValueError: when the text is no such duration.
    """
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError("write a duration such as 500ms, 10s or 1m30s")
    return sum(float(number) * _UNIT_S[unit] for number, unit in parts)


def _reader(field: Field[Any]) -> Callable[[str], Any]:
    if field.type == "float":
        return _rate if field.name.endswith("_per_s") else _duration
    return _READERS[str(field.type)]


def _variable(field_name: str) -> str:
    # rates keep their unit (writes_per_s), durations carry it in the value
    bare = field_name.removesuffix("_s") if not field_name.endswith("_per_s") else field_name
    return PREFIX + bare.upper()


def _duration(text: str) -> float:
    value = parse_duration_s(text)
    if value <= 0:
        raise ValueError("must be greater than 0")
    return value


def _rate(text: str) -> float:
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) or float(text) <= 0:
        raise ValueError("write a number greater than 0, without a unit")
    return float(text)


def _port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise ValueError("write a port number from 1 to 65535")
    return int(text)


def _boolean(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError("must be true or false")
    return text == "true"


def _one_of(kind: type[StrEnum]) -> Callable[[str], StrEnum]:
    def read(text: str) -> StrEnum:
        try:
            return kind(text)
        except ValueError:
            raise ValueError(f"must be one of {', '.join(kind)}") from None

    return read


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ValueError("write a URL such as http://prometheus.monitoring:9090")
    return text.rstrip("/")


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "str": _url,
    "int": _port,
    "bool": _boolean,
    "Mode": _one_of(Mode),
    "LogFormat": _one_of(LogFormat),
    "LogLevel": _one_of(LogLevel),
}


def _clashes(settings: Settings) -> list[str]:
    """Faults that only two settings together show, and bounds that a reader of one kind does not know."""
    faults = []
    if settings.tick_s < 1.0:
        faults.append(f"LULL_TICK={settings.tick_s:g}s: must be at least 1s")
    for name, value_s in (("RATE_WINDOW", settings.rate_window_s), ("STALE_AFTER", settings.stale_after_s)):
        if value_s < _SHORTEST_WINDOW_S:
            faults.append(f"LULL_{name}={value_s:g}s: must be at least {_SHORTEST_WINDOW_S:g}s, some scrapes long")
    if settings.prometheus_timeout_s > _TICKS_TO_WAIT * settings.tick_s:
        faults.append(
            f"LULL_PROMETHEUS_TIMEOUT={settings.prometheus_timeout_s:g}s: longer than {_TICKS_TO_WAIT:g} ticks of "
            f"{settings.tick_s:g}s; a slow Prometheus would stop planning: shorten it or lengthen LULL_TICK"
        )
    if settings.activator_ports_from > settings.activator_ports_to:
        faults.append(
            f"LULL_ACTIVATOR_PORTS_FROM={settings.activator_ports_from}: greater than LULL_ACTIVATOR_PORTS_TO="
            f"{settings.activator_ports_to}; write the first port of a range and the last"
        )
    if settings.forecast_step_s < settings.tick_s or _DAY_S % settings.forecast_step_s:
        faults.append(
            f"LULL_FORECAST_STEP={settings.forecast_step_s:g}s: must be at least one tick of {settings.tick_s:g}s and "
            "fit a whole number of times into a day, such as 30s, 1m or 5m"
        )
    return faults
