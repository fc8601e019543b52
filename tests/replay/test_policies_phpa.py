"""PHPA: Holt-Winters against its textbook recursion, in both orders of the history, its line, and its rules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lull.replay.policies.holt_winters import (
    Gains,
    HoltWinters,
    ShippedHoltWinters,
    fewest_points,
    kept_seasons,
)
from lull.replay.policies.hpa import Hpa
from lull.replay.policies.phpa import LINEAR_POINTS, Phpa, _Line, seasons
from lull.replay.policies.training import Training
from lull.replay.world import Physics
from replay.policy_looks import a_look, lives

WORLD = Physics()
GAINS = Gains(level=0.2, trend=0.05, season=0.2)
EXAMPLE = Gains(level=0.9, trend=0.9, season=0.9)


def textbook(series: list[float], season: int, gains: Gains, *, starts_after: int) -> float:
    """Forecast after a sequence; the recursion runs over the points from ``starts_after`` on."""
    seasonal = [(series[slot] + series[slot + season]) / 2.0 for slot in range(season)]
    level = trend = 0.0
    for k in range(starts_after, len(series)):
        before, slot = level, k % season
        level = gains.level * (series[k] - seasonal[slot]) + (1.0 - gains.level) * (before + trend)
        old_trend, trend = trend, gains.trend * (level - before) + (1.0 - gains.trend) * trend
        seasonal[slot] = gains.season * (series[k] - before - old_trend) + (1.0 - gains.season) * seasonal[slot]
    return level + trend + seasonal[len(series) % season]


COUNTS = st.lists(st.integers(0, 9).map(float), min_size=40, max_size=70)


@settings(max_examples=50, deadline=None)
@given(series=COUNTS, season=st.integers(1, 8), gains=st.sampled_from([GAINS, EXAMPLE]))
def test_in_the_order_of_time_it_is_the_textbooks_recursion(series: list[float], season: int, gains: Gains) -> None:
    model = HoltWinters(np.array([season]), gains)
    for points in range(1, len(series) + 1):
        forecast = model.push(np.array(series[points - 1 : points]))[0]
        if points < fewest_points(np.array([season]))[0]:
            assert np.isnan(forecast)
        else:
            expected = textbook(series[:points], season, gains, starts_after=2 * season)
            assert forecast == pytest.approx(expected, rel=1e-9, abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(series=COUNTS, season=st.integers(2, 8))
def test_as_shipped_it_is_a_refit_to_a_history_out_of_order(series: list[float], season: int) -> None:
    """The history is sorted newest first with each pruning, which drops a season once five are complete."""
    model = ShippedHoltWinters(np.array([season]), GAINS)
    history: list[float] = []
    for point in series:
        history.append(point)
        forecast = model.push(np.array([point]))[0]
        if len(history) >= fewest_points(np.array([season]))[0]:
            assert forecast == pytest.approx(textbook(history, season, GAINS, starts_after=0), abs=1e-3)
        else:
            assert np.isnan(forecast)
        newest_first = [history[-1], *history[:-1]]
        history = newest_first[: len(history) - max(len(history) // season - 4, 0) * season]


def test_seasons_of_each_column_are_its_own() -> None:
    both = HoltWinters(np.array([3, 5]), GAINS)
    alone = [HoltWinters(np.array([season]), GAINS) for season in (3, 5)]
    shipped, shipped_alone = ShippedHoltWinters(np.array([5, 3]), GAINS), ShippedHoltWinters(np.array([3]), GAINS)
    for k in range(60):
        point = np.array([float(k % 3), float(k % 5)])
        forecast = both.push(point)
        assert np.array_equal(forecast, [alone[0].push(point[:1])[0], alone[1].push(point[1:])[0]], equal_nan=True)
        out_of_order = shipped.push(point[::-1])
        assert np.array_equal(out_of_order[1:], shipped_alone.push(point[:1]), equal_nan=True)


def errors(model: HoltWinters | ShippedHoltWinters, load: np.ndarray) -> np.ndarray:
    forecasts = np.array([model.push(np.array([point]))[0] for point in load])
    return np.ceil(forecasts[96:-1] - 1e-6) - load[97:]


def test_on_a_season_the_order_of_time_is_right_and_the_shipped_order_is_not() -> None:
    """1 to 9 replicas in a period of 24: out of order, forecasts are off by about two replicas."""
    load = np.round(5.0 + 4.0 * np.sin(2.0 * np.pi * np.arange(24 * 20) / 24.0))
    as_meant, as_shipped = HoltWinters(np.array([24]), GAINS), ShippedHoltWinters(np.array([24]), GAINS)
    assert np.abs(errors(as_meant, load)).mean() < 0.2
    assert 1.0 < np.abs(errors(as_shipped, load)).mean() < 3.0


def test_the_gains_of_the_examples_blow_noise_up() -> None:
    load = np.random.default_rng(5).integers(0, 3, 600).astype(float)
    ours, examples = HoltWinters(np.array([24]), GAINS), HoltWinters(np.array([24]), EXAMPLE)
    assert np.abs(errors(examples, load)).mean() > 5.0 * np.abs(errors(ours, load)).mean()


@pytest.mark.parametrize(("season", "fewest"), [(1, 10), (3, 12), (9, 18), (10, 20), (24, 48)])
def test_two_seasons_are_the_least_and_some_more_for_short_ones(season: int, fewest: int) -> None:
    assert fewest_points(np.array([season])).tolist() == [fewest]


@pytest.mark.parametrize(("season", "kept"), [(24, 4), (4320, 4), (5760, 2), (7300, 1), (40_320, -1)])
def test_the_config_map_bounds_the_seasons(season: int, kept: int) -> None:
    """A day at 15 s fits in twice with one more to fill up; a week does not fit in at all."""
    assert kept_seasons(season) == kept


@given(values=st.lists(st.integers(0, 20).map(float), min_size=1, max_size=25), ahead=st.floats(0.0, 3.0))
def test_the_line_is_that_of_least_squares(values: list[float], ahead: float) -> None:
    line = _Line(1, ahead)
    forecast = [line.push(np.array([value]))[0] for value in values][-1]
    points = np.array(values[-LINEAR_POINTS:])
    ages = np.arange(len(points))[::-1]
    fitted = np.polyval(np.polyfit(-ages, points, 1), ahead) if len(points) > 1 else points[0]
    assert forecast == pytest.approx(fitted, abs=1e-6)


def a_training(shape: np.ndarray, bin_s: float = 60.0) -> Training:
    return Training(shape[:, None], bin_s, np.zeros(2, dtype=np.int64))


MINUTES = np.arange(7 * 1440)


@pytest.mark.parametrize(
    ("shape", "ticks"),
    [
        pytest.param(5.0 + np.sin(2 * np.pi * MINUTES / 1440), 5760, id="a day"),
        pytest.param(5.0 + np.sin(2 * np.pi * MINUTES / 240), 960, id="four hours, and not six times that"),
        pytest.param(np.random.default_rng(1).random(len(MINUTES)), 0, id="noise"),
        pytest.param(np.cumsum(np.random.default_rng(2).normal(size=len(MINUTES))) + 500.0, 0, id="a random walk"),
        pytest.param(np.zeros(len(MINUTES)), 0, id="silence"),
    ],
)
def test_a_season_is_what_the_training_repeats(shape: np.ndarray, ticks: int) -> None:
    assert seasons(a_training(shape), 15.0).tolist() == [ticks, ticks]


def test_two_whole_seasons_of_training_are_the_least() -> None:
    assert seasons(a_training(5.0 + np.sin(2 * np.pi * MINUTES[:2000] / 1440)), 15.0).tolist() == [0, 0]


def sizes_of(policy: Phpa | Hpa, busy: list[float], *, start: float = 1.0) -> list[float]:
    """Sizes when the fleet follows at once and ``busy`` replicas' worth of work comes."""
    sizes, current = [], start
    for step, work in enumerate(busy):
        current = float(policy.desire(a_look(15.0 * step, rate=work, ready=current))[0])
        sizes.append(current)
    return sizes


