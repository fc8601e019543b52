"""What replicas, starts and misses cost, in one unit: seconds of one replica's idle power; and what a round teaches."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from lull.model.arrays import F64, I64, Bools
from lull.model.learned import Learned
from lull.model.spending import BudgetPrices
from lull.model.window import Window


@dataclass(frozen=True, slots=True)
class Costs:
    """Per model, (N,) each; NaN = unknown."""

    limit_rps: F64
    """What one replica carries within the objective."""
    miss_price_s: F64
    """Price of one missed request."""
    start_s: F64
    """Energy of a start, the time included that it is expected to take."""
    lead_s: F64
    """Time within which a start can be relied upon to be done."""
    beyond_s: F64
    """Part of a start's energy that is spent at once and is no time."""
    cold_price_s: F64
    """Price of one request that waits for a wake."""

    def price_s(self, number: I64 | F64) -> F64:
        """Price of one request that finds a layer of that number missing, broadcast against (N,).

        Without the first replica there is none, so whoever misses it waits for a wake.
        """
        return np.where(number == 1, self.cold_price_s, self.miss_price_s)

    def of(self, rows: I64) -> Costs:
        """Those of some of the models."""
        return Costs(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one round teaches, aligned with ``uids``; NaN = unknown."""

    uids: Sequence[str]
    arrivals_rps: F64
    missed_rps: F64
    """Requests per second that came upon more work than the objective allows."""
    held: F64
    """Requests that began to wait for a wake since the round before; servers count them later or never."""
    held_ever: F64
    """The same since anybody counted."""
    pile: F64
    """Requests that waited for the last wake, as long as servers may count them as if they had just come."""
    allowed_ratio: F64
    """Share of the requests that may miss."""
    cold_ratio: F64
    """Share of them that may wait for a wake, apart from the misses."""
    need: F64
    """Replicas that serve what arrived."""
    replicas: F64
    """Replicas there were, starting ones included."""
    costs: Costs
    learned: Learned
    """What was learned of how servers' times grow with their load; it stands for what was known before."""
    window: Window
    """What the replicas showed of what one of them can do."""
    wanted_w: F64 | None = None
    """Power that is wanted, before budgets; None = no round of the whole fleet."""
    is_withheld: Bools | None = None
    """Whose replicas a budget holds back, so that their misses say nothing of prices; None = of none."""
    budget_prices: Mapping[str, BudgetPrices] | None = None
    """Prices of the budgets by uid; None = this round concluded nothing of them."""
    unseen: Collection[str] = ()
    """Uids of models that are there and were not seen this time: what was learned of them is kept."""
