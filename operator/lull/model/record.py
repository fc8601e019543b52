"""What a running fleet did, as it was recorded: requests and replicas of every model in bins of one width. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from lull.model.arrays import F64, Bools


@dataclass(frozen=True, slots=True)
class Record:
    """T bins of N models; NaN is unknown and never zero."""

    start_s: float
    """Start of the first bin, seconds since the epoch."""
    bin_s: float
    models: tuple[str, ...]
    """Names, sorted, (N,)."""
    rates_rps: F64
    """Mean rate of requests in each bin, (T, N)."""
    replicas: F64
    """Replicas at the end of each bin, (T, N)."""
    rate_sources: tuple[str, ...]
    """Where the rates come from, (N,)."""
    replica_sources: tuple[str, ...]
    """Where the replicas come from, (N,); empty where nowhere."""
    has_starting: Bools
    """Whether the replicas count those still starting, (N,)."""
    shared_ratio: F64
    """Share of the bins in which a pod of the model serves others too, (N,)."""
    doubts: tuple[str, ...] = ()
    """What was not answered, or only in part."""
