"""A trace made ready to be lived through: what is suited, in the world's steps, halved. Pure.

Called by ``replay.study``; a stage is all that a life needs to know, so it can be sent to another process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from lull.errors import TraceError
from lull.model.arrays import F32, F64, I64
from lull.replay.layers import MOST_LAYERS
from lull.replay.options import Options
from lull.replay.physics import Physics
from lull.replay.policies.training import Training
from lull.replay.trace import Trace, capacity_rps, halves
from lull.replay.world import spread

SHOWN_S: Final = 60.0
"""Replica counts are kept for drawing in bins of about this width."""

LEAST_S: Final = 1200.0
"""Span below which a trace is refused: a half of ten minutes sees few starts, and the windows of rivals are minutes."""

_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Stage:
    """What policies live through, and what they may know beforehand."""

    options: Options
    physics: Physics
    """With a step that divides the bin."""
    series: tuple[str, ...]
    """Names of the suited ones, (M,)."""
    not_suited: Mapping[str, str]
    """Why the others are not."""
    bin_s: float
    training_rps: F64
    """Rates of the training half, (T, M)."""
    arrivals: F32
    """Requests per step, (S, M)."""
    cut: int
    """First step of the scored half."""
    capacity_rps: F64
    """Of one replica, (M,)."""

    @classmethod
    def of(cls, trace: Trace, options: Options) -> Self:
        """Sets a trace up.

        Raises:
            TraceError: when it is too short, no series is suited, or one replica is too small for its peaks.
        """
        if trace.span_s < LEAST_S:
            raise TraceError(
                f"{trace.name}: {trace.span_s:g} s are too short to train on one half and score the other;"
                f" give a trace of {LEAST_S:g} s or more"
            )
        training, _ = halves(trace)
        capacity = capacity_rps(training)
        is_suited = ~np.isnan(capacity)
        reason = f"no requests in the training half, the first {training.span_s / 86_400.0:.3g} days"
        not_suited = {name: reason for name, suits in zip(trace.series, is_suited, strict=True) if not suits}
        if not is_suited.any():
            raise TraceError(f"{trace.name}: {reason}, so nothing tells the scale; give a longer trace")
        if options.capacity_rps is not None:
            capacity = np.full(len(capacity), options.capacity_rps)
        steps = max(1, int(np.ceil(trace.bin_s / options.physics.step_s - _ROUNDING)))
        stage = cls(
            options=options,
            physics=replace(options.physics, step_s=trace.bin_s / steps),
            series=tuple(name for name, suits in zip(trace.series, is_suited, strict=True) if suits),
            not_suited=not_suited,
            bin_s=trace.bin_s,
            training_rps=training.requests[:, is_suited] / trace.bin_s,
            arrivals=spread(trace.requests[:, is_suited], steps, options.seed),
            cut=len(training.requests) * steps,
            capacity_rps=capacity[is_suited],
        )
        if not stage.scored.any():
            raise TraceError(f"{trace.name}: no request of a suited series in the second half; give a longer trace")
        most = float(np.ceil(stage.arrivals.max(axis=0) / stage.capacity_per_step).sum())
        if most > MOST_LAYERS:
            raise TraceError(
                f"{trace.name}: {most:.3g} replicas at the peaks, more than {MOST_LAYERS};"
                " give a larger capacity (--capacity)"
            )
        return stage

    @property
    def capacity_per_step(self) -> F64:
        """Requests that one replica serves in a step, (M,)."""
        return self.capacity_rps * self.physics.step_s

    @property
    def scored(self) -> F32:
        """Requests per step of the scored half, (S', M)."""
        return self.arrivals[self.cut :]

    @property
    def scored_days(self) -> float:
        """Length of the scored half."""
        return len(self.scored) * self.physics.step_s / 86_400.0

    @property
    def shown_steps(self) -> int:
        """Steps of a bin in which replica counts are kept for drawing."""
        return max(1, round(max(self.bin_s, SHOWN_S) / self.physics.step_s))

    @property
    def forecast_step_s(self) -> float:
        """Step of forecasts: a minute, in whole steps of the world."""
        steps = max(1, int(np.ceil(60.0 / self.physics.step_s - _ROUNDING)))
        return steps * self.physics.step_s

    def columns(self, times: int) -> I64:
        """Which series each column sees, (times * M,), when all are lived through so many times."""
        return np.tile(np.arange(len(self.series)), times)

    def training(self, of_series: I64) -> Training:
        """The training half as policies see it."""
        return Training(self.training_rps, self.bin_s, of_series)


def highest(values: F32 | F64, steps: int) -> F32:
    """The highest of each `steps` rows, (S / steps, M); the last bin has what is left for it."""
    starts = np.arange(0, len(values), steps)
    found: F32 = np.maximum.reduceat(values, starts, axis=0).astype(np.float32)
    return found
