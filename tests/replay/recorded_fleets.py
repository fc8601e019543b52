"""Records of fleets, small enough to be reckoned by hand."""

from __future__ import annotations

import numpy as np

from lull.model.record import Record

BINS = 120
BIN_S = 60.0


def constant(value: float) -> np.ndarray:
    return np.full(BINS, value)


def a_record(
    *models: tuple[np.ndarray, np.ndarray],
    has_starting: bool = True,
    shared_ratio: float = 0.0,
    bin_s: float = BIN_S,
    doubts: tuple[str, ...] = (),
) -> Record:
    """Models ``m0``, ``m1`` by their rates and their replicas."""
    count = len(models)
    return Record(
        start_s=0.0,
        bin_s=bin_s,
        models=tuple(f"m{place}" for place in range(count)),
        rates_rps=np.stack([rates for rates, _ in models], axis=1) if models else np.empty((BINS, 0)),
        replicas=np.stack([replicas for _, replicas in models], axis=1) if models else np.empty((BINS, 0)),
        rate_sources=("triton",) * count,
        replica_sources=("pods with its metrics",) * count,
        has_starting=np.full(count, has_starting),
        shared_ratio=np.full(count, shared_ratio),
        doubts=doubts,
    )
