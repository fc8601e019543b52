"""A server that takes what waits as one batch as soon as it is free: how late its requests are, and its limit.

A batch of b requests takes ``s(b) = fixed + each * b``. For Poisson arrivals and any size of batch, the mean latency
(wait and service) lies below ``phi1 = 3/2 * fixed / (1 - r * each) + each/2 * (r * each + 2) / (1 - (r * each)^2)`` at
rate r, and close to it unless the load is light (Inoue, Queueing analysis of GPU-based inference servers with dynamic
batching, 2019). A percentile is taken as a multiple of the bound: twice for the 99th where batches pay (fixed several
times each), and growing towards an exponential tail where they do not.

The bound is wide while the load is light, and knows no largest batch. So it is used while few batches would be larger
than allowed; a server may be given more where one request at a time, or full batches, allow more. Called by ``sizing``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from lull.decide.erlang import slot_limit, utilisation_limit
from lull.model.arrays import F64

LEAST_TAIL: Final = 1.7
"""Times the bound that any percentile is taken for; simulated 95th ones lay below, those under it far below."""

_TAIL_OF_99: Final = 2.0

FULL_SHARE: Final = 0.85
"""Most of its throughput with full batches that a replica is planned with."""

_STEPS: Final = 40


def latency_bound_s(rps: F64, fixed_s: F64, each_s: F64) -> F64:
    """Upper bound of the mean latency, (N,); infinite at or above the rate that no batch is large enough for.

    Args:
        rps: requests per second, (N,).
        fixed_s: seconds of every batch, (N,).
        each_s: further seconds per request in it, (N,).
    """
    load = rps * each_s
    room = np.where(load < 1.0, 1.0 - load, np.nan)
    bound = 1.5 * fixed_s / room + each_s / 2.0 * (load + 2.0) / (room * (1.0 + load))
    return np.where(load < 1.0, bound, np.inf)


def mean_batch(rps: F64, fixed_s: F64, each_s: F64) -> F64:
    """Mean size of a batch where arrivals fill it well above one, (N,): ``r * fixed / (1 - r * each)``."""
    return rps * fixed_s / (1.0 - rps * each_s)


def tail(fixed_s: F64, each_s: F64, miss_ratio: F64) -> F64:
    """Times the bound that a share of ``miss_ratio`` may exceed, (N,).

    An exponential latency has ``1 + (-ln(miss) - 1)`` means; the excess over 1 shrinks as ``(1 + fixed/each)^-0.75``,
    down to what makes 2 of the 99th percentile. Both read off simulations at 10 to 92 % of ``1 / each``.
    """
    exponential = -np.log(miss_ratio) - 1.0
    least = (_TAIL_OF_99 - 1.0) / (-np.log(0.01) - 1.0)
    shrunk = (each_s / (fixed_s + each_s)) ** 0.75
    times: F64 = np.maximum(1.0 + np.maximum(shrunk, least) * exponential, LEAST_TAIL)
    return times


def batch_limit(
    fixed_s: F64, each_s: F64, max_batch: F64, threshold_s: F64, miss_ratio: F64, peakedness: F64 | float = 1.0
) -> F64:
    """Requests per second at which the objective holds, (N,), or what is planned where that is hopeless.

    Args, all of them known:
        fixed_s: seconds of every batch, (N,).
        each_s: further seconds per request in it, (N,).
        max_batch: most requests in a batch, at least 1, (N,).
        threshold_s: most seconds from request to answer, (N,).
        miss_ratio: share that may take longer, (N,).
        peakedness: of the arrivals, (N,) or one for all; 1 = Poisson, which the bound is for.
    """
    full_s, alone_s = fixed_s + each_s * max_batch, fixed_s + each_s
    one, size = np.ones_like(alone_s), np.maximum(max_batch, 1.0)
    alone = slot_limit(one, alone_s, threshold_s - alone_s, miss_ratio, peakedness)
    # Full batches are slots that all turn over together: a request also waits for the batch before its own.
    rest_s = np.maximum(threshold_s - (2.0 - 1.0 / size) * full_s, 0.0)
    full = size / full_s * utilisation_limit(size, rest_s / full_s, miss_ratio, peakedness)
    full = np.where(rest_s > 0.0, full, 0.0)
    most = FULL_SHARE * size / full_s
    return np.maximum(
        alone, np.minimum(np.maximum(full, bounded(fixed_s, each_s, size, threshold_s, miss_ratio)), most)
    )


def bounded(fixed_s: F64, each_s: F64, max_batch: F64, threshold_s: F64, miss_ratio: F64) -> F64:
    """Requests per second at which the objective holds by the bound, (N,); 0 where at no rate.

    The size of a batch is Poisson with the mean that arrives during the one before, so about its own mean m it has
    variance ``m / (1 - (r * each)^2)``; two deviations must fit into the largest.

    Args:
        fixed_s: seconds of every batch, (N,).
        each_s: further seconds per request in it, (N,).
        max_batch: most requests in a batch, (N,).
        threshold_s: most seconds from request to answer, (N,).
        miss_ratio: share that may take longer, (N,).
    """
    times = tail(fixed_s, each_s, miss_ratio)
    low, high = np.zeros_like(fixed_s), max_batch / (fixed_s + each_s * max_batch)
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        size = mean_batch(middle, fixed_s, each_s)
        fits = size + 2.0 * np.sqrt(size / (1.0 - (middle * each_s) ** 2)) <= max_batch
        fits &= times * latency_bound_s(middle, fixed_s, each_s) <= threshold_s
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return low
