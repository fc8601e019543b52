"""Whether a model may sleep: from one replica to none, and what wakes it.

Zero is opt-in and has to be earned: a path for the requests that come meanwhile (``decide.support``), a start that the
waiting can outlast, and evidence over the whole time that nothing is wanted. What is unknown keeps a model awake.
Called by ``cycle`` before the guards, which take the least size from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from lull.decide.awake import is_unproven
from lull.decide.support import unsupported
from lull.model.arrays import F64, I64, Bools, Objects
from lull.model.fleet import ModelView
from lull.model.reason import Reason
from lull.model.spec import SleepMode
from lull.settings import Mode

GRACE_S: Final = 60.0
"""Time for which a replica has to have been Ready, where no shorter silence is asked for: what was just deployed or
woken is about to be asked something."""

UNLEARNED_IDLE_S: Final = 300.0
"""Silence after which a model sleeps of which not even the worth of a start is known."""

PROOFS_A_ROUND: Final = 10
"""Sleeping models that are started in one round because their template changed: an upgrade may change all at once."""

SLACK: Final = 1.1
"""Times the bound on its start by which that of a model that sleeps may have grown: what is known of starts moves with
each one, and a model at the bound would else be woken by one and put to sleep by the next."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """What speaks for and against sleep, (N,) each; NaN = unknown."""

    need_exact: F64
    """Replicas the load needs, as a fraction."""
    quiet_s: F64
    """Seconds since anything was wanted, as far back as is known."""
    lead_s: F64
    """Seconds within which nearly all starts are done."""
    worth_s: F64
    """Cost of a start and of what waits for it, in seconds of a replica's idle power."""
    keep_to: I64
    """Replicas that the forecast would keep, whether or not it may act."""
    is_versed: Bools
    """Whether the forecast knows the model."""
    ready_for_s: F64
    """Seconds for which the oldest of its Ready replicas has been so."""
    is_start_known: Bools
    """Whether a start was seen, so that ``lead_s`` is more than what settings say."""
    is_hurried: Bools
    """Whether a budget holds work back, so that what is not wanted now shall not stand by for later."""


@dataclass(frozen=True, slots=True)
class Rest:
    """What is concluded of sleep, (N,) each."""

    floor: I64
    """Fewest replicas: 0 where it may sleep now, else 1."""
    why: Objects
    """Reason for the floor; None where sleep is off."""
    is_sleeper: Bools
    """Whether Lull puts the model to sleep and wakes it."""
    is_idle_stated: Bools
    """Whether the spec or a budget says how long it has to be quiet, so that the forecast has no say in that."""


def rest(models: Sequence[ModelView], quiet: Quiet) -> Rest:
    """Decides for every model whether it may sleep; one that sleeps may go on unless its reasons have gone."""
    rules = [model.deployment.spec.scale_to_zero for model in models]
    mode = np.array([rule.mode for rule in rules], dtype=object)
    idle_s = np.array([np.nan if rule.idle is None else float(rule.idle) for rule in rules])
    is_asleep = np.array([model.is_asleep for model in models], dtype=bool)
    is_off = mode == SleepMode.OFF
    lasting = _lasting(models, quiet, idle_s, is_asleep)
    passing = _passing(quiet, idle_s)
    why = np.select(
        [is_off, lasting != None, _to_prove(models, is_asleep), is_asleep, passing != None],  # noqa: E711 - by element
        [_NOTHING, lasting, _word(Reason.TEMPLATE_PROOF), _word(Reason.ASLEEP), passing],
        np.where(quiet.is_hurried, _word(Reason.BUDGET_HURRY), _word(Reason.MAY_SLEEP)),
    )
    may = np.isin(why, [Reason.ASLEEP, Reason.MAY_SLEEP, Reason.BUDGET_HURRY])
    acts = mode == SleepMode.ENFORCE
    return Rest(np.where(may & acts, 0, 1), why, acts, ~np.isnan(idle_s) | quiet.is_hurried)


def _to_prove(models: Sequence[ModelView], is_asleep: Bools) -> Bools:
    """Whose pod template has to be seen to work before the model sleeps, or sleeps on, (N,)."""
    unproven = np.array([is_unproven(model) for model in models], dtype=bool)
    # Those that are only advised upon are never started, and would keep their turn for ever.
    is_left_to_lull = [model.deployment.spec.mode in (None, Mode.ENFORCE) for model in models]
    starts: Bools = unproven & is_asleep & np.array(is_left_to_lull, dtype=bool)
    to_prove: Bools = unproven & (~starts | (np.cumsum(starts) <= PROOFS_A_ROUND))
    return to_prove


def _lasting(models: Sequence[ModelView], quiet: Quiet, idle_s: F64, is_asleep: Bools) -> Objects:
    """What forbids sleep as long as it lasts, and ends one; None = nothing.

    Who sleeps was allowed to by starts that were known; that they are not known any more is no reason to wake it.
    """
    rules = [model.deployment.spec.scale_to_zero for model in models]
    hold_s = np.array([float(rule.hold_timeout) for rule in rules])
    is_allowed = np.array([rule.allow_long_start for rule in rules], dtype=bool)
    is_allowed |= is_asleep & ~quiet.is_start_known
    routes = [None if model.front is None else unsupported(model.front) for model in models]
    no_route = np.array([None if fault is None else fault.reason for fault in routes], dtype=object)
    lead_s = np.where(is_asleep, quiet.lead_s / SLACK, quiet.lead_s)
    found: Objects = np.select(
        [no_route != None, (lead_s > hold_s) & ~is_allowed, (lead_s > idle_s) & ~is_allowed],  # noqa: E711
        [no_route, _word(Reason.START_EXCEEDS_HOLD), _word(Reason.START_EXCEEDS_IDLE)],
        _NOTHING,
    )
    return found


def _passing(quiet: Quiet, idle_s: F64) -> Objects:
    """What keeps a model awake for now; None = nothing."""
    learned_s = np.where(quiet.is_versed, quiet.lead_s, quiet.worth_s)
    needed_s = np.where(np.isnan(idle_s), np.where(np.isnan(learned_s), UNLEARNED_IDLE_S, learned_s), idle_s)
    needed_s = np.where(quiet.is_hurried, np.minimum(needed_s, GRACE_S), needed_s)
    is_expected = np.isnan(idle_s) & quiet.is_versed & (quiet.keep_to > 0) & ~quiet.is_hurried
    found: Objects = np.select(
        [
            ~(quiet.ready_for_s >= np.fmin(GRACE_S, idle_s)),
            np.isnan(quiet.need_exact),
            quiet.need_exact > 0.0,
            ~(quiet.quiet_s >= needed_s),
            is_expected,
        ],
        [
            _word(Reason.SETTLING),
            _word(Reason.DEMAND_UNKNOWN),
            _word(Reason.IN_USE),
            _word(Reason.QUIET_TOO_SHORT),
            _word(Reason.FORECAST_HOLD),
        ],
        _NOTHING,
    )
    return found


def _word(reason: Reason) -> Objects:
    return np.array(reason, dtype=object)


_NOTHING: Final[Objects] = np.array(None, dtype=object)
