"""An InferenceDeployment's spec as the planner reads it.

The API server has checked every bound and cross-field rule by the time an object arrives here (``crds/``); what this
module still refuses comes from a cluster whose CRD is older than the operator. Called by the mirror, once per change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec

from lull.errors import SpecError
from lull.settings import Mode, parse_duration_s


class Key(NamedTuple):
    """A namespaced name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Seconds(float):
    """A duration, in seconds; written ``800ms`` in YAML."""


class Number(float):
    """A decimal that YAML writes as an integer or a string, since the API has no floats."""


class Percentile(float):
    """A percentile, in percent; written ``"99.5"`` in YAML."""


class Runtime(StrEnum):
    """Model servers Lull can read."""

    TRITON = "triton"
    MLSERVER = "mlserver"
    VLLM = "vllm"
    SGLANG = "sglang"
    GENERIC = "generic"


LONGEST_HOLD_S: Final = 900.0
"""Longest ``holdTimeout`` the API takes."""

LEAST_COLD_SHARE: Final = 1e-4
"""Least ``coldStartShare`` the API takes: whoever wants fewer does not want sleep."""

TOKEN_RUNTIMES: Final = frozenset({Runtime.VLLM, Runtime.SGLANG})
"""Servers that generate token by token and time each: only they have the objectives of tokens."""


class Metric(StrEnum):
    """What an objective bounds."""

    LATENCY = "Latency"
    TIME_TO_FIRST_TOKEN = "TimeToFirstToken"  # noqa: S105 - a word of the API
    INTER_TOKEN_LATENCY = "InterTokenLatency"  # noqa: S105 - a word of the API


class Role(StrEnum):
    """What is spoken on a port."""

    HTTP = "HTTP"
    GRPC = "GRPC"
    METRICS = "Metrics"


class SelectPolicy(StrEnum):
    """Which step policy counts."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


class PredictionMode(StrEnum):
    """What the forecast may do to the size, below what the mode allows."""

    OFF = "Off"
    RECOMMEND = "Recommend"
    ENFORCE = "Enforce"


class SleepMode(StrEnum):
    """What the sleep decision may do, below what the mode allows."""

    OFF = "Off"
    RECOMMEND = "Recommend"
    ENFORCE = "Enforce"


class _Struct(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Wire shape of the CRD; unknown fields are ignored, as an older operator must ignore newer ones."""


class Port(_Struct, frozen=True):
    """A port of the pods."""

    name: str
    port: int
    role: Role


class Queries(_Struct, frozen=True):
    """PromQL of the generic runtime."""

    requests_per_second: str
    backlog: str | None = None


class Server(_Struct, frozen=True):
    """The model server in the pods."""

    runtime: Runtime
    model_name: str | None = None
    ports: tuple[Port, ...] = ()
    queries: Queries | None = None


class Objective(_Struct, frozen=True):
    """A latency bound and the share of requests (of tokens, between tokens) it is for."""

    metric: Metric
    percentile: Percentile
    threshold: Seconds

    @property
    def miss_ratio(self) -> float:
        """Share that may miss the threshold."""
        return 1.0 - self.percentile / 100.0


class Slo(_Struct, frozen=True):
    """How well the model must be served."""

    objectives: tuple[Objective, ...]
    cold_start_share: Number = Number(0.05)
    """Share of the requests that may wait for a wake, apart from those that miss."""


class Capacity(_Struct, frozen=True):
    """What one replica can do; one of the two is set, or neither where it is to be learned."""

    requests_per_second: Number | None = None
    concurrency: int | None = None

    @property
    def is_stated(self) -> bool:
        """Whether anything is."""
        return self.requests_per_second is not None or self.concurrency is not None


class Policy(_Struct, frozen=True):
    """Largest change within a period."""

    type: str
    value: int
    period_seconds: int


class Rules(_Struct, frozen=True):
    """Damping in one direction; ``None`` stands for the direction's default."""

    stabilization_window_seconds: int | None = None
    select_policy: SelectPolicy = SelectPolicy.MAX
    tolerance: Number | None = None
    policies: tuple[Policy, ...] = ()


class Behavior(_Struct, frozen=True):
    """Damping in both directions."""

    scale_up: Rules = Rules()
    scale_down: Rules = Rules()


class Prediction(_Struct, frozen=True):
    """What the forecast may do."""

    mode: PredictionMode = PredictionMode.RECOMMEND


class Ignore(_Struct, frozen=True):
    """Requests that never wake the model; None stands for those of health checks and scrapes."""

    paths: tuple[str, ...] | None = None
    user_agents: tuple[str, ...] | None = None


class ScaleToZero(_Struct, frozen=True):
    """Whether and how the model sleeps."""

    mode: SleepMode = SleepMode.OFF
    doze: SleepMode = SleepMode.OFF
    """What may be done to a server that can sleep with its pod in place, below ``mode``."""
    idle: Seconds | None = None
    """None = learned."""
    hold_timeout: Seconds = Seconds(60.0)
    max_held: int = 1000
    ignore: Ignore = Ignore()
    allow_long_start: bool = False


class Energy(_Struct, frozen=True):
    """How the model stands where a budget does not suffice for all."""

    priority: int = 0
    """Compares the models of one namespace; from the lower ones is taken first."""


class ScaleTarget(_Struct, frozen=True):
    """A workload with a scale subresource."""

    kind: str
    name: str
    api_version: str = "apps/v1"

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


class ServiceRef(_Struct, frozen=True):
    """The Service clients call."""

    name: str


