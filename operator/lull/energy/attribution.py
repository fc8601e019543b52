"""Who used a device's joules in one interval: all of them are somebody's, or nobody's and told as such.

The floor is shared by reservation, since reserved hardware counts whether it works or not; what is above it by
activity. Rules: research/energy.md section 1.4. Called by the loop once an interval, with the whole fleet in arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from lull.energy.method import IS_MEASURED, SIGMA_RATIO, Method
from lull.energy.power import Estimate
from lull.model.arrays import F64, I64, Bools, sums_by
from lull.model.meter import Interval

FOREIGN: Final = -1
"""A holder that is none of Lull's models."""

TOLERANCE_RATIO: Final = 0.01
"""Share of a device's joules that may be lost or made up before it counts as a fault of Lull's own."""

_ROUNDING: Final = 1e-12
"""Shares of several holders add up to 1 but for so much."""


class ShareKey(IntEnum):
    """By what the joules above the floor were shared."""

    NOBODY = 0
    SOLE = 1
    ACTIVITY = 2
    RESERVATION = 3


@dataclass(frozen=True, slots=True)
class Metered:
    """What meters told of each device in one interval, each (D,)."""

    joules: F64
    """Over the covered time."""
    covered_s: F64
    method: I64
    """The way that was taken, a ``Method``; ``UNKNOWN`` where none worked."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """Who has what, one element for each holder of each device, each (H,)."""

    device: I64
    holder: I64
    """Number of the model; ``FOREIGN`` = a pod that is no model's."""
    reserved_ratio: F64
    """Share of the device that is reserved for it; NaN = unknown, an equal share."""
    activity: F64
    """What it did, in any unit that is the same for all on one device; NaN = unknown."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Joules by kind, for holders (H,) or for what is left of each device (D,)."""

    idle_j: F64
    dynamic_j: F64
    measured_j: F64
    """The part of both that a meter told; the rest is the model's."""
    sigma_j: F64
    """Uncertainty. Meters err alike from one interval to the next, so that sums of it are taken straight."""


@dataclass(frozen=True, slots=True)
class Attributed:
    """One interval of the whole fleet."""

    interval: Interval
    holdings: Holdings
    shares: Parts
    """Of each holder, (H,)."""
    unallocated: Parts
    """Of each device what nobody reserved or did, (D,)."""
    known_j: F64
    """Joules of each device, measured or estimated, (D,)."""
    covered_s: F64
    """Seconds of the interval that were measured, (D,)."""
    unknown_s: F64
    """Seconds of which nothing is known, not even by the model, (D,). Their joules are nowhere."""
    method: I64
    """How it is known, (D,)."""
    share_key: I64
    """A ``ShareKey`` of each device, (D,)."""
    has_floor: Bools
    """Whether the floor is known, (D,); where not, all joules count as dynamic."""

    @property
    def residual_j(self) -> F64:
        """What was lost, above 0, or made up, below, (D,)."""
        return self.known_j - self.attributed_j - self.unallocated.idle_j - self.unallocated.dynamic_j

    @property
    def attributed_j(self) -> F64:
        """Joules of each device that somebody has, (D,)."""
        return sums_by(self.holdings.device, self.shares.idle_j + self.shares.dynamic_j, len(self.known_j))

    @property
    def is_conserved(self) -> Bools:
        """Whether attributed and unallocated joules are those known, within a hundredth, (D,)."""
        return np.abs(self.residual_j) <= TOLERANCE_RATIO * self.known_j + 1e-6


