"""Running sums and maxima, row by row as numpy's own do them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lull.model.arrays import F64, running_maximum, running_sum

SHAPES = arrays.array_shapes(min_dims=1, max_dims=3, max_side=6)
SOME = arrays.arrays(np.float64, SHAPES, elements=st.floats(-1e6, 1e6) | st.just(float("nan")))


@given(SOME)
def test_the_running_maximum_is_numpys_and_leaves_its_rows_alone(rows: F64) -> None:
    before = rows.copy()
    np.testing.assert_array_equal(running_maximum(rows), np.maximum.accumulate(rows, axis=0))
    np.testing.assert_array_equal(rows, before)


@given(SOME)
def test_the_running_sum_is_numpys_and_leaves_its_rows_alone(rows: F64) -> None:
    before = rows.copy()
    np.testing.assert_array_equal(running_sum(rows), np.cumsum(rows, axis=0))
    np.testing.assert_array_equal(rows, before)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_kind_of_number_stays(kind: type) -> None:
    rows = np.ones((3, 2), dtype=kind)
    assert running_maximum(rows).dtype == kind
    assert running_sum(rows).dtype == kind
