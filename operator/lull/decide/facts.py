"""The fleet as columns: what every decision module reads, one array element per model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from lull.decide.hinder import is_out_of_quota
from lull.decide.provision import Advice
from lull.decide.zero import Rest
from lull.model.arrays import F64, I64, Bools, Objects
from lull.model.fleet import ModelView
from lull.model.history import History
from lull.model.reason import Reason
from lull.model.spec import Behavior, PredictionMode

DOWN_WINDOW_S: Final = 300
"""Default stabilisation of scale-in, as in an HPA. With prediction Enforce there is none once the forecast knows the
model: what it keeps, and for how long, is weighed against what comes back, and a fixed time on top of that only costs.
"""

DOWN_TOLERANCE: Final = 0.1
"""Default tolerance of scale-in, as in an HPA; scale-out has none, for the objective comes first."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Columns over models, (N,) each."""

    uids: tuple[str, ...]
    current: I64
    minimum: I64
    maximum: I64
    need_exact: F64
    """Replicas the load needs, as a fraction; NaN = unknown."""
    safe_exact: F64
    """The same with the scale-in margin."""
    is_lower_bound: Bools
    is_unreachable: Bools
    unknown: Objects
    """Why demand is unknown, where it is."""
    up_window_s: F64
    down_window_s: F64
    up_tolerance: F64
    down_tolerance: F64
    start_to: F64
    """Replicas that the forecast wants started ahead, where it may act; 0 = none."""
    keep_to: F64
    """Replicas that the forecast wants kept, where it may act; 0 = none."""
    floor: I64
    """Fewest replicas there may be: 0 where the model may sleep now, else 1."""
    is_sleeper: Bools
    """Whether Lull puts the model to sleep and wakes it."""
    is_held: Bools
    """Whether the activators answer for it where no own pod does."""
    waiting: I64
    """Requests that wait at the activators."""
    is_unproven: Bools
    """Whether a replica of its pod template has to be Ready before it sleeps, or sleeps on."""
    is_out_of_quota: Bools
    """Whether the activators answer because a quota forbids every pod of it."""
    last_awake: I64
    """Replicas it had when it was last in use; 0 = unknown."""
    behaviors: tuple[Behavior, ...]
    history: History
    now_s: float

    @property
    def is_known(self) -> Bools:
        """Where the need is known, at least from below."""
        return ~np.isnan(self.need_exact)

    @property
    def need(self) -> F64:
        """Whole replicas the load needs, no fewer than the floor; NaN = unknown."""
        return np.maximum(np.ceil(self.need_exact), self.floor)

    @property
    def safe(self) -> F64:
        """Whole replicas that scale-in may leave; a lower bound of the demand allows none."""
        whole = np.maximum(np.ceil(self.safe_exact), self.floor)
        return np.where(self.is_lower_bound & self.is_known, np.maximum(whole, self.current), whole)


