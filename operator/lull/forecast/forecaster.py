"""The fleet's forecast: experts, mixed and calibrated per series and horizon.

The target is the highest rate of the next ``h`` steps, not the mean: averaging hides the burst that causes the miss.
Nothing here knows a clock; a step's time comes with its numbers. The loop is the only writer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from lull.forecast.calibration import LEVELS, Correction, Mixture, Trackers, pinball
from lull.forecast.experts import DAY_S, HORIZONS, NONE_Y, WEEK_S, Expert, Harmonics, Smoothers, to_count, to_y
from lull.forecast.gaps import Gaps
from lull.forecast.returns import informed
from lull.forecast.seasons import Seasons
from lull.model.arrays import F32, F64, I64
from lull.model.columns import Part, place, widen

_SILENT: Final = float(NONE_Y) + 1e-6
_NEVER: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected, per horizon and series; NaN = nothing can be said yet."""

    horizons_s: F64
    """Seconds ahead, (H,)."""
    quantiles_rps: F32
    """Highest rate from now to each horizon at each of ``calibration.LEVELS``, (A, H, N), if there is any."""
    busy_chance: F32
    """Chance that there is any, (H, N): below 1 in a silence that has lasted for the horizon."""
    leader: I64
    """Expert with the greatest weight, (H, N); -1 = none has a forecast."""
    known_s: F64
    """Seconds since the first step that was learned of each series, (N,); 0 = none was."""
    error_ratio: F32
    """Fading mean distance of what came from the median, over the mean median, (H, N); NaN = the median is 0."""


