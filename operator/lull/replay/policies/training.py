"""What the policies may know beforehand: the training part of the traces, and nothing of the scored one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lull.model.arrays import F64, I64


@dataclass(frozen=True, slots=True)
class Training:
    """Rates of the training part."""

    rates_rps: F64
    """Mean rate of each bin, per series, (T, M)."""
    bin_s: float
    of_series: I64
    """Which series a column sees, (N,)."""

    def quantile_rps(self, share: float) -> F64:
        """Rate that this share of the bins stays within, per column, (N,)."""
        of_each: F64 = np.quantile(self.rates_rps, share, axis=0)
        return of_each[self.of_series]
