"""How many replicas were Ready over the last window: what was done in it was done by all of them.

Called by ``capacity``.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from lull.model.arrays import F64


class Staffing:
    """Most and fewest Ready replicas of each model, (N,).

    Args:
        width: number of models.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("_most", "_fewest")

    def __init__(self, width: int) -> None:
        self._most: F64 = np.full((2, width), np.nan)
        """Of the present stretch of a window's length, and of the one before."""
        self._fewest: F64 = np.full((2, width), np.nan)
        self._turned_s = -np.inf

    def look(self, ready: F64, span_s: float, now_s: float) -> tuple[F64, F64]:
        """Most and fewest over the last ``span_s``, and up to as long before that, (N,); NaN = never known.

        Args:
            ready: replicas that are Ready now, (N,); NaN = unknown.
            span_s: seconds of the window.
            now_s: seconds on a clock that never jumps.
        """
        if now_s - self._turned_s >= span_s:
            self._most[1], self._fewest[1] = self._most[0], self._fewest[0]
            self._most[0], self._fewest[0] = np.nan, np.nan
            self._turned_s = now_s
        self._most[0] = np.fmax(self._most[0], ready)
        self._fewest[0] = np.fmin(self._fewest[0], ready)
        return np.fmax(self._most[0], self._most[1]), np.fmin(self._fewest[0], self._fewest[1])
