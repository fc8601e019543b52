"""What was: two days in steps, fourteen days in coarser bins; and what yesterday and last week say of what comes.

Time-major rings of float32 with one row per step of the clock, so that a row's place follows from its time. NaN is a
step that nobody measured. Called by ``forecaster``.
"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np

from lull.forecast.experts import DAY_S, HORIZONS, WEEK_S, Expert
from lull.model.arrays import F32, I64, Bools

_FINE_DAYS: Final = 2
_COARSE_DAYS: Final = 14
COARSE: Final = 5
"""Steps per coarse bin."""
_SHIFT_STEPS: Final = 10
"""Steps over which today's level is compared with the season's."""
_CHANCE: Final = np.sqrt(2.0 * np.log(np.array(HORIZONS))).astype(np.float32)
"""Standard deviations by which the highest of h steps lies above their level by chance alone, about."""
_CLEAR: Final = np.float32(2.0)
"""Standard deviations beyond that from which on a rise is one."""


class Seasons:
    """The past of every series in ``y``.

    Args:
        width: number of series.
        step_s: seconds per step.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("fine", "coarse", "_sum", "_counted")

    def __init__(self, width: int, step_s: float) -> None:
        self._day = max(1, round(DAY_S / step_s))
        self._week = max(1, round(WEEK_S / step_s / COARSE))
        # What is judged against the steps before it reaches back two of the longest horizons, however long steps are.
        fine_rows = max(_FINE_DAYS * self._day, 2 * HORIZONS[-1]) + _SHIFT_STEPS + 1
        self.fine: F32 = np.full((fine_rows, width), np.nan, dtype=np.float32)
        coarse_rows = round(_COARSE_DAYS * DAY_S / step_s / COARSE) + _SHIFT_STEPS + 1
        self.coarse: F32 = np.full((coarse_rows, width), np.nan, dtype=np.float32)
        self.span = len(self.fine)
        """Steps after which nothing fine is left of a step."""
        self._sum: F32 = np.zeros(width, dtype=np.float32)
        self._counted: F32 = np.zeros(width, dtype=np.float32)

    def learn(self, index: int, y: F32, known: Bools) -> None:
        """Writes the step with number ``index``, counted from the epoch."""
        self.fine[index % len(self.fine)] = np.where(known, y, np.nan)
        if index % COARSE == 0:
            self._sum[:] = 0.0
            self._counted[:] = 0.0
        self._sum += np.where(known, y, 0.0)
        self._counted += known
        with np.errstate(invalid="ignore", divide="ignore"):
            self.coarse[(index // COARSE) % len(self.coarse)] = np.where(
                self._counted > 0, self._sum / self._counted, np.nan
            )

    def skip(self, start: int, stop: int) -> None:
        """Forgets what stood in the places of steps that nobody told of, from ``start`` to before ``stop``."""
        self.fine[_places(start, stop, len(self.fine))] = np.nan
        first, last = (start - 1) // COARSE + 1, stop // COARSE
        if first <= last:
            self.coarse[_places(first, last + 1, len(self.coarse))] = np.nan
            self._sum[:] = 0.0
            self._counted[:] = 0.0

    def highest(self, index: int, steps: int) -> F32:
        """Highest ``y`` of the ``steps`` steps up to ``index``, (N,); NaN where none of them is known."""
        highest: F32 = np.fmax.reduce(self._fine_rows(np.arange(index - steps + 1, index + 1)), axis=0)
        return highest

    def around(self, index: int, days: int, before: int, ahead: int) -> F32:
        """Mean ``y`` of coarse bins around the step ``index`` as it was some days ago, (2 * before + ahead, N).

        Twice ``before`` bins before the one with that step, then ``ahead`` of them from that one on; NaN = unknown.
        """
        now = (index - days * self._day) // COARSE
        rows: F32 = self.coarse[np.arange(now - 2 * before, now + ahead) % len(self.coarse)]
        return rows

    def forecast(self, index: int, noise: F32, out: F32) -> None:
        """Writes the seasonal rows of ``out``, (E, H, N), beside the smoothers', as seen from the step ``index``.

        Args:
            index: number of the last step.
            noise: standard deviation of a step about its level, (N,).
            out: forecasts.
        """
        self._day_ahead(index, noise, out)
        self._week_ahead(index, out)

    def _day_ahead(self, index: int, noise: F32, out: F32) -> None:
        ahead = self._fine_rows(index + 1 - self._day + np.arange(HORIZONS[-1]) % self._day)
        level = self._fine_mean(index - self._day)
        shift = self._fine_mean(index) - level
        for row, (start, stop) in enumerate(zip((0, *HORIZONS), HORIZONS, strict=False)):
            piece = np.fmax.reduce(ahead[start:stop], axis=0)
            out[Expert.DAY, row] = piece if row == 0 else np.fmax(piece, out[Expert.DAY, row - 1])
        out[Expert.DAY_SHIFTED] = out[Expert.DAY] + shift
        # Today as it is, but for what rose clearly yesterday: a copy of all of yesterday brings its noise along.
        rise = out[Expert.DAY] - level - _CHANCE[:, None] * noise
        risen = out[Expert.EWMA_SLOW] + np.where(rise > _CLEAR * noise, rise, np.float32(0))
        out[Expert.DAY_RISE] = np.where(np.isnan(rise), np.nan, np.fmax(out[Expert.EWMA_FAST], risen))

    def _week_ahead(self, index: int, out: F32) -> None:
        now = index // COARSE
        back = now - self._week
        shift = self._fine_mean(index) - self._coarse_mean(back)
        for row, horizon in enumerate(HORIZONS):
            bins = -(-horizon // COARSE) + 1
            rows = self.coarse[(back + np.arange(bins) % self._week) % len(self.coarse)]
            out[Expert.WEEK_SHIFTED, row] = np.fmax.reduce(rows, axis=0) + shift

    def _fine_rows(self, steps: I64) -> F32:
        return self.fine[steps % len(self.fine)]

    def _fine_mean(self, index: int) -> F32:
        return _mean(self._fine_rows(np.arange(index - _SHIFT_STEPS + 1, index + 1)))

    def _coarse_mean(self, index: int) -> F32:
        return _mean(self.coarse[np.arange(index - 1, index + 1) % len(self.coarse)])


def _places(start: int, stop: int, length: int) -> I64:
    """Rows of the numbers from ``start`` to before ``stop`` in a ring, each once."""
    return np.arange(max(start, stop - length), stop) % length


def _mean(rows: F32) -> F32:
    """Mean of what is known, (N,); NaN where nothing is."""
    known = ~np.isnan(rows)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: F32 = (np.where(known, rows, 0.0).sum(axis=0) / known.sum(axis=0)).astype(np.float32)
    return mean
