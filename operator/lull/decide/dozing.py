"""Where each model rests: the rung of ``decide.rungs``, as far as its state, its spec and its silence let it.

Stands between ``decide.zero``, which says whether a model may go to no replica, and the guards, which take the least
size from here: who rests in its pod keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from lull.decide.rungs import RUNGS, SHORTEST_S, Ladder, reachable, rung_of
from lull.decide.sleep import missed_requests
from lull.decide.zero import Quiet, Rest
from lull.model.arrays import F64, I64, Bools, Objects
from lull.model.costs import Costs
from lull.model.doze import DOZES, Rung, RungsKnown
from lull.model.fleet import ModelView
from lull.model.reason import Reason
from lull.model.spec import SleepMode

GRACE_S: Final = 60.0
"""Time for which a replica has to have been Ready before its server is put to sleep."""

TRIAL_S: Final = 600.0
"""Longest time for which a level is taken whose power nobody knows, so that a meter can tell it. It counts as saving
nothing, so each silence is spent on it once, and a model that would be gone is held for that much longer."""

_FITTING: Final = (
    Reason.MAY_SLEEP,
    Reason.ASLEEP,
    Reason.QUIET_TOO_SHORT,
    Reason.FORECAST_HOLD,
    Reason.START_EXCEEDS_HOLD,
    Reason.START_EXCEEDS_IDLE,
)
"""What may be said of zero while a replica may rest in its pod: that is no matter of how long a start takes."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """Chance that anything is wanted, (H, N), within each horizon, (H,); NaN = nothing is forecast."""

    chance: F64
    horizons_s: F64


@dataclass(frozen=True, slots=True)
class Dozing:
    """What is concluded of rest, (N,) each."""

    rest: Rest
    """Of zero, with what rest in the pod changes about it."""
    rung: I64
    """Where each model shall rest; of models whose spec does not let it be done, where it would."""
    wake_s: F64
    """Seconds within which nearly all wakes from there are done; NaN where it does not rest in its pod."""
    why: Objects
    """Whether a server can sleep in its pod, and does; None where the spec does not ask for that."""
    is_doer: Bools
    """Whether Lull does so, rather than telling of it."""


def no_doze(resting: Rest) -> Dozing:
    """Nobody rests in its pod."""
    count = len(resting.floor)
    rung = np.full(count, int(Rung.AWAKE), dtype=np.int64)
    nothing = np.full(count, None, dtype=object)
    return Dozing(resting, rung, np.full(count, np.nan), nothing, np.zeros(count, dtype=bool))


def doze(
    models: Sequence[ModelView], resting: Rest, quiet: Quiet, costs: Costs, known: RungsKnown, outlook: Outlook
) -> Dozing:
    """Where each of N models rests.

    Args:
        models: the models.
        resting: what was concluded of zero.
        quiet: what speaks for and against rest.
        costs: theirs.
        known: of their rungs.
        outlook: the forecast.
    """
    at = np.array([int(_rung_of(model)) for model in models], dtype=np.int64)
    idle_s = np.array([_idle_s(model) for model in models], dtype=np.float64)
    may = _may(models, resting, quiet, at, idle_s)
    ladder = _ladder(quiet, costs, known)
    is_in_time = ladder.wake_s <= np.array([float(m.deployment.spec.scale_to_zero.hold_timeout) for m in models])
    is_in_time |= np.array([m.deployment.spec.scale_to_zero.allow_long_start for m in models], dtype=bool)
    is_open = ladder.within(np.full(len(models), np.inf), np.zeros(len(models), dtype=bool)) & reachable(at)
    is_open[list(DOZES)] &= is_in_time[list(DOZES)] & may
    is_open[Rung.GONE] &= is_in_time[Rung.GONE] & np.isin(resting.why, [Reason.MAY_SLEEP, Reason.ASLEEP])
    rung = rung_of(ladder, is_open, quiet.quiet_s, outlook.chance, outlook.horizons_s, quiet.is_versed)
    rung = _tried(rung, ladder, is_in_time & may & reachable(at), known, quiet, at, idle_s)
    rung = np.where(may, rung, int(Rung.AWAKE))
    return _concluded(models, resting, rung, at, ladder)


def _concluded(models: Sequence[ModelView], resting: Rest, rung: I64, at: I64, ladder: Ladder) -> Dozing:
    acts = np.array([model.deployment.doze is SleepMode.ENFORCE for model in models], dtype=bool)
    is_level = np.isin(rung, DOZES)
    # One that rests and shall not any longer is woken, and not told to go: requests wait for it, or soon may.
    wakes = np.isin(at, DOZES) & (rung == int(Rung.AWAKE))
    keeps = (acts & is_level) | wakes
    why = np.where(acts & is_level, np.array(Reason.DOZING, dtype=object), resting.why)
    told = replace(resting, floor=np.where(keeps, 1, resting.floor), why=why)
    wake_s = np.where(is_level, ladder.wake_s[rung, np.arange(len(rung))], np.nan)
    can = [_why(model, bool(is_unknown)) for model, is_unknown in zip(models, _is_unmeasured(ladder), strict=True)]
    return Dozing(told, rung, wake_s, np.array(can, dtype=object), acts)


def _is_unmeasured(ladder: Ladder) -> Bools:
    """Whether nobody knows what any level draws, (N,)."""
    return np.asarray(np.isnan(ladder.holding[list(DOZES)]).all(axis=0))


def _why(model: ModelView, is_unmeasured: bool) -> Reason | None:  # noqa: FBT001 - the only claim
    if model.doze is None:
        return None
    if model.is_dozing:
        return Reason.DOZING
    if model.doze.fault is not None:
        return model.doze.fault.reason
    return Reason.POWER_UNKNOWN if is_unmeasured else Reason.MAY_DOZE


def _may(models: Sequence[ModelView], resting: Rest, quiet: Quiet, at: I64, idle_s: F64) -> Bools:
    """Whether a server may sleep in its pod by all but what that saves: one replica, able to, and nothing wanted."""
    is_able = np.array([model.doze is not None and model.doze.fault is None for model in models], dtype=bool)
    is_alone = np.array(
        [m.target is not None and m.target.replicas == 1 and m.deployment.spec.min_replicas == 1 for m in models],
        dtype=bool,
    )
    is_wanted = np.array([model.waiting > 0 for model in models], dtype=bool) | ~(quiet.need_exact == 0.0)
    is_settled = (quiet.ready_for_s >= GRACE_S) | np.isin(at, DOZES)
    # A new operator knows of no silence yet; what it finds at rest goes on resting.
    is_quiet = (quiet.quiet_s >= np.fmax(idle_s, SHORTEST_S)) | np.isin(at, DOZES)
    fits = np.isin(resting.why, _FITTING) & is_quiet
    may: Bools = is_able & is_alone & ~is_wanted & is_settled & fits
    return may


def _ladder(quiet: Quiet, costs: Costs, known: RungsKnown) -> Ladder:
    """The rungs with their prices: a wake costs the time it takes at idle power, and what waits for it meanwhile."""
    price_s = np.full((RUNGS, len(quiet.quiet_s)), np.nan)
    price_s[Rung.AWAKE] = 0.0
    price_s[Rung.GONE] = quiet.worth_s
    for level in DOZES:
        missed = missed_requests(costs.limit_rps, known.wake_s[level], notice_s=0.0)
        price_s[level] = known.expected_s[level] + costs.cold_price_s * missed
    wake_s = known.wake_s.copy()
    wake_s[Rung.GONE] = quiet.lead_s
    return Ladder(known.holding, price_s, wake_s)


def _tried(rung: I64, ladder: Ladder, is_open: Bools, known: RungsKnown, quiet: Quiet, at: I64, idle_s: F64) -> I64:
    """A level whose power is not known, where a meter would tell it: the first such of each model, for a while."""
    begins_s = np.fmax(idle_s, SHORTEST_S)
    is_time = quiet.quiet_s < begins_s + TRIAL_S
    begins = known.is_metered & (quiet.quiet_s >= begins_s) & (at == int(Rung.AWAKE))
    found = rung
    for level in reversed(DOZES):
        is_unknown = np.isnan(ladder.holding[level]) & ~np.isnan(ladder.price_s[level])
        is_tried = is_time & is_unknown & (begins | (at == int(level))) & is_open[level]
        found = np.where(is_tried, int(level), found)
    return found


def _rung_of(model: ModelView) -> Rung:
    return model.doze.rung if model.doze is not None else Rung.AWAKE


def _idle_s(model: ModelView) -> float:
    idle = model.deployment.spec.scale_to_zero.idle
    return np.nan if idle is None else float(idle)
