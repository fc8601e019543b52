"""Who takes part in a study: Lull, what is left of it without a part, and the rivals; each with its sweep."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from lull.model.arrays import F64
from lull.replay.policies.lull import KNOBS, Lull
from lull.replay.policies.registry import RIVALS, Rival
from lull.replay.stage import Stage
from lull.replay.world import Policy

CLAIRVOYANT: Final = "clairvoyant"
ITS_OWN: Final = math.nan
"""The knob with which Lull finds its price by itself."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A policy that can live on a stage."""

    name: str
    summary: str
    knob: str
    """What its knob means."""
    sweep: tuple[float, ...]
    make: Callable[[Stage, F64], Policy]
    """From a stage and a knob for each column, (len(sweep) * M,)."""
    cost: float
    """Microseconds of a step, as measured; only the progress bar and the order of work rest on it."""

    @property
    def is_self_tuned(self) -> bool:
        """Whether it chooses its own point."""
        return math.isnan(self.sweep[-1])


def _rival(rival: Rival) -> Contender:
    def make(stage: Stage, knob: F64) -> Policy:
        of_series = stage.columns(len(knob) // len(stage.series))
        return rival.make(knob, stage.capacity_rps[of_series], stage.training(of_series), stage.physics)

    return Contender(rival.name, rival.summary, rival.knob, rival.sweep, make, cost=80.0)


def _lull(name: str, summary: str, *, is_one_price: bool = True, without: str | None = None) -> Contender:
    def make(stage: Stage, knob: F64) -> Policy:
        of_series = stage.columns(len(knob) // len(stage.series))
        return Lull(
            knob,
            stage.capacity_rps[of_series],
            of_series,
            stage.options.objective_ratio,
            stage.physics,
            step_s=stage.forecast_step_s,
            is_one_price=is_one_price,
            cold_ratio=stage.options.cold_ratio,
            without=frozenset() if without is None else frozenset({without}),
        )

    sweep = (ITS_OWN,) if without == "prices" else (*KNOBS, ITS_OWN)
    return Contender(name, summary, "factor of the price of a miss", sweep, make, cost=800.0)


LULLS: Final[Mapping[str, Contender]] = MappingProxyType(
    {
        lull.name: lull
        for lull in (
            _lull("lull", "Lull with one price of a miss for the fleet, found by itself"),
            _lull("lull-each", "Lull with a price for each model, which keeps to its own share", is_one_price=False),
        )
    }
)

ABLATIONS: Final[Mapping[str, Contender]] = MappingProxyType(
    {
        lull.name: lull
        for lull in (
            _lull("lull-no-forecast", "Lull on the present need and break-even times alone", without="forecast"),
            _lull("lull-no-prices", "Lull at the first price of a miss, never adjusted", without="prices"),
            _lull("lull-no-accounts", "Lull without the clamp on what advice may cost", without="accounts"),
        )
    }
)

CONTENDERS: Final[Mapping[str, Contender]] = MappingProxyType(
    {**LULLS, **{name: _rival(rival) for name, rival in RIVALS.items()}, **ABLATIONS}
)

NAMES: Final = (*LULLS, *RIVALS, CLAIRVOYANT)
"""What can be asked for, in the order of tables."""


def knobs(contender: Contender, series: int) -> F64:
    """The sweep's knobs, each for all series in turn, (len(sweep) * series,)."""
    return np.repeat(np.array(contender.sweep, dtype=np.float64), series)
