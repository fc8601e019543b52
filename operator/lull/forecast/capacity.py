"""How many requests per second one replica can do, learned from windows that tell.

Two kinds of windows tell something. In a calm one (the backlog is short and does not grow) the replica did what it was
given, so its capacity is at least that: where that is more than was believed, the belief moves up towards it. In an
overloaded one (a queue stood all the time) it did what it could, so its capacity is at most that: where that is less
than was believed, the belief moves down, and faster. All else, idle windows above all, tells nothing. The belief is
thus never above both what it started from and what a replica was seen to do.

It starts from the capacity in the spec, which counts for some windows, or else from the requests at a time that are
stated, one if none are, for as long as a request was measured to take. An incident must not be believed for ever, since
a fleet sized for slow replicas never again gives one enough to show what it can do: while windows are busy and calm the
belief very slowly returns to what it was, as far as overload has not taken that back as well. Where nothing is stated,
``spare`` says how much more a replica may be given than was learned, to find out. The loop is the only writer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from lull.forecast.carried import Carried, Seen, Window
from lull.forecast.spare import Spare
from lull.model.arrays import F64, I64, Bools
from lull.model.columns import place, widen

__all__ = ["Capacities", "Window"]

Z: Final = 1.0
"""Standard deviations between an estimate and its confidence bound: one in six lies beyond."""

PRIOR_WINDOWS: Final = 5.0
"""Windows that a stated capacity counts for, and after a change of the pods what was learned of the old ones."""

GUESS_WINDOWS: Final = 1.0
"""Windows that a guess from the service time counts for."""

MOST_WINDOWS: Final = 12.0
"""Windows that all evidence counts for together, so that new evidence always has a say."""

LOWER: Final = 3.0
"""Times that an overloaded window counts for: too high a belief costs users, too low a one energy."""

DOUBT: Final = 0.2
"""Times that an overloaded window counts against what was once believed: a bad hour is no proof against weeks."""

RETURN: Final = 0.002
"""Share of the way back to what was once believed per busy and calm window: two hours of them go most of it."""

BUSY: Final = 0.5
"""Share of the believed capacity from which on a window is not idle."""

SERVICE_GAIN: Final = 0.2
"""Weight of a window's service time in the mean of them."""

SLOWER: Final = 1.5
"""Times the least service time of late beyond which requests slow each other down: more at a time is then no gain."""

LIGHT_RISE: Final = 0.005
"""Growth of the least service time per window, so that longer requests come to be taken as normal."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What one window tells of a replica's capacity, (N,); NaN = nothing."""

    rps: F64
    variance: F64

    @property
    def doubt_rps(self) -> F64:
        """How far the truth may lie from it."""
        return Z * np.sqrt(self.variance)


