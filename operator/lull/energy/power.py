"""Watts that nobody measured: three states of a device, and a curve over the logarithm of the concurrency.

Utilisation says no more than that some kernel ran; what a board draws while it decodes follows how many sequences it
works on. Formula and its error: research/energy.md section 2.4. Called where a device has no meter, or none just now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from lull.energy.devices import CONTEXT_STEP_W, DEVICES, HIGHEST_RATIO, Device, Processor, device_of
from lull.energy.method import FITTED_SIGMA_RATIO, SIGMA_RATIO, Method
from lull.model.arrays import F64, I64, Bools

PIVOT: Final = 8.0
"""The concurrency at which a curve's base is taken."""


@dataclass(frozen=True, slots=True)
class Profiles:
    """What each device draws, each (D,); NaN = unknown."""

    bare_w: F64
    context_w: F64
    limit_w: F64
    base_ratio: F64
    slope_ratio: F64
    is_fitted: Bools
    """Whether the curve was fitted to the device's own meter."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What each device draws by the model, each (D,)."""

    watts: F64
    """NaN = not known even so."""
    method: I64
    sigma_ratio: F64


def profiles_of(names: Sequence[str], limits_w: F64, devices: Sequence[Device] = DEVICES) -> Profiles:
    """Profiles from the table.

    Args:
        names: of the devices, as NVML or DCGM gives them.
        limits_w: enforced power limits, (D,); NaN = not told, and then the table's counts.
        devices: the table.
    """
    unknown = Device("unknown", "")
    kinds = {name: device_of(name, devices) or unknown for name in set(names)}
    found = [kinds[name] for name in names]
    bare_w = np.array([device.bare_w for device in found])
    context_w = np.array([device.context_w for device in found])
    return Profiles(
        bare_w,
        np.where(np.isnan(context_w), bare_w + CONTEXT_STEP_W, context_w),
        np.where(np.isnan(limits_w), [device.most_w for device in found], limits_w),
        np.array([device.base_ratio for device in found]),
        np.array([device.slope_ratio for device in found]),
        np.zeros(len(found), dtype=np.bool_),
    )


def estimate(profiles: Profiles, is_held: Bools, running: F64) -> Estimate:
    """What devices draw.

    ========  =======  =======================  ======
    held      running  watts                    method
    ========  =======  =======================  ======
    no        any      bare idle                TIME
    yes       0        context idle             CURVE
    yes       0..1     between, by share        CURVE
    yes       1..      the curve                CURVE
    yes       unknown  context idle             TIME
    any       any      the limit, if that is    LIMIT
                       all that is known
    ========  =======  =======================  ======

    Args:
        profiles: of the devices.
        is_held: whether a model is loaded, (D,).
        running: mean number of sequences that a device works on, (D,); NaN = unknown.
    """
    active_w = active_power_w(profiles, running)
    by_model_w = np.where(is_held, np.where(np.isnan(running), profiles.context_w, active_w), profiles.bare_w)
    has_load = is_held & ~np.isnan(running)
    method = np.where(has_load, int(Method.CURVE), int(Method.TIME))
    is_bound = np.isnan(by_model_w)
    watts = np.where(is_bound, profiles.limit_w, by_model_w)
    method = np.where(is_bound, np.where(np.isnan(watts), int(Method.UNKNOWN), int(Method.LIMIT)), method)
    sigma_ratio = np.where(profiles.is_fitted & (method == int(Method.CURVE)), FITTED_SIGMA_RATIO, SIGMA_RATIO[method])
    return Estimate(watts, method.astype(np.int64), sigma_ratio)


def active_power_w(profiles: Profiles, running: F64) -> F64:
    """Power with a model loaded: ``limit * clamp(base + slope * log2(n / 8), context / limit, 0.95)``.

    Below one sequence on average the device works part of the time: power goes straight from context idle to that of
    one sequence.

    Args:
        profiles: of the devices, (D,).
        running: mean number of sequences, (D,); NaN gives NaN.
    """
    doublings = np.log2(np.maximum(running, 1.0) / PIVOT)
    highest_w = np.maximum(HIGHEST_RATIO * profiles.limit_w, profiles.context_w)
    curve_w = profiles.limit_w * (profiles.base_ratio + profiles.slope_ratio * doublings)
    busy_w = np.clip(curve_w, profiles.context_w, highest_w)
    share = np.clip(running, 0.0, 1.0)
    return np.where(share == 0.0, profiles.context_w, profiles.context_w + share * (busy_w - profiles.context_w))


def estimate_processors(processor: Processor, vcpus: F64, busy_cores: F64) -> Estimate:
    """What processors draw; half of them at work where nobody tells (Cloud Carbon Footprint's rule), by time alone."""
    is_told = ~np.isnan(busy_cores)
    watts = processor_w(processor, vcpus, np.where(is_told, busy_cores, vcpus / 2.0))
    method = np.where(is_told, int(Method.CURVE), int(Method.TIME))
    method = np.where(np.isnan(watts), int(Method.UNKNOWN), method).astype(np.int64)
    return Estimate(watts, method, SIGMA_RATIO[method])


def processor_w(processor: Processor, vcpus: F64, busy_cores: F64) -> F64:
    """Power of processors by their vCPUs and how many of them work; either may be NaN, and then it is.

    Linear between idle and busy, after Cloud Carbon Footprint.
    """
    return vcpus * processor.idle_w + np.minimum(busy_cores, vcpus) * (processor.busy_w - processor.idle_w)
