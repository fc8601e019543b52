"""The planner of NVIDIA Dynamo: a forecast every three minutes as floor, and a reactive loop every five seconds.

Source: ``components/src/dynamo/planner/core`` of ai-dynamo/dynamo, aggregated engines, both loops on, no GPU budget.

What it measures, in this world's terms. Time to first token beyond the request's own work is the wait behind what is
queued, and its objective the world's ``slo_wait_s``. Inter-token latency grows with what an engine works on, and
meets its objective at the engine's rate ``engine_rps``; its KV cache is full at the replica's capacity.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from lull.model.arrays import F64, Bools
from lull.replay.policies.training import Training
from lull.replay.policies.windows import covering, whole_replicas
from lull.replay.world import Physics, Seen

REACTIVE_S: Final = 5.0
PREDICTIVE_S: Final = 180.0
DOWN_SENSITIVITY: Final = 0.8
"""Share of an objective that the engines must stay within after one of them has gone."""

Q_LEVEL: Final = 1.0
Q_TREND: Final = 0.1
R_COUNT: Final = 10.0
P_START: Final = 1000.0
WARM_UP_INTERVALS: Final = 50
"""Last intervals of the training that the predictor sees first; older ones leave no trace in it."""

_ROUNDING: Final = 1e-9
"""Engines' worth of work that float arithmetic may add to engines that are just full."""


class Dynamo:
    """Engines for the forecast count of requests, one more when all are late, one fewer when the others can take it."""

    tick_s = REACTIVE_S

    def __init__(
        self,
        rated: F64,
        capacity_rps: F64,
        physics: Physics,
        *,
        training: Training | None = None,
        is_constant: bool = False,
    ) -> None:
        """Starts with the predictor warmed up.

        Args:
            rated: rate at which an engine meets its objectives, in shares of its capacity, (N,).
            capacity_rps: requests per second of one replica, (N,).
            physics: for the objective and the length of the world's steps.
            training: trace for the warm-up; none = no warm-up.
            is_constant: with the predictor that takes the last count for the next.
        """
        columns = len(rated)
        self._rated = rated
        self._capacity_rps = capacity_rps
        self._slo_wait_s = physics.slo_wait_s
        self._predictor = _Constant(columns) if is_constant else LocalTrend(columns)
        if training is not None:
            for count in _counts(training):
                self._predictor.observe(count)
            self._predictor.forget_zeros()
        self._step_s = physics.step_s
        self._count: F64 = np.zeros(columns)
        self._steps = 0
        self._steps_per_interval = covering(PREDICTIVE_S, physics.step_s)
        self._floor: F64 = np.ones(columns)

    def watch(self, seen: Seen) -> None:
        """Counts requests, and sets the floor where an interval is over."""
        if seen.now_s == 0.0:
            return
        self._count = self._count + seen.arrivals_rps * self._step_s
        self._steps += 1
        if self._steps == self._steps_per_interval:
            self._predictor.observe(self._count)
            rate_rps = np.maximum(self._predictor.predict(), 0.0) / (self._steps * self._step_s)
            self._floor = np.maximum(whole_replicas(rate_rps, self._rated * self._capacity_rps), 1.0)
            self._count = np.zeros_like(self._count)
            self._steps = 0

    def desire(self, seen: Seen) -> F64:
        """Engines after a tick of the reactive loop, (N,)."""
        reactive = np.where(self._is_late(seen), seen.ready + 1.0, seen.ready - self._may_go(seen))
        # While scaling is under way the loop only looks, and the floor waits too.
        desired = np.where(seen.starting > 0.0, seen.replicas, np.maximum(reactive, self._floor))
        return np.maximum(desired, 1.0)

    def _is_late(self, seen: Seen) -> Bools:
        """Whether the engines miss an objective: the load balancer makes them all alike."""
        working, wait_s = seen.served_rps / self._capacity_rps, self._wait_s(seen.queue, seen.ready)
        is_slow = working > self._rated * seen.ready + _ROUNDING
        return (seen.ready > 0.0) & (is_slow | (wait_s > self._slo_wait_s))

    def _may_go(self, seen: Seen) -> Bools:
        """Whether all but one engine would do, by a prediction for N / (N - 1) times the load of each.

        Of one engine there is no such rest: no load is below that of none.
        """
        left = seen.ready - 1.0
        wait_s = self._wait_s(seen.queue, left)
        is_slow = seen.in_flight >= DOWN_SENSITIVITY * self._rated * left
        is_full = seen.in_flight >= left
        return ~is_slow & ~is_full & (wait_s < DOWN_SENSITIVITY * self._slo_wait_s)

    def _wait_s(self, queue: F64, engines: F64) -> F64:
        return queue / (np.maximum(engines, 1.0) * self._capacity_rps)


