"""How much one replica may be given, and how many replicas that makes.

Kube-proxy spreads connections over the pods at random, so a fleet of n replicas is n queues of their own and not one
queue with n servers: each gets a share 1/n of the stream. What a replica may be given is therefore a rate, whatever n
is, and the least of what its objectives allow. Three laws tell it, each where what it takes is known: slots
(``erlang``), batches (``batching``), tokens (``tokens``). Called by ``cycle``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np

from lull.decide.batching import batch_limit
from lull.decide.erlang import (
    UNREACHABLE_UTILISATION,
    UTILISATION_CAP,
    erlang_c,
    peakedness,
    slot_limit,
    utilisation_limit,
)
from lull.decide.objectives import Objectives
from lull.decide.tokens import Decoding, is_hopeless, token_limit
from lull.model.arrays import F64, I64, Bools
from lull.model.spec import Capacity, Spec

__all__ = ["UNREACHABLE_UTILISATION", "UTILISATION_CAP", "Batches", "Limits", "erlang_c", "limits", "utilisation_limit"]

SCALE_IN_MARGIN: Final = 0.8
"""Share of the threshold that the survivors of a scale-in must meet, so that it is not undone at once."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one replica may be given, per model, (N,); NaN = unknown."""

    rps: F64
    """Requests per second at which it still meets every objective."""
    safe_rps: F64
    """The same with the scale-in margin."""
    is_unreachable: Bools
    """Even an idle replica takes longer than a threshold."""
    nominal_rps: F64
    """What a replica can do that always has work, as it is stated, or as one request at a time has it; NaN also where
    another law than that of slots has a say."""
    capacity_rps: F64
    """The same as it was learned."""
    slots: F64
    """Requests that one replica works on at the same time."""


@dataclass(frozen=True, slots=True)
class Batches:
    """What is known of servers that batch whole requests, per model, (N,); NaN = unknown."""

    fixed_s: F64
    """Seconds of every batch."""
    each_s: F64
    """Further seconds per request in it."""
    max_batch: F64
    """Most requests in a batch."""


@dataclass(frozen=True, slots=True)
class _Replica:
    """One replica of each model, (N,)."""

    slots: F64
    service_s: F64
    peakedness: F64
    batches: Batches | None
    decoding: Decoding | None


_Law: TypeAlias = Callable[[Objectives, _Replica], tuple[F64, Bools]]


def limits(
    specs: Sequence[Spec],
    measured_service_s: F64,
    *,
    factor: F64 | None = None,
    variability: F64 | None = None,
    batches: Batches | None = None,
    decoding: Decoding | None = None,
) -> Limits:
    """What one replica of each model may be given so that every objective holds.

    A capacity in requests per second is a server that works on one request at a time, for 1/capacity seconds. A
    capacity in concurrency takes the measured service time, and is unknown without one. So is one that is not stated,
    which starts from one request at a time. Where batches or tokens of a model are known, their law replaces that one;
    where they are not, an objective of tokens cannot be computed, and the capacity is planned with short queues until
    it can.

    Args:
        specs: of N models.
        measured_service_s: mean seconds of work on a request, (N,); NaN = unknown.
        factor: of the capacity that was learned over that, (N,); absent = 1.
        variability: squared coefficient of variation of the gaps between arrivals at one replica, (N,), NaN or absent
            = Poisson; see ``erlang.spread``. The law of batches is for Poisson arrivals alone.
        batches: of servers that batch whole requests.
        decoding: of servers that generate tokens.
    """
    asked, count = Objectives.of(specs), len(specs)
    times = np.ones(count) if factor is None else factor
    replica = replace(
        _replicas(specs, measured_service_s, times),
        peakedness=np.ones(count) if variability is None else peakedness(variability),
        batches=batches,
        decoding=decoding,
    )
    full, safe, lost = np.empty(len(asked.at)), np.empty(len(asked.at)), np.zeros(len(asked.at), dtype=bool)
    is_by_slots = np.ones(count, dtype=bool)
    for those, law in _laws(asked, replica):
        full[those], lost[those] = law(asked.only(those), replica)
        safe[those], _ = law(asked.within(SCALE_IN_MARGIN).only(those), replica)
        is_by_slots[asked.at[those]] &= law is _by_slots
    capacity_rps = np.where(is_by_slots, replica.slots / replica.service_s, np.nan)
    return Limits(
        rps=_least(full, asked.at, count),
        safe_rps=_least(np.fmin(safe, full), asked.at, count),
        is_unreachable=_any(lost, asked.at, count),
        nominal_rps=capacity_rps / times,
        capacity_rps=capacity_rps,
        slots=replica.slots,
    )


