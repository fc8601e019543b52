"""What the life of a replica layer cost, reckoned afresh from its record, and what it would have cost who knew all.

Nothing here shares a formula with ``decide.accounts``: the record is read from its start each time, event by event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from lull.decide.accounts import ROBUSTNESS
from lull.model.costs import Costs

ROUNDING_S = 0.1


@dataclass(frozen=True)
class Prices:
    """Of one layer, in seconds of idle power, and the step of its record."""

    tick_s: float = 10.0
    lead_s: float = 60.0
    energy_s: float = 120.0
    """Energy of a start beyond its time."""
    late_s: float = 2.0
    """Price of all that arrives in a second in which the layer lacks ..."""
    cold_s: float | None = None
    """... and of the first layer, where it is another one."""

    @property
    def first(self) -> Prices:
        """As a model's first layer has them."""
        return self if self.cold_s is None else replace(self, late_s=self.cold_s, cold_s=None)

    @property
    def start_s(self) -> float:
        return self.lead_s + self.energy_s

    @property
    def miss_s(self) -> float:
        """Until it is noticed, until the start is done, and as long again until the queue is worked off."""
        return self.late_s * (2.0 * self.lead_s + self.tick_s)

    @property
    def worth_s(self) -> float:
        return self.start_s + self.miss_s

    def costs(self, models: int = 1) -> Costs:
        """The same as the accounts are told it."""
        return costs_of([self] * models)


def costs_of(prices: Sequence[Prices]) -> Costs:
    """Of many models with a layer of each kind; what a replica carries is of no account beside the price of it."""
    limit_rps = 5.0
    return Costs(
        limit_rps=np.full(len(prices), limit_rps),
        miss_price_s=np.array([each.late_s / limit_rps for each in prices]),
        start_s=np.array([each.start_s for each in prices]),
        lead_s=np.array([each.lead_s for each in prices]),
        beyond_s=np.array([each.energy_s for each in prices]),
        cold_price_s=np.array([each.first.late_s / limit_rps for each in prices]),
    )


def spent_s(needed: Sequence[bool], on: Sequence[bool], prices: Prices) -> list[float]:
    """Cost up to the end of each step: time that the layer was on, starts, and what found it missing or unready."""
    sums, total_s = [], 0.0
    for i, is_on in enumerate(on):
        total_s += prices.tick_s * is_on
        if is_on and i > 0 and not on[i - 1]:
            total_s += prices.energy_s
        if needed[i] and not (i > 0 and needed[i - 1]):
            total_s += _missed_s(i, needed, on, prices)
        sums.append(total_s)
    return sums


def _missed_s(i: int, needed: Sequence[bool], on: Sequence[bool], prices: Prices) -> float:
    """Price of what a need that begins in step ``i`` misses."""
    if not on[i] or (i > 0 and not on[i - 1]):
        return prices.miss_s
    began = i
    while began > 0 and on[began - 1]:
        began -= 1
    # There from the beginning; or a need before this one, that it was started for, has paid for all of its start.
    if began == 0 or any(needed[began - 1 : i]):
        return 0.0
    lacking_s = max(0.0, prices.lead_s - (i - began) * prices.tick_s)
    return 2.0 * prices.late_s * lacking_s


def best_s(needed: Sequence[bool], prices: Prices) -> list[float]:
    """Least cost up to each step of who knows when the layer is needed, and who pays a gap's worth to let go.

    Over all ways to be on or off, step by step; where it is needed it is on.
    """
    off, on, sums, best = 0.0, np.inf, [], 0.0
    for is_needed in needed:
        on = min(on, off + prices.worth_s) + prices.tick_s
        off = np.inf if is_needed else min(off, on - prices.tick_s)
        best = on if is_needed else best
        sums.append(best)
    return sums


def keeps_the_bound(needed: Sequence[bool], on: Sequence[bool], prices: Prices, *, slack_s: float = 0.0) -> None:
    """The claim, at every moment of a life."""
    spent, best = spent_s(needed, on[: len(needed)], prices), best_s(needed, prices)
    for i, (mine_s, theirs_s) in enumerate(zip(spent, best, strict=True)):
        allowed_s = ROBUSTNESS * theirs_s + prices.worth_s + slack_s
        assert mine_s <= allowed_s + ROUNDING_S, f"step {i}: {mine_s:g} s spent, {allowed_s:g} s allowed"


PRICES = st.builds(
    Prices,
    tick_s=st.just(10.0),
    lead_s=st.sampled_from([0.0, 5.0, 10.0, 60.0]),
    energy_s=st.sampled_from([0.0, 20.0, 120.0]),
    late_s=st.sampled_from([0.0, 0.1, 1.0, 5.0]),
)
"""Starts that take no time, less than a step and more, that are cheap or dear, with misses that are or are not."""

OF_MODELS = st.builds(replace, PRICES, cold_s=st.sampled_from([None, 0.0, 0.3, 20.0]))
"""The same of all layers of a model, whose first one answers for those that wait for a wake."""
