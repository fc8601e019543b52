"""Which meters there are, in which dialect and how they share, and on which rung each device is.

Called at the start and from time to time, with one read of all signals; what it says goes into conditions and reports.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from lull.adapters.meter_dialects import Labels, Signal, board_of, holder_of, slice_of
from lull.adapters.meter_holders import Told
from lull.adapters.prometheus import Track
from lull.energy.clerk import Readings
from lull.energy.method import Component, Method, rung_of
from lull.model.arrays import I64


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
    spelling: tuple[str, ...]
    """Labels that name the pods of boards, and their node."""
    sharing: Mapping[str, Sharing]
    """Of each board that dcgm-exporter tells of."""
    rungs: Mapping[str, tuple[Method, int]]
    """Of each device the way that its joules are known, and the rung that this is among those of its component; a
    device without any way is not in it."""


def discover(told: Told, readings: Readings, method: I64) -> Discovery:
    """What there is.

    Args:
        told: answers to one read of all signals.
        readings: what they told of an interval.
        method: the way that was taken of each device in it, (D,).
    """
    rungs = {}
    for name, is_gpu, way in zip(readings.devices, readings.is_gpu, method, strict=True):
        component = Component.GPU if is_gpu else Component.CPU
        rung = rung_of(component, Method(way))
        if way != int(Method.UNKNOWN) and rung is not None:
            rungs[name] = (Method(way), rung)
    return Discovery(
        signals=tuple(signal for signal in Signal if told.get(signal)),
        step_s={signal: step for signal in Signal if (step := _step_s(told.get(signal, ()))) is not None},
        spelling=_spelling(told),
        sharing=_sharing(told),
        rungs=rungs,
    )


def _step_s(tracks: Sequence[Track]) -> float | None:
    gaps = [np.diff(track.times_s) for track in tracks if len(track.times_s) > 1]
    return float(np.median(np.concatenate(gaps))) if gaps else None


def _boards(told: Told) -> list[Labels]:
    signals = (Signal.DCGM_ENERGY, Signal.DCGM_POWER)
    return [track.labels for signal in signals for track in told.get(signal, ()) if board_of(track.labels)]


def _spelling(told: Told) -> tuple[str, ...]:
    words = ("exported_pod", "pod", "Hostname", "hostname")
    return tuple(word for word in words if any(word in labels for labels in _boards(told)))


def _sharing(told: Told) -> dict[str, Sharing]:
    pods: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    sliced = set()
    for labels in _boards(told):
        board, pod = board_of(labels) or "", holder_of(labels)
        pods[board] |= {pod} if pod is not None else set()
        if slice_of(labels) is not None:
            sliced.add(board)
    by_count = {0: Sharing.FREE, 1: Sharing.EXCLUSIVE}
    return {b: Sharing.MIG if b in sliced else by_count.get(len(of), Sharing.TIME_SLICED) for b, of in pods.items()}