class Spec(_Struct, frozen=True):
    """``spec`` of an InferenceDeployment."""

    server: Server
    slo: Slo
    max_replicas: int
    capacity: Capacity = Capacity()
    min_replicas: int = 1
    mode: Mode | None = None
    template: dict[str, Any] | None = None
    scale_target_ref: ScaleTarget | None = None
    service_ref: ServiceRef | None = None
    behavior: Behavior = Behavior()
    prediction: Prediction = Prediction()
    scale_to_zero: ScaleToZero = ScaleToZero()
    energy: Energy = Energy()


class InferenceDeployment(msgspec.Struct, frozen=True, kw_only=True):
    """One InferenceDeployment: who it is and what it asks for."""

    key: Key
    uid: str
    generation: int
    created_at_s: float
    spec: Spec
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)

    @property
    def is_owner(self) -> bool:
        """Whether Lull owns the workload, rather than having adopted it."""
        return self.spec.template is not None

    @property
    def doze(self) -> SleepMode:
        """What may be done to its server's sleep."""
        rule = self.spec.scale_to_zero
        return min(rule.mode, rule.doze, key=list(SleepMode).index)

    @property
    def service_name(self) -> str | None:
        """The Service clients call; None where an adopted target names none."""
        if self.spec.service_ref is not None:
            return self.spec.service_ref.name
        return self.key.name if self.is_owner else None

    @property
    def target(self) -> ScaleTarget:
        """The workload whose scale Lull writes."""
        return self.spec.scale_target_ref or ScaleTarget(kind="Deployment", name=self.key.name)


def parse(body: Mapping[str, Any]) -> InferenceDeployment:
    """Reads an object as the API server delivers it.

    Raises:
        SpecError: naming the field that cannot be read and why.
    """
    metadata = body["metadata"]
    try:
        spec = msgspec.convert(body.get("spec", {}), Spec, dec_hook=_decode)
    except (msgspec.ValidationError, ValueError) as error:
        raise SpecError(
            f"spec cannot be read: {error}; the cluster's CRD may be older than this operator: apply crds/ again"
        ) from error
    fault = _fault_of(spec)
    if fault is not None:
        raise SpecError(f"{fault}; the cluster's CRD may be older than this operator: apply crds/ again")
    return InferenceDeployment(
        key=Key(metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        generation=int(metadata.get("generation", 0)),
        created_at_s=datetime.fromisoformat(metadata["creationTimestamp"]).timestamp(),
        spec=spec,
        labels=dict(metadata.get("labels") or {}),
    )


def _fault_of(spec: Spec) -> str | None:
    """What would stop the planner; the API server refuses all of it when it has our CRD."""
    capacity = spec.capacity
    checks = {
        "spec needs exactly one of template and scaleTargetRef": (spec.template is None)
        != (spec.scale_target_ref is None),
        "spec.capacity takes at most one of requestsPerSecond and concurrency": (
            capacity.requests_per_second is None or capacity.concurrency is None
        ),
        "spec.capacity.requestsPerSecond is required with runtime generic, which times no request": (
            capacity.requests_per_second is not None or spec.server.runtime is not Runtime.GENERIC
        ),
        "spec.capacity must be greater than 0": all(
            value is None or value > 0 for value in (capacity.requests_per_second, capacity.concurrency)
        ),
        "spec.slo.objectives must not be empty": len(spec.slo.objectives) > 0,
        "spec.slo.objectives need a percentile of at least 50 and below 100, and a threshold above 0": all(
            50.0 <= objective.percentile < 100.0 and objective.threshold > 0.0 for objective in spec.slo.objectives
        ),
        "spec.slo.objectives: TimeToFirstToken and InterTokenLatency need spec.server.runtime vllm or sglang": (
            spec.server.runtime in TOKEN_RUNTIMES
            or all(objective.metric is Metric.LATENCY for objective in spec.slo.objectives)
        ),
        "spec.slo.coldStartShare must be at least 0.0001 and at most 1": (
            LEAST_COLD_SHARE <= spec.slo.cold_start_share <= 1.0
        ),
        "spec.scaleToZero.holdTimeout must be 1s to 15m, maxHeld at least 1": (
            1.0 <= spec.scale_to_zero.hold_timeout <= LONGEST_HOLD_S and spec.scale_to_zero.max_held >= 1
        ),
        "spec.scaleToZero.idle must lie between 10s and 168h": (
            spec.scale_to_zero.idle is None or 10.0 <= spec.scale_to_zero.idle <= 604_800.0
        ),
        "spec.scaleToZero.doze needs spec.server.runtime vllm": (
            spec.scale_to_zero.doze is SleepMode.OFF or spec.server.runtime is Runtime.VLLM
        ),
        "spec.energy.priority must lie between -1000 and 1000": -1000 <= spec.energy.priority <= 1000,
        "spec.minReplicas must be at least 1 and at most spec.maxReplicas": 1 <= spec.min_replicas <= spec.max_replicas,
        "spec.server.queries and spec.server.modelName: generic needs the first, the others the second": (
            (spec.server.queries is not None)
            == (spec.server.runtime is Runtime.GENERIC)
            != (spec.server.model_name is not None)
        ),
    }
    return next((message for message, holds in checks.items() if not holds), None)


def _decode(kind: type, value: object) -> object:
    if kind is Seconds and isinstance(value, str):
        return Seconds(parse_duration_s(value))
    if kind in (Number, Percentile) and isinstance(value, int | str) and math.isfinite(float(value)):
        return kind(value)
    raise ValueError(f"{value!r} is no {kind.__name__.lower()}")
