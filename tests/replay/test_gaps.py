"""Gaps of a record: short ones are bridged, long ones stay unknown."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lull.replay.gaps import SHORT_S, bridged, longest_run

NAN = np.nan
BIN_S = SHORT_S / 3.0
"""Three bins are the longest gap that is bridged."""


def column(*values: float) -> np.ndarray:
    return np.array(values)[:, None]


@pytest.mark.parametrize(
    ("values", "is_level", "expected"),
    [
        pytest.param((1, NAN, 3), False, (1, 2, 3), id="a line between two rates"),
        pytest.param((1, NAN, NAN, 3), True, (1, 1, 1, 3), id="replicas stand until the next count"),
        pytest.param((8, NAN, NAN, NAN, 0), False, (8, 6, 4, 2, 0), id="the longest that is bridged"),
        pytest.param((8, NAN, NAN, NAN, NAN, 0), False, (8, NAN, NAN, NAN, NAN, 0), id="longer stays unknown"),
        pytest.param((NAN, NAN, 5, NAN), True, (5, 5, 5, 5), id="the edges have one neighbour"),
        pytest.param((NAN, NAN, NAN, NAN), False, (NAN, NAN, NAN, NAN), id="nothing to bridge from"),
        pytest.param((NAN, NAN), False, (NAN, NAN), id="short and wholly unknown"),
    ],
)
def test_short_gaps_are_bridged_and_long_ones_stay(
    values: tuple[float, ...], is_level: bool, expected: tuple[float, ...]
) -> None:
    np.testing.assert_equal(bridged(column(*values), BIN_S, is_level=is_level)[:, 0], expected)


@given(
    arrays.arrays(np.float64, (12, 3), elements=st.one_of(st.just(NAN), st.floats(0.0, 100.0))),
    st.booleans(),
)
def test_bridging_invents_nothing(values: np.ndarray, is_level: bool) -> None:
    """What was known stays, what is filled lies between its neighbours, and each model is bridged by itself."""
    filled = bridged(values, BIN_S, is_level=is_level)
    is_known = np.isfinite(values)
    np.testing.assert_array_equal(filled[is_known], values[is_known])
    for place in range(3):
        alone = bridged(values[:, place : place + 1], BIN_S, is_level=is_level)[:, 0]
        np.testing.assert_array_equal(filled[:, place], alone)
        known = values[is_known[:, place], place]
        if len(known):
            told = alone[np.isfinite(alone)]
            assert told.min() >= known.min() - 1e-9
            assert told.max() <= known.max() + 1e-9
        gap = longest_run(np.isnan(alone))
        assert gap.stop - gap.start == 0 or (gap.stop - gap.start) * BIN_S > SHORT_S or not len(known)


@pytest.mark.parametrize(
    ("is_set", "expected"),
    [("0110111", slice(4, 7)), ("1100110", slice(4, 6)), ("000", slice(0, 0)), ("1", slice(0, 1))],
)
def test_the_longest_run_is_found_and_of_equals_the_last(is_set: str, expected: slice) -> None:
    assert longest_run(np.array([mark == "1" for mark in is_set])) == expected
