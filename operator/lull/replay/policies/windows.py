"""Windows over the last steps, kept up with a constant number of array operations a step."""

from __future__ import annotations

from typing import Final

import numpy as np

from lull.model.arrays import F64, I64
from lull.replay.world import Physics, ticks_every

_ROUNDING: Final = 1e-9
"""Replicas that a quotient may exceed a whole number by and still count as it: what float arithmetic leaves behind."""


def whole_replicas(load: F64, per_replica: F64) -> F64:
    """Smallest whole number of replicas that carries a load, (N,).

    Args:
        load: any measure of load, at least 0, (N,).
        per_replica: how much of it one replica takes, above 0, (N,).
    """
    return np.maximum(np.ceil(load / per_replica - _ROUNDING), 0.0)


def covering(window_s: float, step_s: float) -> int:
    """Steps that cover a window: rounded up, and at least one."""
    return max(1, int(np.ceil(window_s / step_s - _ROUNDING)))


def tick_in_world_s(tick_s: float, physics: Physics) -> float:
    """Seconds between two decisions once the world has fitted them to its steps."""
    return ticks_every(tick_s, physics) * physics.step_s


class SlidingMax:
    """The largest of the last values, over a window of its own for each column.

    Van Herk and Gil-Werman: time is cut into blocks as long as the window. A window is the tail of one block and the
    head of the next, so it takes the largest of each tail, found once a block, and the largest so far of the head.
    """

    def __init__(self, window: I64) -> None:
        """Empty.

        Args:
            window: values that count, the newest included, at least 1, (N,).
        """
        columns = len(window)
        self._window = window
        self._columns = np.arange(columns)
        self._step = 0
        # Row r holds the largest from r to the end of the last block until this block gets there. One row below the
        # longest window stays empty: the tail that begins after the end.
        self._tails: F64 = np.full((int(window.max(initial=1)) + 1, columns), -np.inf)
        self._flat = self._tails.reshape(-1)
        self._head: F64 = np.full(columns, -np.inf)

    def push(self, value: F64) -> F64:
        """Takes the newest value, (N,), and returns the largest of the window, (N,); -inf stands for no value."""
        row = self._step % self._window
        self._step += 1
        self._head = np.where(row == 0, value, np.maximum(self._head, value))
        here = row * len(self._columns) + self._columns
        self._flat[here] = value
        largest: F64 = np.maximum(self._head, self._flat[here + len(self._columns)])
        ended = row == self._window - 1
        if ended.any():
            self._close(ended.nonzero()[0])
        return largest

    def _close(self, columns: I64) -> None:
        windows = self._window[columns]
        for window in np.unique(windows):
            block = np.ix_(np.arange(window), columns[windows == window])
            self._tails[block] = np.maximum.accumulate(self._tails[block][::-1], axis=0)[::-1]


class SlidingSum:
    """The sum of the last values, over one window for all columns.

    Added up anew each time: the windows are short, and the rounding that running differences leave behind would turn
    "nothing came" into "almost nothing came".
    """

    def __init__(self, window: int, columns: int) -> None:
        """Empty: what is not there yet counts as 0."""
        self._values: F64 = np.zeros((window, columns))
        self._step = 0

    @property
    def filled(self) -> int:
        """Values there are, at most the window."""
        return min(self._step, len(self._values))

    def push(self, value: F64) -> F64:
        """Takes the newest value, (N,), and returns the sum of the window, (N,)."""
        self._values[self._step % len(self._values)] = value
        self._step += 1
        total: F64 = self._values.sum(axis=0)
        return total
