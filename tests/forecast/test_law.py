"""From quantiles to chances."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.forecast.calibration import LEVELS
from lull.forecast.law import chance_above

QUANTILES = (10.0, 12.0, 13.0, 14.0, 17.0, 19.0)
SOME = st.lists(st.floats(0.0, 1e4), min_size=6, max_size=6).map(sorted)


def chance(quantiles: object, threshold: float) -> float:
    found = chance_above(np.array(quantiles, dtype=np.float64)[:, None], np.array([threshold]))
    return float(found[0])


@pytest.mark.parametrize(("level", "quantile"), list(zip(LEVELS, QUANTILES, strict=True)))
def test_at_a_quantile_the_chance_is_what_its_level_leaves(level: float, quantile: float) -> None:
    assert chance(QUANTILES, quantile) == pytest.approx(1.0 - level, rel=1e-9)


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        pytest.param(0.0, 1.0, id="nothing"),
        pytest.param(7.0, 1.0, id="the lowest it may be: 10 - 1.5 * (12 - 10)"),
        pytest.param(8.5, math.sqrt(0.5), id="half way up to the median, in logarithms"),
        pytest.param(11.0, math.sqrt(0.5 * 0.2), id="between two levels"),
        pytest.param(24.0, 0.003 * 0.003 / 0.05, id="as far beyond the last as that is from q95"),
    ],
)
def test_between_and_beyond_the_levels(threshold: float, expected: float) -> None:
    assert chance(QUANTILES, threshold) == pytest.approx(expected, rel=1e-6)


@given(SOME, st.lists(st.floats(0.0, 2e4), min_size=2, max_size=20).map(sorted))
def test_a_higher_threshold_is_never_likelier(quantiles: list[float], thresholds: list[float]) -> None:
    columns = np.repeat(np.array(quantiles)[:, None], len(thresholds), axis=1)
    found = chance_above(columns, np.array(thresholds))
    assert ((found >= 0.0) & (found <= 1.0)).all()
    assert (np.diff(found) <= 1e-12).all()


@given(SOME)
def test_quantiles_apart_keep_their_levels(quantiles: list[float]) -> None:
    apart = np.array(quantiles) + np.arange(6.0)
    for level, quantile in zip(LEVELS, apart, strict=True):
        assert chance(apart, quantile) == pytest.approx(1.0 - level, rel=1e-6)


def test_a_draw_from_the_law_passes_as_often_as_it_says() -> None:
    """An exponential law is straight in these logarithms, so its whole tail must come out."""
    quantiles = -np.log1p(-np.array(LEVELS)) * 4.0
    for threshold in (4.0, 8.0, 16.0, 40.0):
        assert chance(quantiles, threshold) == pytest.approx(math.exp(-threshold / 4.0), rel=1e-6)


def test_a_rate_that_is_certain_passes_what_is_below_it_and_not_what_is_above() -> None:
    assert chance([5.0] * 6, 4.9) == pytest.approx(1.0)
    assert chance([5.0] * 6, 5.1) < 1e-20
    assert chance([0.0] * 6, 0.0) == 1.0


def test_quantiles_out_of_order_are_taken_as_their_running_maximum() -> None:
    assert chance([10.0, 9.0, 13.0, 13.0, 11.0, 19.0], 15.0) == chance([10.0, 10.0, 13.0, 13.0, 13.0, 19.0], 15.0)


def test_what_is_unknown_has_no_chance() -> None:
    assert math.isnan(chance([math.nan] * 6, 3.0))
    assert math.isnan(chance(QUANTILES, math.nan))


def test_shapes_follow_the_quantiles() -> None:
    quantiles = np.broadcast_to(np.array(QUANTILES, dtype=np.float32)[:, None, None], (6, 4, 3))
    found = chance_above(quantiles, np.array([7.0, 12.0, 30.0]))
    assert found.shape == (4, 3)
    assert found.dtype == np.float64
    assert chance_above(quantiles[:, :, :0], np.zeros(0)).shape == (4, 0)
