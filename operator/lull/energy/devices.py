"""What accelerators and processors draw where no meter tells: figures with their sources, as data.

Only what some source says is here (research/energy.md section 2.1, which names the captures); NaN = no source found. A
device that is not in the table is not estimated, unless its power limit is told. Read by ``power``; overridable.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from lull.errors import SettingsError

CONTEXT_STEP_W: Final = 38.0
"""What a CUDA context adds to bare idle where no figure for the device is known: the middle of 26 to 50 W that
arXiv 2605.23918 measured on A100 and H100. An assumption for any other device."""

HIGHEST_RATIO: Final = 0.95
"""Share of the power limit that serving does not exceed."""


@dataclass(frozen=True, slots=True)
class Device:
    """One kind of accelerator."""

    name: str
    pattern: str
    """Regular expression that finds it in the name that NVML, DCGM or a node's label gives."""
    bare_w: float = math.nan
    """Idle, without any process on it."""
    context_w: float = math.nan
    """Idle with a process that holds it: a loaded model. Memory held adds next to nothing."""
    most_w: float = math.nan
    """Default power limit; the enforced one, where it is told, takes its place."""
    base_ratio: float = 0.61
    """Share of the limit that is drawn with 8 sequences running; H100's, unless told."""
    slope_ratio: float = 0.044
    """Share of the limit that each doubling of the concurrency adds; H100's, unless told."""
    is_transferred: bool = True
    """Whether base and slope are those of another device."""
    source: str = ""


DEVICES: Final = (
    Device("T4", r"\bT4\b", 8.5, 29.5, 70.0, source="nvidia-smi captures n=7/3; CCF 8/71 W; mlco2/impact"),
    Device("L4", r"\bL4\b", 15.5, 28.0, 72.0, source="nvidia-smi captures n=5/3, limit read there"),
    Device("A10G", r"\bA10G\b", 18.0, math.nan, 150.0, source="CCF (idle by ratio); g5 boards report 300 W"),
    Device("A40", r"\bA40\b", 30.0, 110.0, source="NVIDIA/open-gpu-kernel-modules#874"),
    Device("L40S", r"\bL40S\b", 24.0, 90.0, 350.0, source="one capture; arXiv 2605.23918: bare + 66 W"),
    Device("V100 SXM", r"V100-SXM", 35.0, 53.0, 300.0, source="CCF (idle by ratio); zai-org/GLM-130B#32"),
    Device("A100 PCIe", r"A100.*PCIe", 50.0, 88.0, 250.0, source="dcgm-exporter#464; arXiv 2605.23918"),
    Device("A100 SXM", r"A100.*SXM", 50.0, 88.0, 400.0, source="dcgm-exporter#464; arXiv 2605.23918"),
    Device("H100 PCIe", r"H100.*PCIe", 70.0, 108.0, 350.0, source="captures n=5; arXiv 2605.23918"),
    Device(
        "H100 SXM",
        r"\bH100.*(SXM|HBM)",
        70.0,
        108.0,
        700.0,
        is_transferred=False,
        source="captures n=5; arXiv 2605.23918; curve of 405 ML.ENERGY v3.0 runs, mean error 15 %",
    ),
    Device("H200 NVL", r"\bH200 NVL", 71.0, math.nan, 600.0, source="captures n=3/2"),
    Device("H200 SXM", r"\bH200\b", 75.5, 116.0, 700.0, source="captures n=3/2; MLPerf v4.1 system file"),
    Device(
        "B200",
        r"\bB200\b",
        137.0,
        math.nan,
        1000.0,
        0.62,
        0.016,
        is_transferred=False,
        source="ROCm/legacy-rocm-build#5219; curve of 433 ML.ENERGY v3.0 runs, mean error 25 %",
    ),
    Device("MI355X", r"MI355X", 238.0, source="ROCm/legacy-rocm-build#5219"),
)
"""Accelerators; the first whose pattern is found is meant."""


@dataclass(frozen=True, slots=True)
class Processor:
    """One family of processors, per vCPU."""

    name: str
    idle_w: float
    busy_w: float
    source: str = "Cloud Carbon Footprint"


PROCESSORS: Final = (
    Processor("unknown", 0.74, 3.5, "Cloud Carbon Footprint, mean of AWS"),
    Processor("haswell", 1.0, 4.74),
    Processor("broadwell", 0.71, 3.69),
    Processor("skylake", 0.65, 4.26),
    Processor("cascade lake", 0.64, 3.97),
    Processor("epyc gen1", 0.82, 2.55),
    Processor("epyc gen2", 0.47, 1.69),
    Processor("epyc gen3", 0.45, 2.02),
)
"""Families of processors; the first stands for those that nobody names."""

MEMORY_W_PER_GB: Final = 0.392
"""Of main memory; Cloud Carbon Footprint (Boavizta: 0.284)."""

HOST_W_PER_GPU: Final = 150.0
"""Share of a server with eight GPUs that is not GPUs; EcoLogits' 1.2 kW for such a host."""


def device_of(name: str, devices: Sequence[Device] = DEVICES) -> Device | None:
    """The device that a name means, as NVML, DCGM or a node's label gives it; None = not in the table."""
    return next((device for device in devices if re.search(device.pattern, name, re.IGNORECASE)), None)


def processor_of(family: str | None) -> Processor:
    """The processor of a family; unknown ones are the mean of a cloud."""
    return next((found for found in PROCESSORS if found.name == (family or "").lower()), PROCESSORS[0])


def overridden(changes: Mapping[str, Mapping[str, float]], devices: Sequence[Device] = DEVICES) -> tuple[Device, ...]:
    """The table with figures of somebody's own; a name that is not in it is a new device, found by that name.

    Args:
        changes: by the device's name, figures by their field: bare_w, context_w, most_w, base_ratio, slope_ratio.
        devices: the table that is changed.

    Raises:
        SettingsError: a field there is not, or a figure out of bounds; all faults at once.
    """
    faults = [
        fault
        for name, figures in changes.items()
        for field, value in figures.items()
        for fault in _faults(name, field, value)
    ]
    if faults:
        raise SettingsError(faults)
    known = {device.name: device for device in devices}
    new = [Device(name, re.escape(name)) for name in changes if name not in known]
    return tuple(_changed(device, changes.get(device.name, {})) for device in (*new, *devices))


_FIGURES: Final = frozenset(field.name for field in fields(Device) if field.name.endswith(("_w", "_ratio")))


def _faults(name: str, field: str, value: float) -> list[str]:
    if field not in _FIGURES:
        return [f"power table: {name} has no field {field!r}; use one of {', '.join(sorted(_FIGURES))}"]
    highest = 1.0 if field.endswith("_ratio") else 10_000.0
    if not 0.0 <= value <= highest:
        return [f"power table: {field} of {name} is {value:g}; it must be from 0 to {highest:g}"]
    return []


def _changed(device: Device, figures: Mapping[str, float]) -> Device:
    if not figures:
        return device
    told: dict[str, Any] = dict(figures)
    is_own_curve = not {"base_ratio", "slope_ratio"}.isdisjoint(figures)
    return replace(device, **told, source="settings", is_transferred=device.is_transferred and not is_own_curve)