def attribute(metered: Metered, otherwise: Estimate, floor_w: F64, holdings: Holdings, over: Interval) -> Attributed:
    """Shares each device's joules among its holders.

    What is above the floor goes by activity where that is known of all holders and not zero, else by reservation; what
    is reserved for nobody of the floor is unallocated, and all of it where there is no holder.

    Args:
        metered: of each device.
        otherwise: what the model says of each device, for the time that no meter covers.
        floor_w: what each device draws without working, in its present state, (D,); NaN = unknown.
        holdings: who has what.
        over: which interval.
    """
    length_s, width = over.length_s, len(metered.joules)
    covered_s = np.where(metered.method > 0, np.clip(metered.covered_s, 0.0, length_s), 0.0)
    measured_j = np.where(covered_s > 0.0, metered.joules, 0.0)
    rest_s = length_s - covered_s
    is_known = np.isfinite(otherwise.watts) | (rest_s <= 0.0)
    estimated_j = np.where(is_known & (rest_s > 0.0), otherwise.watts * rest_s, 0.0)
    unknown_s = np.where(is_known, 0.0, rest_s)
    known_j = measured_j + estimated_j
    has_floor = np.isfinite(floor_w)
    idle_j = np.where(has_floor, np.minimum(known_j, floor_w * (length_s - unknown_s)), 0.0)
    reserved, active, share_key = _keys(holdings, width)
    method, sigma_ratio = _method(metered.method, holdings, reserved, width)
    measured_ratio = np.divide(measured_j, known_j, out=np.zeros(width), where=known_j > 0.0)
    by_model = np.where(estimated_j > 0.0, otherwise.sigma_ratio, 0.0)
    spread_ratio = measured_ratio * np.where(measured_j > 0.0, sigma_ratio, 0.0) + (1.0 - measured_ratio) * by_model
    at = holdings.device
    shares = _parts(idle_j[at] * reserved, (known_j - idle_j)[at] * active, measured_ratio[at], spread_ratio[at])
    left_idle_j = idle_j * _left(at, reserved, width)
    left_dynamic_j = (known_j - idle_j) * _left(at, active, width)
    return Attributed(
        interval=over,
        holdings=holdings,
        shares=shares,
        unallocated=_parts(left_idle_j, left_dynamic_j, measured_ratio, spread_ratio),
        known_j=known_j,
        covered_s=covered_s,
        unknown_s=unknown_s,
        method=np.where(covered_s > 0.0, method, np.where(estimated_j > 0.0, otherwise.method, int(Method.UNKNOWN))),
        share_key=share_key,
        has_floor=has_floor,
    )


def _parts(idle_j: F64, dynamic_j: F64, measured_ratio: F64, spread_ratio: F64) -> Parts:
    total_j = idle_j + dynamic_j
    return Parts(idle_j, dynamic_j, total_j * measured_ratio, total_j * spread_ratio)


def _keys(holdings: Holdings, width: int) -> tuple[F64, F64, I64]:
    """Each holder's share of the floor and of what is above it, (H,), and by what the latter was shared, (D,)."""
    at = holdings.device
    count = np.bincount(at, minlength=width)
    reserved = _reserved(holdings, count)
    by_reservation = _ratio(reserved, sums_by(at, reserved, width)[at])
    by_reservation = np.where(sums_by(at, reserved, width)[at] > 0.0, by_reservation, 1.0 / count[at])
    activity = np.clip(holdings.activity, 0.0, None)
    total = sums_by(at, activity, width)
    has_activity = np.isfinite(total) & (total > 0.0)
    active = np.where(has_activity[at], _ratio(activity, total[at]), by_reservation)
    key = np.where(has_activity, int(ShareKey.ACTIVITY), int(ShareKey.RESERVATION))
    key = np.where(count == 1, int(ShareKey.SOLE), np.where(count == 0, int(ShareKey.NOBODY), key))
    return reserved, active, key.astype(np.int64)


def _reserved(holdings: Holdings, count: I64) -> F64:
    """Share of the device of each holder, (H,); together at most 1."""
    at, width = holdings.device, len(count)
    known = np.isfinite(holdings.reserved_ratio)
    told = np.where(known, np.clip(holdings.reserved_ratio, 0.0, None), 0.0)
    known_count = np.bincount(at[known], minlength=width)
    mean = np.divide(sums_by(at, told, width), known_count, out=np.zeros(width), where=known_count > 0)
    equal = np.where(known_count > 0, mean, 1.0 / np.maximum(count, 1))
    reserved = np.where(known, told, equal[at])
    return reserved / np.maximum(1.0, sums_by(at, reserved, width))[at]


def _method(method: I64, holdings: Holdings, reserved: F64, width: int) -> tuple[I64, F64]:
    """The way and its uncertainty: a counter of a board that is not one holder's alone tells a split."""
    count = np.bincount(holdings.device, minlength=width)
    is_split = (count > 1) | ((count == 1) & (sums_by(holdings.device, reserved, width) < 1.0 - TOLERANCE_RATIO))
    method = np.where((method == int(Method.COUNTER)) & is_split, int(Method.SHARED_COUNTER), method).astype(np.int64)
    sigma_ratio = SIGMA_RATIO[method]
    is_shared = is_split & IS_MEASURED[method]
    return method, np.where(is_shared, np.maximum(sigma_ratio, SIGMA_RATIO[Method.SHARED_COUNTER]), sigma_ratio)


def _left(at: I64, share: F64, width: int) -> F64:
    """What the holders' shares leave of each device, (D,)."""
    left = 1.0 - sums_by(at, share, width)
    return np.where(left > _ROUNDING, left, 0.0)


def _ratio(part: F64, whole: F64) -> F64:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0.0)