class Capacities:
    """Capacity of one replica of each model, (N,) each; NaN = unknown.

    Args:
        width: number of models.
        window_s: seconds over which rates are taken. Looks may come more often and then count for less each.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = (
        "learned_rps",
        "weight",
        "prior_rps",
        "_slots",
        "_belief",
        "_once",
        "_pseudo",
        "_noise",
        "_service_s",
        "_light_s",
    )

    def __init__(self, width: int, window_s: float) -> None:
        self._window_s = window_s
        self._carried = Carried(width, window_s)
        self._spare = Spare(width)
        self.learned_rps: F64 = np.full(width, np.nan)
        """Lower confidence bound of the capacity; before anything was learned, what was stated or guessed."""
        self.weight: F64 = np.zeros(width)
        """Windows that taught, what was stated or guessed not counted."""
        self.prior_rps: F64 = np.full(width, np.nan)
        """What the learning started from, where that was not a guess."""
        self._slots: F64 = np.full(width, np.nan)
        """Stated requests at a time."""
        self._belief: F64 = np.full(width, np.nan)
        self._once: F64 = np.full(width, np.nan)
        """What the belief may return to; never below it."""
        self._pseudo: F64 = np.full(width, GUESS_WINDOWS)
        self._noise: F64 = np.zeros(width)
        """Variance of the throughput counted in one window that taught."""
        self._service_s: F64 = np.full(width, np.nan)
        """Mean seconds of work on a request ..."""
        self._light_s: F64 = np.full(width, np.nan)
        """... and the least that it was of late."""

    @property
    def rps(self) -> F64:
        """Capacity to plan with: what was learned, and what there is to find out."""
        return self.learned_rps * self._spare.factor

    @property
    def is_learned(self) -> Bools:
        """Whether at least a whole window taught."""
        return self.weight >= 1.0

    def resize(self, width: int) -> None:
        """Grows to ``width`` models; of the new ones nothing is known."""
        fresh = Capacities(width - len(self.rps), self._window_s)
        widen(self, fresh)
        self._carried.resize(width)
        self._spare.resize(width)

    def forget(self, columns: I64) -> None:
        """Makes columns as new."""
        place(self, columns, Capacities(1, self._window_s))
        self._carried.forget(columns)
        self._spare.forget(columns)

    def learn(self, window: Window, *, prior_rps: F64, slots: F64, is_changed: Bools, now_s: float) -> None:
        """Takes in one look at the whole fleet.

        Args:
            window: what was seen.
            prior_rps: stated capacity, (N,); NaN = none, or not told this time. Another one than before starts the
                learning anew from it.
            slots: stated requests at a time, at least 1, (N,); likewise.
            is_changed: the pods are of another template than before, (N,): the learning starts anew from what was
                known.
            now_s: seconds on a clock that never jumps.
        """
        self._start_anew(prior_rps, slots, is_changed)
        seen = self._carried.look(window, 1.0 / self.rps, now_s)
        self._guess(window, seen.share)
        if seen.share == 0.0:
            return
        calm_rps = np.where(seen.is_calm, seen.carried_rps, np.nan)
        calm, full = (_Told(rps, rps * seen.grain_rps) for rps in (calm_rps, seen.full_rps))
        planned_rps = self.rps
        is_more = calm.rps - calm.doubt_rps > self._belief
        is_less = full.rps + full.doubt_rps < self._belief
        is_busy = calm.rps >= BUSY * self._belief
        self._teach(is_more, calm, seen.share)
        self._teach(is_less, full, LOWER * seen.share)
        self._return(is_busy & ~is_more, RETURN * seen.share)
        self._spare.shrink(planned_rps / self.learned_rps)
        self._explore(seen)

    def evidence(self, column: int) -> dict[str, float]:
        """What a model's capacity rests on; left out where unknown."""
        said = {
            "capacity_rps": self.rps[column],
            "capacity_learned_rps": self.learned_rps[column],
            "capacity_prior_rps": self.prior_rps[column],
            "capacity_windows": self.weight[column],
        }
        return {name: float(value) for name, value in said.items() if np.isfinite(value)}

    def _start_anew(self, prior_rps: F64, slots: F64, is_changed: Bools) -> None:
        is_stated = ~np.isnan(prior_rps) & (prior_rps != self.prior_rps)
        is_slots = ~np.isnan(slots) & (slots != self._slots)
        is_learned = (self.weight > 0.0) | (self._spare.factor > 1.0)
        is_anew = is_stated | is_slots | (is_changed & is_learned)
        start_rps = np.where(is_stated, prior_rps, np.where(is_slots, slots / self._service_s, self.rps))
        for name in ("learned_rps", "_belief", "_once"):
            setattr(self, name, np.where(is_anew, start_rps, getattr(self, name)))
        pseudo = np.where(is_slots, GUESS_WINDOWS, PRIOR_WINDOWS)
        self._pseudo = np.where(is_anew, pseudo, self._pseudo)
        self.weight = np.where(is_anew, 0.0, self.weight)
        self._noise = np.where(is_anew, 0.0, self._noise)
        self.prior_rps = np.where(is_stated, prior_rps, np.where(is_slots, np.nan, self.prior_rps))
        self._slots = np.where(is_slots, slots, np.where(is_stated, np.nan, self._slots))
        for name in ("_service_s", "_light_s"):
            setattr(self, name, np.where(is_changed, np.nan, getattr(self, name)))
        at = np.flatnonzero(is_anew | is_changed)
        self._carried.forget(at)
        self._spare.forget(at)

    def _guess(self, window: Window, share: float) -> None:
        """As many requests at a time as are stated, or one: servers that do more show it."""
        is_told = window.is_complete & (window.service_s > 0.0) & np.isfinite(window.service_s)
        known_s = np.where(np.isnan(self._service_s), window.service_s, self._service_s)
        blended_s = known_s + SERVICE_GAIN * share * (window.service_s - known_s)
        self._service_s = np.where(is_told, blended_s, self._service_s)
        self._light_s = np.fmin(self._light_s * (1.0 + LIGHT_RISE * share), self._service_s)
        is_free = np.isnan(self.prior_rps) & (self.weight == 0.0) & (self._pseudo == GUESS_WINDOWS)
        is_guess = is_free & ~np.isnan(self._service_s)
        guess_rps = np.fmax(self._slots, 1.0) / self._service_s
        for name in ("learned_rps", "_belief", "_once"):
            setattr(self, name, np.where(is_guess, guess_rps, getattr(self, name)))

    def _explore(self, seen: Seen) -> None:
        """Gives the benefit of the doubt where service is as fast as ever.

        Where a capacity is stated no further than to what was believed before.
        """
        is_free = np.isnan(self.prior_rps) & np.isnan(self._slots)
        is_open = ~(self._service_s > SLOWER * self._light_s)
        self._spare.learn(
            carried_rps=np.where(is_open, seen.carried_rps, np.nan),
            backlog=seen.backlog,
            rps=self.rps,
            slots=np.fmax(1.0, self.rps * self._service_s),
            most=np.where(is_free, np.inf, self._once / self.learned_rps),
            is_full=seen.is_full,
            share=seen.share,
        )

    def _teach(self, those: Bools, told: _Told, windows: float) -> None:
        """Moves the belief towards what was seen; the bound never moves the other way."""
        is_up = told.rps > self._belief
        gain = windows / (self._pseudo + self.weight + windows)
        belief = self._belief + gain * (told.rps - self._belief)
        noise = self._noise + windows / (self.weight + windows) * (told.variance - self._noise)
        weight = np.minimum(self.weight + windows, MOST_WINDOWS)
        doubt = np.where(is_up, 0.0, DOUBT * gain)
        once = np.maximum(self._once + doubt * (told.rps - self._once), belief)
        self._belief, self._once = np.where(those, belief, self._belief), np.where(those, once, self._once)
        self._noise, self.weight = np.where(those, noise, self._noise), np.where(those, weight, self.weight)
        bound = self._bound()
        further = np.where(is_up, np.maximum(self.learned_rps, bound), np.minimum(self.learned_rps, bound))
        self.learned_rps = np.where(those, further, self.learned_rps)

    def _return(self, those: Bools, gain: float) -> None:
        """Moves the belief back towards what it once was."""
        self._belief = np.where(those, self._belief + gain * (self._once - self._belief), self._belief)
        self.learned_rps = np.where(those, np.maximum(self.learned_rps, self._bound()), self.learned_rps)

    def _bound(self) -> F64:
        """Lower confidence bound of the belief; what was stated or guessed is taken at its word."""
        deviation = np.sqrt(self._noise / (self._pseudo + self.weight))
        return np.maximum(self._belief - Z * deviation, self._belief / 2.0)
