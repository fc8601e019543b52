"""Learns how long servers take from what they do, and tells the laws of ``sizing`` what is known. Called by ``cycle``.

Lines are fitted by least squares, recursively and with exponential forgetting: weighted means, spread and joint spread
are carried along (Welford's update with weights), from which the line follows in closed form. That is the recursive
least-squares filter with a forgetting factor, without a matrix that grows while nothing varies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from lull.decide.sizing import Batches
from lull.decide.tokens import Decoding
from lull.model.arrays import F64
from lull.model.fleet import ModelView, Signals
from lull.model.learned import Learned, Lines
from lull.model.spec import TOKEN_RUNTIMES, Metric, Runtime

FORGETTING: Final = 0.998
"""Weight that a point keeps with each one after it: half of all weight lies on the last 350, an hour of 10 s ticks."""

LEVEL_FORGETTING: Final = 0.98
"""The same for plain means: half of their weight lies on the last 35 looks, six minutes of 10 s ticks."""

FEWEST: Final = 8.0
"""Weight of points below which a line is not told."""

LEAST_SPREAD: Final = 0.1
"""Standard deviation of x, as a share of its mean, below which a slope would be made of noise: it is kept instead."""

REACH: Final = 2.0
"""Times the largest number of requests at a time seen so far that a line is trusted for."""


def learn(learned: Learned, models: Sequence[ModelView]) -> Learned:
    """What is known after one more look; a model without complete signals teaches nothing.

    Args:
        learned: what was known before, of any models.
        models: what was seen; the result is aligned with them.
    """
    before = learned.of([model.deployment.uid for model in models])
    signals = [model.signals if model.signals.fault is None else Signals() for model in models]
    pairs = list(zip(models, signals, strict=True))
    points = [_point(m, s) for m, s in pairs]
    paces = [_tail(m, s, Metric.INTER_TOKEN_LATENCY, s.inter_token_s) for m, s in pairs]
    answers = [_tail(m, s, Metric.LATENCY, s.end_to_end_s) for m, s in pairs]
    kv_tokens = _column([s.kv_tokens for s in signals])
    return replace(
        before,
        pace=learn_lines(before.pace, _column([x for x, _ in points]), _column([y for _, y in points])),
        generated=_blend(before.generated, _column([s.generated_tokens for s in signals])),
        prompt=_blend(before.prompt, _column([s.prompt_tokens for s in signals])),
        prefill_s=_blend(before.prefill_s, _column([s.prefill_s for s in signals])),
        pace_tail=_blend(before.pace_tail, _column(paces)),
        answer_tail=_blend(before.answer_tail, _column(answers)),
        kv_tokens=np.where(np.isnan(kv_tokens), before.kv_tokens, kv_tokens),
    )


def learn_lines(lines: Lines, x: F64, y: F64, forgetting: float = FORGETTING) -> Lines:
    """The lines after one more point each; where x or y is NaN or not above 0 a line stays as it is.

    Neither coefficient is ever negative: where least squares would have one so, the best line without it is taken.

    Args:
        lines: before, (N,).
        x: of the new points, (N,).
        y: of the new points, (N,).
        forgetting: weight that older points keep, above 0 to below 1.
    """
    is_point = (x > 0.0) & (y > 0.0) & np.isfinite(x * y)
    x, y = np.where(is_point, x, 1.0), np.where(is_point, y, 1.0)
    weight = forgetting * lines.weight + 1.0
    ahead_x, ahead_y = x - lines.mean_x, y - lines.mean_y
    mean_x, mean_y = lines.mean_x + ahead_x / weight, lines.mean_y + ahead_y / weight
    spread = forgetting * lines.spread + ahead_x * (x - mean_x)
    joint = forgetting * lines.joint + ahead_x * (y - mean_y)

    varies = (weight >= FEWEST) & (spread >= weight * (LEAST_SPREAD * mean_x) ** 2)
    rise = np.maximum(joint / np.where(varies, spread, 1.0), 0.0)
    through_zero = (joint + weight * mean_x * mean_y) / (spread + weight * mean_x**2)
    slope = np.where(varies, np.minimum(rise, through_zero), lines.slope)
    fixed = np.maximum(mean_y - slope * mean_x, 0.0)
    reach = np.fmax(x, forgetting * lines.reach + (1.0 - forgetting) * x)
    after = Lines(weight, mean_x, mean_y, spread, joint, fixed, slope, reach)
    return Lines(**{name: np.where(is_point, getattr(after, name), getattr(lines, name)) for name in Lines.__slots__})


def decoding_of(learned: Learned, models: Sequence[ModelView]) -> Decoding:
    """What the law of tokens takes, (N,); NaN for models of other servers."""
    is_token = np.array([model.deployment.spec.server.runtime in TOKEN_RUNTIMES for model in models], dtype=bool)
    pace = learned.pace
    return Decoding(
        fixed_s=np.where(is_token, pace.fixed, np.nan),
        each_s=np.where(is_token, pace.slope, np.nan),
        generated=learned.generated,
        prompt=learned.prompt,
        prefill_s=learned.prefill_s,
        kv_tokens=learned.kv_tokens,
        max_running=np.fmin(_concurrency(models), REACH * pace.reach),
        pace_tail=learned.pace_tail,
        answer_tail=learned.answer_tail,
    )


def batches_of(learned: Learned, models: Sequence[ModelView]) -> Batches:
    """What the law of batches takes, (N,); NaN for models of servers that do not tell their batches."""
    is_batch = np.array([model.deployment.spec.server.runtime is Runtime.TRITON for model in models], dtype=bool)
    return Batches(
        fixed_s=np.where(is_batch, learned.pace.fixed, np.nan),
        each_s=np.where(is_batch, learned.pace.slope, np.nan),
        max_batch=np.fmin(_concurrency(models), REACH * learned.pace.reach),
    )


def _point(model: ModelView, seen: Signals) -> tuple[float | None, float | None]:
    """Requests at a time on one replica, and the seconds they made a token or an execution take."""
    if model.deployment.spec.server.runtime in TOKEN_RUNTIMES:
        if seen.running is None or model.target is None or model.target.ready == 0:
            return None, None
        return seen.running / model.target.ready, seen.inter_token_s
    return seen.mean_batch, seen.service_time_s


def _tail(model: ModelView, seen: Signals, metric: Metric, mean_s: float | None) -> float | None:
    """Largest measured quantile that an objective of the metric bounds, over the metric's mean."""
    observed = zip(model.deployment.spec.slo.objectives, seen.observed_s, strict=False)
    found = [value for objective, value in observed if objective.metric is metric and value]
    return max(found) / mean_s if found and mean_s else None


def _blend(before: F64, seen: F64) -> F64:
    """A running mean; what is not seen changes nothing, and the first that is seen counts whole."""
    after = LEVEL_FORGETTING * before + (1.0 - LEVEL_FORGETTING) * seen
    return np.where(np.isnan(seen), before, np.where(np.isnan(before), seen, after))


def _concurrency(models: Sequence[ModelView]) -> F64:
    return _column([model.deployment.spec.capacity.concurrency for model in models])


def _column(values: Sequence[float | None]) -> F64:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
