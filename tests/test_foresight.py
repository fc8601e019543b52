"""Forecast and prices put together, in worlds to check by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lived_layers import Prices, costs_of
from lull.decide.accounts import Accounts
from lull.decide.provision import Advice
from lull.forecast.calibration import LEVELS
from lull.forecast.experts import HORIZONS
from lull.forecast.forecaster import Forecast, Forecaster
from lull.foresight import Outlook, foresee, look
from lull.model.arrays import F64

STEP_S = 60.0
START = 28_000_000
LIMIT_RPS = 10.0
ANY = 100.0
NAN = float("nan")


def a_forecast(*rates_rps: float, busy: float = 1.0) -> Forecast:
    """Certain of the same highest rate at all horizons, per series; NaN = nothing can be said."""
    shape = (len(HORIZONS), len(rates_rps))
    return Forecast(
        horizons_s=np.array(HORIZONS) * STEP_S,
        quantiles_rps=np.broadcast_to(np.array(rates_rps, dtype=np.float32), (len(LEVELS), *shape)).copy(),
        busy_chance=np.full(shape, busy, dtype=np.float32),
        leader=np.zeros(shape, dtype=np.int64),
        known_s=np.full(len(rates_rps), 7200.0),
        error_ratio=np.full(shape, NAN, dtype=np.float32),
    )


def outlook(forecast: Forecast, replicas: list[float], at: list[int] | None = None, maximum: float = ANY) -> Outlook:
    count = len(replicas)
    where = np.arange(count) if at is None else np.array(at)
    return look(forecast, where, np.full(count, LIMIT_RPS), np.array(replicas), np.full(count, maximum))


def advised(seen: Outlook, replicas: list[float], accounts: Accounts | None = None) -> Advice:
    count = len(replicas)
    costs, books = costs_of([Prices()] * count), Accounts(count) if accounts is None else accounts
    return foresee(seen, costs, books, np.arange(count), np.array(replicas), 10.0)


def of_model(seen: Outlook, model: int) -> F64:
    """Chances of one model's layers, (H, K)."""
    return seen.chance[:, seen.layers.owner == model]


def test_a_certain_rise_within_the_start_starts_exactly_the_layers_it_needs() -> None:
    """25 requests/s need three replicas of 10 each; so do 30, and 31 need a fourth."""
    rates = (25.0, 30.0, 31.0, 9.0, 0.0)
    replicas = [1.0] * len(rates)
    advice = advised(outlook(a_forecast(*rates), replicas), replicas)
    assert advice.start_to.tolist() == [3, 3, 4, 0, 0]


def test_a_rise_that_is_learned_is_started_ahead() -> None:
    """From the forecaster itself: an hour at what takes three replicas, and only one of them is there."""
    forecaster = Forecaster(1, STEP_S)
    for i in range(60):
        forecaster.learn(np.array([28.0]), (START + i) * STEP_S)
    seen = outlook(forecaster.forecast(), [1.0])
    assert of_model(seen, 0)[0, :3] == pytest.approx(1.0)
    assert advised(seen, [1.0]).start_to.tolist() == [3]


def test_nobody_starts_more_than_there_may_be() -> None:
    seen = outlook(a_forecast(95.0), [1.0], maximum=4.0)
    assert advised(seen, [1.0]).start_to.tolist() == [4]


def test_no_forecast_asks_for_nothing_and_keeps_what_there_is() -> None:
    replicas = [0.0, 3.0]
    advice = advised(outlook(a_forecast(NAN, NAN), replicas), replicas)
    assert advice.start_to.tolist() == [0, 0]
    assert advice.keep_to.tolist() == [0, 3]


def test_a_forecaster_that_has_learned_nothing_knowable_keeps_what_there_is() -> None:
    forecaster = Forecaster(1, STEP_S)
    forecaster.learn(np.array([NAN]), START * STEP_S)
    advice = advised(outlook(forecaster.forecast(), [2.0]), [2.0])
    assert (advice.start_to.tolist(), advice.keep_to.tolist()) == ([0], [2])


def test_a_quiet_forecast_lets_nothing_go_before_its_break_even() -> None:
    """The second of two replicas is not needed; what it is worth, 440 s, is held for to the step."""
    accounts, costs, at = Accounts(1), Prices().costs(), np.zeros(1, dtype=np.int64)
    seen, held_s = outlook(a_forecast(5.0), [2.0]), 0.0
    accounts.learn(at, np.array([2.0]), np.array([2.0]), costs, 10.0, 10.0)
    accounts.balance_s[1] = 0.0
    while advised(seen, [2.0], accounts).keep_to[0] == 2:
        accounts.learn(at, np.array([1.0]), np.array([2.0]), costs, 10.0, 10.0)
        held_s += 10.0
    assert held_s == Prices().worth_s


def test_a_silence_counts_as_far_as_it_is_expected_to_end() -> None:
    """Whatever the rate would be: a silence that ends with one chance in ten needs a replica with that chance."""
    often, rarely = outlook(a_forecast(15.0), [1.0]), outlook(a_forecast(15.0, busy=0.1), [1.0])
    np.testing.assert_allclose(of_model(rarely, 0), 0.1 * of_model(often, 0), rtol=1e-5)


def test_each_model_is_seen_by_its_own_series_and_limit() -> None:
    forecast = a_forecast(45.0, 5.0, 25.0)
    limits = np.array([10.0, 5.0, 10.0])
    seen = look(forecast, np.array([2, 0, 1]), limits, np.zeros(3), np.full(3, ANY))
    needed = [int((of_model(seen, model)[0] > 0.5).sum()) for model in range(3)]
    assert needed == [3, 9, 1]


@given(st.integers(0, 2**16))
def test_chances_rise_with_the_horizon_and_fall_with_the_layer(seed: int) -> None:
    draw = np.random.default_rng(seed)
    forecast = a_forecast(*np.zeros(4))
    forecast.quantiles_rps[:] = np.sort(draw.gamma(1.0, 20.0, forecast.quantiles_rps.shape), axis=0)
    forecast.busy_chance[:] = draw.random(forecast.busy_chance.shape)
    seen = outlook(forecast, [3.0, 0.0, 1.0, 8.0])
    for model in range(4):
        chance = of_model(seen, model)
        assert ((chance >= 0.0) & (chance <= 1.0)).all()
        assert (np.diff(chance, axis=0) >= 0.0).all()
        assert (np.diff(chance, axis=1) <= 1e-12).all()
