"""The experts: simple forecasters over the whole fleet at once, each cheap enough to run at every step.

All work on ``y = sqrt(count + 3/8)`` (Anscombe's transform, which gives counts a spread that does not depend on their
level), where a count is the requests of one step. Each expert forecasts the highest ``y`` of the next ``h`` steps for
every horizon ``h``; that it is the maximum and not the mean, and by how much it errs, is the calibration's work.
Called by ``forecaster``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar, Final

import numpy as np

from lull.model.arrays import F32, F64, Bools, running_maximum

DAY_S: Final = 86_400.0
WEEK_S: Final = 7.0 * DAY_S

HORIZONS: Final = (1, 2, 3, 5, 8, 12, 20, 60)
"""Steps ahead."""


class Expert(IntEnum):
    """Who forecasts; the value is the row in every array over experts."""

    LAST = 0
    EWMA_FAST = 1
    EWMA_SLOW = 2
    HOLT = 3
    DAY = 4
    DAY_SHIFTED = 5
    WEEK_SHIFTED = 6
    HARMONIC = 7
    SPARSE = 8
    DAY_RISE = 9

    @property
    def title(self) -> str:
        """Its name as users read it, such as ``DayShifted``."""
        return "".join(part.capitalize() for part in self.name.split("_"))


_FAST: Final = 0.3
_SLOW: Final = 0.1
_HOLT_LEVEL: Final = 0.3
_HOLT_TREND: Final = 0.1
_HOLT_DAMPING: Final = 0.9
_TSB: Final = 0.05
_JITTER: Final = 0.01
_NORMAL_ABS: Final = 0.8862
"""Standard deviation of a normal law over the mean distance of two draws."""
_AR: Final = 0.9
_MEMORY_S: Final = 6.0 * DAY_S
_DAILY_PAIRS: Final = 8
_WEEKLY_PAIRS: Final = 3

_THREE_EIGHTHS: Final = np.float32(0.375)
NONE_Y: Final[np.float32] = np.sqrt(_THREE_EIGHTHS)
"""The ``y`` of a step without requests."""

_DAMPED: Final = np.cumsum(_HOLT_DAMPING ** np.arange(1, HORIZONS[-1] + 1))[np.array(HORIZONS) - 1].astype(np.float32)
_FADED: Final = (_AR ** np.array(HORIZONS)).astype(np.float32)


def to_y(count: F32) -> F32:
    """Anscombe's transform of counts of at least 0."""
    y: F32 = np.sqrt(count + _THREE_EIGHTHS)
    return y


def to_count(y: F32) -> F32:
    """Its inverse, nothing below zero; NaN stays NaN."""
    count: F32 = np.square(np.maximum(y, NONE_Y)) - np.square(NONE_Y)
    return count


class Smoothers:
    """The experts without a calendar: EWMAs, damped Holt and Teunter-Syntetos-Babai for sparse series."""

    COLUMNS: ClassVar[tuple[str, ...]] = ("last", "fast", "slow", "level", "trend", "busy_ratio", "size", "jitter")

    def __init__(self, width: int) -> None:
        self.last: F32 = np.full(width, np.nan, dtype=np.float32)
        self.fast, self.slow, self.level = self.last.copy(), self.last.copy(), self.last.copy()
        self.trend: F32 = np.zeros(width, dtype=np.float32)
        self.busy_ratio: F32 = np.zeros(width, dtype=np.float32)
        """Share of steps with any request."""
        self.size: F32 = np.zeros(width, dtype=np.float32)
        """Mean count of those steps."""
        self.jitter: F32 = np.zeros(width, dtype=np.float32)
        """Mean distance from one step to the next."""

    @property
    def noise(self) -> F32:
        """Standard deviation of a step about its level, (N,), which rare steps of the level do not move."""
        return np.float32(_NORMAL_ABS) * self.jitter

    def learn(self, y: F32, count: F32, known: Bools) -> None:
        """Takes one step in, (N,); where it is not known nothing changes."""
        first = known & np.isnan(self.last)
        for state in (self.fast, self.slow, self.level):
            np.copyto(state, y, where=first)
        np.copyto(self.busy_ratio, (count > 0).astype(np.float32), where=first)
        step = known & ~first
        self.jitter = np.where(step, self.jitter + _JITTER * (np.abs(y - self.last) - self.jitter), self.jitter)
        self.last = np.where(known, y, self.last)
        self.fast = np.where(step, self.fast + _FAST * (y - self.fast), self.fast)
        self.slow = np.where(step, self.slow + _SLOW * (y - self.slow), self.slow)
        level = _HOLT_LEVEL * y + (1 - _HOLT_LEVEL) * (self.level + _HOLT_DAMPING * self.trend)
        trend = _HOLT_TREND * (level - self.level) + (1 - _HOLT_TREND) * _HOLT_DAMPING * self.trend
        self.level = np.where(step, level, self.level)
        self.trend = np.where(step, trend, self.trend)
        busy = count > 0
        self.busy_ratio = np.where(step, self.busy_ratio + _TSB * (busy - self.busy_ratio), self.busy_ratio)
        # The first size there is stands for itself: an average that starts at none would crawl up to it.
        size = np.where(self.size > 0, self.size + _TSB * (count - self.size), count)
        self.size = np.where(known & busy, size, self.size)

    def forecast(self, out: F32) -> None:
        """Writes the smoothers' rows of ``out``, (E, H, N)."""
        out[Expert.LAST] = self.last
        out[Expert.EWMA_FAST] = self.fast
        out[Expert.EWMA_SLOW] = self.slow
        # The highest point of a damped trend lies at one of its ends.
        reach = np.where(self.trend > 0, _DAMPED[:, None], _DAMPED[0])
        out[Expert.HOLT] = self.level + reach * self.trend
        # Its states start at none and not at unknown.
        out[Expert.SPARSE] = np.where(np.isnan(self.last), np.float32(np.nan), to_y(self.busy_ratio * self.size))


