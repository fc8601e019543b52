"""The forecast as a whole: useful at once, honest about what it knew, and right about how often it is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.forecast.calibration import LEVELS
from lull.forecast.experts import HORIZONS
from lull.forecast.forecaster import Forecaster
from lull.model.arrays import F32, F64

STEP_S = 60.0
START = 28_000_000


def live(rates_rps: F64, start: int = START) -> tuple[Forecaster, F32]:
    """Learns rates (T, N) step by step; gives the forecaster and all quantiles that were issued, (T, A, H, N)."""
    forecaster, issued = Forecaster(rates_rps.shape[1], STEP_S), []
    for i, rates in enumerate(rates_rps):
        forecaster.learn(rates, (start + i) * STEP_S)
        issued.append(forecaster.forecast().quantiles_rps)
    return forecaster, np.array(issued)


def unclean(steps: int, series: int, seed: int = 1) -> F64:
    """Rates that jump to another level now and then, with gamma noise around it: nothing that a sine would flatter."""
    draw = np.random.default_rng(seed)
    jumps = draw.random((steps, series)) < 0.01
    levels = draw.gamma(1.5, 4.0, (steps, series))
    level = np.empty((steps, series))
    level[0] = levels[0]
    for i in range(1, steps):
        level[i] = np.where(jumps[i], levels[i], level[i - 1])
    return level * draw.gamma(20.0, 1.0 / 20.0, (steps, series))


def test_one_sample_is_enough_for_a_forecast() -> None:
    _, issued = live(np.full((1, 1), 5.0))
    assert np.isfinite(issued).all()
    assert issued[0, 0, :, 0] == pytest.approx(5.0, rel=0.05)


def test_nothing_learned_is_nothing_said() -> None:
    forecaster, issued = live(np.full((5, 1), np.nan))
    assert np.isnan(issued).all()
    assert (forecaster.forecast().leader == -1).all()


def test_quantiles_are_in_order_and_never_below_zero() -> None:
    _, issued = live(unclean(400, 5))
    assert (issued >= 0.0).all()
    assert (np.diff(issued, axis=1) >= -1e-6).all()


@given(st.integers(1, 80), st.floats(0.0, 1e4))
def test_what_was_issued_rests_on_the_past_alone(at: int, other: float) -> None:
    rates = unclean(100, 1)
    changed = rates.copy()
    changed[at:] = other
    np.testing.assert_array_equal(live(rates)[1][:at], live(changed)[1][:at])


def test_a_gap_stops_nothing() -> None:
    rates = unclean(200, 2)
    rates[100:130] = np.nan
    _, issued = live(rates)
    assert np.isfinite(issued).all()
    held = issued[129, 0, 0]
    np.testing.assert_allclose(held, issued[99, 0, 0], rtol=0.5)


def test_a_clock_that_jumps_back_teaches_nothing() -> None:
    forecaster, _ = live(unclean(50, 1))
    before = forecaster.forecast().quantiles_rps
    forecaster.learn(np.array([1e6]), (START + 20) * STEP_S)
    np.testing.assert_array_equal(forecaster.forecast().quantiles_rps, before)


def test_a_level_that_breaks_is_followed_within_the_hour() -> None:
    rates = np.concatenate([np.full((2000, 1), 5.0), np.full((60, 1), 50.0)])
    _, issued = live(rates)
    median, q90 = issued[-1, 0, 0, 0], issued[-1, 1, 0, 0]
    assert 45.0 < median < 55.0
    assert q90 < 75.0


def test_series_do_not_know_each_other() -> None:
    rates = unclean(300, 4)
    together = live(rates)[1][-1]
    order = [2, 0, 3, 1]
    np.testing.assert_allclose(live(rates[:, order])[1][-1], together[:, :, order], rtol=1e-4, atol=1e-5)


def test_columns_that_join_and_go_leave_the_others_as_they_are() -> None:
    rates = unclean(300, 3)
    alone = live(rates[:, :1])[0].forecast().quantiles_rps[:, :, 0]
    forecaster = Forecaster(1, STEP_S)
    for i, now in enumerate(rates):
        if i == 100:
            forecaster.widen(3)
        if i == 200:
            forecaster.forget(np.array([2]))
        forecaster.learn(now[: forecaster.width], (START + i) * STEP_S)
    np.testing.assert_allclose(forecaster.forecast().quantiles_rps[:, :, 0], alone, rtol=1e-5)


def test_quantiles_hold_what_they_promise() -> None:
    """Share of targets at or below each quantile, where the series is not silent throughout."""
    rates = unclean(8000, 8)
    _, issued = live(rates)
    for row, horizon in enumerate(HORIZONS):
        windows = np.lib.stride_tricks.sliding_window_view(rates[1:], horizon, axis=0).max(axis=-1)
        scored = slice(2000, len(windows))
        for level in (0.9, 0.95, 0.99):
            share = (windows[scored] <= issued[scored.start : len(windows), LEVELS.index(level), row]).mean()
            assert share == pytest.approx(level, abs=0.02), (horizon, level)


def test_silence_is_expected_to_last_about_as_long_as_silences_did() -> None:
    """Every half hour a request: after 25 silent minutes one is due soon, right after one it is not."""
    rates = np.zeros((30 * 300, 1))
    rates[::30] = 1.0
    forecaster, _ = live(rates[: 30 * 299 + 2])
    row = HORIZONS.index(1)
    fresh = forecaster.forecast().busy_chance[row, 0]
    for i in range(30 * 299 + 2, 30 * 299 + 30):
        forecaster.learn(rates[i], (START + i) * STEP_S)
    due = forecaster.forecast().busy_chance[row, 0]
    assert fresh < 0.1
    assert due > 0.5
