"""What rest with the pod in place saves and costs, learned per model: power on each rung, and how long wakes take.

Wakes are learned as starts are (``starts.StartTimes``), each level by itself. Power is a mean that fades; what no meter
has told is unknown, and no default stands in for it: by the few measurements there are, memory that is held draws next
to nothing, and a process that is kept draws most of what an idle server does (arXiv 2605.23918). The loop is the only
writer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

import numpy as np

from lull.forecast.starts import StartTimes
from lull.model.arrays import F64, I64
from lull.model.columns import place, widen
from lull.model.doze import DOZES, Rung, RungsKnown
from lull.model.start import Start

PRIORS_S: Final = (3.0, 20.0)
"""Median wakes from the two levels before any were seen: vLLM's makers measured 0.1 to 6 s with weights in the host's
memory, and the time to read them without."""

_MEMORY: Final = 0.9
"""Weight that what was measured keeps with each round."""

_RELIED_UPON: Final = 0.95


class Rests:
    """Power and wakes.

    Args:
        width: number of models.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("power_w",)

    def __init__(self, width: int) -> None:
        self.power_w: F64 = np.full((len(DOZES) + 1, width), np.nan)
        """Mean power of one idle replica: awake, and on each level."""
        self._wakes = tuple(StartTimes(width, prior_s=prior_s) for prior_s in PRIORS_S)

    def resize(self, width: int) -> None:
        """Grows to ``width`` models; of the new ones nothing is known."""
        lacking = width - self.power_w.shape[1]
        for times in self._wakes:
            times.resize(width)
        widen(self, Rests(lacking))

    def forget(self, columns: I64) -> None:
        """Makes columns as new."""
        place(self, columns, Rests(1))
        for times in self._wakes:
            times.forget(columns)

    def learn_wakes(self, wakes: Iterable[tuple[int, Rung, float]]) -> None:
        """Takes in wakes in the order they were done: column, level and seconds."""
        for column, level, seconds in wakes:
            start = Start("", 0.0, 0.0, seconds, is_cold_node=False)
            self._wakes[level - 1].learn([start], {"": column})

    def learn_power(self, column: int, rung: Rung, power_w: float) -> None:
        """Takes in what one replica drew while it was idle on a rung."""
        before_w = self.power_w[rung, column]
        self.power_w[rung, column] = (
            power_w if np.isnan(before_w) else before_w + (1.0 - _MEMORY) * (power_w - before_w)
        )

    def known(self, at: I64) -> RungsKnown:
        """What is known of the models in those columns; -1 = nothing."""
        power_w = np.concatenate([self.power_w, np.full((len(DOZES) + 1, 1), np.nan)], axis=1)[:, at]
        shape = (len(Rung), len(at))
        holding, wake_s, expected_s = np.zeros(shape), np.full(shape, np.nan), np.full(shape, np.nan)
        holding[Rung.AWAKE] = 1.0
        wake_s[Rung.AWAKE] = expected_s[Rung.AWAKE] = 0.0
        for level, times, prior_s in zip(DOZES, self._wakes, PRIORS_S, strict=True):
            unseen = StartTimes(1, prior_s=prior_s)
            with np.errstate(invalid="ignore", divide="ignore"):
                holding[level] = power_w[level] / np.where(power_w[0] > 0.0, power_w[0], np.nan)
            wake_s[level] = np.append(times.lead_s(_RELIED_UPON), unseen.lead_s(_RELIED_UPON))[at]
            expected_s[level] = np.append(times.expected_s, unseen.expected_s)[at]
        return RungsKnown(holding, wake_s, expected_s, ~np.isnan(power_w[0]))