class Harmonics:
    """Daily and weekly waves by recursive least squares with one gain for all series, plus a fading residual.

    The regressors depend on the clock alone, so the gain does too, and a step costs K^2 + K*N for K regressors.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("weights", "residual", "_is_new")

    def __init__(self, width: int, step_s: float) -> None:
        self._step_s = step_s
        self._forget = 1.0 - step_s / _MEMORY_S
        size = len(_waves(np.zeros(1))[0])
        self._cov: F64 = np.eye(size) * 10.0
        self.weights: F32 = np.zeros((size, width), dtype=np.float32)
        self.residual: F32 = np.zeros(width, dtype=np.float32)
        self._is_new: Bools = np.ones(width, dtype=bool)

    def learn(self, y: F32, at_s: float, known: Bools) -> None:
        """Takes the step that starts at ``at_s`` in, (N,)."""
        # The gain is the fleet's and small by now; a series that joins late starts at its own level.
        self.weights[0] = np.where(known & self._is_new, y, self.weights[0])
        self._is_new &= ~known
        waves = _waves(np.array([at_s]))[0]
        error = np.where(known, y - waves.astype(np.float32) @ self.weights, np.float32(0))
        gain = self._cov @ waves / (self._forget + waves @ self._cov @ waves)
        self.weights += np.outer(gain.astype(np.float32), error)
        cov = (self._cov - np.outer(gain, self._cov @ waves)) / self._forget
        # Symmetry is lost to rounding over weeks, and waves that a night never excites must not grow without bound.
        self._cov = np.clip((cov + cov.T) / 2.0, -1e3, 1e3)
        rest = y - waves.astype(np.float32) @ self.weights
        self.residual = np.where(known, rest, _AR * self.residual).astype(np.float32)

    def skip(self, steps: int) -> None:
        """Passes over steps that nobody told of."""
        self.residual *= np.float32(_AR**steps)

    def take_gain(self, other: Harmonics) -> None:
        """Takes over what all series share."""
        self._cov = other._cov.copy()

    def forecast(self, at_s: float, out: F32) -> None:
        """Writes the row of ``out``, (E, H, N), as seen from the step that starts at ``at_s``."""
        waves = _waves(at_s + np.array(HORIZONS) * self._step_s).astype(np.float32)
        points = waves @ self.weights + _FADED[:, None] * self.residual
        out[Expert.HARMONIC] = running_maximum(points)


def _waves(at_s: F64) -> F64:
    """Regressors at instants, (T, K): one, daily and weekly pairs, and the first daily pairs for weekends alone."""
    day = 2.0 * np.pi * (at_s % DAY_S) / DAY_S
    week = 2.0 * np.pi * (at_s % WEEK_S) / WEEK_S
    # The epoch began on a Thursday; its first Saturday came two days later.
    is_weekend = ((at_s / DAY_S).astype(np.int64) + 5) % 7 < 2
    columns = [np.ones_like(day)]
    for k in range(1, _DAILY_PAIRS + 1):
        columns += [np.cos(k * day), np.sin(k * day)]
    for k in range(1, _WEEKLY_PAIRS + 1):
        columns += [np.cos(k * week), np.sin(k * week)]
    for wave in (np.cos(day), np.sin(day), np.ones_like(day)):
        columns.append(np.where(is_weekend, wave, 0.0))
    return np.stack(columns, axis=1)
