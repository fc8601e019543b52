"""Each expert against a plain scalar version of its formula, one series at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.forecast.experts import DAY_S, HORIZONS, NONE_Y, WEEK_S, Expert, Harmonics, Smoothers, to_count, to_y

NAN = math.nan
COUNTS = st.one_of(st.just(0.0), st.just(NAN), st.floats(2.0**-7, 1e6, width=32))


def f32(values: object) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def told(part: Smoothers, counts: np.ndarray) -> None:
    known = ~np.isnan(counts)
    plain = np.where(known, counts, 0.0).astype(np.float32)
    part.learn(to_y(plain), plain, known)


def forecast_of(part: Smoothers, width: int) -> np.ndarray:
    out = np.full((len(Expert), len(HORIZONS), width), np.nan, dtype=np.float32)
    part.forecast(out)
    return out


@dataclass
class Plain:
    """The smoothers of one series, written out."""

    last: float = NAN
    fast: float = NAN
    slow: float = NAN
    level: float = NAN
    trend: float = 0.0
    busy: float = 0.0
    size: float = 0.0

    def learn(self, count: float) -> None:
        if math.isnan(count):
            return
        y = math.sqrt(count + 0.375)
        if count > 0.0:
            self.size = self.size + 0.05 * (count - self.size) if self.size > 0.0 else count
        if math.isnan(self.last):
            self.fast = self.slow = self.level = y
            self.busy = 1.0 if count > 0.0 else 0.0
        else:
            self.fast += 0.3 * (y - self.fast)
            self.slow += 0.1 * (y - self.slow)
            level = 0.3 * y + 0.7 * (self.level + 0.9 * self.trend)
            self.trend = 0.1 * (level - self.level) + 0.9 * 0.9 * self.trend
            self.level = level
            self.busy += 0.05 * ((1.0 if count > 0.0 else 0.0) - self.busy)
        self.last = y

    def forecast(self, horizon: int) -> dict[Expert, float]:
        path = [self.level + self.trend * sum(0.9**k for k in range(1, ahead + 1)) for ahead in range(1, horizon + 1)]
        sparse = NAN if math.isnan(self.last) else math.sqrt(self.busy * self.size + 0.375)
        return {
            Expert.LAST: self.last,
            Expert.EWMA_FAST: self.fast,
            Expert.EWMA_SLOW: self.slow,
            Expert.HOLT: max(path),
            Expert.SPARSE: sparse,
        }


@given(st.lists(st.lists(COUNTS, min_size=3, max_size=3), max_size=60))
def test_smoothers_are_their_formulas(steps: list[list[float]]) -> None:
    fleet, plain = Smoothers(3), [Plain() for _ in range(3)]
    for counts in steps:
        told(fleet, np.array(counts))
        for one, count in zip(plain, counts, strict=True):
            one.learn(count)
    out = forecast_of(fleet, 3)
    for row, horizon in enumerate(HORIZONS):
        for column, one in enumerate(plain):
            for expert, expected in one.forecast(horizon).items():
                np.testing.assert_allclose(out[expert, row, column], expected, rtol=2e-4, atol=1e-4)


def test_a_sparse_series_is_known_by_its_first_burst() -> None:
    """A mean size that started at none would crawl up to the true one over a hundred bursts."""
    part = Smoothers(1)
    for count in [0.0] * 50 + [40.0]:
        told(part, np.array([count]))
    assert to_count(forecast_of(part, 1)[Expert.SPARSE, 0])[0] == pytest.approx(0.05 * 40.0, rel=1e-4)


def test_what_was_never_seen_has_no_forecast() -> None:
    part = Smoothers(2)
    told(part, np.array([NAN, 3.0]))
    out = forecast_of(part, 2)
    assert np.isnan(out[:, :, 0]).all()
    smoothers = [Expert.LAST, Expert.EWMA_FAST, Expert.EWMA_SLOW, Expert.HOLT, Expert.SPARSE]
    np.testing.assert_allclose(to_count(out[smoothers, :, 1]), 3.0, rtol=1e-5)


@given(st.floats(0.0, 1e7, width=32))
def test_counts_survive_the_transform(count: float) -> None:
    assert to_count(to_y(f32([count])))[0] == pytest.approx(count, rel=1e-5, abs=1e-6)


@given(st.floats(-1e3, 1e3, width=32))
def test_no_forecast_is_below_zero(y: float) -> None:
    assert to_count(f32([y]))[0] >= 0.0


def test_none_is_none_exactly_and_unknown_stays_unknown() -> None:
    assert to_count(to_y(f32([0.0])))[0] == 0.0
    assert to_y(f32([0.0]))[0] == NONE_Y
    assert np.isnan(to_count(f32([NAN]))[0])


SATURDAY_S = 2.0 * DAY_S
"""The epoch began on a Thursday."""


def plain_waves(at_s: float) -> list[float]:
    day, week = 2.0 * math.pi * at_s / DAY_S, 2.0 * math.pi * at_s / WEEK_S
    is_weekend = (at_s - SATURDAY_S) % WEEK_S < 2.0 * DAY_S
    waves = [1.0]
    for k in range(1, 9):
        waves += [math.cos(k * day), math.sin(k * day)]
    for k in range(1, 4):
        waves += [math.cos(k * week), math.sin(k * week)]
    return waves + ([math.cos(day), math.sin(day), 1.0] if is_weekend else [0.0, 0.0, 0.0])


class PlainHarmonics:
    """Textbook recursive least squares with forgetting, for one series that is never unknown."""

    def __init__(self, step_s: float) -> None:
        self.step_s = step_s
        self.forget = 1.0 - step_s / (6.0 * DAY_S)
        size = len(plain_waves(0.0))
        self.cov = np.eye(size) * 10.0
        self.weights = np.zeros(size)
        self.residual = 0.0
        self.is_new = True

    def learn(self, y: float, at_s: float) -> None:
        if self.is_new:
            self.weights[0] = y
            self.is_new = False
        waves = np.array(plain_waves(at_s))
        gain = self.cov @ waves / (self.forget + waves @ self.cov @ waves)
        self.weights = self.weights + gain * (y - waves @ self.weights)
        self.cov = np.clip((self.cov - np.outer(gain, waves) @ self.cov) / self.forget, -1e3, 1e3)
        self.residual = y - float(waves @ self.weights)

    def forecast(self, at_s: float) -> list[float]:
        points = [
            float(np.array(plain_waves(at_s + h * self.step_s)) @ self.weights) + 0.9**h * self.residual
            for h in HORIZONS
        ]
        return [max(points[: row + 1]) for row in range(len(HORIZONS))]


def test_harmonics_are_recursive_least_squares() -> None:
    step_s, start_s = 900.0, 5.0 * DAY_S
    rng = np.random.default_rng(4)
    fleet, plain = Harmonics(3, step_s), [PlainHarmonics(step_s) for _ in range(3)]
    for step in range(4 * 96):
        at_s = start_s + step * step_s
        ys = 10.0 + np.array([0.0, 5.0, 9.0]) * math.sin(2.0 * math.pi * at_s / DAY_S) + rng.normal(0.0, 0.3, 3)
        fleet.learn(f32(ys), at_s, np.ones(3, dtype=bool))
        for one, y in zip(plain, ys, strict=True):
            one.learn(float(np.float32(y)), at_s)
    out = np.full((len(Expert), len(HORIZONS), 3), np.nan, dtype=np.float32)
    fleet.forecast(at_s, out)
    expected = np.array([one.forecast(at_s) for one in plain]).T
    np.testing.assert_allclose(out[Expert.HARMONIC], expected, rtol=0.01, atol=0.02)


def test_a_weekend_is_saturday_and_sunday() -> None:
    """Weekdays carry load, weekends none: after three weeks both are foreseen across their border."""
    step_s = 3600.0
    part = Harmonics(1, step_s)
    for hour in range(3 * 7 * 24 + 1):
        at_s = hour * step_s
        is_weekend = (at_s - SATURDAY_S) % WEEK_S < 2.0 * DAY_S
        part.learn(f32([1.0 if is_weekend else 20.0]), at_s, np.ones(1, dtype=bool))
    fitted = [
        float((np.array(plain_waves(day * DAY_S + DAY_S / 2.0), dtype=np.float32) @ part.weights)[0])
        for day in range(21, 28)
    ]
    np.testing.assert_allclose(fitted, [20.0, 20.0, 1.0, 1.0, 20.0, 20.0, 20.0], atol=2.5)


def test_an_unknown_step_teaches_no_series_that_missed_it() -> None:
    part, other = Harmonics(2, 60.0), Harmonics(2, 60.0)
    for step in range(100):
        y = f32([5.0 + step % 7, 9.0])
        part.learn(y, 60.0 * step, np.array([True, step != 50]))
        other.learn(y + (0.0 if step != 50 else f32([0.0, 4.0])), 60.0 * step, np.array([True, step != 50]))
    np.testing.assert_array_equal(part.weights, other.weights)
    np.testing.assert_array_equal(part.residual, other.residual)


def test_a_residual_fades_over_steps_that_nobody_told_of() -> None:
    stepped, skipped = Harmonics(1, 60.0), Harmonics(1, 60.0)
    for part in (stepped, skipped):
        for step, y in enumerate((5.0, 5.0, 9.0)):
            part.learn(f32([y]), 60.0 * step, np.ones(1, dtype=bool))
    for step in range(3, 10):
        stepped.learn(f32([0.0]), 60.0 * step, np.zeros(1, dtype=bool))
    skipped.skip(7)
    assert skipped.residual[0] != 0.0
    np.testing.assert_allclose(stepped.residual, skipped.residual, rtol=1e-5)


def test_a_series_that_joins_late_starts_at_its_own_level() -> None:
    part = Harmonics(2, 900.0)
    for step in range(10 * 96):
        part.learn(f32([3.0, 30.0]), 900.0 * step, np.array([True, step >= 9 * 96]))
    out = np.full((len(Expert), len(HORIZONS), 2), np.nan, dtype=np.float32)
    part.forecast(900.0 * step, out)
    np.testing.assert_allclose(out[Expert.HARMONIC][:, 1], 30.0, atol=0.5)
