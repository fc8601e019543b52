"""What was concluded: decisions, conditions and the plan they make up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from lull.model.fleet import Demand
from lull.model.history import Observation
from lull.model.reason import Reason
from lull.model.spec import Key
from lull.settings import Mode


@dataclass(frozen=True, slots=True)
class Decision:
    """How many replicas a model shall have, why, and the numbers it rests on.

    ``evidence`` holds finite numbers by name; names carry their unit. A name that is absent is unknown.
    """

    before: int
    after: int
    reason: Reason
    evidence: Mapping[str, float]
    is_enforced: bool
    """Whether Lull may act on it: mode Enforce, and nothing else holds the target."""

    @property
    def is_change(self) -> bool:
        """Whether the decision asks for another size than there is."""
        return self.after != self.before


class ConditionType(StrEnum):
    """Conditions of an InferenceDeployment."""

    READY = "Ready"
    SCALING_ACTIVE = "ScalingActive"
    METRICS_AVAILABLE = "MetricsAvailable"
    DRAIN_MISSING = "DrainMissing"


class ConditionStatus(StrEnum):
    """Whether a claim holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Condition:
    """One claim about a model."""

    type: ConditionType
    status: ConditionStatus
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """Everything concluded about one model."""

    key: Key
    mode: Mode
    decision: Decision | None
    """None when there is nothing to decide about: no target, or a spec that cannot be read."""
    demand: Demand
    conditions: tuple[Condition, ...]

    @property
    def decision_reason(self) -> Reason | None:
        """Reason of the decision, if there is one."""
        return self.decision.reason if self.decision else None


@dataclass(frozen=True, slots=True)
class Plan:
    """One planning round over the whole fleet."""

    at_s: float
    models: Mapping[Key, ModelPlan]
    observation: Observation
    """What the history shall remember of this round."""
