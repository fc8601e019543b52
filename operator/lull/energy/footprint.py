"""Joules per request and token, grams of CO2 equivalent, and money: allocations, which say of what they are made.

Three figures for every unit of work, since they answer different questions: what the work itself drew; that and the
idle power and host that were reserved for it; and what the building drew for it. Formulas: research/energy.md section
3 (Software Carbon Intensity 1.1.0 for carbon). Called by the loop for statuses, and by reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from lull.errors import SettingsError
from lull.model.arrays import F64

J_PER_KWH: Final = 3.6e6

WORLD_G_PER_KWH: Final = 481.0
"""Mean intensity of the world's electricity, where nothing is known of the place (Carbontracker's default)."""

_PERIODS: Final = 2.0
"""Periods of its source after which an intensity is stale."""


@dataclass(frozen=True, slots=True)
class Overhead:
    """What a building draws beside its computers."""

    pue: float
    """Power usage effectiveness: all of the building's power over that of its computers."""
    source: str
    year: int

    def __post_init__(self) -> None:
        """Raises SettingsError where the value can be none."""
        if not 1.0 <= self.pue <= 5.0:
            raise SettingsError([f"PUE is {self.pue:g}; it must be from 1 to 5"])


@dataclass(frozen=True, slots=True)
class PerUnit:
    """Joules per request or token of each model, each (M,); NaN where no work was counted."""

    dynamic_j: F64
    attributed_j: F64
    facility_j: F64
    sigma_j: F64
    """Uncertainty of the attributed figure."""


def per_unit(idle_j: F64, dynamic_j: F64, host_j: F64, sigma_j: F64, units: F64, overhead: Overhead) -> PerUnit:
    """Joules for each unit of work; every one is an allocation and no reading.

    Args:
        idle_j: shares of idle power, (M,).
        dynamic_j: what the work drew, (M,).
        host_j: what of the hosts' joules is not in the other two yet, (M,); 0 where processors are metered.
        sigma_j: uncertainty of the sum of these, (M,).
        units: requests or tokens in the same time, (M,); NaN = unknown.
        overhead: of the building.
    """
    attributed_j = idle_j + dynamic_j + host_j
    return PerUnit(
        *(
            np.divide(joules, units, out=np.full(len(units), np.nan), where=units > 0.0)
            for joules in (dynamic_j, attributed_j, overhead.pue * attributed_j, sigma_j)
        )
    )


class Kind(StrEnum):
    """Of what an intensity is the mean."""

    AVERAGE = "average"
    """All plants that run: for accounts."""
    MARGINAL = "marginal"
    """Those plants that would run more or less: for what a change would do."""


@dataclass(frozen=True, slots=True)
class Intensity:
    """Grams of CO2 equivalent per kWh at one time."""

    g_per_kwh: float
    kind: Kind
    source: str
    zone: str
    at_s: float
    """When it held."""
    period_s: float = np.inf
    """For how long a value of this source holds; inf = a year's mean."""

    def age_s(self, now_s: float) -> float:
        """How old it is."""
        return now_s - self.at_s

    def is_stale(self, now_s: float) -> bool:
        """Whether it is older than two of its source's periods: then it says nothing of now."""
        return self.age_s(now_s) > _PERIODS * self.period_s


WORLD: Final = Intensity(WORLD_G_PER_KWH, Kind.AVERAGE, "world mean (Carbontracker)", "WORLD", 0.0)


@dataclass(frozen=True, slots=True)
class Emission:
    """Grams, of one kind, with what they rest on."""

    grams: float
    kind: Kind
    joules: float
    by_source: Mapping[str, float]
    """Grams by source and zone."""
    oldest_s: float
    """Age of the oldest intensity that was used, when it was used; a year's mean has none and counts as 0."""
    fallback_j: float
    """Joules that were weighed with a fallback, since what should hold was stale or missing."""

    def __add__(self, other: Emission) -> Emission:
        """The sum of both.

        Raises:
            ValueError: average and marginal grams, which have no sum.
        """
        if other.kind is not self.kind:
            raise ValueError(f"{self.kind} and {other.kind} grams have no sum")
        sources = {*self.by_source, *other.by_source}
        return Emission(
            self.grams + other.grams,
            self.kind,
            self.joules + other.joules,
            {name: self.by_source.get(name, 0.0) + other.by_source.get(name, 0.0) for name in sources},
            max(self.oldest_s, other.oldest_s),
            self.fallback_j + other.fallback_j,
        )


def emission(facility_j: float, told: Intensity | None, fallback: Intensity, now_s: float) -> Emission:
    """Grams of one interval: its own joules by the intensity of its own time, never means of a period.

    Args:
        facility_j: joules of the interval, the building's overhead included.
        told: what a live source says; None = nothing.
        fallback: a mean of the place or of the world, of the same kind, for when that is stale or missing.
        now_s: the interval's time.

    Raises:
        ValueError: told and fallback are of different kinds.
    """
    if told is not None and told.kind is not fallback.kind:
        raise ValueError(f"a {fallback.kind} intensity cannot stand in for a {told.kind} one")
    used = fallback if told is None or told.is_stale(now_s) else told
    grams = facility_j / J_PER_KWH * used.g_per_kwh
    return Emission(
        grams,
        used.kind,
        facility_j,
        {f"{used.source} / {used.zone}": grams},
        used.age_s(now_s) if np.isfinite(used.period_s) else 0.0,
        facility_j if used is not told else 0.0,
    )


def embodied_g(device_s: float, device_g: float, life_s: float) -> float:
    """The share of what making a device emitted, for the time it was reserved: ``M = TE * TiR / EL`` (SCI)."""
    return device_g * device_s / life_s
