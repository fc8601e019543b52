"""What a round teaches: what the history shall remember of it, and what shall be learned from it.

Pure. Called by ``cycle``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lull.briefing import Briefing, allowed_ratio, cold_share, held_ever
from lull.budgeting import Budgeted
from lull.carrying import window_of
from lull.decide.facts import Facts
from lull.model.arrays import Bools
from lull.model.costs import Lesson
from lull.model.fleet import ModelView, Snapshot
from lull.model.history import Observation
from lull.model.spec import Metric


def unseen(snapshot: Snapshot) -> frozenset[str]:
    """Models whose target was not found or whose spec cannot be read: a failed read must not cost what was learned."""
    lost = [model.deployment.uid for model in snapshot.models if model.target is None]
    return frozenset([*lost, *(broken.uid for broken in snapshot.unreadable)])


def observe(facts: Facts, unseen: frozenset[str]) -> Observation:
    """A lower bound of the demand is no knowledge of it, yet it speaks against scale-in while a window reaches it."""
    return Observation(
        uids=facts.uids,
        replicas=facts.current.astype(np.float64),
        need=np.where(facts.is_lower_bound | ~facts.is_known, np.nan, np.maximum(facts.need, facts.start_to)),
        safe=facts.safe,
        unseen=unseen,
    )


def teach(briefing: Briefing, facts: Facts, unseen: frozenset[str], budgeted: Budgeted) -> Lesson:
    """A lower bound of the demand teaches nothing: a forecast that learned from it would be too low."""
    seen, load = briefing.seen, briefing.load
    arrivals_rps = np.where(load.is_lower_bound, np.nan, load.arrivals_rps)
    need = np.where(np.isnan(arrivals_rps), np.nan, np.ceil(facts.need_exact))
    held = briefing.held
    return Lesson(
        uids=facts.uids,
        arrivals_rps=arrivals_rps,
        missed_rps=np.where(_is_late(briefing), arrivals_rps, np.where(np.isnan(arrivals_rps), np.nan, 0.0)),
        held=held,
        held_ever=held_ever(seen),
        pile=briefing.pile,
        allowed_ratio=allowed_ratio(seen),
        cold_ratio=cold_share(seen),
        # Whoever waits for a wake needs one replica at least, also where no server has counted them yet.
        need=np.where(held > 0.0, np.fmax(need, 1.0), need),
        replicas=briefing.replicas,
        costs=briefing.costs,
        learned=briefing.learned,
        window=window_of(seen, load, briefing.able.limits, briefing.settings.rate_window_s),
        wanted_w=budgeted.wanted_w,
        is_withheld=budgeted.is_withheld,
        budget_prices=budgeted.pacing.prices,
        unseen=unseen,
    )


def _is_late(briefing: Briefing) -> Bools:
    """Whether those that arrive come upon more work than the objective allows, (N,)."""
    seen = briefing.seen
    ready = np.array([float(model.target.ready) if model.target else np.nan for model in seen])
    allowed_wait_s = np.array(_thresholds_s(seen))
    is_late: Bools = np.nan_to_num(briefing.load.backlog) > allowed_wait_s * ready * briefing.costs.limit_rps
    return is_late


def _thresholds_s(seen: Sequence[ModelView]) -> list[float]:
    """Seconds that a request may take until it is answered at all; the pace of tokens is no wait."""
    found = []
    for model in seen:
        objectives = model.deployment.spec.slo.objectives
        waits = [float(o.threshold) for o in objectives if o.metric is not Metric.INTER_TOKEN_LATENCY]
        found.append(min(waits, default=np.inf))
    return found
