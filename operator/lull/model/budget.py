"""An EnergyBudget's spec as the planner reads it: whom it is for, what may be spent, and what may be done about it.

The API server has checked every bound by the time an object arrives here (``crds/``); what this module still refuses
comes from a cluster whose CRD is older than the operator, or names a zone that nobody knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import Any, Final, TypeAlias

import msgspec

from lull.errors import SpecError
from lull.model.period import Calendar, CalendarPeriod, RollingPeriod
from lull.model.spec import InferenceDeployment, Key, Seconds
from lull.settings import parse_duration_s

ZoneOf: TypeAlias = Callable[[str], tzinfo]
"""Finds a zone by its IANA name; raises SpecError where there is none."""

SHORTEST_ROLLING_S: Final = 60.0
LONGEST_ROLLING_S: Final = 744.0 * 3600.0
LONGEST_BREAK_S: Final = 168.0 * 3600.0

_QUANTITY: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)([A-Za-z]*)")


class Joules(float):
    """Energy in joules; written ``12.5kWh`` in YAML."""


class Watts(float):
    """Power in watts; written ``800W`` in YAML."""


class Grams(float):
    """Carbon dioxide equivalent in grams; written ``3.5kg`` in YAML."""


class Money(float):
    """An amount in the tariff's currency; written ``"12.50"`` in YAML."""


class Ratio(float):
    """A share from 0 to 1; written ``"0.8"`` in YAML."""


_UNITS: Final[Mapping[type, Mapping[str, float]]] = {
    Joules: {"Wh": 3.6e3, "kWh": 3.6e6, "MWh": 3.6e9},
    Watts: {"W": 1.0, "kW": 1e3, "MW": 1e6},
    Grams: {"g": 1.0, "kg": 1e3, "t": 1e6},
    Money: {"": 1.0},
}
_EXAMPLES: Final[Mapping[type, str]] = {Joules: "12.5kWh", Watts: "800W", Grams: "3.5kg", Money: '"12.50"'}


class Enforcement(StrEnum):
    """What a budget asks Lull to do."""

    OBSERVE = "Observe"
    WARN = "Warn"
    ENFORCE = "Enforce"


class Measure(StrEnum):
    """What may be done, in the order of harm."""

    SLEEP = "Sleep"
    CAP_REPLICAS = "CapReplicas"


class Limit(StrEnum):
    """What an amount for a period is of."""

    ENERGY = "Energy"
    CARBON = "Carbon"
    COST = "Cost"


