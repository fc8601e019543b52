"""The factor that whether objectives are met puts on the sizes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.forecast.trim import LEAST, MISSES, MOST, Trim

WINDOW_S = 60.0


def trimmed(missed: list[float], look_s: float = WINDOW_S) -> float:
    """Factor after these windows."""
    trim = Trim(1, WINDOW_S)
    trim.learn(np.array([math.nan]), 0.0)
    for i, value in enumerate(missed):
        trim.learn(np.array([value]), (i + 1) * look_s)
    return float(trim.factor[0])


def test_a_miss_asks_for_more_and_its_absence_for_a_little_less() -> None:
    assert trimmed([1.0]) == pytest.approx(math.exp(0.05 * 0.95))
    assert trimmed([0.0]) == pytest.approx(math.exp(-0.05 * 0.05))


def test_the_allowed_share_of_misses_leaves_it_alone() -> None:
    assert trimmed(([1.0] + [0.0] * round(1.0 / MISSES - 1.0)) * 50) == pytest.approx(1.0)


def test_what_nobody_tells_changes_nothing() -> None:
    assert trimmed([math.nan] * 1000) == 1.0
    assert trimmed([1.0, math.nan, 1.0]) == trimmed([1.0, 1.0])


def test_it_stays_within_bounds() -> None:
    assert trimmed([1.0] * 1000) == MOST
    assert trimmed([0.0] * 1000) == LEAST


def test_looks_more_often_count_for_less_each() -> None:
    assert trimmed([1.0] * 6, look_s=10.0) == pytest.approx(trimmed([1.0]))
    assert trimmed([1.0], look_s=1e6) == trimmed([1.0]), "and one after a long time for one"


def test_two_looks_at_one_moment_are_one() -> None:
    assert trimmed([1.0, 1.0], look_s=0.0) == 1.0


@given(st.lists(st.lists(st.sampled_from([0.0, 1.0, math.nan]), min_size=3, max_size=3)), st.permutations(range(3)))
def test_which_column_a_model_has_says_nothing(rounds: list[list[float]], order: list[int]) -> None:
    plain, moved = Trim(3, WINDOW_S), Trim(3, WINDOW_S)
    for i, missed in enumerate(rounds):
        plain.learn(np.array(missed), i * WINDOW_S)
        moved.learn(np.array(missed)[order], i * WINDOW_S)
    np.testing.assert_array_equal(moved.factor, plain.factor[order])
    assert np.all((plain.factor >= LEAST) & (plain.factor <= MOST))


def test_columns_come_and_go() -> None:
    trim = Trim(1, WINDOW_S)
    trim.learn(np.array([1.0]), 0.0)
    trim.learn(np.array([1.0]), 60.0)
    before = trim.factor[0]
    trim.resize(3)
    assert trim.factor.tolist() == [before, 1.0, 1.0]
    trim.forget(np.array([0]))
    assert trim.factor.tolist() == [1.0, 1.0, 1.0]
