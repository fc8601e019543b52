"""How a joule is known, from a device's own counter down to a nameplate; and which way is taken, without flapping.

Order and figures of uncertainty: research/energy.md sections 1.4 and 2.4. Called by ``clerk`` and ``attribution``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import IntEnum, StrEnum
from typing import Final

import numpy as np

from lull.model.arrays import F64, I64, Bools
from lull.model.columns import Columns


class Component(StrEnum):
    """What a device is."""

    GPU = "gpu"
    CPU = "cpu"
    """Processors and their memory."""


class Method(IntEnum):
    """How joules of a device and interval are known; the better the lower."""

    UNKNOWN = 0
    COUNTER = 1
    """The device's own counter, and one holder."""
    SHARED_COUNTER = 2
    """The device's own counter, split by the holders' activity."""
    POD_COUNTERS = 3
    """The device's counter, split by counters of its pods (Kepler)."""
    SERVER_COUNTER = 4
    """The counter of the only server on it (Triton)."""
    POWER_GAUGE = 5
    """Power that was sampled and integrated."""
    CURVE = 6
    """The power model, given the concurrency or the processor's seconds."""
    TIME = 7
    """The power model, given nothing but time."""
    LIMIT = 8
    """Power limit times time: an upper bound."""

    @property
    def is_measured(self) -> bool:
        """Whether a meter told the device's joules; how they are shared may still be an allocation."""
        return Method.COUNTER <= self <= Method.POWER_GAUGE


RUNGS: Final[Mapping[Component, tuple[Method, ...]]] = {
    Component.GPU: tuple(method for method in Method if method is not Method.UNKNOWN),
    Component.CPU: (Method.POD_COUNTERS, Method.SHARED_COUNTER, Method.POWER_GAUGE, Method.CURVE, Method.TIME),
}
"""The ways there are for each component, best first."""

SIGMA_RATIO: Final[F64] = np.array([np.nan, 0.05, 0.20, 0.20, 0.05, 0.10, 0.30, 0.50, 1.00])
"""Relative uncertainty of a holder's joules by method: 5 % of a counter, 20 % of a split, 30 % of a foreign curve.
Those of a gauge, of time alone and of a limit (an upper bound) are assumed; no source tells them."""

FITTED_SIGMA_RATIO: Final = 0.12
"""Of a curve that was fitted to this device's own meter at three loads or more."""

IS_MEASURED: Final[Bools] = np.array([method.is_measured for method in Method])
"""``Method.is_measured``, to be indexed by arrays of methods."""

_CLEAN: Final = 5
"""Intervals in a row in which a better way must have worked before it is taken again."""


def rung_of(component: Component, method: Method) -> int | None:
    """Place of a method among those of the component, 1 = best; None where it is none of them."""
    return RUNGS[component].index(method) + 1 if method in RUNGS[component] else None


class Ways:
    """Which way is taken for each device: down at once, up only after five clean intervals in a row.

    Args:
        component: of all these devices.
    """

    def __init__(self, component: Component) -> None:
        self._rungs = np.array([int(method) for method in RUNGS[component]], dtype=np.int64)
        self._columns = Columns()
        self._taken: I64 = np.empty(0, dtype=np.int64)
        self._clean: I64 = np.empty(0, dtype=np.int64)

    def take(self, devices: Sequence[str], works: Bools) -> I64:
        """Takes in one interval; devices that are not in it are forgotten.

        Args:
            devices: their names.
            works: which ways gave joules, (len(Method), D).

        Returns:
            The method of each device, (D,); 0 = none.
        """
        self._forget(set(self._columns.uids).difference(devices))
        at = self._claim(devices)
        ranked = works[self._rungs]
        best = np.where(ranked.any(axis=0), ranked.argmax(axis=0), -1)
        taken = self._taken[at]
        goes_on = (taken >= 0) & ranked[np.maximum(taken, 0), np.arange(len(at))] & (best >= 0)
        clean = np.where(goes_on & (best < taken), self._clean[at] + 1, 0)
        climbs = clean >= _CLEAN
        taken = np.where(goes_on & ~climbs, taken, best)
        self._taken[at], self._clean[at] = taken, np.where(climbs, 0, clean)
        return np.where(taken >= 0, self._rungs[taken], int(Method.UNKNOWN))

    def _claim(self, devices: Sequence[str]) -> I64:
        at = self._columns.claim(devices)
        lacking = self._columns.width - len(self._taken)
        self._taken = np.append(self._taken, np.full(lacking, -1))
        self._clean = np.append(self._clean, np.zeros(lacking, dtype=np.int64))
        return at

    def _forget(self, devices: Collection[str]) -> None:
        gone = self._columns.free(devices)
        self._taken[gone], self._clean[gone] = -1, 0
