"""What each replica carried of late, and whether that tells its capacity. Called by ``capacity``.

A rate is of a window, a backlog of a moment: a queue is said to stand when it was there at every look of a whole
window. Replicas come and go within a window too, so what one of them carried lies between all over the most and all
over the fewest. Where few requests come, a window's count is mostly chance, and the mean is taken over more of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from lull.model.arrays import F64, I64, Bools
from lull.model.columns import place, widen

CALM_TURNS: Final = 20.0
"""Longest mean wait of a calm replica, in the time that a full one takes per request: about the mean wait of a single
server at 95 % of what it can do. What the objectives allow is for the laws of queues to say, and less."""

GROWTH_RATIO: Final = 0.05
"""Growth of the backlog, as a share of what is completed, beyond which it is growing."""

LEAST_QUEUE: Final = 1.0
"""Requests waiting per replica below which nothing is overloaded: one that waits is no queue."""

ENOUGH_COUNT: Final = 300.0
"""Requests that a mean is taken over, for as a count they vary by 6 % only ..."""

LONGEST_WINDOWS: Final = 5.0
"""... unless they take more windows than this."""

FURTHEST: Final = 1.5
"""Windows between two looks beyond which nothing is said of the time between them."""

_LEAST_RPS: Final = 1e-6
"""One request in eleven days: what is less is rounding, and no rate."""

_WHOLE: Final = 0.99
"""Share of a window that is taken for a whole one, since looks do not come at the millisecond."""

_ENOUGH: Final = 0.6
"""Weight of the looks in a mean from which on it is told; all the looks there could be have 1."""


@dataclass(frozen=True, slots=True)
class Window:
    """One look at all replicas of each model together, (N,); NaN = unknown."""

    completions_rps: F64
    """Over the window, of pods that went meanwhile too."""
    backlog: F64
    """Requests waiting now, those being worked on not counted."""
    backlog_growth_rps: F64
    """Over the window; where it is unknown the backlog alone is judged."""
    service_s: F64
    """Mean seconds of work on a request, waiting not counted."""
    ready: F64
    """Replicas that are Ready now."""
    is_complete: Bools
    """Whether nothing is missing in the numbers; what is incomplete teaches nothing."""

    @staticmethod
    def unknown(width: int) -> Window:
        """A look that saw nothing, to be filled in."""
        completions, backlog, growth, service, ready = (np.full(width, np.nan) for _ in range(5))
        return Window(completions, backlog, growth, service, ready, np.zeros(width, dtype=bool))


@dataclass(frozen=True, slots=True)
class Seen:
    """What the looks add up to, (N,)."""

    carried_rps: F64
    """At least what each replica carried; NaN = a queue stood, or too little is known yet."""
    is_calm: Bools
    """The queue was short meanwhile."""
    full_rps: F64
    """At most what each replica carried while a queue stood; NaN = none did, or too little is known yet."""
    is_full: Bools
    """A queue stood at every look of the last window."""
    backlog: F64
    """Requests waiting per replica now; NaN = unknown."""
    grain_rps: F64
    """What one request more would add: a count varies by its own root, so this times a rate is that rate's variance."""
    share: float
    """Part of the window that no look before has seen."""


