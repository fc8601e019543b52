"""Makes up for what the laws of queues leave out, by whether the objectives were met. The loop is the only writer."""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np

from lull.model.arrays import F64, I64
from lull.model.columns import place, widen

ETA: Final = 0.05
"""Step per window."""

MISSES: Final = 0.05
"""Share of windows that may miss in the long run."""

LEAST: Final = 0.7
MOST: Final = 2.0


class Trim:
    """Factor on the replicas that a model is sized to, (N,), moved by whether its objectives were met.

    ``k <- k * exp(ETA * (1[missed] - MISSES))``: every miss asks for more replicas, every window without one for a
    little less, so that in the long run the share ``MISSES`` of the windows misses. Where no server tells its latency
    it stays 1.

    Args:
        width: number of models.
        window_s: seconds over which latencies are taken. Looks may come more often and then count for less each.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("factor",)

    def __init__(self, width: int, window_s: float) -> None:
        self._window_s = window_s
        self._at_s = -np.inf
        self.factor: F64 = np.ones(width)
        """More than 1 asks for more replicas than the law says."""

    def resize(self, width: int) -> None:
        """Grows to ``width`` models; the new ones are not trimmed."""
        widen(self, Trim(width - len(self.factor), self._window_s))

    def forget(self, columns: I64) -> None:
        """Makes columns as new."""
        place(self, columns, Trim(1, self._window_s))

    def learn(self, missed: F64, now_s: float) -> None:
        """Takes in one look.

        Args:
            missed: 1 where an objective's percentile was above its threshold, 0 where all were met, NaN where that is
                not told or says nothing of the size because the model was idle, (N,).
            now_s: seconds on a clock that never jumps.
        """
        passed_s = max(0.0, now_s - self._at_s)
        self._at_s = max(now_s, self._at_s)
        share = min(1.0, passed_s / self._window_s) if np.isfinite(passed_s) else 0.0
        moved = self.factor * np.exp(ETA * share * (missed - MISSES))
        self.factor = np.where(np.isnan(missed), self.factor, np.clip(moved, LEAST, MOST))
