"""What stands between the need and the decision: an ordered tuple of guards, each with a name.

Each takes the proposal so far and returns it changed or unchanged; whichever changes a model last owns its reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np

from lull.decide.facts import Facts
from lull.decide.steps import step_bounds
from lull.model.arrays import F64, I64, Bools, Objects
from lull.model.reason import Reason
from lull.model.spec import SelectPolicy

RETRY_S: Final = 30.0
"""How long a wake that a quota forbids is left as it is: as long as those who ask are told to stay away."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Replicas and reason per model, (N,) each."""

    desired: I64
    reason: Objects

    def where(self, mask: Bools, desired: I64 | F64, reason: Reason) -> Proposal:
        """The proposal with other numbers, and the reason for them, where the mask holds and they differ."""
        changed = mask & (desired != self.desired)
        return replace(
            self,
            desired=np.where(changed, desired, self.desired).astype(np.int64),
            reason=np.where(changed, _object(reason), self.reason),
        )

    def resized(self, desired: I64) -> Proposal:
        """The proposal with other numbers and the same reasons."""
        return replace(self, desired=desired)


Guard: TypeAlias = Callable[[Proposal, Facts], Proposal]


def wanted(facts: Facts) -> Proposal:
    """The need itself: grow where the replicas do not fit the load, shrink where fewer would, with the margin.

    The forecast may add replicas and hold back their going. It speaks for itself, so it may also do so where nobody
    knows what arrives.

    ============  ================  ===========  ===================  =================
    need          forecast          safe         replicas             reason
    ============  ================  ===========  ===================  =================
    above current at most the need  any          need                 DemandRise
    any           starts more       any          what it starts       ForecastRise
    unknown       starts none       any          as they are          why it is unknown
    below         keeps none        below        safe                 DemandFall
    below         keeps all         below        as they are          ForecastHold
    below         keeps some        below        what it keeps        DemandFall
    below         any               at or above  as they are          Steady
    ============  ================  ===========  ===================  =================
    """
    rises = facts.is_known & (facts.need > facts.current)
    foreseen = facts.start_to > np.where(rises, facts.need, facts.current)
    falls = facts.is_known & ~rises & ~foreseen & (facts.safe < facts.current)
    held = falls & (facts.keep_to >= facts.current)
    left = np.maximum(facts.safe, np.minimum(facts.keep_to, facts.current))
    desired = np.where(foreseen, facts.start_to, np.where(rises, facts.need, np.where(falls, left, facts.current)))
    desired = desired.astype(np.int64)
    stays = facts.is_known & ~rises & ~falls
    reason = np.select(
        [foreseen, ~facts.is_known, rises, facts.is_lower_bound, held, falls, stays & facts.is_unreachable],
        [
            _object(Reason.FORECAST_RISE),
            facts.unknown,
            _object(Reason.DEMAND_RISE),
            _object(Reason.PARTIAL_DATA),
            _object(Reason.FORECAST_HOLD),
            _object(Reason.DEMAND_FALL),
            _object(Reason.OBJECTIVE_UNREACHABLE),
        ],
        _object(Reason.STEADY),
    )
    return Proposal(desired, reason)


def within_tolerance(proposal: Proposal, facts: Facts) -> Proposal:
    """Small differences change nothing."""
    rises, falls = proposal.desired > facts.current, proposal.desired < facts.current
    small_rise = (
        rises & (facts.start_to <= facts.current) & (facts.need_exact <= facts.current * (1.0 + facts.up_tolerance))
    )
    small_fall = falls & (facts.safe_exact >= facts.current * (1.0 - facts.down_tolerance))
    return proposal.where(small_rise | small_fall, facts.current, Reason.WITHIN_TOLERANCE)


def stabilized(proposal: Proposal, facts: Facts) -> Proposal:
    """The most cautious recommendation of the window counts; a window not filled with knowledge allows no scale-in.

    Where that leaves part of a change, the change keeps its reason; only a change held back whole is Stabilizing.
    """
    lowest = _over_window(facts, "need", facts.up_window_s, np.fmin)
    highest = _over_window(facts, "safe", facts.down_window_s, np.fmax)
    rises, falls = proposal.desired > facts.current, proposal.desired < facts.current
    known_for_s = facts.now_s - facts.history.known_since_s(facts.uids, facts.now_s)
    is_filled = (facts.down_window_s == 0.0) | (known_for_s >= facts.down_window_s)
    up = np.maximum(np.fmin(proposal.desired, lowest), facts.current)
    down = np.where(is_filled, np.minimum(np.fmax(proposal.desired, highest), facts.current), facts.current)
    damped = np.where(rises, up, np.where(falls, down, proposal.desired)).astype(np.int64)
    is_held = (rises | falls) & (damped == facts.current)
    return proposal.where(is_held, damped, Reason.STABILIZING).resized(damped)


def within_direction(proposal: Proposal, facts: Facts) -> Proposal:
    """A disabled direction is closed."""
    up = np.array([b.scale_up.select_policy is SelectPolicy.DISABLED for b in facts.behaviors], dtype=bool)
    down = np.array([b.scale_down.select_policy is SelectPolicy.DISABLED for b in facts.behaviors], dtype=bool)
    closed = (up & (proposal.desired > facts.current)) | (down & (proposal.desired < facts.current))
    return proposal.where(closed, facts.current, Reason.DIRECTION_DISABLED)