def gather(
    models: Sequence[ModelView],
    *,
    need_exact: F64,
    safe_exact: F64,
    is_lower_bound: Bools,
    is_unreachable: Bools,
    advice: Advice,
    is_versed: Bools,
    resting: Rest,
    history: History,
    now_s: float,
) -> Facts:
    """Columns of models that have a target.

    Args:
        models: the models, N of them.
        need_exact: replicas the load needs, as a fraction, (N,).
        safe_exact: the same with the scale-in margin, (N,).
        is_lower_bound: whether these bound the need from below, (N,).
        is_unreachable: whether no size meets the objective, (N,).
        advice: what the forecast asks for.
        is_versed: whether it has seen enough of a model to say by itself how long a replica stays, (N,).
        resting: what was concluded of sleep.
        history: what happened before.
        now_s: the time, on the history's clock.
    """
    specs = [model.deployment.spec for model in models]
    behaviors = tuple(spec.behavior for spec in specs)
    start_to, keep_to = _asked(models, advice, resting)
    up_window_s, down_window_s = _windows_s(models, behaviors, is_versed, resting)
    return Facts(
        uids=tuple(model.deployment.uid for model in models),
        current=_ints([model.target.replicas if model.target else 0 for model in models]),
        minimum=_ints([spec.min_replicas for spec in specs]),
        maximum=_ints([spec.max_replicas for spec in specs]),
        need_exact=need_exact,
        safe_exact=safe_exact,
        is_lower_bound=is_lower_bound,
        is_unreachable=is_unreachable,
        unknown=np.array([_why_unknown(model) for model in models], dtype=object),
        up_window_s=up_window_s,
        down_window_s=down_window_s,
        up_tolerance=_floats([_or(b.scale_up.tolerance, 0.0) for b in behaviors]),
        down_tolerance=_floats([_or(b.scale_down.tolerance, DOWN_TOLERANCE) for b in behaviors]),
        start_to=start_to,
        keep_to=keep_to,
        floor=resting.floor,
        is_sleeper=resting.is_sleeper,
        is_held=np.array([model.is_held for model in models], dtype=bool),
        waiting=_ints([model.waiting for model in models]),
        is_unproven=resting.why == Reason.TEMPLATE_PROOF,
        is_out_of_quota=np.array([_is_out_of_quota(model) for model in models], dtype=bool),
        last_awake=_ints([model.last_awake.replicas or 0 for model in models]),
        behaviors=behaviors,
        history=history,
        now_s=now_s,
    )


def _asked(models: Sequence[ModelView], advice: Advice, resting: Rest) -> tuple[F64, F64]:
    """Replicas that the forecast wants started and kept, where it may act, (N,) each."""
    may_act = _may_act(models)
    is_settled = resting.is_idle_stated & (resting.floor == 0)
    start_to: F64 = np.where(may_act, advice.start_to, 0).astype(np.float64)
    keep_to: F64 = np.where(may_act & ~is_settled, advice.keep_to, 0).astype(np.float64)
    return start_to, keep_to


def _windows_s(
    models: Sequence[ModelView], behaviors: Sequence[Behavior], is_versed: Bools, resting: Rest
) -> tuple[F64, F64]:
    """Stabilisation windows up and down, (N,) each."""
    up_s = _floats([_or(b.scale_up.stabilization_window_seconds, 0) for b in behaviors])
    # Sleep has a silence of its own to wait for; another wait after it would only cost.
    down_s = np.where(resting.floor == 0, 0.0, _down_window_s(behaviors, _may_act(models) & is_versed))
    return up_s, down_s


def _down_window_s(behaviors: Sequence[Behavior], is_held: Bools) -> F64:
    defaults = np.where(is_held, 0.0, DOWN_WINDOW_S)
    stated = [behavior.scale_down.stabilization_window_seconds for behavior in behaviors]
    return _floats([_or(window_s, default) for window_s, default in zip(stated, defaults, strict=True)])


def _may_act(models: Sequence[ModelView]) -> Bools:
    modes = [model.deployment.spec.prediction.mode for model in models]
    return np.array([mode is PredictionMode.ENFORCE for mode in modes], dtype=bool)


def _why_unknown(model: ModelView) -> Reason:
    if model.signals.fault:
        return model.signals.fault.reason
    is_stated = model.deployment.spec.capacity.is_stated
    return Reason.SERVICE_TIME_UNKNOWN if is_stated else Reason.CAPACITY_UNKNOWN


def _is_out_of_quota(model: ModelView) -> bool:
    is_empty = model.target is not None and model.target.replicas > 0 and model.target.ready == 0
    return is_empty and model.is_held and is_out_of_quota(model.attempts, model.refusal)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _ints(values: Sequence[int]) -> I64:
    return np.array(values, dtype=np.int64)


def _floats(values: Sequence[float]) -> F64:
    return np.array(values, dtype=np.float64)
