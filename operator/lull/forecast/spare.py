"""How much more a replica may be given than it was seen to do, where its queue is shorter than it should be.

A fleet sized for one request at a time per replica never gives a replica more than that, and so would never see that
it can do several. What can be seen is that nothing waits. A replica that carries x of the r it is believed capable of,
with c requests at a time, keeps ``rho ** sqrt(2 * (c + 1)) / (1 - rho)`` requests waiting on average, ``rho = x / r``
(Sakasegawa's approximation for M/M/c, exact for c = 1). Expected and observed queues are added up until they suffice;
where far fewer waited than expected, r rises by a step, and where as many did it falls by one. Called by ``capacity``.
"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np

from lull.model.arrays import F64, I64, Bools
from lull.model.columns import place, widen

STEP: Final = 1.15
"""Factor of one step."""

ENOUGH: Final = 6.0
"""Requests waiting through one window that are expected, or seen, before a step is taken."""

FEW: Final = 0.25
"""Share of the expected queue that speaks for more capacity. Service that never varies halves the queue by itself."""

BUSY: Final = 0.5
"""Nothing is allowed beyond the capacity that what a replica carries is this share of."""

RETURN: Final = 0.002
"""Growth per window of the factor at which there was overload once: it is not tried again within hours."""

_FULLEST: Final = 0.98


class Spare:
    """Factor by which each replica may be given more than was learned, (N,).

    Args:
        width: number of models.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("factor", "_highest", "_expected", "_observed")

    def __init__(self, width: int) -> None:
        self.factor: F64 = np.ones(width)
        self._highest: F64 = np.full(width, np.inf)
        self._expected: F64 = np.zeros(width)
        self._observed: F64 = np.zeros(width)

    def resize(self, width: int) -> None:
        """Grows to ``width`` models."""
        widen(self, Spare(width - len(self.factor)))

    def forget(self, columns: I64) -> None:
        """Makes columns as new."""
        place(self, columns, Spare(1))

    def shrink(self, factor: F64) -> None:
        """Takes back what was learned meanwhile: no factor stays above these, (N,); NaN = leave it."""
        self.factor = np.maximum(1.0, np.fmin(self.factor, factor))

    def learn(
        self, *, carried_rps: F64, backlog: F64, rps: F64, slots: F64, most: F64, is_full: Bools, share: float
    ) -> None:
        """Takes in one look.

        Args:
            carried_rps: by each replica of late, (N,); NaN = nothing is told, and nothing changes.
            backlog: requests waiting per replica now, (N,).
            rps: what a replica is believed to do, this factor included, (N,).
            slots: requests at a time that this makes, at least 1, (N,).
            most: factor that is allowed at most, at least 1, (N,).
            is_full: a queue stood for a whole window, (N,).
            share: part of a window that the look stands for.
        """
        expected = queue(np.minimum(carried_rps / rps, _FULLEST), slots)
        is_told = np.isfinite(expected * backlog)
        self._expected = self._expected + np.where(is_told, share * expected, 0.0)
        self._observed = self._observed + np.where(is_told, share * backlog, 0.0)
        is_due = np.maximum(self._expected, self._observed) >= ENOUGH
        is_up = is_due & (self._observed <= FEW * self._expected) & (STEP * rps * BUSY <= carried_rps)
        is_down = is_due & (self._observed >= self._expected)
        moved = np.where(is_up, self.factor * STEP, np.where(is_down, self.factor / STEP, self.factor))
        self._highest = np.where(is_full, np.fmin(self._highest, self.factor / STEP), self._highest)
        self._highest = np.where(is_told, self._highest * (1.0 + RETURN * share), self._highest)
        self.factor = np.clip(moved, 1.0, np.maximum(np.minimum(self._highest, most), 1.0))
        self._expected = np.where(is_due | is_full, 0.0, self._expected)
        self._observed = np.where(is_due | is_full, 0.0, self._observed)


def queue(utilisation: F64, slots: F64) -> F64:
    """Mean requests waiting, (N,).

    Args:
        utilisation: 0 to below 1, (N,).
        slots: requests worked on at the same time, at least 1, (N,).
    """
    waiting: F64 = utilisation ** np.sqrt(2.0 * (slots + 1.0)) / (1.0 - utilisation)
    return waiting
