"""How long silences last: the chance that one ends soon, given how long it has lasted.

Per series a fading histogram of the lengths of past silences, in bins that widen with the length, joined to a
heavy-tailed prior that stands alone as long as little was seen: what has been silent for an hour is as likely to be
silent for the next one, whatever the model (Shahrad and others, "Serverless in the wild", keep such histograms; the
prior is ours). Called by ``forecaster``.
"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np

from lull.forecast.experts import DAY_S, HORIZONS
from lull.model.arrays import F32, Bools, running_sum

_EDGES: Final = np.concatenate([np.arange(1.0, 61.0), np.round(np.geomspace(66.0, 20_160.0, 36))]).astype(np.float32)
"""Longest silence of each bin, in steps: each by itself up to sixty, so that a job of every half hour is seen as what
it is, then wider and wider; two weeks of minutes is the last."""
_SHORTEST: Final = np.float32(0.5)
_UPPER_LOG: Final = np.log(_EDGES)
_LOWER_LOG: Final = np.log(np.concatenate([[_SHORTEST], _EDGES[:-1]])).astype(np.float32)

_FADE_PER_DAY: Final = 0.97
_PRIOR_GAPS: Final = 2.0
"""Silences that the prior counts for."""
_PRIOR_TAIL: Final = 0.5
"""Exponent of the prior's tail: a silence outlasts twice its length with chance 0.7."""


class Gaps:
    """Histograms of silences.

    Args:
        width: number of series.
        step_s: seconds per step.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("counts", "silent")

    def __init__(self, width: int, step_s: float) -> None:
        self.counts: F32 = np.zeros((len(_EDGES), width), dtype=np.float32)
        self.silent: F32 = np.zeros(width, dtype=np.float32)
        """Steps that the present silence has lasted."""
        self._fade = np.float32(_FADE_PER_DAY ** (step_s / DAY_S))

    def learn(self, is_busy: Bools, known: Bools) -> None:
        """Takes one step in, (N,)."""
        self.counts *= self._fade
        ended = np.flatnonzero(known & is_busy & (self.silent > 0))
        bins = np.minimum(np.searchsorted(_EDGES, self.silent[ended]), len(_EDGES) - 1)
        self.counts[bins, ended] += 1.0
        self.silent = np.where(known, np.where(is_busy, 0, self.silent + 1), self.silent).astype(np.float32)

    def skip(self, steps: int) -> None:
        """Passes over steps that nobody told of: only memory fades."""
        self.counts *= self._fade ** np.float32(steps)

    def chance_of_end(self) -> F32:
        """Chance that the silence ends within each horizon, (H, N); 1 where there was none for as long.

        A horizon longer than the silence lies outside: the quantiles have learned such times.
        """
        lasted = self.silent
        stays = np.maximum(lasted, 1.0)
        above: F32 = running_sum(self.counts[::-1])[::-1]
        longer = self._longer_than(lasted - 1, above)
        out: F32 = np.ones((len(HORIZONS), len(lasted)), dtype=np.float32)
        for row, horizon in enumerate(HORIZONS):
            prior = (stays / (stays + horizon)) ** _PRIOR_TAIL
            # A silence of just as long as this one has lasted so far ends with the next step.
            outlast = (self._longer_than(lasted + horizon - 1, above) + _PRIOR_GAPS * prior) / (longer + _PRIOR_GAPS)
            out[row] = np.where(lasted >= horizon, 1.0 - outlast, 1.0)
        return out

    def _longer_than(self, steps: F32, above: F32) -> F32:
        """Weight of the silences longer than that, (N,); within a bin they are spread evenly over the logarithm.

        Args:
            steps: (N,).
            above: weight of the silences in each bin and in those of longer ones, (B, N).
        """
        upper = np.minimum(np.searchsorted(_EDGES, steps), len(_EDGES) - 1)
        columns = np.arange(len(steps))
        low = _LOWER_LOG[upper]
        share = np.clip((np.log(np.maximum(steps, _SHORTEST)) - low) / (_UPPER_LOG[upper] - low), 0.0, 1.0)
        longer: F32 = above[upper, columns] - self.counts[upper, columns] * share
        return longer
