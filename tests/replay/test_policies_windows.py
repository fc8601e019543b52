"""Sliding windows: against the plain sum and maximum of a list."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.replay.policies.windows import SlidingMax, SlidingSum, covering, tick_in_world_s, whole_replicas
from lull.replay.world import Physics

VALUES = st.one_of(st.integers(0, 9).map(float), st.just(-np.inf))


@given(
    windows=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    values=st.lists(VALUES, min_size=1, max_size=60),
)
def test_the_largest_is_that_of_each_columns_own_window(windows: list[int], values: list[float]) -> None:
    window = SlidingMax(np.array(windows, dtype=np.int64))
    for step, value in enumerate(values):
        largest = window.push(np.full(len(windows), value))
        assert largest.tolist() == [max(values[max(0, step + 1 - length) : step + 1]) for length in windows]


def test_columns_of_a_sliding_maximum_do_not_mix() -> None:
    window = SlidingMax(np.array([3, 3], dtype=np.int64))
    told = [window.push(np.array(pair)) for pair in ([5.0, 1.0], [0.0, 2.0], [0.0, 0.0], [0.0, 0.0])]
    assert [pair.tolist() for pair in told] == [[5, 1], [5, 2], [5, 2], [0, 2]]


@given(window=st.integers(1, 7), values=st.lists(st.floats(0.0, 1e6), min_size=1, max_size=40))
def test_the_sum_is_that_of_the_window(window: int, values: list[float]) -> None:
    sums = SlidingSum(window, columns=1)
    for step, value in enumerate(values):
        of_window = values[max(0, step + 1 - window) : step + 1]
        assert sums.push(np.array([value]))[0] == pytest.approx(sum(of_window))
        assert sums.filled == len(of_window)


def test_nothing_came_is_exactly_nothing() -> None:
    sums = SlidingSum(3, columns=1)
    for value in (0.1, 0.2, 0.3, 1e9):
        sums.push(np.array([value]))
    assert [sums.push(np.zeros(1))[0] for _ in range(3)][-1] == 0.0


@pytest.mark.parametrize(
    ("load", "per_replica", "replicas"),
    [
        pytest.param(0.0, 2.0, 0.0, id="no load needs nothing"),
        pytest.param(0.001, 2.0, 1.0, id="any load needs one"),
        pytest.param(6.0, 2.0, 3.0, id="exactly full"),
        pytest.param(6.1, 2.0, 4.0, id="a little more"),
        pytest.param(0.3, 0.1, 3.0, id="0.3 / 0.1 is above 3 in floats"),
    ],
)
def test_replicas_are_whole_and_enough(load: float, per_replica: float, replicas: float) -> None:
    assert whole_replicas(np.array([load]), np.array([per_replica])).tolist() == [replicas]


@pytest.mark.parametrize(
    ("window_s", "step_s", "steps"), [(60.0, 15.0, 4), (6.0, 15.0, 1), (6.0, 4.0, 2), (300.0, 15.0, 20)]
)
def test_steps_cover_a_window(window_s: float, step_s: float, steps: int) -> None:
    assert covering(window_s, step_s) == steps


@pytest.mark.parametrize(
    ("tick_s", "step_s", "expected_s"), [(15.0, 15.0, 15.0), (2.0, 15.0, 15.0), (15.0, 5.0, 15.0), (15.0, 60.0, 60.0)]
)
def test_ticks_are_whole_steps(tick_s: float, step_s: float, expected_s: float) -> None:
    assert tick_in_world_s(tick_s, Physics(step_s=step_s)) == expected_s
