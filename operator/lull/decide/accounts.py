"""What each layer has cost, and what it would have cost somebody who knew what came.

Advice from a forecast may be useless or worse. The accounts bound what it can do: a layer's priced cost stays within
twice that of the clairvoyant, who knows each gap ``g`` between two needs and pays ``min(g, worth)`` for it: the cheaper
of holding through it and letting go. Without advice, holding for ``worth`` seconds keeps that bound (ski rental;
Karlin and others, "Competitive snoopy caching"). Advice may let go sooner, hold longer or start ahead only as far as
the bound would still hold if the worst came next, so whatever it says, there is always a move left that keeps it.

At any time, with prices that stay: ``spent <= 2 * (time needed + sum of min(gap, worth)) + worth``, the last for the
gap that is still open. Time is counted in the stretches that are booked; who decides before the last of them is booked
may spend one more. Only savings fade, so the bound is that of the whole life of a layer. It holds for advice: what is
unknown is kept, and what a guard or a hand keeps is kept, whatever it costs.

``spent`` is the time that the layer is on, its starts, and the price of what finds it missing or still starting. That
clairvoyant pays the whole worth where he lets go; no rule without a forecast stays within twice the cost of one who
would start ahead without missing anything, since it never knows when a gap ends.
"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np

from lull.decide.sleep import missed_requests
from lull.model.arrays import F32, F64, I64, Bools
from lull.model.costs import Costs

ROBUSTNESS: Final = 2.0
"""Most that a layer may cost, over the clairvoyant's cost."""

LAYERS: Final = 32
"""Layers with an account; those above share the last one's fate."""

_MEMORY_S: Final = 7.0 * 86_400.0
"""Savings fade with this time constant: those of last month buy nothing today."""


class Accounts:
    """Accounts per layer and model, (K, N), in seconds of idle power.

    Args:
        width: number of models.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("balance_s", "gap_s", "_was_on", "_lacks_s")

    def __init__(self, width: int) -> None:
        self.balance_s: F32 = np.zeros((LAYERS, width), dtype=np.float32)
        """What the bound allows, over what was spent; what the open gap will allow is not in it yet."""
        self.gap_s: F32 = np.full((LAYERS, width), np.inf, dtype=np.float32)
        """Seconds since the layer was needed last."""
        self._was_on: Bools = np.zeros((LAYERS, width), dtype=bool)
        self._lacks_s: F32 = np.zeros((LAYERS, width), dtype=np.float32)
        """Seconds of a start that are still to come and that no need has paid for yet."""

    def learn(self, at: I64, need: F64, on: F64, costs: Costs, notice_s: float, for_s: float) -> None:
        """Books a stretch of time for the models in the columns ``at``, (N,).

        Args:
            at: their columns, each once.
            need: replicas that were needed, (N,); NaN = unknown, which books nothing: who knows what they were for.
            on: replicas there were, starting ones included, (N,).
            costs: theirs; where one is unknown, so is what there is to book.
            notice_s: seconds until a need is noticed.
            for_s: seconds that the stretch lasted.
        """
        layer = np.arange(1.0, LAYERS + 1.0)[:, None]
        price_s = costs.price_s(layer)
        miss_s = price_s * missed_requests(costs.limit_rps, costs.lead_s, notice_s=notice_s)
        worth_s = miss_s + costs.start_s
        known = ~np.isnan(need) & ~np.isnan(worth_s)
        needed, is_on = known & (layer <= need), layer <= on
        was_on, gap_s, balance_s = self._was_on[:, at], self.gap_s[:, at], self.balance_s[:, at]
        lacks_s = self._lacks_s[:, at].astype(np.float64)
        began = needed & (gap_s > 0.0)
        optimal_s = np.where(began, np.minimum(gap_s, worth_s), 0.0) + needed * for_s
        # A start costs its time as time that the replica is on; the rest of it is booked when it begins, or with the
        # need that calls for it: who asks in between whether it may be let go again must not take it for free.
        starts = np.where(needed & ~is_on, began | was_on, is_on & ~was_on & (gap_s > 0.0))
        # Whoever goes or comes in the very stretch in which the need begins is not there for it.
        unready_s = price_s * missed_requests(costs.limit_rps, lacks_s, notice_s=0.0)
        missed_s = np.where(began, np.where(is_on & was_on, unready_s, miss_s), 0.0)
        spent_s = is_on * for_s + starts * costs.beyond_s + missed_s
        faded_s = np.minimum(balance_s, np.exp(-for_s / _MEMORY_S) * balance_s)
        self.balance_s[:, at] = faded_s + np.where(known, ROBUSTNESS * optimal_s - spent_s, 0.0)
        self.gap_s[:, at] = np.where(needed, 0.0, np.where(known, gap_s + for_s, gap_s))
        # A need that has paid for a whole start has paid for what those after it miss of that same start.
        lacks_s = np.where(is_on, np.fmax(lacks_s - for_s, 0.0), costs.lead_s)
        self._lacks_s[:, at] = np.where(needed, 0.0, lacks_s)
        self._was_on[:, at] = is_on

    def may_let_go(self, at: I64, layer: I64, worth_s: F64) -> Bools:
        """Whether a layer may be dropped before its break-even time, (L,), even if it is needed in the next moment."""
        return self._left_s(at, layer, worth_s) >= 0.0

    def may_hold(self, at: I64, layer: I64, worth_s: F64, for_s: float) -> Bools:
        """Whether a layer that is not needed may stay on for so long, (L,), even if all of it is in vain."""
        return (self._gap_s(at, layer) < worth_s) | (self._left_s(at, layer, worth_s) >= for_s)

    def may_start(self, at: I64, layer: I64, worth_s: F64, cost_s: F64) -> Bools:
        """Whether a layer may be started ahead of its need, (L,), at a cost that may be in vain."""
        return self._left_s(at, layer, worth_s) >= cost_s

    def _left_s(self, at: I64, layer: I64, worth_s: F64) -> F64:
        """What is left to spend if the next need finds nothing there, (L,)."""
        saved_s = np.minimum(self._gap_s(at, layer), worth_s)
        left_s: F64 = self.balance_s[np.minimum(layer, LAYERS) - 1, at] + ROBUSTNESS * saved_s - worth_s
        return left_s

    def _gap_s(self, at: I64, layer: I64) -> F32:
        gap_s: F32 = self.gap_s[np.minimum(layer, LAYERS) - 1, at]
        return gap_s
