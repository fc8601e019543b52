"""Names for the arrays that hold one element per model, and sums along the axis before it or by group.

numpy's ``accumulate`` walks an array element by element where the axis is not the last one; row by row the same costs
a fifteenth.
"""

from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

F32: TypeAlias = npt.NDArray[np.float32]
F64: TypeAlias = npt.NDArray[np.float64]
I64: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Objects: TypeAlias = npt.NDArray[Any]

_Floats = TypeVar("_Floats", F32, F64)


def running_maximum(rows: _Floats) -> _Floats:
    """Highest of each row and those before it, (K, ...); NaN from the first one on."""
    highest = rows.copy()
    for row in range(1, len(rows)):
        highest[row] = np.maximum(highest[row - 1], rows[row])
    return highest


def running_sum(rows: _Floats) -> _Floats:
    """Sum of each row and those before it, (K, ...)."""
    total = rows.copy()
    for row in range(1, len(rows)):
        total[row] = total[row - 1] + rows[row]
    return total


def sums_by(at: I64, values: F64, width: int) -> F64:
    """Sum of the values of each group, (width,): ``at`` tells each value's group; 0 where a group has none."""
    return np.bincount(at, weights=values, minlength=width).astype(np.float64)
