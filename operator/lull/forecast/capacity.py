"""How much more, or less, one replica can do than its spec says, learned from what its queue does.

What is stated is a prior (for a concurrency: over the measured time of work), and where nothing is stated one request
at a time is. Learned is a factor on it, and only from complete looks at replicas that have work:

- While nothing stands in the way a replica that carries x of the r it is believed capable of keeps
  ``rho ** sqrt(2 * (c + 1)) / (1 - rho)`` requests waiting on average, ``rho = x / r`` with c at a time (Sakasegawa,
  1977, for M/M/c; exact for c = 1). Expected and seen queues are added up through a quarter of an hour at least. Where
  less than half as many waited as expected, r was too low and rises by a step: it stays below the truth, as a lower
  confidence bound does. Where many more waited, a step beyond the prior is taken back. A fleet that is sized for too
  low a capacity never gives a replica more than that, so waiting for one to show more would teach it nothing.
- A window in which a queue stood at every look is overload. It never raises anything; it is used as an upper bound,
  cautiously, since a replica that had work all the time did what it could: without it a prior ten times too high would
  never be mended. What was carried then is also a ceiling for later steps, and lifts slowly: an incident is not
  believed for ever.

Idle replicas, a change in their number, missing numbers and pods of two templates teach nothing. Only the loop writes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Final

import numpy as np

from lull.forecast.staffing import Staffing
from lull.model.arrays import F64, I64, Bools, Objects
from lull.model.columns import place, widen
from lull.model.window import Window

STEP: Final = 1.15
"""Factor of one step."""

LEAST_S: Final = 900.0
"""Seconds of looks that a step takes at least, so that no burst makes one ..."""

ENOUGH: Final = 30.0
"""... and requests, waiting through one window, that are expected meanwhile: their count varies by a third."""

FEW: Final = 0.5
"""Share of the expected queue below which a replica does more than was believed. Service that never varies halves the
queue by itself."""

MANY: Final = 1.5
"""Times the expected queue above which a step beyond the prior is taken back."""

BURST: Final = 4.0
"""Times the expected queue that one look counts for at most."""

BUSY: Final = 0.5
"""Share of what a replica is given at most below which it is idle, and above which it must stay after a step."""

SLOWER: Final = 2.0
"""Times the least time of work of late beyond which requests slow each other down: no step is taken then."""

SHORT: Final = 0.5
"""Requests waiting per replica up to which next to nothing waits."""

STANDING: Final = 2.0
"""Requests waiting per replica from which on a queue stands."""

OVERLOAD_GAIN: Final = 0.9
"""Weight of a whole window of overload."""

SURE: Final = 1.5
"""Standard deviations that an overloaded window must lie below the belief, and that are taken off what it says."""

LIFT: Final = 0.003
"""Growth of the ceiling per window: a day of busy ones makes up for an incident."""

SERVICE_GAIN: Final = 0.2
"""Weight of a window's time of work in the mean."""

LIGHT_RISE: Final = 0.001
"""Growth of the least time of work per window, so that longer requests come to be taken as normal."""

TURNS: Final = 25.0
"""Requests of one replica between two looks that tell different things: queues change slowly where work is long."""

FULLEST: Final = 0.95
"""Most that a replica is taken to be used; beyond it the law expects a queue without end."""


