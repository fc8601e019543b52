"""How deep one quiet replica rests: awake, asleep in its pod, or gone.

Each rung holds a share of the idle power, and waking from it has a price. Whoever knew how long the silence lasts would
take the rung that is cheapest for it; over silences of all lengths those costs are the lower envelope of lines
``holding * t + wake``. Without a forecast a replica follows that envelope down as its silence goes on (multi-slope ski
rental). What it has held by then is never more than the envelope itself, and neither is the wake it is left with, so it
costs at most twice what the clairvoyant does (Irani, Shukla and Gupta, "Online strategies for dynamic power management
in systems with multiple power-saving states"). With a forecast the chance of a need within each horizon stands in for
the silence, clamped so that a useless one costs a bounded factor more.

A server does not sink from one level to another; it would have to wake for that. So once it sleeps, what is left is to
wake or to go. Where both levels would be taken in turn, the factor grows by what the first holds over the second.

Unknown is not zero: a rung of which the power or the wake is not known saves nothing, and is not taken. Costs are in
seconds of a replica's idle power, as everywhere in ``decide``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from lull.decide.sleep import holding_s
from lull.model.arrays import F64, I64, Bools
from lull.model.doze import DOZES, Rung

RUNGS: Final = len(Rung)

TRUST: Final = 0.5
"""How far a forecast may lead away from what the silence alone says: from that at half of its length to that at twice
its length. Never more than ``1 + 1 / TRUST`` times the clairvoyant's cost comes of it (Purohit, Svitkina and Kumar,
"Improving online algorithms via ML predictions", on ski rental)."""

SHORTEST_S: Final = 60.0
"""Fewest seconds of silence before anything is done: who asks every minute is not waiting for a saving."""

_LONGEST_S: Final = 1e9
"""No time at infinite length would be no number."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """The rungs of N models, (RUNGS, N) each, from ``Rung.AWAKE`` on; NaN = unknown."""

    holding: F64
    """Share of the idle power that is held there."""
    price_s: F64
    """Cost of a wake: its energy, and what waits for it."""
    wake_s: F64
    """Seconds within which nearly all wakes are done."""

    def within(self, hold_s: F64, is_allowed: Bools) -> Bools:
        """Rungs that may be taken at all, (RUNGS, N): known to save, and left before those that wait have to go.

        Args:
            hold_s: seconds for which requests wait, (N,).
            is_allowed: whether a wake may take longer, (N,).
        """
        with np.errstate(invalid="ignore"):
            saves = (self.holding < 1.0) & ~np.isnan(self.price_s)
            is_open: Bools = saves & ((self.wake_s <= hold_s) | is_allowed)
        is_open[Rung.AWAKE] = True
        return is_open


def reachable(at: I64) -> Bools:
    """Rungs that a model on the rung ``at`` can go to, (RUNGS, N): a level is left by waking or by going alone."""
    rung = np.arange(RUNGS)[:, None]
    is_level = np.isin(at, DOZES)
    is_other_level = np.isin(rung, DOZES) & (rung != at)
    found: Bools = ~(is_level & is_other_level)
    return found


def by_silence(ladder: Ladder, is_open: Bools, quiet_s: F64) -> I64:
    """The rung of the lower envelope after a silence of ``quiet_s``, (N,); of equal ones the deeper.

    Args:
        ladder: the rungs.
        is_open: which of them may be taken, (RUNGS, N).
        quiet_s: seconds since anything was wanted, (N,).
    """
    cost_s = np.where(is_open, ladder.holding * np.minimum(quiet_s, _LONGEST_S) + ladder.price_s, np.inf)
    return _deepest_least(cost_s)


def by_chance(ladder: Ladder, is_open: Bools, chance: F64, horizons_s: F64) -> I64:
    """The rung that pays best by the chance of a need within each horizon, (N,).

    Staying on a rung instead of going deeper holds more until the need comes, and saves the difference of the wakes if
    it does. It pays if it does so for some horizon; taken is the first rung that pays against all deeper ones.

    Args:
        ladder: the rungs.
        is_open: which of them may be taken, (RUNGS, N).
        chance: that anything is wanted within each horizon, (H, N), not falling with it; NaN = nothing is forecast.
        horizons_s: increasing, (H,).
    """
    held_s = holding_s(chance, horizons_s)
    chosen: I64 = np.full(chance.shape[1], int(Rung.AWAKE), dtype=np.int64)
    is_left: Bools = np.ones(chance.shape[1], dtype=bool)
    for rung in range(RUNGS):
        keeps = np.ones(chance.shape[1], dtype=bool)
        for deeper in range(rung + 1, RUNGS):
            keeps &= ~is_open[deeper] | _pays(ladder, rung, deeper, chance, held_s)
        here = is_left & is_open[rung] & keeps
        chosen[here] = rung
        is_left &= ~here
    return chosen


def rung_of(ladder: Ladder, is_open: Bools, quiet_s: F64, chance: F64, horizons_s: F64, is_versed: Bools) -> I64:
    """The rung to be on, (N,): by the silence, and where the forecast knows the model, by its chances within a clamp.

    Args:
        ladder: the rungs.
        is_open: which of them may be taken, (RUNGS, N).
        quiet_s: seconds since anything was wanted, (N,).
        chance: of a need within each horizon, (H, N).
        horizons_s: increasing, (H,).
        is_versed: where the forecast has a say, (N,).
    """
    plain = by_silence(ladder, is_open, quiet_s)
    early, late = (by_silence(ladder, is_open, quiet_s * factor) for factor in (TRUST, 1.0 / TRUST))
    foreseen = np.clip(by_chance(ladder, is_open, chance, horizons_s), early, late)
    has_forecast = is_versed & ~np.isnan(chance).any(axis=0)
    chosen = np.where(has_forecast, foreseen, plain)
    return np.where(quiet_s >= SHORTEST_S, chosen, int(Rung.AWAKE))


def _pays(ladder: Ladder, rung: int, deeper: int, chance: F64, held_s: F64) -> Bools:
    """Whether it pays to stay on a rung against a deeper one, (N,)."""
    with np.errstate(invalid="ignore"):
        more = ladder.holding[rung] - ladder.holding[deeper]
        saved_s = ladder.price_s[deeper] - ladder.price_s[rung]
        pays: Bools = (chance * saved_s > held_s * more).any(axis=0)
    return pays


def _deepest_least(cost_s: F64) -> I64:
    deepest: I64 = cost_s.shape[0] - 1 - np.argmin(cost_s[::-1], axis=0)
    return deepest