def _replicas(specs: Sequence[Spec], measured_service_s: F64, factor: F64) -> _Replica:
    """One replica of each model, as it is stated, or works on one request at a time, times what was learned."""
    slots = np.array([_slots(spec.capacity) for spec in specs], dtype=np.float64)
    service_s = np.array(
        [_service_s(spec.capacity, measured_service_s[i]) for i, spec in enumerate(specs)], dtype=np.float64
    )
    # Where a request's time is measured, a replica that does more can only do so by working on more at a time.
    is_timed = np.array([spec.capacity.requests_per_second is None for spec in specs], dtype=bool)
    at_a_time = slots * np.where(is_timed, np.maximum(factor, 1.0), 1.0)
    return _Replica(at_a_time, service_s * (at_a_time / slots) / factor, np.ones(len(specs)), None, None)


def _laws(asked: Objectives, replica: _Replica) -> list[tuple[Bools, _Law]]:
    """Which objectives each law is for; every objective is in one, laws without any are left out."""
    batches, decoding = replica.batches, replica.decoding
    is_batch = is_token = np.zeros(len(asked.at), dtype=bool)
    if batches is not None:
        is_batch = asked.is_latency & np.isfinite(batches.fixed_s + batches.each_s + batches.max_batch)[asked.at]
    if decoding is not None:
        is_told = ~asked.is_first_token | np.isfinite(decoding.prefill_s)[asked.at]
        is_token = decoding.is_known[asked.at] & is_told
    found = ((~is_batch & ~is_token, _by_slots), (is_batch & ~is_token, _by_batches), (is_token, _by_tokens))
    return [(those, law) for those, law in found if those.any()]


def _by_slots(asked: Objectives, replica: _Replica) -> tuple[F64, Bools]:
    slots, service_s, peaked = replica.slots[asked.at], replica.service_s[asked.at], replica.peakedness[asked.at]
    rps = slot_limit(slots, service_s, asked.threshold_s - service_s, asked.miss_ratio, peaked)
    short_queues = UNREACHABLE_UTILISATION * slots / service_s
    is_late = asked.is_latency & (service_s >= asked.threshold_s)
    return np.where(asked.is_latency, rps, short_queues), is_late


def _by_batches(asked: Objectives, replica: _Replica) -> tuple[F64, Bools]:
    assert replica.batches is not None  # noqa: S101 - the mask of this law is empty without them
    known, at = replica.batches, asked.at
    fixed_s, each_s = known.fixed_s[at], known.each_s[at]
    rps = batch_limit(fixed_s, each_s, known.max_batch[at], asked.threshold_s, asked.miss_ratio, replica.peakedness[at])
    return rps, fixed_s + each_s >= asked.threshold_s


def _by_tokens(asked: Objectives, replica: _Replica) -> tuple[F64, Bools]:
    assert replica.decoding is not None  # noqa: S101 - the mask of this law is empty without it
    decoding = replica.decoding.at(asked.at)
    return token_limit(decoding, asked, replica.peakedness[asked.at]), is_hopeless(decoding, asked)


def _slots(capacity: Capacity) -> float:
    return float(capacity.concurrency or 1)


def _service_s(capacity: Capacity, measured_s: float) -> float:
    return 1.0 / capacity.requests_per_second if capacity.requests_per_second else float(measured_s)


def _least(values: F64, at: I64, count: int) -> F64:
    least = np.full(count, np.inf)
    with np.errstate(invalid="ignore"):  # an unknown is meant to spread
        np.minimum.at(least, at, values)
    return least


def _any(values: Bools, at: I64, count: int) -> Bools:
    found = np.zeros(count, dtype=bool)
    np.logical_or.at(found, at, values)
    return found
