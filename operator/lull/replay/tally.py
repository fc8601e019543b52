"""What was spent, and when: sums over parts of a period, for budgets in a replay. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from lull.model.arrays import F64
from lull.model.period import Span

PARTS: Final = 20
"""Parts that a rolling period is told in."""


class Tally:
    """What each of some models has spent, kept for as long as a rolling period is, or since a calendar one began.

    Args:
        count: number of models.
        rolling_s: length of the rolling period; None = calendar periods.
    """

    def __init__(self, count: int, rolling_s: float | None) -> None:
        self._rolling_s = rolling_s
        self._total: F64 = np.zeros(count)
        self._marks: deque[tuple[float, F64]] = deque()
        self._start_s = -np.inf
        self._at_start: F64 = np.zeros(count)
        self.closed: list[tuple[float, float]] = []
        """Start and sum of each calendar period that is over."""

    def add(self, spent: F64, now_s: float) -> None:
        """Books what was spent until now, (N,)."""
        self._total = self._total + spent
        if self._rolling_s is None:
            return
        self._marks.append((now_s, self._total))
        while len(self._marks) > 1 and self._marks[1][0] <= now_s - self._rolling_s:
            self._marks.popleft()

    def close(self) -> None:
        """Ends the calendar period that is running; what is added after its end was spent in the next one."""
        if np.isfinite(self._start_s):
            self.closed.append((self._start_s, float((self._total - self._at_start).sum())))

    def spent(self, span: Span) -> F64:
        """By part of the period that ``span`` is, the oldest first, (K, N)."""
        if self._rolling_s is None:
            if span.start_s != self._start_s:
                self.close()
                self._start_s, self._at_start = span.start_s, self._total
            return (self._total - self._at_start)[None, :]
        if not self._marks:
            return np.zeros((PARTS, len(self._total)))
        times_s = np.array([at_s for at_s, _ in self._marks])
        totals = np.array([total for _, total in self._marks])
        edges_s = np.linspace(span.start_s, span.end_s, PARTS + 1)
        at = np.clip(np.searchsorted(times_s, edges_s, side="right") - 1, 0, len(times_s) - 1)
        after = np.minimum(at + 1, len(times_s) - 1)
        gap_s = np.maximum(times_s[after] - times_s[at], 1e-9)
        part = np.clip((edges_s - times_s[at]) / gap_s, 0.0, 1.0)[:, None]
        between: F64 = totals[at] + part * (totals[after] - totals[at])
        # Before the first mark nothing was spent that anybody counted.
        between[edges_s < times_s[0]] = totals[0]
        return np.diff(between, axis=0)
