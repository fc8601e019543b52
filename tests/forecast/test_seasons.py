"""The rings of the past and the seasonal experts, against a plain list of every step there was."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.forecast.experts import DAY_S, HORIZONS, Expert
from lull.forecast.seasons import Seasons

NAN = math.nan
HOUR_S = 3600.0
DAY = 24
"""Steps per day at one hour each; shorter than the longest horizon, as no seasonal pattern may mind."""


def mean_of(rows: list[np.ndarray]) -> np.ndarray:
    """Mean of what is known."""
    known = ~np.isnan(rows)
    with np.errstate(invalid="ignore"):
        return np.where(known, rows, 0.0).sum(axis=0) / known.sum(axis=0)


class Past:
    """Every step of some series, by number; a number that is not in it is unknown."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.steps: dict[int, np.ndarray] = {}

    def at(self, index: int) -> np.ndarray:
        return self.steps.get(index, np.full(self.width, NAN))

    def highest(self, indices: range) -> np.ndarray:
        return np.fmax.reduce([self.at(i) for i in indices]) if len(indices) else np.full(self.width, NAN)

    def mean(self, indices: range) -> np.ndarray:
        return mean_of([self.at(i) for i in indices])

    def coarse(self, number: int) -> np.ndarray:
        return self.mean(range(5 * number, 5 * number + 5))


def told(seasons: Seasons, past: Past, index: int, values: np.ndarray) -> None:
    known = ~np.isnan(values)
    seasons.learn(index, np.where(known, values, 0.0).astype(np.float32), known)
    past.steps[index] = values


def forecast_of(seasons: Seasons, index: int, width: int, *, today: float = NAN, noise: float = 0.0) -> np.ndarray:
    out = np.full((len(Expert), len(HORIZONS), width), NAN, dtype=np.float32)
    out[[Expert.EWMA_FAST, Expert.EWMA_SLOW]] = today
    seasons.forecast(index, np.full(width, noise, dtype=np.float32), out)
    return out


def some_steps(count: int, width: int, seed: int) -> np.ndarray:
    """Levels with gaps; the second series is unknown most of the time."""
    rng = np.random.default_rng(seed)
    values = rng.gamma(2.0, 3.0, (count, width))
    return np.where(rng.random((count, width)) < np.linspace(0.1, 0.7, width), NAN, values)


@pytest.mark.parametrize(("step_s", "day"), [pytest.param(900.0, 96, id="15 min"), pytest.param(HOUR_S, 24, id="1 h")])
def test_a_day_ago_is_what_stood_there(step_s: float, day: int) -> None:
    seasons, past = Seasons(2, step_s), Past(2)
    first = 17
    for index, values in enumerate(some_steps(3 * day, 2, seed=3), start=first):
        told(seasons, past, index, values)
    index = first + 3 * day - 1
    out = forecast_of(seasons, index, 2)
    shift = past.mean(range(index - 9, index + 1)) - past.mean(range(index - day - 9, index - day + 1))
    for row, horizon in enumerate(HORIZONS):
        expected = past.highest(range(index + 1 - day, index + 1 - day + min(horizon, day)))
        np.testing.assert_allclose(out[Expert.DAY, row], expected, rtol=1e-6)
        np.testing.assert_allclose(out[Expert.DAY_SHIFTED, row], expected + shift, rtol=1e-4, atol=1e-5)


def _after_a_day_with_a_peak(noise: float) -> np.ndarray:
    """The level is 5; a day ago, three steps from now, it was 8 for two steps. Today's is 6."""
    seasons, past = Seasons(1, 900.0), Past(1)
    values = np.full((96 + 40, 1), 5.0)
    values[43:45] = 8.0
    for index, value in enumerate(values):
        told(seasons, past, index, value)
    return forecast_of(seasons, len(values) - 1, 1, today=6.0, noise=noise)[Expert.DAY_RISE, :, 0]


