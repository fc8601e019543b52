"""What was concluded: decisions, conditions and the plan they make up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite

from lull.model.arrays import F64, I64, Objects
from lull.model.costs import Lesson
from lull.model.doze import Rung
from lull.model.fleet import Demand, LastAwake
from lull.model.history import Observation
from lull.model.reason import Reason
from lull.model.route import Wish
from lull.model.spec import Key
from lull.model.spending import BudgetPlan
from lull.model.start import Startup
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
    DOZE_SUPPORTED = "DozeSupported"
    CAPACITY_KNOWN = "CapacityKnown"
    DRAIN_MISSING = "DrainMissing"
    ROUTE_SUPPORTED = "RouteSupported"
    ACTIVE = "Active"
    SLEEP_ALLOWED = "SleepAllowed"
    BUDGET_LIMITED = "BudgetLimited"


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
class Foreseen:
    """What is expected of a model, and how many replicas that asks for."""

    peak_rps: float
    """Highest rate until a start would be ready, at the 95th percentile."""
    horizon_s: float
    """Seconds until then."""
    source: str
    """Expert that leads at that horizon."""
    error_ratio: float | None
    """Mean distance of what came from what was expected, over what was expected; None = not measured yet."""
    start_to: int
    """Replicas to start ahead of the need; 0 = none."""
    keep_to: int
    """Replicas not to go below; 0 = none."""


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """Everything concluded about one model."""

    key: Key
    mode: Mode
    decision: Decision | None
    """None when there is nothing to decide about: no target, or a spec that cannot be read."""
    demand: Demand
    foreseen: Foreseen | None
    """None while nothing can be said, or with prediction Off."""
    conditions: tuple[Condition, ...]
    rung: Rung = Rung.AWAKE
    """Where its replica shall rest, where it may."""
    wish: Wish | None = None
    """Whether the model shall be awake; None = nothing is known of its target."""
    wake_s: float | None = None
    """Seconds within which nearly all wakes from a rest in its pod are done; None = it does not rest there."""
    startup: Startup | None = None
    """How long it takes to start; None = unknown."""
    last_awake: LastAwake | None = None
    """What shall be known when it sleeps; None = it may not, or nothing is known of its target."""

    @property
    def decision_reason(self) -> Reason | None:
        """Reason of the decision, if there is one."""
        return self.decision.reason if self.decision else None


@dataclass(frozen=True, slots=True)
class Step:
    """What one guard left of a proposal."""

    guard: str
    """Its name; the first step is what was proposed to the guards."""
    replicas: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Trail:
    """How the decisions of a round came about: the columns they were made in, kept as they are and read on demand."""

    keys: tuple[Key, ...]
    """Models, in the order of the columns."""
    guards: tuple[str, ...]
    desired: tuple[I64, ...]
    """Replicas after each guard, (N,) each."""
    reasons: tuple[Objects, ...]
    """Their reasons, (N,) each."""
    columns: Mapping[str, F64]
    """Further numbers that the guards went by, (N,) each, by name; NaN = unknown."""

    def steps(self, key: Key) -> tuple[Step, ...]:
        """The way of one model's decision, first to last; empty where nothing was decided."""
        if key not in self.keys:
            return ()
        at = self.keys.index(key)
        ways = zip(self.guards, self.desired, self.reasons, strict=True)
        return tuple(Step(guard, int(desired[at]), reason[at]) for guard, desired, reason in ways)

    def numbers(self, key: Key) -> dict[str, float]:
        """The further numbers of one model by name; what is unknown is left out."""
        if key not in self.keys:
            return {}
        at = self.keys.index(key)
        return {name: float(column[at]) for name, column in self.columns.items() if isfinite(column[at])}


@dataclass(frozen=True, slots=True)
class Plan:
    """One planning round over the whole fleet."""

    at_s: float
    models: Mapping[Key, ModelPlan]
    observation: Observation
    """What the history shall remember of this round."""
    lesson: Lesson
    """What shall be learned from it."""
    trail: Trail
    budgets: tuple[BudgetPlan, ...] = ()
    """What was concluded of the EnergyBudgets, in the snapshot's order."""
