"""The power curve of each device, learned from its meter; the prior holds where there is little to learn from.

Robust (one absurd reading moves nothing), bounded, and forgetful. Called by the loop, its only writer, with intervals
in which the device was metered throughout and its concurrency known.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Final

import numpy as np

from lull.energy.power import PIVOT, Profiles
from lull.model.arrays import F64, I64, Bools

_NOISE_RATIO: Final = 0.05
"""Spread of one reading around the curve, as a share of the limit."""

_PRIOR_SPREAD: Final = (0.15, 0.03)
"""How far base and slope of a device may well be from the table's: mean error of H100's curve on H100 and on B200."""

_HUBER: Final = 2.0
"""Residuals beyond so many times the noise count no more than that."""

_MEMORY: Final = 0.98
"""Weight that what was learned keeps with each reading: the last fifty count."""

_BOUNDS: Final = ((0.05, 1.0), (0.0, 0.15))
_LOADS: Final = 3
"""Doublings of the concurrency that must have been seen before a curve counts as fitted."""

_IDLE_MEMORY: Final = 0.9
_IDLE_STEP: Final = 1.5
"""A reading moves an idle power by no more than it would if it were so many times that power, or that part of it."""


class PowerFit:
    """What meters taught, per device.

    Args:
        width: number of devices.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("information", "moment", "loads", "bare_w", "context_w")

    def __init__(self, width: int) -> None:
        self.information: F64 = np.zeros((3, width))
        """Weighted sums of 1, x and x squared, x being doublings from the pivot."""
        self.moment: F64 = np.zeros((2, width))
        """Weighted sums of y - prior(x) and x times that, y being the share of the limit that was drawn."""
        self.loads: I64 = np.zeros(width, dtype=np.int64)
        """Bits of the doublings that were seen."""
        self.bare_w: F64 = np.full(width, np.nan)
        self.context_w: F64 = np.full(width, np.nan)

    def learn(self, prior: Profiles, watts: F64, is_held: Bools, running: F64, columns: I64) -> None:
        """Takes in one interval's mean power; NaN in ``watts`` or ``running`` teaches nothing.

        Args:
            prior: the table's profiles, (N,).
            watts: mean power, (N,).
            is_held: whether a model was loaded, (N,).
            running: mean number of sequences, (N,).
            columns: which devices they are, (N,), each once.
        """
        known = np.isfinite(watts) & (watts >= 0.0)
        for name, prior_w, tells in (
            ("context_w", prior.context_w, known & is_held & (running == 0.0)),
            ("bare_w", prior.bare_w, known & ~is_held),
        ):
            learned = getattr(self, name)
            learned[columns[tells]] = _moved(learned[columns[tells]], prior_w[tells], watts[tells])
        busy = np.flatnonzero(known & is_held & (running >= 1.0) & np.isfinite(prior.limit_w))
        ratio, doublings = watts[busy] / prior.limit_w[busy], np.log2(running[busy] / PIVOT)
        by_table = prior.base_ratio[busy] + prior.slope_ratio[busy] * doublings
        self._learn_curve(columns[busy], ratio - by_table, doublings)

    def fitted(self, prior: Profiles, columns: I64) -> Profiles:
        """The table's profiles, (N,), with what was learned of those devices in their place."""
        base, slope = (of[columns] for of in self._correction())
        bare_w, context_w = self.bare_w[columns], self.context_w[columns]
        return replace(
            prior,
            bare_w=np.where(np.isnan(bare_w), prior.bare_w, bare_w),
            context_w=np.where(np.isnan(context_w), prior.context_w, context_w),
            base_ratio=np.clip(prior.base_ratio + base, *_BOUNDS[0]),
            slope_ratio=np.clip(prior.slope_ratio + slope, *_BOUNDS[1]),
            is_fitted=prior.is_fitted | (np.bitwise_count(self.loads[columns]) >= _LOADS),
        )

    def _learn_curve(self, at: I64, lacking: F64, doublings: F64) -> None:
        base, slope = self._correction()
        residual = np.abs(lacking - base[at] - slope[at] * doublings)
        weight = np.minimum(1.0, _HUBER * _NOISE_RATIO / np.maximum(residual, 1e-9))
        self.information[:, at] *= _MEMORY
        self.moment[:, at] *= _MEMORY
        self.information[:, at] += weight * np.stack([np.ones_like(doublings), doublings, doublings**2])
        self.moment[:, at] += weight * lacking * np.stack([np.ones_like(doublings), doublings])
        self.loads[at] |= np.left_shift(1, np.clip(np.rint(doublings), -3, 20).astype(np.int64) + 3)

    def _correction(self) -> tuple[F64, F64]:
        """What is added to base and slope: ridge regression, each as stiff as its prior is narrow."""
        stiff = [(_NOISE_RATIO / spread) ** 2 for spread in _PRIOR_SPREAD]
        count, sum_x, sum_xx = self.information[0] + stiff[0], self.information[1], self.information[2] + stiff[1]
        determinant = count * sum_xx - sum_x**2
        base = (sum_xx * self.moment[0] - sum_x * self.moment[1]) / determinant
        slope = (count * self.moment[1] - sum_x * self.moment[0]) / determinant
        return base, slope


def _moved(learned_w: F64, prior_w: F64, told_w: F64) -> F64:
    """An idle power moved towards what was told, by no more than one reading may move it."""
    before_w = np.where(np.isnan(learned_w), prior_w, learned_w)
    start_w = np.where(np.isnan(before_w), told_w, before_w)
    bounded_w = np.clip(told_w, start_w / _IDLE_STEP, start_w * _IDLE_STEP)
    return start_w + (1.0 - _IDLE_MEMORY) * (bounded_w - start_w)
