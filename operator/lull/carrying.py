"""What one replica of each model can be given: the spec, the law of its server and what was learned, put together.

Pure. Called by ``cycle``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from lull.decide.learning import batches_of, decoding_of
from lull.decide.sizing import Limits, limits
from lull.forecast.capacity import Capacities
from lull.forecast.demand import Load
from lull.model.arrays import F64, I64, Bools
from lull.model.fleet import ModelView
from lull.model.learned import Learned
from lull.model.spec import TOKEN_RUNTIMES, Capacity
from lull.model.window import Window

KNOWN_WINDOWS: Final = 1.0
"""Windows for which a replica without a stated capacity is watched before anything is concluded."""


@dataclass(frozen=True, slots=True)
class Carrying:
    """What one replica can be given, per model, (N,), and why; NaN = unknown."""

    limits: Limits
    is_known: Bools
    """Whether the capacity is stated, or learned."""
    windows: F64
    """Windows that taught it."""
    is_stated: Bools

    @property
    def evidence(self) -> dict[str, F64]:
        """The numbers by name."""
        shown = np.where(np.isnan(self.limits.rps), np.nan, self.limits.capacity_rps)
        return {
            "capacity_rps": shown,
            "capacity_prior_rps": np.where(self.is_stated, self.limits.nominal_rps, np.nan),
            "capacity_windows": np.where(np.isnan(shown), np.nan, self.windows),
        }


def work_s(known: Capacities, at: I64, seen: Sequence[ModelView]) -> F64:
    """Seconds of work on a request as they were learned, (N,); NaN = unknown.

    Unknown too for servers of tokens: they work on many at a time, and only their own law tells what that makes.
    """
    is_token = np.array([model.deployment.spec.server.runtime in TOKEN_RUNTIMES for model in seen], dtype=bool)
    return np.where(is_token, np.nan, known.work_s(at, _has_wait(seen)))


def carrying(
    known: Capacities, at: I64, seen: Sequence[ModelView], learned: Learned, load: Load, learned_s: F64
) -> Carrying:
    """What one replica can be given.

    Args:
        known: capacities as they were learned.
        at: the models' columns there, (N,); -1 = none.
        seen: the models.
        learned: of their servers that batch or make tokens.
        load: of the models.
        learned_s: seconds of work on a request, (N,); see ``work_s``.
    """
    is_stated = _is_stated(seen)
    found = limits(
        [model.deployment.spec for model in seen],
        np.where(is_stated, load.service_time_s, learned_s),
        factor=known.factors(at),
        batches=batches_of(learned, seen),
        decoding=decoding_of(learned, seen),
    )
    windows = known.counts(at)
    is_too_soon = ~is_stated & ~np.isnan(found.nominal_rps) & (windows < KNOWN_WINDOWS)
    rps = np.where(is_too_soon, np.nan, found.rps)
    safe_rps = np.where(is_too_soon, np.nan, found.safe_rps)
    return Carrying(replace(found, rps=rps, safe_rps=safe_rps), is_stated | ~np.isnan(rps), windows, is_stated)


def window_of(seen: Sequence[ModelView], load: Load, found: Limits, span_s: float) -> Window:
    """What this look tells of the replicas.

    Args:
        seen: the models, N.
        load: of them.
        found: what one replica of each can be given.
        span_s: seconds over which rates were taken.
    """
    signals = [model.signals for model in seen]
    return Window(
        stated=np.array([_word(model.deployment.spec.capacity) for model in seen], dtype=object),
        is_prior=_is_stated(seen),
        revision=np.array([(model.target and model.target.revision) or "" for model in seen], dtype=object),
        nominal_rps=found.nominal_rps,
        limit_rps=found.rps,
        slots=found.slots,
        completions_rps=_column([s.completions_rps for s in signals]),
        backlog=load.backlog,
        growth_rps=_column([s.backlog_growth_rps for s in signals]),
        service_s=_column([s.service_time_s for s in signals]),
        has_wait=_has_wait(seen),
        ready=_column([float(model.target.ready) if model.target else None for model in seen]),
        is_complete=np.array([s.fault is None for s in signals], dtype=bool),
        span_s=span_s,
    )


def _word(capacity: Capacity) -> str:
    if capacity.requests_per_second is not None:
        return f"{capacity.requests_per_second:g} a second"
    return f"{capacity.concurrency} at a time" if capacity.concurrency is not None else "nothing"


def _is_stated(seen: Sequence[ModelView]) -> Bools:
    return np.array([model.deployment.spec.capacity.is_stated for model in seen], dtype=bool)


def _has_wait(seen: Sequence[ModelView]) -> Bools:
    return np.array([model.signals.has_wait_in_service for model in seen], dtype=bool)


def _column(values: Sequence[float | None]) -> F64:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