def test_what_rose_clearly_a_day_ago_is_added_to_today() -> None:
    rises = [0.0 if h < 4 else 3.0 - 0.2 * math.sqrt(2.0 * math.log(h)) for h in HORIZONS]
    np.testing.assert_allclose(_after_a_day_with_a_peak(noise=0.2), [6.0 + rise for rise in rises], rtol=1e-5)


def test_what_may_have_been_chance_a_day_ago_is_not() -> None:
    np.testing.assert_allclose(_after_a_day_with_a_peak(noise=1.0), 6.0)


def test_a_rise_is_not_known_before_there_was_a_yesterday() -> None:
    seasons, past = Seasons(1, 900.0), Past(1)
    for index in range(50):
        told(seasons, past, index, np.array([5.0]))
    assert np.isnan(forecast_of(seasons, 49, 1, today=5.0)[Expert.DAY_RISE]).all()


def test_a_week_ago_is_the_mean_of_the_bins_that_stood_there() -> None:
    step_s, day = 900.0, 96
    seasons, past = Seasons(2, step_s), Past(2)
    count = 8 * day + 3
    for index, values in enumerate(some_steps(count, 2, seed=5)):
        told(seasons, past, index, values)
    index = count - 1
    now, week = index // 5, round(7 * day / 5)
    back = mean_of([past.coarse(now - week - 1), past.coarse(now - week)])
    shift = past.mean(range(index - 9, index + 1)) - back
    out = forecast_of(seasons, index, 2)
    for row, horizon in enumerate(HORIZONS):
        bins = range(now - week, now - week + math.ceil(horizon / 5) + 1)
        expected = np.fmax.reduce([past.coarse(number) for number in bins]) + shift
        np.testing.assert_allclose(out[Expert.WEEK_SHIFTED, row], expected, rtol=1e-4, atol=1e-5)


@given(st.integers(0, 200), st.sampled_from(HORIZONS))
def test_the_highest_of_the_last_steps_is_theirs(more: int, steps: int) -> None:
    seasons, past = Seasons(3, HOUR_S), Past(3)
    for index, values in enumerate(some_steps(150 + more, 3, seed=7)):
        told(seasons, past, index, values)
    np.testing.assert_allclose(
        seasons.highest(index, steps), past.highest(range(index - steps + 1, index + 1)), rtol=1e-6
    )


def test_rings_reach_back_two_of_the_longest_horizons_whatever_the_step() -> None:
    for step_s in (10.0, 60.0, HOUR_S, DAY_S, 7 * DAY_S):
        assert len(Seasons(0, step_s).fine) >= 2 * HORIZONS[-1]


@given(st.integers(0, 13), st.integers(1, 500), st.integers(0, 3))
def test_passing_over_steps_is_as_learning_that_nothing_is_known(before: int, gap: int, after: int) -> None:
    """Gaps shorter and longer than both rings (59 hours would fit no day; the coarse ring is 77 bins)."""
    skipped, stepped = Seasons(2, HOUR_S), Seasons(2, HOUR_S)
    values = some_steps(400 + before, 2, seed=9)
    last = len(values) - 1
    for index, row in enumerate(values):
        for seasons in (skipped, stepped):
            told(seasons, Past(2), index, row)
    skipped.skip(last + 1, last + 1 + gap)
    for index in range(last + 1, last + 1 + gap):
        told(stepped, Past(2), index, np.full(2, NAN))
    for index in range(last + 1 + gap, last + 2 + gap + after):
        for seasons in (skipped, stepped):
            told(seasons, Past(2), index, np.array([3.0, 4.0]))
    np.testing.assert_array_equal(skipped.fine, stepped.fine)
    np.testing.assert_array_equal(skipped.coarse, stepped.coarse)


def test_memory_is_two_days_of_steps_and_fourteen_of_bins() -> None:
    seasons = Seasons(1, 60.0)
    assert seasons.span == len(seasons.fine)
    assert 2 * 1440 <= len(seasons.fine) <= 2 * 1440 + 60
    assert 14 * 288 <= len(seasons.coarse) <= 14 * 288 + 60
    assert seasons.fine.dtype == seasons.coarse.dtype == np.float32
