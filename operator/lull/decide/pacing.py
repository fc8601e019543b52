"""The price at which what is left of an amount is spent by the end of its period, and how it is approached.

Dual descent: the price goes down the gradient of the dual problem, which is how far the spending that is expected at
this price lies from what is left (Balseiro, Lu and Mirrokni, "The best of many worlds: dual mirror descent for online
allocation problems"; the plan of spend as in the pacing of their successors). The gradient is taken over the whole rest
of the period and divided by its own slope, so one size of step fits every ladder; steps are bounded, and within a band
around the plan there are none, since naive gains make a fleet swing.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from lull.model.arrays import F64, Bools

BAND: Final = 0.003
"""Share of the amount by which the end may be missed before the price moves."""
_BOLD: Final = 1.0
"""Standard deviations of what is still wanted that count as little demand."""
_BOLDEST: Final = 0.25
"""Share of what is wanted that this is at most: after a shock nobody knows anything, and that is no reason to spend."""
_STEPS_LEFT: Final = 50.0
_SLOWEST_S: Final = 600.0
"""A rung takes a fiftieth of what is left of the period, and at most ten minutes."""


@dataclass(frozen=True, slots=True)
class Purse:
    """What is left of one limit of a budget, by namespace (A) and rank (C)."""

    left: F64
    """Beyond the floors of all, (A,)."""
    above: F64
    """What is expected to be wanted beyond the floors, (A, C)."""
    sd: F64
    """Its standard deviation, (A, C)."""
    exists: Bools
    """Whether there is a model of that rank, (A, C)."""
    band: F64
    """By how much the end may be missed, (A,)."""
    reserve: float
    """Quantile of what higher ranks want that is left to them."""


def root(purse: Purse, left: F64) -> F64:
    """Price at which what is expected uses up what is left, (A,), falling in ``left``; see ``decide.claims``.

    From the highest rank down each gets what it wants, with what may come beyond its mean kept back for it from those
    below; the first that does not get all of it gets the same share of each model's.
    """
    spread = NormalDist().inv_cdf(purse.reserve)
    price: F64 = np.zeros(len(left))
    for rank in range(purse.above.shape[1] - 1, -1, -1):
        above, exists = purse.above[:, rank], purse.exists[:, rank]
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(above > 0.0, np.clip(left / above, 0.0, 1.0), np.where(left >= 0.0, 1.0, 0.0))
        price += np.where(exists, 1.0 - share, 0.0)
        left = left - np.where(exists, above + spread * purse.sd[:, rank], 0.0)
    return price


def boldness(purse: Purse) -> F64:
    """What may be spent now although the middle of the forecast wants it later, (A,).

    Too much spent is made good by holding back later, as long as there is anything to hold back; too little is not,
    once less is wanted than is left. So nothing is held back where little demand would leave some of the amount over;
    where far more is wanted than is left there is no such danger, and nobody is bold. The closer the end, the surer
    the forecast, and the less all this is.
    """
    wanted = purse.above.sum(axis=1)
    spread = np.minimum(_BOLD * np.sqrt((purse.sd**2).sum(axis=1)), _BOLDEST * wanted)
    bold: F64 = np.clip(purse.left - (wanted - 2.0 * spread), 0.0, spread)
    return np.where(purse.left > 0.0, bold, 0.0)


def approach(purse: Purse, before: F64, for_s: float, left_s: float) -> F64:
    """The next price, (A,).

    Args:
        purse: what is left.
        before: the price so far, (A,); NaN = none in this period.
        for_s: seconds since it was found.
        left_s: seconds until the period ends.
    """
    left = purse.left + boldness(purse)
    lowest, highest = root(purse, left + purse.band), root(purse, left - purse.band)
    wanted = np.clip(before, lowest, highest)
    rung_s = min(max(left_s / _STEPS_LEFT, for_s), _SLOWEST_S)
    step = for_s / rung_s
    moved = before + np.clip(wanted - before, -step, step)
    found: F64 = np.where(np.isnan(before), root(purse, left), moved)
    return found


def spent_at(purse: Purse, price: F64) -> F64:
    """What is expected to be spent beyond the floors at a price, (A,)."""
    ranks = np.arange(purse.above.shape[1])
    share = np.clip(ranks + 1.0 - price[:, None], 0.0, 1.0)
    spent: F64 = (purse.above * share).sum(axis=1)
    return spent


def within_band(before: F64, at_least: F64, at_most: F64) -> F64:
    """A price that moves only as far as it must, (A,); NaN = there was none, so the least that will do is taken."""
    return np.where(np.isnan(before), at_least, np.clip(before, at_least, at_most))
