"""The order in which replicas are decided: the need, then the guards. Called by ``cycle``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from lull.decide.budget import Caps
from lull.decide.conditions import blocker
from lull.decide.facts import Facts
from lull.decide.guards import GUARDS, Proposal, wanted, within_budgets
from lull.decide.sizing import Limits
from lull.model.arrays import F64
from lull.model.fleet import ModelView
from lull.model.plan import Decision, Trail
from lull.model.reason import Reason
from lull.settings import Mode

_STEPS: Final = (wanted.__name__, *(guard.__name__ for guard in GUARDS), "paused")


def decide(
    models: Sequence[ModelView],
    modes: Sequence[Mode],
    facts: Facts,
    limits: Limits,
    proposals: Sequence[Proposal],
    *,
    caps: Caps | None = None,
    arrivals_rps: F64,
    sizing_rps: F64,
    backlog: F64,
    capacity: Mapping[str, F64],
) -> tuple[list[Decision], Trail]:
    """One decision per model that has a target, in order, and how they came about; "no change" is one too.

    ``proposals`` are those of ``propose``, and ``caps`` what budgets leave of the last one; None = there are none.
    ``capacity`` tells by name what the limits rest on; it and the other columns are (N,), NaN = unknown.
    """
    if caps is not None:
        proposals = [*proposals, within_budgets(proposals[-1], caps.most)]
    proposal = _paused(proposals[-1], facts, modes)
    trail = _trail(models, [*proposals, proposal], facts, limits)
    numbers = {
        "arrivals_rps": arrivals_rps,
        "backlog": backlog,
        "sizing_rps": sizing_rps,
        "replica_limit_rps": limits.rps,
        **capacity,
        "need": facts.need,
        "safe": facts.safe,
        "start_to": _asked(facts.start_to),
        "keep_to": _asked(facts.keep_to),
        **({} if caps is None else _budgeted(caps)),
    }
    decisions = [
        Decision(
            before=int(facts.current[i]),
            after=int(proposal.desired[i]),
            reason=proposal.reason[i],
            evidence={name: float(column[i]) for name, column in numbers.items() if np.isfinite(column[i])},
            is_enforced=modes[i] is Mode.ENFORCE and blocker(model) is None,
        )
        for i, model in enumerate(models)
    ]
    return decisions, trail


def propose(facts: Facts) -> list[Proposal]:
    """The need, and what each guard leaves of it."""
    proposals = [wanted(facts)]
    for guard in GUARDS:
        proposals.append(guard(proposals[-1], facts))
    return proposals


def _budgeted(caps: Caps) -> dict[str, F64]:
    is_held = caps.price > 0.0
    return {
        "budget_price": np.where(is_held, caps.price, np.nan),
        "budget_cap": np.where(is_held, caps.most.astype(np.float64), np.nan),
    }


def _trail(models: Sequence[ModelView], proposals: Sequence[Proposal], facts: Facts, limits: Limits) -> Trail:
    """The columns as they are: to turn them into words for ten thousand models would take longer than to decide."""
    return Trail(
        keys=tuple(model.key for model in models),
        guards=_STEPS if len(proposals) == len(_STEPS) else (*_STEPS[:-1], within_budgets.__name__, _STEPS[-1]),
        desired=tuple(proposal.desired for proposal in proposals),
        reasons=tuple(proposal.reason for proposal in proposals),
        columns={
            "safe_limit_rps": limits.safe_rps,
            "up_tolerance": facts.up_tolerance,
            "down_tolerance": facts.down_tolerance,
            "up_window_s": facts.up_window_s,
            "down_window_s": facts.down_window_s,
        },
    )


def _asked(replicas: F64) -> F64:
    return np.where(replicas > 0, replicas, np.nan)


def _paused(proposal: Proposal, facts: Facts, modes: Sequence[Mode]) -> Proposal:
    paused = np.array([mode is Mode.PAUSED for mode in modes], dtype=bool)
    return Proposal(
        desired=np.where(paused, facts.current, proposal.desired),
        reason=np.where(paused, np.array(Reason.PAUSED, dtype=object), proposal.reason),
    )
