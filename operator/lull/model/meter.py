"""What meters tell: samples in joules, watts, seconds and ratios, and what each series is about.

Made by ``adapters`` out of whatever the meters call it; concluded from in ``energy``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np

from lull.model.arrays import F64, I64, Bools
from lull.model.spec import Key


class Signal(StrEnum):
    """What is read."""

    DCGM_ENERGY = "dcgm_energy"
    DCGM_POWER = "dcgm_power"
    DCGM_UTIL = "dcgm_util"
    DCGM_ENGINE = "dcgm_engine"
    DCGM_LIMIT = "dcgm_limit"
    KEPLER_NODE = "kepler_node"
    KEPLER_IDLE = "kepler_idle"
    KEPLER_POD = "kepler_pod"
    KEPLER_GPU = "kepler_gpu"
    KEPLER_GPU_POD = "kepler_gpu_pod"
    OLD_KEPLER_NODE = "old_kepler_node"
    OLD_KEPLER_POD = "old_kepler_pod"
    TRITON_ENERGY = "triton_energy"
    TRITON_LIMIT = "triton_limit"
    SCAPHANDRE_HOST = "scaphandre_host"
    SCAPHANDRE_PROCESS = "scaphandre_process"
    RAPL = "rapl"
    CPU_SECONDS = "cpu_seconds"
    CPU_ROOT = "cpu_root"
    CPU_COUNT = "cpu_count"
    CPU_REQUEST = "cpu_request"


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of time."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """Its seconds."""
        return self.end_s - self.start_s


class Part(NamedTuple):
    """A MIG slice of a board."""

    number: str
    size_ratio: float
    """Share of the board's compute slices that it has."""


class Meter(NamedTuple):
    """What a series is about; None where it is about none."""

    board: str | None = None
    """UUID of a GPU; a slice has its board's."""
    part: Part | None = None
    node: str | None = None
    pod: Key | None = None
    series: str = ""
    """Which of several of one pod or node: zone, container, process."""
    product: str = ""
    """What the driver calls the board; "" = not told."""
    is_idle: bool = False
    """Whether it counts joules that are called idle, where others count the rest."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Readings of many meters in any order, one element per sample, each (S,)."""

    meter: I64
    """Which meter was read, from 0 to ``width`` - 1."""
    source: I64
    """Who told: one number for each exporter, so that two who read the same meter are not taken for one."""
    time_s: F64
    value: F64
    """Joules or seconds of a counter, watts or a ratio of a gauge."""
    width: int
    """How many meters there are."""

    def where(self, chosen: Bools | I64) -> Samples:
        """Some of the samples, or all in another order."""
        return Samples(self.meter[chosen], self.source[chosen], self.time_s[chosen], self.value[chosen], self.width)

    @staticmethod
    def none(width: int) -> Samples:
        """No sample of any of so many meters."""
        return Samples(_NONE, _NONE, np.empty(0), np.empty(0), width)


_NONE: Final = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Series:
    """Samples of one signal, and what each of its series is about."""

    meters: tuple[Meter, ...]
    samples: Samples


Told = Mapping[Signal, Series]
"""What was read, by signal; a signal that has no series is not in it."""