def within_steps(proposal: Proposal, facts: Facts) -> Proposal:
    """Step policies bound the change within their periods."""
    lowest, highest = step_bounds(facts)
    limited = np.clip(proposal.desired, np.minimum(lowest, facts.current), np.maximum(highest, facts.current))
    return proposal.where(np.ones_like(facts.is_known), limited, Reason.STEP_LIMITED)


def within_bounds(proposal: Proposal, facts: Facts) -> Proposal:
    """MinReplicas and maxReplicas are orders, not signals: they hold without any data. Sleep is below the least."""
    is_awake = (proposal.desired > 0) | (facts.floor > 0)
    is_few = is_awake & (proposal.desired < facts.minimum)
    proposal = proposal.where(is_few, facts.minimum, Reason.AT_MIN_REPLICAS)
    return proposal.where(proposal.desired > facts.maximum, facts.maximum, Reason.AT_MAX_REPLICAS)


def asleep(proposal: Proposal, facts: Facts) -> Proposal:
    """At zero a model stays until something wakes it; nothing that damps a change may hold up those who wait.

    Step policies bound what a burst adds to the least size, and never that: an order about growth is no order to sleep.
    A zero that Lull did not make is somebody's hand: Lull does not undo it.
    """
    is_zero = facts.current == 0
    is_ours = is_zero & (facts.is_sleeper | facts.is_held)
    proposal = proposal.where(is_zero & ~is_ours, np.zeros_like(facts.current), Reason.SCALED_TO_ZERO_BY_HAND)
    least = np.minimum(np.maximum(proposal.desired, facts.minimum), facts.maximum)
    _, highest = step_bounds(facts)
    burst = np.minimum(np.nan_to_num(facts.need), np.minimum(highest, facts.maximum))
    waited = np.maximum(least, burst)
    is_woken = is_ours & (facts.waiting > 0)
    proposal = _put(proposal, is_woken, waited, Reason.WOKEN)
    has_ended = is_ours & ~is_woken & (facts.floor > 0)
    proposal = _put(proposal, has_ended & facts.is_unproven, least, Reason.TEMPLATE_PROOF)
    # Nobody may be there any more who tells how much is wanted.
    as_before = np.minimum(np.maximum(least, facts.last_awake), facts.maximum)
    proposal = _put(proposal, has_ended & ~facts.is_unproven, as_before, Reason.SLEEP_ENDED)
    stays = is_ours & ~is_woken & (facts.floor == 0) & (proposal.desired == 0)
    return _put(proposal, stays, np.zeros_like(facts.current), Reason.ASLEEP)


def tried_again(proposal: Proposal, facts: Facts) -> Proposal:
    """What a quota keeps from waking goes back to sleep, and the next request tries again.

    Nobody tells Kubernetes that a quota was raised, and by itself it looks ever more rarely, a quarter of an hour apart
    in the end; where a size changes it looks at once. No pod goes, for there is none. A proof that nobody waits for may
    take that long.
    """
    lowest = _over_window(facts, "replicas", np.full(len(facts.uids), RETRY_S), np.fmin)
    is_asked = (facts.waiting > 0) | ~facts.is_unproven
    is_due = facts.is_sleeper & facts.is_out_of_quota & is_asked & (lowest > 0.0)
    return _put(proposal, is_due, np.zeros_like(facts.current), Reason.QUOTA_EXCEEDED)


def _put(proposal: Proposal, mask: Bools, desired: I64 | F64, reason: Reason) -> Proposal:
    """Numbers and their reason where the mask holds, also where the numbers are the same."""
    return Proposal(
        np.where(mask, desired, proposal.desired).astype(np.int64), np.where(mask, _object(reason), proposal.reason)
    )


def within_budgets(proposal: Proposal, most: I64) -> Proposal:
    """What budgets leave, (N,), comes after all damping: a limit of power must take hold at once.

    It is no signal to be smoothed, and whoever shrinks for it is not to be kept up by a window or a step.
    """
    return proposal.where(proposal.desired > most, most, Reason.BUDGET_LIMITED)


GUARDS: Final[tuple[Guard, ...]] = (
    within_tolerance,
    stabilized,
    within_direction,
    within_steps,
    within_bounds,
    asleep,
    tried_again,
)


def _object(reason: Reason) -> Objects:
    """The member itself: numpy would make a plain string of it."""
    return np.array(reason, dtype=object)


def _over_window(facts: Facts, ring: str, window_s: F64, pick: np.ufunc) -> F64:
    """Least or greatest recorded value within each model's own window, (N,); NaN = nothing recorded."""
    found: F64 = np.full(len(facts.uids), np.nan)
    for length_s in np.unique(window_s[window_s > 0.0]):
        at = np.flatnonzero(window_s == length_s)
        _, values = facts.history.window(ring, [facts.uids[i] for i in at], facts.now_s - length_s)
        if len(values):
            found[at] = pick.reduce(values, axis=0)
    return found