class _Struct(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Wire shape of the CRD; unknown fields are ignored, as an older operator must ignore newer ones."""


class Share(_Struct, frozen=True):
    """A namespace and its weight beside the others."""

    name: str
    weight: int = 1


class Selector(_Struct, frozen=True):
    """Whom the budget is for; None = any."""

    namespaces: tuple[Share, ...] | None = None
    match_labels: dict[str, str] | None = None


class PeriodSpec(_Struct, frozen=True):
    """The time that amounts are for; exactly one of calendar and rolling is set."""

    calendar: Calendar | None = None
    time_zone: str | None = None
    """None = UTC."""
    rolling: Seconds | None = None


class Limits(_Struct, frozen=True):
    """What may be spent; None = no such limit."""

    energy: Joules | None = None
    power: Watts | None = None
    carbon: Grams | None = None
    cost: Money | None = None


class BreakGlass(_Struct, frozen=True):
    """A time without enforcement, and who answers for it."""

    by: str
    since: datetime
    until: datetime
    why: str | None = None

    def is_open(self, now_s: float) -> bool:
        """Whether it is that time."""
        return self.since.timestamp() <= now_s < self.until.timestamp()


class BudgetSpec(_Struct, frozen=True):
    """``spec`` of an EnergyBudget."""

    limits: Limits
    selector: Selector = Selector()
    period: PeriodSpec | None = None
    enforcement: Enforcement = Enforcement.OBSERVE
    min_measured_share: Ratio = Ratio(0.0)
    measures: tuple[Measure, ...] = (Measure.SLEEP, Measure.CAP_REPLICAS)
    reserve: Ratio = Ratio(0.5)
    """Quantile of what higher priorities are forecast to want that lower ones leave them."""
    break_glass: BreakGlass | None = None


@dataclass(frozen=True, slots=True)
class EnergyBudget:
    """One EnergyBudget: who it is and what it asks for."""

    name: str
    uid: str
    generation: int
    spec: BudgetSpec
    period: CalendarPeriod | RollingPeriod | None
    """None where it has a limit of power alone."""

    @property
    def amounts(self) -> dict[Limit, float]:
        """What may be spent in a period, in joules, grams and the tariff's currency."""
        limits = self.spec.limits
        found = {Limit.ENERGY: limits.energy, Limit.CARBON: limits.carbon, Limit.COST: limits.cost}
        return {limit: float(amount) for limit, amount in found.items() if amount is not None}

    def selects(self, model: InferenceDeployment) -> bool:
        """Whether the budget is for a model."""
        return self.is_for(model.key, model.labels)

    def is_for(self, key: Key, labels: Mapping[str, str]) -> bool:
        """Whether the budget is for who has that name and those labels."""
        chosen = self.spec.selector
        if chosen.namespaces is not None and key.namespace not in {share.name for share in chosen.namespaces}:
            return False
        wanted = chosen.match_labels or {}
        return all(labels.get(name) == value for name, value in wanted.items())

    def weight(self, namespace: str) -> float:
        """Weight of a namespace beside the others."""
        named = {share.name: share.weight for share in self.spec.selector.namespaces or ()}
        return float(named.get(namespace, 1))


def parse_budget(body: Mapping[str, Any], zone_of: ZoneOf) -> EnergyBudget:
    """Reads an object as the API server delivers it.

    Args:
        body: the object.
        zone_of: finds time zones.

    Raises:
        SpecError: naming the field that cannot be read and why.
    """
    metadata = body["metadata"]
    try:
        spec = msgspec.convert(body.get("spec", {}), BudgetSpec, dec_hook=_decode)
    except (msgspec.ValidationError, ValueError) as error:
        raise SpecError(
            f"spec cannot be read: {error}; the cluster's CRD may be older than this operator: apply crds/ again"
        ) from error
    fault = _fault_of(spec)
    if fault is not None:
        raise SpecError(f"{fault}; the cluster's CRD may be older than this operator: apply crds/ again")
    period = None if spec.period is None else _period(spec.period, zone_of)
    return EnergyBudget(metadata["name"], metadata["uid"], int(metadata.get("generation", 0)), spec, period)


def _period(spec: PeriodSpec, zone_of: ZoneOf) -> CalendarPeriod | RollingPeriod:
    if spec.calendar is None:
        return RollingPeriod(float(spec.rolling or 0.0))
    try:
        return CalendarPeriod(spec.calendar, zone_of(spec.time_zone or "UTC"))
    except SpecError as error:
        raise SpecError(f"spec.period.timeZone: {error}") from error


def _fault_of(spec: BudgetSpec) -> str | None:
    """What would stop the planner; the API server refuses all of it when it has our CRD."""
    limits, period, broken = spec.limits, spec.period, spec.break_glass
    amounts = (limits.energy, limits.carbon, limits.cost)
    named = [share.name for share in spec.selector.namespaces or ()]
    checks = {
        "spec.limits must name energy, power, carbon or cost": any(a is not None for a in (*amounts, limits.power)),
        "spec.limits must be greater than 0": all(a is None or a > 0.0 for a in (*amounts, limits.power)),
        "spec.period belongs to spec.limits.energy, carbon and cost: set it with them and with nothing else": (
            (period is not None) == any(a is not None for a in amounts)
        ),
        "spec.period needs exactly one of calendar and rolling": (
            period is None or (period.calendar is None) != (period.rolling is None)
        ),
        "spec.period.timeZone belongs to calendar": (
            period is None or period.time_zone is None or period.calendar is not None
        ),
        "spec.period.rolling must lie between 1m and 744h": (
            period is None or period.rolling is None or SHORTEST_ROLLING_S <= period.rolling <= LONGEST_ROLLING_S
        ),
        "spec.selector.namespaces must name each namespace once, with a weight of at least 1": (
            len(set(named)) == len(named) and all(share.weight >= 1 for share in spec.selector.namespaces or ())
        ),
        "spec.minMeasuredShare must lie between 0 and 1": 0.0 <= spec.min_measured_share <= 1.0,
        "spec.reserve must be at least 0.5 and below 1": 0.5 <= spec.reserve < 1.0,
        "spec.measures must name at least one measure": len(spec.measures) > 0,
        "spec.breakGlass.since and until need a time zone, such as 2026-10-01T08:00:00Z": (
            broken is None or (broken.since.tzinfo is not None and broken.until.tzinfo is not None)
        ),
    }
    fault = next((message for message, holds in checks.items() if not holds), None)
    return fault or _break_fault(broken)


def _break_fault(broken: BreakGlass | None) -> str | None:
    """Times without a zone cannot be compared, so this comes after all else."""
    if broken is None or 0.0 < (broken.until - broken.since).total_seconds() <= LONGEST_BREAK_S:
        return None
    return "spec.breakGlass.until must come after since, by 168h at most"


def _decode(kind: type, value: object) -> object:
    if kind is Seconds and isinstance(value, str):
        return Seconds(parse_duration_s(value))
    if kind is Ratio and isinstance(value, str) and re.fullmatch(r"[0-9]?\.?[0-9]{1,3}", value):
        return Ratio(value)
    if kind in _UNITS:
        found = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
        if found is None or found[2] not in _UNITS[kind]:
            units = ", ".join(unit for unit in _UNITS[kind] if unit)
            told = f" with a unit of {units}" if units else ""
            raise ValueError(f"{value!r} is no number{told}, such as {_EXAMPLES[kind]}")
        return kind(float(found[1]) * _UNITS[kind][found[2]])
    raise ValueError(f"{value!r} is no {kind.__name__.lower()}")
