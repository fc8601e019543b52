"""The objectives of many models as columns, one row each. Called by ``sizing``; the laws read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from statistics import NormalDist

import numpy as np

from lull.model.arrays import F64, I64, Bools
from lull.model.spec import Metric, Spec


@dataclass(frozen=True, slots=True)
class Objectives:
    """Columns over objectives, (M,)."""

    at: I64
    """Index of the model."""
    is_first_token: Bools
    """It bounds the time to the first token."""
    is_inter_token: Bools
    """It bounds the time between tokens."""
    threshold_s: F64
    miss_ratio: F64
    deviations: F64
    """Standard deviations above its mean that a normal value exceeds with the chance ``miss_ratio``."""

    @staticmethod
    def of(specs: Sequence[Spec]) -> Objectives:
        """Every objective of every model, in order."""
        rows = [(i, objective) for i, spec in enumerate(specs) for objective in spec.slo.objectives]
        metrics = np.array([str(objective.metric) for _, objective in rows], dtype=np.str_)
        miss = np.array([objective.miss_ratio for _, objective in rows], dtype=np.float64)
        shares, each = np.unique(miss, return_inverse=True)
        deviations = np.array([-NormalDist().inv_cdf(share) for share in shares], dtype=np.float64)
        return Objectives(
            at=np.array([i for i, _ in rows], dtype=np.int64),
            is_first_token=metrics == str(Metric.TIME_TO_FIRST_TOKEN),
            is_inter_token=metrics == str(Metric.INTER_TOKEN_LATENCY),
            threshold_s=np.array([float(objective.threshold) for _, objective in rows], dtype=np.float64),
            miss_ratio=miss,
            deviations=deviations[each] if len(shares) else miss,
        )

    @property
    def is_latency(self) -> Bools:
        """It bounds the time to the whole answer."""
        return ~self.is_first_token & ~self.is_inter_token

    def only(self, those: Bools) -> Objectives:
        """The rows where the mask holds."""
        return Objectives(**{field.name: getattr(self, field.name)[those] for field in fields(self)})

    def within(self, share: float) -> Objectives:
        """The same with a share of each threshold."""
        return replace(self, threshold_s=share * self.threshold_s)
