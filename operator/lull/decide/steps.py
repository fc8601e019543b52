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
    lowest: I64 = np.zeros(len(facts.uids), dtype=np.int64)
    highest: I64 = np.full(len(facts.uids), UNBOUNDED, dtype=np.int64)
    # Only models that name policies are walked; most name none.
    for i, behavior in enumerate(facts.behaviors):
        if behavior.scale_up.policies:
            highest[i] = _choose(
                behavior.scale_up, [_grown(p, _start(facts, i, p)) for p in behavior.scale_up.policies]
            )
        if behavior.scale_down.policies:
            allowed = [-_shrunk(p, _start(facts, i, p)) for p in behavior.scale_down.policies]
            lowest[i] = max(0, -_choose(behavior.scale_down, allowed))
    return lowest, highest


def _start(facts: Facts, i: int, policy: Policy) -> int:
    """Replicas there were when the policy's period began."""
    _, replicas = facts.history.window("replicas", [facts.uids[i]], facts.now_s - policy.period_seconds)
    seen = replicas[~np.isnan(replicas)]
    return int(seen[0]) if len(seen) else int(facts.current[i])


def _grown(policy: Policy, start: int) -> int:
    return start + policy.value if policy.type == "Pods" else math.ceil(start * (1.0 + policy.value / 100.0))


def _shrunk(policy: Policy, start: int) -> int:
    return start - policy.value if policy.type == "Pods" else int(start * (1.0 - policy.value / 100.0))


def _choose(rules: Rules, allowed: Iterable[int]) -> int:
    return min(allowed) if rules.select_policy is SelectPolicy.MIN else max(allowed)
