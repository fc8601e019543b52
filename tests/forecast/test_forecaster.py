"""The forecaster as a whole: from the first sample, through gaps, breaks and clocks that jump, and what it promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lull.forecast.calibration import LEVELS
from lull.forecast.experts import HORIZONS, Expert
from lull.forecast.forecaster import Forecast, Forecaster
from traffic import daily_spikes, unclean

NAN = math.nan
STEP_S = 60.0
HOUR_S = 3600.0
START = 29_000_000
"""Number of some minute in 2025."""

RATES = st.one_of(st.just(0.0), st.just(NAN), st.floats(1e-3, 1e4))


def told(rates: np.ndarray, *, step_s: float = STEP_S, start: int = START) -> Forecaster:
    """A forecaster that has learned rates, (T, N)."""
    forecaster = Forecaster(rates.shape[1], step_s)
    tell(forecaster, rates, start)
    return forecaster


def tell(forecaster: Forecaster, rates: np.ndarray, start: int) -> None:
    for index, row in enumerate(rates, start=start):
        forecaster.learn(row, index * forecaster.step_s)


def assert_same(one: Forecast, other: Forecast, *, rtol: float = 0.0) -> None:
    for name in ("quantiles_rps", "busy_chance", "leader", "error_ratio"):
        mine, theirs = getattr(one, name), getattr(other, name)
        np.testing.assert_allclose(mine, theirs, rtol=rtol, atol=0.0 if rtol == 0.0 else 1e-6, err_msg=name)


def columns_of(forecaster: Forecaster, at: list[int]) -> list[np.ndarray]:
    """Everything that is kept of some series."""
    return [getattr(part, name)[..., at].copy() for part in forecaster._parts for name in part.COLUMNS]


def assert_kept(forecaster: Forecaster, at: list[int], before: list[np.ndarray]) -> None:
    for mine, theirs in zip(columns_of(forecaster, at), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("rate", [0.0, 0.02, 1.0, 5000.0])
def test_after_one_sample_it_forecasts_that_sample(rate: float) -> None:
    found = told(np.array([[rate]])).forecast()
    np.testing.assert_allclose(found.quantiles_rps[0, :, 0], rate, rtol=1e-4, atol=1e-9)
    assert (found.leader[:, 0] >= 0).all()


def test_of_what_was_never_seen_nothing_is_said() -> None:
    for rates in (np.zeros((0, 2)), np.full((70, 2), NAN)):
        found = told(rates).forecast()
        assert np.isnan(found.quantiles_rps).all()
        assert np.isnan(found.error_ratio).all()
        assert (found.leader == -1).all()


@given(st.lists(st.tuples(RATES, RATES, st.integers(0, 3)), min_size=1, max_size=90))
@settings(max_examples=25)
def test_quantiles_are_ordered_not_negative_and_known_from_the_first_sample_on(
    steps: list[tuple[float, float, int]],
) -> None:
    """Rates over seven orders of magnitude, unknown ones and steps that nobody told of."""
    forecaster, index, seen = Forecaster(2, STEP_S), START, np.zeros(2, dtype=bool)
    for *rates, skipped in steps:
        index += 1 + skipped
        forecaster.learn(np.array(rates), index * STEP_S)
        seen |= ~np.isnan(rates)
        found = forecaster.forecast()
        assert (np.isnan(found.quantiles_rps) == ~seen).all()
        assert not (found.quantiles_rps < 0.0).any()
        assert not (np.diff(found.quantiles_rps, axis=0) < 0.0).any()
        assert ((found.busy_chance >= 0.0) & (found.busy_chance <= 1.0)).all()
        assert ((found.leader >= 0) == seen).all()


@pytest.mark.parametrize("rate", [-1.0, math.inf, NAN])
def test_what_is_no_rate_is_unknown(rate: float) -> None:
    forecaster, other = told(np.full((5, 1), 3.0)), told(np.full((5, 1), 3.0))
    forecaster.learn(np.array([rate]), (START + 5) * STEP_S)
    other.learn(np.array([NAN]), (START + 5) * STEP_S)
    assert_same(forecaster.forecast(), other.forecast())


def test_horizons_are_steps_in_seconds() -> None:
    assert Forecaster(1, 15.0).forecast().horizons_s.tolist() == [15.0 * h for h in HORIZONS]


def seasonal_from(step_s: float, steps: int) -> dict[Expert, int]:
    """The first step at which each seasonal expert had a forecast."""
    forecaster, found = Forecaster(1, step_s), dict[Expert, int]()
    for step in range(steps):
        forecaster.learn(np.array([5.0 + step % 3]), step * step_s)
        for expert in (Expert.DAY, Expert.DAY_SHIFTED, Expert.HARMONIC, Expert.WEEK_SHIFTED):
            if not np.isnan(forecaster._centres[expert]).all():
                found.setdefault(expert, step)
    return found


def test_a_season_counts_after_two_of_its_periods() -> None:
    assert seasonal_from(HOUR_S, 24 * 14 + 1) == {
        Expert.DAY: 48,
        Expert.DAY_SHIFTED: 48,
        Expert.HARMONIC: 48,
        Expert.WEEK_SHIFTED: 24 * 14,
    }


def test_two_periods_are_those_of_the_series_itself() -> None:
    forecaster = Forecaster(2, HOUR_S)
    for step in range(60):
        forecaster.learn(np.array([5.0, 5.0 if step >= 30 else NAN]), step * HOUR_S)
    assert not np.isnan(forecaster._centres[Expert.DAY, :, 0]).any()
    assert np.isnan(forecaster._centres[Expert.DAY, :, 1]).all()


def test_a_daily_spike_is_foreseen_on_the_fourth_day() -> None:
    """At 5 rps but for a quarter of an hour at 50; five minutes a step, a dozen of them ahead."""
    step_s, at_step = 300.0, 144
    clean = daily_spikes(4, at_step=at_step, spike_rps=50.0, base_rps=5.0, step_s=step_s)
    rates = np.random.default_rng(0).poisson(clean * step_s) / step_s
    dozen, q95 = HORIZONS.index(12), LEVELS.index(0.95)
    forecaster, foreseen = Forecaster(1, step_s), {}
    for step, row in enumerate(rates):
        forecaster.learn(row, step * step_s)
        foreseen[divmod(step, 288)] = float(forecaster.forecast().quantiles_rps[q95, dozen, 0])
    assert foreseen[0, at_step - 5] < 8.0, "nobody could know on the first day"
    for before in range(1, 11):
        assert foreseen[3, at_step - before] > 45.0
    for before in range(14, 100):
        assert foreseen[3, at_step - before] < 8.0, "nor is it feared all day"


@pytest.mark.parametrize(("before", "after"), [(10.0, 100.0), (100.0, 10.0), (0.0, 10.0), (10.0, 0.1)])
def test_a_break_of_the_level_is_learned_within_an_hour_of_steps(before: float, after: float) -> None:
    width, steps, hour = 20, 2 * 288 + 50, 60
    rng = np.random.default_rng(1)
    rates = rng.poisson(
        np.where(np.arange(steps + hour) < steps, before, after)[:, None] * 300.0, (steps + hour, width)
    )
    forecaster = told(rates / 300.0, step_s=300.0)
    median = forecaster.forecast().quantiles_rps[LEVELS.index(0.5)].mean(axis=1)
    assert median[0] == pytest.approx(after, rel=0.1, abs=0.4)
    assert median[HORIZONS.index(12)] == pytest.approx(after, rel=0.4, abs=1.0)
    q90 = forecaster.forecast().quantiles_rps[LEVELS.index(0.9), 0]
    assert (q90 >= after - 0.01).mean() > 0.5
    assert (q90 <= 2.0 * after + 2.0).all()


def test_a_gap_keeps_what_was_known() -> None:
    """Unknown steps, and steps that nobody told of: both forecast what stood before, and go on from there."""
    rates = unclean(600, 5, seed=3)
    gappy = rates.copy()
    gappy[300:340] = NAN
    unknown, missing = told(gappy), told(rates[:300])
    held = missing.forecast().quantiles_rps
    tell(missing, rates[340:], START + 340)
    assert missing.index == unknown.index
    assert not np.isnan(unknown.forecast().quantiles_rps).any()
    for forecaster in (unknown, missing):
        np.testing.assert_allclose(
            forecaster.forecast().quantiles_rps[0, 0], told(rates).forecast().quantiles_rps[0, 0], rtol=0.5, atol=0.5
        )
    told_none = told(gappy[:340]).forecast().quantiles_rps
    np.testing.assert_allclose(told_none[0, 0], held[0, 0], rtol=0.3, atol=0.05)


def test_a_restart_begins_as_the_first_start_did() -> None:
    rates = unclean(50, 3, seed=4)
    assert_same(told(rates[20:], start=START + 20).forecast(), told(rates[20:], start=START + 20).forecast())
    assert not np.isnan(told(rates[20:21], start=START + 20).forecast().quantiles_rps).any()


def test_a_clock_that_jumps_back_is_not_followed() -> None:
    forecaster = told(unclean(100, 3, seed=5))
    before = forecaster.forecast()
    for index in (START + 99, START + 50, START - 100_000):
        forecaster.learn(np.full(3, 1e4), index * STEP_S)
    assert_same(forecaster.forecast(), before)
    assert forecaster.index == START + 99
    forecaster.learn(np.full(3, 5.0), (START + 100) * STEP_S)
    assert forecaster.index == START + 100


@pytest.mark.parametrize("ahead", [3, 61, 3000, 10**7])
def test_a_clock_that_jumps_ahead_costs_what_lies_between(ahead: int) -> None:
    """However far: what is known of the present stays, and nothing of the past is taken for yesterday."""
    forecaster = told(np.full((1500, 2), 7.0))
    index = START + 1500 + ahead
    forecaster.learn(np.array([8.0, NAN]), index * STEP_S)
    found = forecaster.forecast()
    np.testing.assert_allclose(found.quantiles_rps[0, 0], [8.0, 7.0], rtol=0.1)
    at = np.arange(2)
    np.testing.assert_allclose(forecaster.past(at, index), [8.0, NAN], rtol=1e-3)
    assert np.isnan(forecaster.past(at, index - 1)).all()
    assert np.isnan(forecaster._seasons.coarse).mean() > 0.9
    tell(forecaster, np.full((100, 2), 8.0), index + 1)
    np.testing.assert_allclose(forecaster.forecast().quantiles_rps[0, 0], 8.0, rtol=0.02)


def test_forecasts_that_came_due_unseen_are_not_judged() -> None:
    """A gap of ten steps after which ten times as much comes: it teaches only forecasts that reach beyond it."""
    forecaster = told(np.full((200, 1), 2.0))
    trained = forecaster._trackers.offset.copy()
    forecaster.learn(np.array([20.0]), (START + 210) * STEP_S)
    moved = (forecaster._trackers.offset != trained).any(axis=(0, 1, 3))
    assert moved.tolist() == [horizon > 10 for horizon in HORIZONS]


@pytest.mark.parametrize("offset_s", [0.0, 0.4, -29.0, 30.0])
def test_steps_that_come_once_a_minute_are_each_their_own(offset_s: float) -> None:
    forecaster = Forecaster(1, STEP_S)
    for step in range(50):
        forecaster.learn(np.array([1.0]), (START + step) * STEP_S + offset_s)
    assert forecaster.steps == 50


def test_series_do_not_touch_each_other() -> None:
    rates = unclean(400, 12, seed=6)
    order = np.random.default_rng(7).permutation(12)
    found, shuffled = told(rates).forecast(), told(rates[:, order]).forecast()
    np.testing.assert_allclose(found.quantiles_rps[:, :, order], shuffled.quantiles_rps, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.busy_chance[:, order], shuffled.busy_chance, rtol=1e-6)


def test_widening_forgetting_and_placing_leave_the_others_bit_for_bit() -> None:
    rates = unclean(200, 6, seed=8)
    forecaster, others = told(rates), [0, 2, 3, 5]
    before = columns_of(forecaster, others)
    forecaster.widen(9)
    assert forecaster.width == 9
    assert_kept(forecaster, others, before)
    forecaster.forget(np.array([1]))
    assert_kept(forecaster, others, before)
    forecaster.place(np.array([4, 8]), told(rates[:, :2]))
    assert_kept(forecaster, others, before)
    forecaster.widen(4)
    assert forecaster.width == 9


def test_what_is_forgotten_or_new_is_as_in_a_forecaster_without_a_past() -> None:
    rates, more = unclean(200, 3, seed=9), unclean(80, 4, seed=10)
    forecaster = told(rates)
    forecaster.forget(np.array([1]))
    forecaster.widen(4)
    assert np.isnan(forecaster.forecast().quantiles_rps[:, :, [1, 3]]).all()
    tell(forecaster, more, START + 200)
    fresh = told(more[:, [1, 3]], start=START + 200)
    np.testing.assert_allclose(
        forecaster.forecast().quantiles_rps[:, :, [1, 3]], fresh.forecast().quantiles_rps, rtol=1e-3, atol=1e-6
    )


def test_to_place_what_another_learned_is_to_have_learned_it() -> None:
    rates, more = unclean(1200, 4, seed=11, step_s=300.0), unclean(100, 4, seed=12, step_s=300.0)
    forecaster = Forecaster(4, 300.0)
    first = rates.copy()
    first[:, [1, 3]] = NAN
    tell(forecaster, first, START)
    forecaster.place(np.array([3, 1]), told(rates[:, [3, 1]], step_s=300.0))
    whole = told(rates, step_s=300.0)
    assert_same(forecaster.forecast(), whole.forecast(), rtol=1e-3)
    for learner in (forecaster, whole):
        tell(learner, more, START + 1200)
    assert_same(forecaster.forecast(), whole.forecast(), rtol=5e-3)


def test_a_forecaster_without_a_past_takes_all_from_another() -> None:
    """As after a restart, from history."""
    rates, more = unclean(700, 2, seed=13, step_s=300.0), unclean(5, 2, seed=14, step_s=300.0)
    forecaster, learned = Forecaster(2, 300.0), told(rates, step_s=300.0)
    forecaster.place(np.arange(2), learned)
    assert (forecaster.index, forecaster.steps) == (learned.index, learned.steps)
    assert_same(forecaster.forecast(), learned.forecast(), rtol=1e-5)
    for each in (forecaster, learned):
        tell(each, more, START + 700)
    assert_same(forecaster.forecast(), learned.forecast(), rtol=1e-5)


def test_some_series_alone_share_nothing_with_all() -> None:
    rates, more = unclean(300, 4, seed=15), unclean(50, 4, seed=16)
    forecaster = told(rates)
    alone = forecaster.only(np.array([2, 0]))
    before = columns_of(forecaster, [0, 1, 2, 3])
    tell(alone, more[:, [2, 0]], START + 300)
    assert_kept(forecaster, [0, 1, 2, 3], before)
    tell(forecaster, more, START + 300)
    np.testing.assert_allclose(
        alone.forecast().quantiles_rps, forecaster.forecast().quantiles_rps[:, :, [2, 0]], rtol=1e-3, atol=1e-6
    )


def test_the_past_is_what_was_told() -> None:
    rates = unclean(3000, 3, seed=17)
    rates[2990, 1] = NAN
    forecaster = told(rates)
    for back in (1, 10, 1440, 2880):
        np.testing.assert_allclose(
            forecaster.past(np.array([2, 1]), START + 3000 - back), rates[-back, [2, 1]], rtol=1e-3, atol=1e-8
        )
    for index in (START + 3000, START, START - 5):
        assert np.isnan(forecaster.past(np.array([0]), index)).all()
    assert np.isnan(Forecaster(1, STEP_S).past(np.array([0]), START)).all()


@pytest.mark.parametrize("width", [0, 1])
def test_a_fleet_of_none_or_one_is_a_fleet(width: int) -> None:
    forecaster = told(unclean(200, 1, seed=18)[:, :width])
    found = forecaster.forecast()
    assert found.quantiles_rps.shape == (len(LEVELS), len(HORIZONS), width)
    assert found.leader.shape == found.busy_chance.shape == found.error_ratio.shape == (len(HORIZONS), width)
    forecaster.forget(np.arange(width))
    forecaster.widen(width + 2)
    forecaster.learn(np.full(width + 2, 3.0), (START + 200) * STEP_S)
    np.testing.assert_allclose(forecaster.forecast().quantiles_rps[0, 0], 3.0, rtol=1e-4)


@pytest.mark.parametrize("step_s", [1.0, 10.0, 300.0, HOUR_S, 86_400.0])
def test_steps_may_be_of_any_length(step_s: float) -> None:
    found = told(np.random.default_rng(2).poisson(50.0 * step_s, (300, 2)) / step_s, step_s=step_s).forecast()
    np.testing.assert_allclose(found.quantiles_rps[0, 0], 50.0, rtol=0.3)


@given(st.integers(0, 10**6), st.integers(1, 70), st.floats(0.0, 1e4))
@settings(max_examples=15)
def test_what_was_forecast_does_not_depend_on_what_came_later(seed: int, told_steps: int, later: float) -> None:
    rates = unclean(told_steps + 70, 3, seed=seed)
    other = rates.copy()
    other[told_steps:] = later
    one, two = told(rates[:told_steps]), told(other[:told_steps])
    issued = one.forecast()
    assert_same(issued, two.forecast())
    kept = issued.quantiles_rps.copy()
    tell(one, rates[told_steps:], START + told_steps)
    np.testing.assert_array_equal(issued.quantiles_rps, kept)
    for row, horizon in enumerate(HORIZONS):
        if horizon > 1:
            waiting = told(other[: told_steps + 1])._issued[:, Forecaster._row(row, START + told_steps - 1)]
            np.testing.assert_array_equal(waiting, two._issued[:, Forecaster._row(row, START + told_steps - 1)])


def test_the_error_is_that_of_the_median_and_the_leader_the_one_that_errs_least() -> None:
    """One series repeats itself by the day, one is flat noise."""
    step_s = HOUR_S
    day = np.random.default_rng(19).uniform(5.0, 500.0, 24)
    steps = 24 * 12
    rates = np.stack([np.tile(day, 12), np.random.default_rng(20).normal(100.0, 20.0, steps)], axis=1)
    found = told(rates, step_s=step_s).forecast()
    assert found.leader[0, 0] == Expert.DAY
    assert found.leader[0, 1] in {Expert.EWMA_SLOW, Expert.SPARSE}
    assert found.error_ratio[0, 0] < 0.1
    assert found.error_ratio[0, 1] == pytest.approx(0.16, abs=0.06)  # mean distance of a normal law: 0.8 * 20 of 100


def test_an_error_over_a_median_of_nothing_is_unknown() -> None:
    rates = np.zeros((400, 1))
    rates[::100] = 3.0
    error = told(rates).forecast().error_ratio
    assert not np.isinf(error).any()


def test_quantiles_hold_what_they_promise() -> None:
    """Share of targets at or below each quantile; where nothing came and nothing had come, any quantile is right."""
    rates, settled = unclean(4000, 20, seed=1), 1500
    forecaster, issued = Forecaster(20, STEP_S), []
    for i, row in enumerate(rates):
        forecaster.learn(row, (START + i) * STEP_S)
        issued.append(forecaster.forecast().quantiles_rps)
    for row, horizon in enumerate(HORIZONS):
        highest = np.lib.stride_tricks.sliding_window_view(rates[1:], horizon, axis=0).max(axis=-1)
        promised = np.array([quantiles[:, row] for quantiles in issued[settled : len(highest)]])
        matters = (highest[settled:] > 0.0) | (highest[settled - horizon : len(highest) - horizon] > 0.0)
        for level in (0.9, 0.95, 0.99):
            share = (highest[settled:] <= promised[:, LEVELS.index(level)])[matters].mean()
            assert share == pytest.approx(level, abs=0.02), (horizon, level)


def test_silence_is_expected_to_last_about_as_long_as_silences_did() -> None:
    """Every half hour a request: after 25 silent minutes one is due soon, right after one it is not."""
    rates = np.zeros((30 * 80, 1))
    rates[::30] = 1.0
    forecaster = told(rates[:-28])
    fresh = forecaster.forecast().busy_chance[HORIZONS.index(1), 0]
    tell(forecaster, rates[-28:], START + len(rates) - 28)
    due = forecaster.forecast().busy_chance[HORIZONS.index(1), 0]
    assert fresh < 0.1
    assert due > 0.5


def test_a_series_is_known_since_its_first_step() -> None:
    forecaster = Forecaster(3, STEP_S)
    nothing = float("nan")
    for step, rates in enumerate([(1.0, nothing, nothing), (1.0, 2.0, nothing), (nothing, 2.0, nothing)]):
        forecaster.learn(np.array(rates), (START + step) * STEP_S)
    assert forecaster.forecast().known_s.tolist() == [3 * STEP_S, 2 * STEP_S, 0.0]