class Forecaster:
    """Learns one step after the other and forecasts from the last one.

    Args:
        width: number of series.
        step_s: seconds per step.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("_since", "_centres", "_issued", "_made", "_off", "_level")

    def __init__(self, width: int, step_s: float) -> None:
        self.step_s = step_s
        self.index: int | None = None
        """Number of the last step, counted from the epoch; None = nothing was learned yet."""
        self.steps = 0
        """Steps that were learned."""
        rows, experts, levels = sum(HORIZONS), len(Expert), len(LEVELS)
        self._smoothers = Smoothers(width)
        self._harmonics = Harmonics(width, step_s)
        self._seasons = Seasons(width, step_s)
        self._gaps = Gaps(width, step_s)
        self._trackers = Trackers(experts, HORIZONS, width)
        self._correction = Correction(HORIZONS, width)
        self._mixture = Mixture(experts, len(HORIZONS), width)
        self._centres: F32 = np.full((experts, len(HORIZONS), width), np.nan, dtype=np.float32)
        # Forecasts that wait for their horizon: one ring of h rows per horizon, one after the other.
        self._made: F32 = np.full((experts, rows, width), np.nan, dtype=np.float32)
        self._issued: F32 = np.full((levels, rows, width), np.nan, dtype=np.float32)
        self._since: I64 = np.full(width, _NEVER)
        self._off: F32 = np.full((len(HORIZONS), width), np.nan, dtype=np.float32)
        self._level: F32 = np.full((len(HORIZONS), width), np.nan, dtype=np.float32)

    @property
    def width(self) -> int:
        """Number of series."""
        return len(self._since)

    @property
    def _parts(self) -> tuple[Part, ...]:
        return (
            self,
            self._smoothers,
            self._harmonics,
            self._seasons,
            self._gaps,
            self._trackers,
            self._correction,
            self._mixture,
        )

    def widen(self, width: int) -> None:
        """Makes room for ``width`` series in all."""
        if width > self.width:
            fresh = Forecaster(width - self.width, self.step_s)
            for part, new in zip(self._parts, fresh._parts, strict=True):
                widen(part, new)

    def forget(self, at: I64) -> None:
        """Makes columns as new."""
        if len(at):
            self.place(at, Forecaster(1, self.step_s))

    def place(self, at: I64, other: Forecaster) -> None:
        """Takes columns over from a forecaster that has learned as far as this one."""
        if self.steps < other.steps:
            # What depends on the clock alone is the better known, the longer it was learned.
            self._harmonics.take_gain(other._harmonics)
            self.steps = other.steps
            self.index = other.index if self.index is None else self.index
        for part, theirs in zip(self._parts, other._parts, strict=True):
            place(part, at, theirs)

    def only(self, at: I64) -> Forecaster:
        """A forecaster of the columns ``at`` alone, which shares nothing with this one."""
        alone = Forecaster(len(at), self.step_s)
        alone.index, alone.steps = self.index, self.steps
        alone._harmonics.take_gain(self._harmonics)
        for mine, theirs in zip(alone._parts, self._parts, strict=True):
            for name in mine.COLUMNS:
                setattr(mine, name, getattr(theirs, name)[..., at].copy())
        return alone

    def past(self, at: I64, index: int) -> F64:
        """Rates of the step ``index`` as they were learned, (N,) for the columns ``at``; NaN = unknown or too old."""
        if self.index is None or not self.index - self._seasons.span < index <= self.index:
            return np.full(len(at), np.nan)
        y = self._seasons.fine[index % len(self._seasons.fine)][at]
        return (to_count(y) / self.step_s).astype(np.float64)

    def learn(self, rate_rps: F64, at_s: float) -> None:
        """Takes in the mean rates of the step that starts at ``at_s``, (N,); NaN, or what is no rate, is unknown.

        A step that is not later than the last one is left out, and those between the two are unknown: a clock that
        jumps back stops the learning until it has caught up, one that jumps ahead costs what lies between.
        """
        index = math.floor(at_s / self.step_s + 0.5)
        if self.index is not None:
            if index <= self.index:
                return
            self._skip(self.index + 1, index)
        self._step(rate_rps, index)

    def forecast(self) -> Forecast:
        """As seen from the last step."""
        last = np.array([self._row(row, self.index or 0) for row in range(len(HORIZONS))])
        has = ~np.isnan(self._centres)
        leader = np.nan_to_num(self._mixture.shares(has), nan=-1.0).argmax(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            error = np.where(self._level > 0, self._off / self._level, np.float32(np.nan))
        return Forecast(
            horizons_s=np.array(HORIZONS) * self.step_s,
            quantiles_rps=to_count(self._issued[:, last]) / np.float32(self.step_s),
            busy_chance=informed(self._gaps.chance_of_end(), self._gaps.silent, self._seasons, self.index or 0),
            leader=np.where(has.any(axis=0), leader, -1),
            known_s=np.maximum((self.index or 0) + 1 - self._since, 0) * self.step_s,
            error_ratio=error,
        )

    def _skip(self, start: int, stop: int) -> None:
        """Passes over steps that nobody told of, however many, at once.

        What was forecast for an end among them is not judged: what came is not known.
        """
        if start == stop:
            return
        self._harmonics.skip(stop - start)
        self._seasons.skip(start, stop)
        self._gaps.skip(stop - start)
        for row, horizon in enumerate(HORIZONS):
            lost = [self._row(row, index) for index in range(start, min(stop, start + horizon))]
            self._made[:, lost] = np.nan
            self._issued[:, lost] = np.nan

    def _step(self, rate_rps: F64, index: int) -> None:
        known = (rate_rps >= 0.0) & (rate_rps < np.inf)
        count = np.where(known, rate_rps * self.step_s, 0.0).astype(np.float32)
        y = to_y(count)
        self._smoothers.learn(y, count, known)
        self._harmonics.learn(y, index * self.step_s, known)
        self._seasons.learn(index, y, known)
        self._gaps.learn(count > 0, known)
        self._since = np.where(known, np.minimum(self._since, index), self._since)
        self._mature(index)
        self._look_ahead(index)
        self.index = index
        self.steps += 1

    def _mature(self, index: int) -> None:
        """Learns from the forecasts whose horizon ends with this step."""
        due = np.array([self._row(row, index) for row in range(len(HORIZONS))])
        centres, issued = self._made[:, due], self._issued[:, due]
        target = np.stack([self._seasons.highest(index, h) for h in HORIZONS])
        before = np.stack([self._seasons.highest(index - h, h) for h in HORIZONS])
        # Where nothing came and nothing had come, any quantile is right; learning from it would only dull the others.
        matters = ~np.isnan(target) & ~((target <= _SILENT) & (before <= _SILENT))
        has = ~np.isnan(issued[0])
        counts = to_count(target)
        quantiles = to_count(self._trackers.quantiles(centres))
        self._mixture.learn(pinball(counts, quantiles), pinball(counts, to_count(issued)), matters)
        self._trackers.learn(centres, target, matters & ~np.isnan(centres))
        self._correction.learn(issued, target, matters & has)
        self._track_error(counts, to_count(issued[0]), matters & has)

    def _track_error(self, came: F32, median: F32, known: F32) -> None:
        for name, value in (("_off", np.abs(came - median)), ("_level", median)):
            state: F32 = getattr(self, name)
            moved = np.where(np.isnan(state), value, state + np.float32(0.02) * (value - state))
            setattr(self, name, np.where(known, moved, state))

    def _look_ahead(self, index: int) -> None:
        out = np.full_like(self._centres, np.nan)
        self._smoothers.forecast(out)
        self._harmonics.forecast(index * self.step_s, out)
        self._seasons.forecast(index, self._smoothers.noise, out)
        age_s = (index - self._since) * self.step_s
        # A season counts only after two of its periods were seen.
        for expert, period_s in _PERIODS.items():
            out[expert][:, age_s < 2.0 * period_s] = np.nan
        self._centres = out
        quantiles = self._correction.quantiles(self._mixture.mix(self._trackers.quantiles(out)))
        for row in range(len(HORIZONS)):
            self._made[:, self._row(row, index)] = out[:, row]
            self._issued[:, self._row(row, index)] = quantiles[:, row]

    @staticmethod
    def _row(horizon: int, index: int) -> int:
        """Where the forecast of a step waits; the one that stood there is due at that very step."""
        return sum(HORIZONS[:horizon]) + index % HORIZONS[horizon]


_PERIODS: Final = {
    Expert.DAY: DAY_S,
    Expert.DAY_SHIFTED: DAY_S,
    Expert.DAY_RISE: DAY_S,
    Expert.HARMONIC: DAY_S,
    Expert.WEEK_SHIFTED: WEEK_S,
}
