"""What each pod has in hand, looked up only where somebody asks: of ten thousand models few shrink in one round."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from lull.adapters.objects import Pod
from lull.adapters.servers import DIALECTS
from lull.adapters.tables import Table
from lull.model.arrays import F64
from lull.model.spec import Runtime, Server


@dataclass(frozen=True, slots=True)
class PodLoads:
    """What the latest read told of pods."""

    tables: Mapping[Runtime, Mapping[str, Table]] = field(default_factory=dict)
    """By runtime and signal; a runtime whose answers failed or are doubtful is left out."""
    ages: Table = field(default_factory=Table)
    stale_after_s: float = 0.0

    def of(self, server: Server, pods: Sequence[Pod]) -> F64:
        """Requests that each pod has in its queue or works on, (N,); NaN = unknown.

        A server whose series begin with the first request has had none where a fresh scrape has no such series.
        """
        tables = self.tables.get(server.runtime)
        if tables is None:
            return np.full(len(pods), math.nan)
        dialect = DIALECTS[server.runtime]
        of_nothing = math.nan if dialect.counts_from_start else 0.0
        signals = [tables.get(signal) for signal in dialect.in_hand]
        model = server.model_name or ""
        loads = [
            sum(_value(table, pod, model, of_nothing) for table in signals) if self._is_fresh(pod) else math.nan
            for pod in pods
        ]
        return np.array(loads, dtype=np.float64)

    def _is_fresh(self, pod: Pod) -> bool:
        return self.ages.by_pod.get(pod.key, _NOTHING).get("", math.inf) <= self.stale_after_s


_NOTHING: Final[Mapping[str, float]] = {}


def _value(table: Table | None, pod: Pod, model: str, of_nothing: float) -> float:
    if table is None:
        return math.nan
    told = table.sum_over([pod], model)
    return of_nothing if told is None else told
