"""How experts stand: weights that sum to one, and losses that are those of their own quantiles."""

from __future__ import annotations

import numpy as np
import pytest

from lull.forecast.calibration import LEVELS, pinball
from lull.forecast.experts import HORIZONS, Expert
from lull.forecast.forecaster import Forecaster
from lull.forecast.standing import OneSeries, expected_loss

STEP_S = 60.0
START_S = 1_000_020.0


def learned(steps: int = 300) -> Forecaster:
    """Three series: steady, a slow wave, and one of which nothing is known."""
    chance, forecaster = np.random.default_rng(7), Forecaster(3, STEP_S)
    for step in range(steps):
        rates = np.array([10.0, 50.0 + 40.0 * np.sin(step / 20.0), np.nan])
        forecaster.learn(chance.poisson(np.nan_to_num(rates) * STEP_S) / STEP_S + 0.0 * rates, START_S + STEP_S * step)
    return forecaster


def drawn(law: str) -> np.ndarray:
    chance = np.random.default_rng(3)
    return {
        "exponential": chance.exponential(5.0, 400_000),
        "normal": np.maximum(chance.normal(100.0, 8.0, 400_000), 0.0),
        "gamma": chance.gamma(2.0, 30.0, 400_000),
    }[law]


@pytest.mark.parametrize("law", ["exponential", "normal", "gamma"])
def test_the_expected_loss_is_that_of_the_law(law: str) -> None:
    """Against the pinball loss of many draws, forecast by their own quantiles."""
    came = drawn(law)
    quantiles = np.quantile(came, LEVELS)
    measured = pinball(came.astype(np.float32), np.broadcast_to(quantiles[:, None], (len(LEVELS), len(came)))).mean()
    assert expected_loss(quantiles) == pytest.approx(measured, rel=0.1)


def test_what_is_certain_loses_nothing_and_what_is_unknown_is_unknown() -> None:
    quantiles = np.stack([np.full(len(LEVELS), 5.0), np.full(len(LEVELS), np.nan)], axis=1)
    certain, unknown = expected_loss(quantiles)
    assert certain == 0.0
    assert np.isnan(unknown)


def test_the_wider_law_loses_more_in_proportion() -> None:
    quantiles = np.linspace(0.0, 5.0, len(LEVELS))
    narrow, wide = expected_loss(np.stack([quantiles, 3.0 * quantiles], axis=1))
    assert wide == pytest.approx(3.0 * narrow)


def test_the_weights_are_shares_and_the_leader_has_the_most() -> None:
    fleet = learned()
    forecast = fleet.forecast()
    for column in (0, 1):
        weights = OneSeries(fleet, column).weights()
        assert weights.shape == (len(Expert), len(HORIZONS))
        assert np.nansum(weights, axis=0) == pytest.approx(np.ones(len(HORIZONS)))
        assert np.nanargmax(weights, axis=0).tolist() == forecast.leader[:, column].tolist()


def test_the_copy_forecasts_as_the_fleet_does() -> None:
    fleet = learned()
    whole = fleet.forecast()
    for column in range(3):
        alone = OneSeries(fleet, column).forecast()
        for name in ("quantiles_rps", "busy_chance", "leader", "error_ratio"):
            expected = getattr(whole, name)[..., [column]]
            assert np.array_equal(getattr(alone, name), expected, equal_nan=True), name


def test_an_expert_without_a_forecast_has_neither_weight_nor_loss() -> None:
    series = OneSeries(learned(), 0)
    assert np.isnan(series.weights()[Expert.WEEK_SHIFTED]).all()
    assert np.isnan(series.losses_rps()[Expert.WEEK_SHIFTED]).all()
    assert np.isfinite(series.losses_rps()[Expert.LAST]).all()


def test_on_a_steady_series_the_mean_is_expected_to_lose_less_than_the_last_value() -> None:
    losses_rps = OneSeries(learned(), 0).losses_rps()
    assert losses_rps[Expert.EWMA_SLOW, 0] < losses_rps[Expert.LAST, 0]


def test_on_a_wave_the_last_value_is_expected_to_lose_less_than_a_slow_mean() -> None:
    losses_rps = OneSeries(learned(), 1).losses_rps()
    assert losses_rps[Expert.LAST, 0] < losses_rps[Expert.EWMA_SLOW, 0]


def test_nothing_is_said_of_a_series_that_nobody_measured() -> None:
    series = OneSeries(learned(20), 2)
    assert np.isnan(series.weights()).all()
    assert np.isnan(series.losses_rps()).all()


def test_the_copy_shares_nothing_with_the_fleet() -> None:
    fleet = learned(30)
    before = fleet.forecast().quantiles_rps.copy()
    series = OneSeries(fleet, 1)
    series.learn(np.array([1e6]), START_S + STEP_S * 30)
    assert np.array_equal(fleet.forecast().quantiles_rps, before, equal_nan=True)
    assert fleet.index != series.index
