"""Which meters there are and how boards are shared, and on which rung each device is.

Called at the start and from time to time, with one read of all signals; what it says goes into conditions and reports.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from lull.energy.clerk import Readings
from lull.energy.method import Component, Method, rung_of
from lull.model.arrays import I64
from lull.model.meter import Series, Signal, Told
from lull.model.spec import Key


class Sharing(StrEnum):
    """How a board is shared."""

    FREE = "Free"
    EXCLUSIVE = "Exclusive"
    TIME_SLICED = "TimeSliced"
    MIG = "MIG"


@dataclass(frozen=True, slots=True)
class Discovery:
    """What there is."""

    signals: tuple[Signal, ...]
    """Those that have series."""
    step_s: Mapping[Signal, float]
    """Median time between samples of a series."""
    sharing: Mapping[str, Sharing]
    """Of each board that dcgm-exporter tells of."""
    rungs: Mapping[str, tuple[Method, int]]
    """Of each device the way by which its joules are known, and which rung this is of its component's; a device
    without any way is not in it."""


def discover(told: Told, readings: Readings, method: I64) -> Discovery:
    """What there is.

    Args:
        told: answers to one read of all signals.
        readings: what they told of an interval.
        method: the way that was taken of each device in it, (D,).
    """
    rungs = {}
    for name, is_gpu, way in zip(readings.devices, readings.is_gpu, method, strict=True):
        rung = rung_of(Component.GPU if is_gpu else Component.CPU, Method(way))
        if way != int(Method.UNKNOWN) and rung is not None:
            rungs[name] = (Method(way), rung)
    steps = {signal: _step_s(series) for signal, series in told.items()}
    return Discovery(
        signals=tuple(signal for signal in Signal if signal in told),
        step_s={signal: step_s for signal, step_s in steps.items() if step_s is not None},
        sharing=_sharing(told),
        rungs=rungs,
    )


def _step_s(series: Series) -> float | None:
    samples = series.samples.where(np.lexsort((series.samples.time_s, series.samples.meter)))
    gaps_s = np.diff(samples.time_s)[np.diff(samples.meter) == 0]
    return float(np.median(gaps_s)) if len(gaps_s) else None


def _sharing(told: Told) -> dict[str, Sharing]:
    pods: defaultdict[str, set[Key]] = defaultdict(set)
    sliced = set()
    signals = (Signal.DCGM_ENERGY, Signal.DCGM_POWER)
    for meter in [meter for signal in signals if signal in told for meter in told[signal].meters]:
        if meter.board is not None:
            pods[meter.board] |= {meter.pod} if meter.pod is not None else set()
            if meter.part is not None:
                sliced.add(meter.board)
    by_count = {0: Sharing.FREE, 1: Sharing.EXCLUSIVE}
    return {b: Sharing.MIG if b in sliced else by_count.get(len(of), Sharing.TIME_SLICED) for b, of in pods.items()}