def phpa(season: int = 0, *, as_shipped: bool = False) -> Phpa:
    return Phpa(np.array([0.5]), np.ones(1), WORLD, np.array([season], dtype=np.int64), as_shipped=as_shipped)


def test_rising_replica_counts_are_carried_on_by_the_line() -> None:
    """20 replicas are calculated, then 26; the line is asked for two thirds of a sync later, 26 + 6 * 2 / 3."""
    busy = [10.0, 13.0]
    assert sizes_of(Hpa(np.array([0.5]), np.ones(1), WORLD), busy, start=20.0) == [20.0, 26.0]
    assert sizes_of(phpa(), busy, start=20.0) == [20.0, 30.0]


def test_growth_has_a_period_of_a_minute() -> None:
    """Five at most until the first change is a minute old; then four more than there were after it, or twice."""
    assert sizes_of(phpa(), [1.0] + [50.0] * 6) == [2.0, 5.0, 5.0, 5.0, 6.0, 10.0, 10.0]


def test_a_spike_of_each_season_is_forecast_one_sync_ahead() -> None:
    """Every 24th sync needs 12 replicas; the forecast is there with the sync before, and the HPA only with it."""
    spike = [6.0 if k % 24 == 23 else 1.0 for k in range(24 * 12)]
    load = np.array([2.0 * work for work in spike])
    told = HoltWinters(np.array([24]), GAINS)
    forecasts = np.array([told.push(np.array([x]))[0] for x in load])
    before, at = 24 * 10 + 22, 24 * 10 + 23
    assert np.ceil(forecasts[before] - 1e-6) >= 11.0
    assert np.ceil(forecasts[at] - 1e-6) <= 4.0


def test_a_forecast_asks_for_more_than_the_hpa_calculates() -> None:
    spike = [6.0 if k % 48 == 47 else 1.0 for k in range(48 * 8)]
    with_model, without = sizes_of(phpa(48), spike), sizes_of(phpa(), spike)
    before_a_spike = slice(48 * 3 + 46, None, 48)
    assert (min(with_model[before_a_spike]), max(without[before_a_spike])) == (5.0, 2.0)


def test_without_a_metric_forecasts_change_nothing() -> None:
    policy = phpa(24)
    sizes_of(policy, [5.0] * 60)
    assert policy.desire(a_look(900.0, ready=0.0, starting=3.0)).tolist() == [3.0]


def test_both_orders_live_through_the_same_syncs() -> None:
    for as_shipped in (False, True):
        sizes = lives(
            phpa(24, as_shipped=as_shipped), [a_look(15.0 * k, rate=3.0, ready=6.0) for k in range(200)], WORLD
        )
        assert np.unique(sizes).tolist() == [6.0]


def test_it_never_goes_below_one_replica() -> None:
    coarse = replace(WORLD, step_s=60.0)
    policy = Phpa(np.array([0.5]), np.ones(1), coarse, np.array([4], dtype=np.int64))
    assert np.min(lives(policy, [a_look(60.0 * k, ready=1.0) for k in range(30)], coarse)) == 1.0