class Carried:
    """Remembers what the last looks saw.

    Args:
        width: number of models.
        window_s: seconds over which rates are taken.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("_calm", "_full", "_told_since_s", "_full_since_s", "_most", "_fewest")

    def __init__(self, width: int, window_s: float) -> None:
        self._window_s = window_s
        self._calm: F64 = np.zeros((3, width))
        """Of all looks: their weight, and weighted sums of the rate and the backlog per replica."""
        self._full: F64 = np.zeros((2, width))
        """Of the looks of an unbroken stretch with a queue: their weight, and the weighted sum of the rate."""
        self._told_since_s: F64 = np.full(width, np.nan)
        """Start of the unbroken stretch of looks that told something."""
        self._full_since_s: F64 = np.full(width, np.nan)
        """Start of the unbroken stretch of looks at which a queue stood."""
        self._most: F64 = np.full((2, width), np.nan)
        """Most Ready replicas of the present and the previous stretch of one window's length."""
        self._fewest: F64 = np.full((2, width), np.nan)
        self._at_s = -np.inf
        self._turned_s = -np.inf

    def resize(self, width: int) -> None:
        """Grows to ``width`` models; of the new ones nothing is known."""
        widen(self, Carried(width - self._calm.shape[1], self._window_s))

    def forget(self, columns: I64) -> None:
        """Makes columns as new."""
        place(self, columns, Carried(1, self._window_s))

    def look(self, window: Window, turn_s: F64, now_s: float) -> Seen:
        """Takes in one look.

        Args:
            window: what was seen.
            turn_s: seconds that a full replica takes per request, (N,); NaN = unknown.
            now_s: seconds on a clock that never jumps.
        """
        passed_s = max(0.0, now_s - self._at_s)
        self._at_s = max(now_s, self._at_s)
        share = min(1.0, passed_s / self._window_s) if np.isfinite(passed_s) else 0.0
        rate, ready = window.completions_rps, window.ready
        is_told = window.is_complete & (rate >= _LEAST_RPS) & (ready > 0.0) & np.isfinite(rate * window.backlog)
        known = np.where(is_told, rate, np.nan)
        most, fewest = self._count_ready(np.where(is_told, ready, np.nan), now_s)
        is_short = ~(window.backlog > CALM_TURNS * turn_s * known) & ~(window.backlog_growth_rps > GROWTH_RATIO * known)
        is_full = is_told & ~is_short & (window.backlog >= LEAST_QUEUE * ready)

        # Looks much further apart than a window say nothing of what was between them.
        is_kept = passed_s <= FURTHEST * self._window_s
        self._told_since_s = _since(self._told_since_s, is_told, now_s, is_kept=is_kept)
        self._full_since_s = _since(self._full_since_s, is_full, now_s, is_kept=is_kept)
        is_whole = now_s - self._told_since_s >= _WHOLE * self._window_s
        is_stuck = is_whole & (now_s - self._full_since_s >= _WHOLE * self._window_s)
        count = np.clip(known * self._window_s, ENOUGH_COUNT / LONGEST_WINDOWS, ENOUGH_COUNT)
        windows = ENOUGH_COUNT / count
        gain = share / windows
        self._calm = _blend(self._calm, [known / most, window.backlog / most], gain, is_whole & ~is_stuck)
        self._full = _blend(self._full, [known / fewest], gain, is_stuck)
        carried_rps, backlog = _means(self._calm)
        return Seen(
            carried_rps=carried_rps,
            is_calm=is_short & (backlog <= CALM_TURNS * turn_s * carried_rps),
            full_rps=_means(self._full)[0],
            is_full=is_stuck,
            backlog=window.backlog / np.where(is_told, ready, np.nan),
            grain_rps=1.0 / (most * windows * self._window_s),
            share=share,
        )

    def _count_ready(self, ready: F64, now_s: float) -> tuple[F64, F64]:
        """Most and fewest Ready replicas over the last window, and up to another one before it."""
        if now_s - self._turned_s >= _WHOLE * self._window_s:
            self._most[1], self._fewest[1] = self._most[0], self._fewest[0]
            self._most[0], self._fewest[0] = np.nan, np.nan
            self._turned_s = now_s
        self._most[0] = np.fmax(self._most[0], ready)
        self._fewest[0] = np.fmin(self._fewest[0], ready)
        return np.fmax(self._most[0], self._most[1]), np.fmin(self._fewest[0], self._fewest[1])


def _since(since_s: F64, holds: Bools, now_s: float, *, is_kept: bool) -> F64:
    """Start of the stretch in which something holds, NaN where it does not hold now."""
    begins = np.isnan(since_s) if is_kept else np.ones(len(since_s), dtype=bool)
    return np.where(holds, np.where(begins, now_s, since_s), np.nan)


def _blend(sums: F64, values: list[F64], gain: F64, those: Bools) -> F64:
    """Takes values into weighted sums, (1 + V, N); all others start from nothing again."""
    seen = np.stack([np.ones(sums.shape[1]), *values])
    return np.where(those, sums + gain * (seen - sums), 0.0)


def _means(sums: F64) -> F64:
    """Means of weighted sums, (V, N); NaN where too little is in them."""
    return sums[1:] / np.where(sums[0] >= _ENOUGH, sums[0], np.nan)
