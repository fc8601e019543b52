"""What the memory tells of one model: its past, what is expected and by whom, what its replicas have cost.

Plain values, taken out of the memory between two rounds, so that they can be told while the loop goes on. Unknown is
None, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass

from lull.model.start import StartSummary


@dataclass(frozen=True, slots=True)
class Expected:
    """The forecast of the highest rate until one horizon."""

    horizon_s: float
    quantiles_rps: tuple[float | None, ...]
    """At each of the recollection's ``levels``, if anything comes at all."""
    busy_chance: float
    """That anything comes."""
    leader: str | None
    """Expert with the greatest weight; None = none makes a forecast."""
    error_ratio: float | None
    """Mean distance of what came from the median, over the median."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one expert stands at each horizon, in their order; None = it makes no forecast there."""

    name: str
    weights: tuple[float | None, ...]
    """Share in the mixture."""
    losses_rps: tuple[float | None, ...]
    """Mean pinball loss to be expected of it while it errs as it did."""


@dataclass(frozen=True, slots=True)
class LayerAccount:
    """One replica of a model, its number counted from 1; costs are in seconds of its idle power."""

    number: int
    is_on: bool
    """Whether there was one when it was decided."""
    gap_s: float | None
    """Seconds since it was needed last; None = never as far as is known."""
    worth_s: float | None
    """Longest gap through which holding it is cheaper than a start and what is missed meanwhile."""
    balance_s: float
    """Twice what it would have cost somebody who knew what came, over what it did cost."""
    is_free: bool | None
    """Whether the balance allows the forecast to let it go before its gap is worth a start; None = unknown."""
    chance: float | None
    """That it is needed before a start would be ready."""


@dataclass(frozen=True, slots=True)
class Recollection:
    """All that is remembered of one model."""

    step_s: float
    """Seconds per step of the forecast."""
    until_s: float | None
    """End of the last step that was learned, in seconds since the epoch; None = none was yet."""
    rates_rps: tuple[float | None, ...]
    """Mean rates of the steps up to then, oldest first."""
    levels: tuple[float, ...]
    """Levels of the quantiles."""
    expected: tuple[Expected, ...]
    """One for each horizon, the nearest first; empty = nothing was learned yet."""
    experts: tuple[Standing, ...]
    layers: tuple[LayerAccount, ...]
    starts: StartSummary
    price_factor: float | None
    """Price of a missed request over the one that was started with."""
    missed_ratio: float | None
    """Share of the requests of about the last day that missed; None = there were none."""
    cold_price_factor: float | None
    """The same of a request that waits for a wake."""
    cold_hit_ratio: float | None
    """Share of those requests that waited for a wake."""
    settles_in_s: float | None
    """Seconds until the stabilisation window no longer holds back more of the change; None = it holds back none."""
