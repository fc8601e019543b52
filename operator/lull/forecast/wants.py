"""How much power models want in each hour of the day, learned from what they wanted: what budgets are planned by.

What is wanted is what everything but the budgets would have; what a budget held back is part of it, or a tight budget
would teach that nothing more is wanted.
"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np

from lull.model.arrays import F32, F64, I64
from lull.model.columns import place, widen
from lull.model.spending import HOURS, Wanted

_HOUR_S: Final = 3600.0
_LEARNS: Final = 0.5
"""Weight of the newest day in an hour's mean: a fleet grows and shrinks from week to week."""
_RECENT_S: Final = 1800.0
"""Time constant of what counts as recent: longer than a burst, shorter than a morning."""


class Wants:
    """Of models, one column each.

    Args:
        count: number of columns.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("level_w", "recent_w", "variance", "_sum_j", "_sum_s")

    def __init__(self, count: int) -> None:
        self.level_w: F32 = np.full((HOURS, count), np.nan, dtype=np.float32)
        self.recent_w: F64 = np.full(count, np.nan)
        self.variance: F64 = np.full(count, np.nan)
        self._sum_j: F64 = np.zeros(count)
        self._sum_s: F64 = np.zeros(count)
        self._hour: int | None = None

    def learn(self, at: I64, want_w: F64, now_s: float, for_s: float) -> None:
        """Takes in what was wanted for a while.

        Args:
            at: columns, (N,).
            want_w: theirs, (N,); NaN = unknown, which teaches nothing.
            now_s: the end of that while, seconds since 1970.
            for_s: its length in seconds.
        """
        hour = int(now_s // _HOUR_S)
        if self._hour is not None and hour != self._hour:
            self._close(self._hour % HOURS)
        self._hour = hour
        known = ~np.isnan(want_w)
        at, want_w = at[known], want_w[known]
        self._sum_j[at] += want_w * for_s
        self._sum_s[at] += for_s
        keeps = np.exp(-for_s / _RECENT_S)
        before = self.recent_w[at]
        self.recent_w[at] = np.where(np.isnan(before), want_w, keeps * before + (1.0 - keeps) * want_w)

    def known(self, at: I64) -> Wanted:
        """What was learned of the models in those columns, (N,); -1 = nothing."""
        level_w = np.append(self.level_w, np.full((HOURS, 1), np.nan), axis=1)[:, at].astype(np.float64)
        return Wanted(level_w, np.append(self.recent_w, np.nan)[at], np.sqrt(np.append(self.variance, np.nan)[at]))

    def resize(self, width: int) -> None:
        """Makes room for so many columns."""
        lacking = width - len(self.recent_w)
        if lacking > 0:
            widen(self, Wants(lacking))

    def forget(self, at: I64) -> None:
        """Makes columns as new."""
        place(self, at, Wants(1))

    def _close(self, hour: int) -> None:
        """Ends an hour: its mean moves what is known of that hour, and its distance from it the variance."""
        with np.errstate(invalid="ignore"):
            mean_w = np.where(self._sum_s > 0.0, self._sum_j / self._sum_s, np.nan)
        before = self.level_w[hour].astype(np.float64)
        away = mean_w - before
        after = np.where(np.isnan(before), mean_w, before + _LEARNS * np.nan_to_num(away))
        self.level_w[hour] = after.astype(np.float32)
        is_told = ~np.isnan(away)
        first = np.isnan(self.variance) & is_told
        # A day of hours is what the spread is taken over.
        self.variance = np.where(
            first, away**2, np.where(is_told, self.variance + (away**2 - self.variance) / HOURS, self.variance)
        )
        self._sum_j[:] = 0.0
        self._sum_s[:] = 0.0
