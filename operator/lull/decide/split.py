"""How one amount is split between namespaces by weight: nobody gets more than it wants while another lacks.

Weighted max-min fairness with floors, as in weighted fair queueing.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from lull.model.arrays import F64

_HALVINGS: Final = 100


def split(amount: float, least: F64, most: F64, weights: F64) -> F64:
    """Shares of each, (A,): all of the amount, or the least of each where that alone is more.

    Args:
        amount: what there is.
        least: what each has anyway, (A,).
        most: what each wants, at least that, (A,).
        weights: above 0, (A,). What is left when all have what they want is shared by them.
    """
    if not len(weights):
        return np.zeros(0)
    if amount <= least.sum():
        return least.copy()
    if amount >= most.sum():
        shared: F64 = most + (amount - most.sum()) * weights / weights.sum()
        return shared
    low, high = 0.0, float((most / weights).max())
    for _ in range(_HALVINGS):
        level = (low + high) / 2.0
        low, high = (level, high) if np.clip(level * weights, least, most).sum() < amount else (low, level)
    found: F64 = np.clip(high * weights, least, most)
    return found
