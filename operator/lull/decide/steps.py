"""Step policies, with an HPA's arithmetic: how far the replicas may move within each policy's period."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from lull.decide.facts import Facts
from lull.model.arrays import I64
from lull.model.spec import Policy, Rules, SelectPolicy

UNBOUNDED = np.iinfo(np.int64).max


def step_bounds(facts: Facts) -> tuple[I64, I64]:
    """Fewest and most replicas the policies allow now, (N,) each; without policies there is no bound."""
    starts = _starts(facts)
    lowest: I64 = np.zeros(len(facts.uids), dtype=np.int64)
    highest: I64 = np.full(len(facts.uids), UNBOUNDED, dtype=np.int64)
    # Only models that name policies are walked; most name none.
    for i, behavior in enumerate(facts.behaviors):
        if behavior.scale_up.policies:
            highest[i] = _choose(
                behavior.scale_up, [_grown(p, starts[p.period_seconds][i]) for p in behavior.scale_up.policies]
            )
        if behavior.scale_down.policies:
            allowed = [-_shrunk(p, starts[p.period_seconds][i]) for p in behavior.scale_down.policies]
            lowest[i] = max(0, -_choose(behavior.scale_down, allowed))
    return lowest, highest


def _starts(facts: Facts) -> dict[int, I64]:
    """Replicas there were when a period began, (N,) for each length of period in seconds that a policy names."""
    lengths = {
        policy.period_seconds
        for behavior in facts.behaviors
        for rules in (behavior.scale_up, behavior.scale_down)
        for policy in rules.policies
    }
    return {length_s: _at_start(facts, length_s) for length_s in lengths}


def _at_start(facts: Facts, length_s: int) -> I64:
    _, replicas = facts.history.window("replicas", facts.uids, facts.now_s - length_s)
    if not len(replicas):
        return facts.current
    seen = ~np.isnan(replicas)
    oldest = replicas[seen.argmax(axis=0), np.arange(len(facts.uids))]
    return np.where(seen.any(axis=0), oldest, facts.current).astype(np.int64)


def _grown(policy: Policy, start: int) -> int:
    return start + policy.value if policy.type == "Pods" else math.ceil(start * (1.0 + policy.value / 100.0))


def _shrunk(policy: Policy, start: int) -> int:
    return start - policy.value if policy.type == "Pods" else int(start * (1.0 - policy.value / 100.0))


def _choose(rules: Rules, allowed: Iterable[int]) -> int:
    return min(allowed) if rules.select_policy is SelectPolicy.MIN else max(allowed)
