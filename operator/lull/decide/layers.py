"""Replicas as layers: the k-th replica of a model is a machine of its own, needed while the load exceeds k - 1 of them.

A fleet's layers are ragged (some models have one, some hundreds), so they lie flat in one array, model after model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lull.model.arrays import F64, I64, Bools


@dataclass(frozen=True, slots=True)
class Layers:
    """Layers of many models, (L,) each."""

    owner: I64
    """Row of the model."""
    number: I64
    """Which replica, from 1."""
    models: int
    """Number of models, those without a layer included."""

    def highest(self, chosen: Bools) -> I64:
        """Highest chosen layer of each model, (N,); 0 = none."""
        found: I64 = np.zeros(self.models, dtype=np.int64)
        np.maximum.at(found, self.owner[chosen], self.number[chosen])
        return found

    def below_all(self, chosen: Bools) -> Bools:
        """Whether a layer lies below every chosen one of its model, (L,)."""
        lowest: I64 = np.full(self.models, np.iinfo(np.int64).max)
        np.minimum.at(lowest, self.owner[chosen], self.number[chosen])
        return self.number < lowest[self.owner]


def layers_between(lowest: I64 | F64, highest: I64 | F64) -> Layers:
    """Layers from above ``lowest`` to ``highest``, (N,) each."""
    counts = np.maximum(highest - lowest, 0).astype(np.int64)
    owner = np.repeat(np.arange(len(counts)), counts)
    start = np.cumsum(counts) - counts
    number = np.arange(len(owner)) - start[owner] + lowest.astype(np.int64)[owner] + 1
    return Layers(owner, number, len(counts))