class _Constant:
    """The last count."""

    def __init__(self, columns: int) -> None:
        self._last: F64 = np.zeros(columns)

    def observe(self, count: F64) -> None:
        self._last = count

    def forget_zeros(self) -> None:
        pass

    def predict(self) -> F64:
        return self._last


class LocalTrend:
    """Kalman filter of a level and a trend, ``x' = x + v``, ``v' = v``, with the planner's fixed noise.

    Columns begin with their first count that is not 0, and each has a covariance of its own.
    """

    def __init__(self, columns: int) -> None:
        """Has seen nothing."""
        self._level: F64 = np.zeros(columns)
        self._trend: F64 = np.zeros(columns)
        self._p_level: F64 = np.full(columns, P_START)
        self._p_cross: F64 = np.zeros(columns)
        self._p_trend: F64 = np.full(columns, P_START)
        self._has_begun: Bools = np.zeros(columns, dtype=bool)
        self._skips_zeros: Bools = np.ones(columns, dtype=bool)

    def observe(self, count: F64) -> None:
        """Takes the count of an interval, (N,)."""
        takes = (count != 0.0) | ~self._skips_zeros
        self._skips_zeros &= ~takes
        starts, moves = takes & ~self._has_begun, takes & self._has_begun
        self._has_begun |= takes
        p_level = self._p_level + 2.0 * self._p_cross + self._p_trend + Q_LEVEL
        p_cross = self._p_cross + self._p_trend
        p_trend = self._p_trend + Q_TREND
        gain, gain_trend = p_level / (p_level + R_COUNT), p_cross / (p_level + R_COUNT)
        error = count - self._level - self._trend
        level = self._level + self._trend + gain * error
        self._level = np.where(starts, count, np.where(moves, level, self._level))
        self._trend = np.where(moves, self._trend + gain_trend * error, self._trend)
        self._p_level = np.where(moves, (1.0 - gain) * p_level, self._p_level)
        self._p_trend = np.where(moves, p_trend - gain_trend * p_cross, self._p_trend)
        self._p_cross = np.where(moves, (1.0 - gain) * p_cross, self._p_cross)

    def forget_zeros(self) -> None:
        """Skips counts of 0 again until traffic comes, as after a warm-up."""
        self._skips_zeros = np.ones_like(self._skips_zeros)

    def predict(self) -> F64:
        """The count of the next interval, (N,); it can fall below 0."""
        return self._level + self._trend


def _counts(training: Training) -> F64:
    """Requests in the last intervals of the training, per column, (T, N); bins are fitted to whole intervals."""
    rates, bin_s = training.rates_rps, training.bin_s
    if bin_s < PREDICTIVE_S:
        bins = round(PREDICTIVE_S / bin_s)
        intervals = min(WARM_UP_INTERVALS, len(rates) // bins)
        rates = rates[len(rates) - intervals * bins :].reshape(intervals, bins, rates.shape[1]).mean(axis=1)
    else:
        rates = np.repeat(rates[-WARM_UP_INTERVALS:], round(bin_s / PREDICTIVE_S), axis=0)[-WARM_UP_INTERVALS:]
    return rates[:, training.of_series] * PREDICTIVE_S