class Capacities:
    """What was learned of the capacity of one replica of each model, (N,).

    Args:
        width: number of models.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = (
        "factor",
        "windows",
        "service_s",
        "light_s",
        "_stated",
        "_revision",
        "_ceiling",
        "_expected",
        "_observed",
        "_counted_s",
        "_told_since_s",
        "_full_since_s",
    )

    def __init__(self, width: int) -> None:
        self.factor: F64 = np.ones(width)
        """Capacity over what is stated, or over one request at a time."""
        self.windows: F64 = np.zeros(width)
        """Windows that taught something."""
        self.service_s: F64 = np.full(width, np.nan)
        """Mean time of work, as the server tells it."""
        self.light_s: F64 = np.full(width, np.nan)
        """The least of it of late."""
        self._stated: Objects = np.full(width, "", dtype=object)
        self._revision: Objects = np.full(width, "", dtype=object)
        self._ceiling: F64 = np.full(width, np.inf)
        self._expected: F64 = np.zeros(width)
        self._observed: F64 = np.zeros(width)
        self._counted_s: F64 = np.zeros(width)
        self._told_since_s: F64 = np.full(width, np.nan)
        self._full_since_s: F64 = np.full(width, np.nan)
        self._staffing = Staffing(width)
        self._at_s = -np.inf

    def resize(self, width: int) -> None:
        """Grows to ``width`` models; of the new ones nothing is known."""
        lacking = width - len(self.factor)
        widen(self, Capacities(lacking))
        widen(self._staffing, Staffing(lacking))

    def forget(self, at: I64) -> None:
        """Makes columns as new."""
        place(self, at, Capacities(1))
        place(self._staffing, at, Staffing(1))

    def work_s(self, at: I64, has_wait: Bools) -> F64:
        """Seconds of work on a request of models in those columns, (N,); NaN = unknown, as in column -1.

        Args:
            at: columns, (N,); -1 = none.
            has_wait: whether the server's time contains the wait, (N,): the least of it is then nearest to the work.
        """
        known = np.where(has_wait, _taken(self.light_s, at, np.nan), _taken(self.service_s, at, np.nan))
        return np.asarray(known, dtype=np.float64)

    def factors(self, at: I64) -> F64:
        """Capacity over the nominal one of models in those columns, (N,); 1 = as in column -1."""
        return _taken(self.factor, at, 1.0)

    def counts(self, at: I64) -> F64:
        """Windows that taught something, (N,)."""
        return _taken(self.windows, at, 0.0)

    def learn(self, at: I64, seen: Window, now_s: float) -> None:
        """Takes in one look; models that are not in it break off what they were showing.

        Args:
            at: their columns, (N,).
            seen: aligned with them.
            now_s: seconds on a clock that never jumps.
        """
        look = seen.spread(at, len(self.factor))
        passed_s = max(0.0, now_s - self._at_s)
        # Looks much further apart than a window say nothing of what was between them.
        is_kept = passed_s <= 1.5 * seen.span_s
        self._at_s = max(self._at_s, now_s)
        self._start_anew(look)
        if not is_kept:
            self._told_since_s[:] = self._full_since_s[:] = np.nan
        self._time(look, min(1.0, passed_s / seen.span_s) if is_kept else 0.0)
        rate = self.factor * look.nominal_rps
        is_told = look.is_complete & (look.ready > 0.0) & (look.completions_rps > 0.0)
        is_told &= np.isfinite(look.backlog * look.completions_rps * rate) & (look.revision == self._revision)
        look = _only(look, is_told)
        most, fewest = self._staffing.look(look.ready, seen.span_s, now_s)
        is_whole = self._lasts("_told_since_s", is_told, seen.span_s, now_s)
        is_stuck = self._lasts("_full_since_s", is_told & (look.backlog >= STANDING * look.ready), seen.span_s, now_s)
        if passed_s == 0.0 or not is_kept:
            return
        share = min(1.0, passed_s / seen.span_s)
        is_steady = is_whole & ~is_stuck & (most == fewest)
        is_first = is_whole & ~look.is_prior & (self.windows < 1.0)
        self._overload(look, is_stuck, fewest, share)
        self._carried(look, is_steady)
        self._calm(look, is_steady, passed_s)
        self.windows = self.windows + np.where(is_first, share, 0.0)

    def _start_anew(self, look: Window) -> None:
        """Of other pods, or another statement, no more is believed than is stated and than was learned of the old."""
        is_stated = (look.stated != "") & (look.stated != self._stated)
        is_revised = (look.revision != "") & (look.revision != self._revision)
        is_known = self._revision != ""
        self._stated = np.where(is_stated, look.stated, self._stated)
        self._revision = np.where(is_revised, look.revision, self._revision)
        is_anew = is_stated | (is_revised & is_known)
        if not is_anew.any():
            return
        factor = np.where(is_stated, 1.0, np.minimum(self.factor, 1.0))
        at = np.flatnonzero(is_anew)
        stated, revision = self._stated[at], self._revision[at]
        self.forget(at)
        self.factor[at], self._stated[at], self._revision[at] = factor[at], stated, revision

    def _time(self, look: Window, share: float) -> None:
        is_timed = look.is_complete & (look.service_s > 0.0) & np.isfinite(look.service_s)
        seen_s = np.where(is_timed, look.service_s, np.nan)
        blended_s = self.service_s + SERVICE_GAIN * share * (seen_s - self.service_s)
        known_s = np.where(np.isnan(self.service_s), seen_s, blended_s)
        self.service_s = np.where(is_timed, known_s, self.service_s)
        nearest_s = np.where(look.has_wait, seen_s, self.service_s)
        self.light_s = np.fmin(self.light_s * (1.0 + LIGHT_RISE * share), nearest_s)

    def _lasts(self, name: str, holds: Bools, span_s: float, now_s: float) -> Bools:
        """Where it held at every look of a whole window, (W,); ``name`` is where the start of that is kept."""
        before_s = getattr(self, name)
        since_s = np.where(holds, np.where(np.isnan(before_s), now_s, before_s), np.nan)
        setattr(self, name, since_s)
        return np.greater_equal(now_s - since_s, span_s)

    def _overload(self, look: Window, is_stuck: Bools, fewest: F64, share: float) -> None:
        done_rps = look.completions_rps / fewest
        doubt_rps = SURE * np.sqrt(done_rps / (fewest * look.span_s))
        bound = np.maximum(done_rps - doubt_rps, done_rps / 2.0) / look.nominal_rps
        # While a backlog shrinks it may stand at some replicas alone, those that were there before the others came.
        is_full = is_stuck & ~(look.growth_rps < 0.0)
        is_less = is_full & (done_rps + doubt_rps < self.factor * look.nominal_rps)
        moved = self.factor + OVERLOAD_GAIN * share * (bound - self.factor)
        self.factor = np.where(is_less, moved, self.factor)
        self._ceiling = np.where(is_full, np.fmin(self._ceiling, done_rps / look.nominal_rps), self._ceiling)
        self.windows = self.windows + np.where(is_less, share, 0.0)
        self._drop_counts(is_stuck)

    def _carried(self, look: Window, is_steady: Bools) -> None:
        """What was carried while next to nothing waited, every replica can carry."""
        done_rps = look.completions_rps / look.ready
        bound = (done_rps - SURE * np.sqrt(done_rps / (look.ready * look.span_s))) / look.nominal_rps
        is_more = is_steady & (look.backlog <= SHORT * look.ready) & (bound > self.factor)
        self.factor = np.where(is_more, bound, self.factor)

    def _calm(self, look: Window, is_steady: Bools, passed_s: float) -> None:
        rate = self.factor * look.nominal_rps
        carried_rps = look.completions_rps / look.ready
        is_busy = is_steady & (carried_rps >= BUSY * look.limit_rps)
        share = passed_s / np.maximum(look.span_s, TURNS / rate)
        expected = look.ready * queue(np.minimum(carried_rps / rate, FULLEST), look.slots)
        self._expected = self._expected + np.where(is_busy, share * expected, 0.0)
        self._observed = self._observed + np.where(is_busy, share * np.minimum(look.backlog, BURST * expected), 0.0)
        self._counted_s = self._counted_s + np.where(is_busy, passed_s, 0.0)
        self.windows = self.windows + np.where(is_busy, passed_s / look.span_s, 0.0)
        self._ceiling = np.where(is_busy, self._ceiling * (1.0 + LIFT * passed_s / look.span_s), self._ceiling)
        is_due = is_busy & (self._counted_s >= LEAST_S) & (self._expected >= ENOUGH)
        self._step(look, is_due & (carried_rps >= STEP * BUSY * look.limit_rps), is_due)
        self._drop_counts(is_due)

    def _step(self, look: Window, may_rise: Bools, may_fall: Bools) -> None:
        is_open = (self.service_s <= SLOWER * self.light_s) | (np.isnan(look.service_s) & (self.factor < 1.0))
        is_up = may_rise & is_open & (self._observed <= FEW * self._expected)
        up = np.maximum(np.minimum(self.factor * STEP, self._ceiling), self.factor)
        is_down = may_fall & (self._observed >= MANY * self._expected) & (self.factor > 1.0)
        down = np.maximum(self.factor / STEP, 1.0)
        self.factor = np.where(is_up, up, np.where(is_down, down, self.factor))

    def _drop_counts(self, those: Bools) -> None:
        for name in ("_expected", "_observed", "_counted_s"):
            setattr(self, name, np.where(those, 0.0, getattr(self, name)))


def queue(utilisation: F64, slots: F64) -> F64:
    """Mean requests waiting at one replica, (N,).

    Args:
        utilisation: 0 to below 1, (N,).
        slots: requests worked on at the same time, at least 1, (N,).
    """
    waiting: F64 = utilisation ** np.sqrt(2.0 * (slots + 1.0)) / (1.0 - utilisation)
    return waiting


def _only(look: Window, those: Bools) -> Window:
    """The look without the numbers of all others."""
    unknown = np.nan
    return replace(
        look,
        nominal_rps=np.where(those, look.nominal_rps, unknown),
        completions_rps=np.where(those, look.completions_rps, unknown),
        backlog=np.where(those, look.backlog, unknown),
        ready=np.where(those, look.ready, unknown),
    )


def _taken(values: F64, at: I64, otherwise: float) -> F64:
    taken: F64 = np.append(values, otherwise)[at]
    return taken
