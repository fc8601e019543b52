"""The order in which replicas are decided: the need, then the guards. Called by ``cycle``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lull.decide.conditions import blocker
from lull.decide.facts import Facts
from lull.decide.guards import GUARDS, Proposal, wanted
from lull.decide.sizing import Limits
from lull.model.arrays import F64
from lull.model.fleet import ModelView
from lull.model.plan import Decision
from lull.model.reason import Reason
from lull.settings import Mode


def decide(
    models: Sequence[ModelView],
    modes: Sequence[Mode],
    facts: Facts,
    limits: Limits,
    *,
    arrivals_rps: F64,
    sizing_rps: F64,
    backlog: F64,
) -> list[Decision]:
    """One decision per model that has a target, in order; "no change" is one too."""
    proposal = wanted(facts)
    for guard in GUARDS:
        proposal = guard(proposal, facts)
    proposal = _paused(proposal, facts, modes)
    numbers = {
        "arrivals_rps": arrivals_rps,
        "backlog": backlog,
        "sizing_rps": sizing_rps,
        "replica_limit_rps": limits.rps,
        "need": facts.need,
        "safe": facts.safe,
    }
    return [
        Decision(
            before=int(facts.current[i]),
            after=int(proposal.desired[i]),
            reason=proposal.reason[i],
            evidence={name: float(column[i]) for name, column in numbers.items() if np.isfinite(column[i])},
            is_enforced=modes[i] is Mode.ENFORCE and blocker(model) is None,
        )
        for i, model in enumerate(models)
    ]


def _paused(proposal: Proposal, facts: Facts, modes: Sequence[Mode]) -> Proposal:
    paused = np.array([mode is Mode.PAUSED for mode in modes], dtype=bool)
    return Proposal(
        desired=np.where(paused, facts.current, proposal.desired),
        reason=np.where(paused, np.array(Reason.PAUSED, dtype=object), proposal.reason),
    )
