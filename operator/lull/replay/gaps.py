"""Stretches of a record in which nothing is known: bridged where they are short, left unknown where not. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np

from lull.model.arrays import F64, I64, Bools

SHORT_S: Final = 900.0
"""Longest stretch that is bridged: a restart of Prometheus or of a scrape, in which a fleet seldom turns around."""

_ROUNDING: Final = 1e-9


def bridged(values: F64, bin_s: float, *, is_level: bool) -> F64:
    """Values with their short gaps filled, (T, N); NaN is unknown, and stays so in longer ones.

    Args:
        values: one row a bin, (T, N).
        bin_s: width of a bin.
        is_level: whether a value stands until the next one, as replicas do; else the line between the two counts.
            At the edges, where there is only one, that one counts.
    """
    rows = np.arange(len(values))[:, None]
    before, behind = _neighbours(np.isfinite(values))
    is_short = (behind - before - 1) * bin_s <= SHORT_S + _ROUNDING
    has_before, has_behind = before >= 0, behind < len(values)
    left = np.take_along_axis(values, np.where(has_before, before, np.minimum(behind, len(values) - 1)), axis=0)
    right = np.take_along_axis(values, np.where(has_behind, behind, np.maximum(before, 0)), axis=0)
    part = np.zeros(values.shape) if is_level else (rows - before) / np.maximum(behind - before, 1)
    filled: F64 = np.where(np.isnan(values) & is_short, left + part * (right - left), values)
    return filled


def _neighbours(is_known: Bools) -> tuple[I64, I64]:
    """Places of the last known bin up to each and of the next from it on, (T, N); -1 and T where there is none."""
    length = len(is_known)
    rows = np.broadcast_to(np.arange(length)[:, None], is_known.shape)
    before = np.maximum.accumulate(np.where(is_known, rows, -1), axis=0)
    behind = np.minimum.accumulate(np.where(is_known, rows, length)[::-1], axis=0)[::-1]
    return before, behind


def longest_run(is_set: Bools) -> slice:
    """The longest run of bins that are set, (T,), of equals the last; an empty slice where none is."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_set, [False]]).astype(np.int8)))
    if not len(edges):
        return slice(0, 0)
    lengths = edges[1::2] - edges[::2]
    place = len(lengths) - 1 - int(np.argmax(lengths[::-1]))
    return slice(int(edges[2 * place]), int(edges[2 * place + 1]))
