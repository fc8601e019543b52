"""How much counters rose, and over which time that is known.

Called by ``reading`` with samples in joules, and for counters of work. What a counter did while nobody looked is known
as long as it was one count: it is spread evenly over the time between the two samples. A first sample, a reset and too
long a gap tell nothing: their time is not covered, and nothing beyond a last sample is made up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from lull.energy.samples import told_once
from lull.model.arrays import F64, I64, Bools, sums_by
from lull.model.meter import Samples

MAX_GAP_S: Final = 900.0
"""Longest time between two samples of a counter that are taken for one count; three outages of a Prometheus fit."""

MAX_GAUGE_GAP_S: Final = 90.0
"""Longest time between two samples of a gauge: what it showed between them nobody knows."""

_COLLECTED_S: Final = 60.0
"""Age that a value may have when it is told: exporters answer from a cache (dcgm-exporter 30 s, Kepler 5 s)."""

_NEAR: Final = (0.5, 1.5)
"""Bounds of what a wrap or a gap may mean, against the powers right before and after: beyond them there was a reset."""

_GAP_TIMES: Final = 3.0
"""A time between two samples is a gap when it is so many times the usual."""


@dataclass(frozen=True, slots=True)
class Rises:
    """What is known, one element for each pair of samples that tells something, each (P,)."""

    meter: I64
    from_s: F64
    to_s: F64
    amount: F64
    """Rise of the counter, or the integral of the gauge: joules."""
    width: int


@dataclass(frozen=True, slots=True)
class Covered:
    """Amounts in one interval, and how much of it they cover; each (D,)."""

    amount: F64
    """Sum over the covered time; 0 where nothing is covered, which says nothing."""
    covered_s: F64


@dataclass(frozen=True, slots=True)
class Nature:
    """What is known of counters beforehand; each (D,) or one for all."""

    wraps_at: F64 | float = np.nan
    """Where the counter begins anew without a reset: ``max_energy_range_uj`` of RAPL, in joules. NaN = never."""
    most_w: F64 | float = np.inf
    """What the device can draw at most; whatever rises faster is no reading of it."""
    is_steady: bool = True
    """Whether the counter always moves, as an energy does: one that stands still is a reading that hangs, and its next
    rise is spread over all that time. A counter of work may stand still."""
    max_gap_s: float = MAX_GAP_S


def rises(samples: Samples, nature: Nature) -> Rises:
    """Rises of counters, aware of resets, wraps, gaps, duplicates and series that go on under other labels.

    ================================================  ==========================================
    pair of samples                                   what is known
    ================================================  ==========================================
    the first, or after more than ``max_gap_s``       nothing
    rises, not faster than the device can             the difference, spread evenly
    rises faster                                      nothing: that is another counter
    rises over a gap, far less than before and after  nothing: a reset hides in the gap
    falls, and with what lacks to ``wraps_at`` draws  the difference over the wrap
    about what it did right before and after
    falls otherwise                                   nothing: what came before the reset is lost
    ================================================  ==========================================
    """
    told = told_once(samples)
    if nature.is_steady:
        told = told.where(_moves(told))
    meter, from_s, to_s, rise, before = _pairs(told)
    took_s = to_s - from_s
    is_short = took_s <= nature.max_gap_s
    most = _each(nature.most_w, told.width)[meter]
    is_plain = is_short & (rise >= 0.0) & (rise <= most * (took_s + _COLLECTED_S))
    least_w, highest_w = _near_w(meter, np.where(is_plain, rise / took_s, np.nan))
    usual_s = _medians(meter, took_s, told.width)[meter]
    wraps_at = _each(nature.wraps_at, told.width)[meter]
    wrapped = rise + wraps_at
    is_gap = nature.is_steady & (took_s > _GAP_TIMES * usual_s)
    with np.errstate(invalid="ignore"):
        fits = (wrapped >= _NEAR[0] * least_w * took_s) & (wrapped <= _NEAR[1] * highest_w * took_s)
        is_wrap = is_short & ~is_gap & (rise < 0.0) & (before <= wraps_at) & (wrapped <= most * took_s) & fits
        hides_reset = is_gap & (rise < _NEAR[0] * least_w * took_s)
        hides_wrap = is_gap & (took_s * np.where(np.isnan(highest_w), most, highest_w) > wraps_at / 2.0)
    is_known = (is_plain & ~hides_reset & ~hides_wrap) | is_wrap
    amount = np.where(is_wrap, wrapped, rise)
    return Rises(meter[is_known], from_s[is_known], to_s[is_known], amount[is_known], told.width)


def integrals(samples: Samples, most: float, max_gap_s: float = MAX_GAUGE_GAP_S) -> Rises:
    """Integrals of gauges over time by the trapezoid rule, between samples that are close enough.

    Args:
        samples: of the gauge; those below 0 or above ``most`` are none (DCGM's signs for "not supported").
        most: highest value that is one.
        max_gap_s: longest time between two samples.
    """
    told = told_once(samples.where((samples.value >= 0.0) & (samples.value <= most)))
    meter, from_s, to_s, rise, before = _pairs(told)
    took_s = to_s - from_s
    known = took_s <= max_gap_s
    amount = (before + rise / 2.0) * took_s
    return Rises(meter[known], from_s[known], to_s[known], amount[known], told.width)


def within(found: Rises, start_s: float, end_s: float) -> Covered:
    """The part of rises that lies between two moments; rises that reach beyond are cut in proportion."""
    overlap_s = np.clip(np.minimum(found.to_s, end_s) - np.maximum(found.from_s, start_s), 0.0, None)
    amount = found.amount * overlap_s / (found.to_s - found.from_s)
    return Covered(sums_by(found.meter, amount, found.width), sums_by(found.meter, overlap_s, found.width))


def known_until_s(found: Rises) -> F64:
    """End of each meter's last known rise, (D,); NaN = there is none."""
    until_s = np.full(found.width, -np.inf)
    np.maximum.at(until_s, found.meter, found.to_s)
    return np.where(np.isneginf(until_s), np.nan, until_s)


def _moves(told: Samples) -> Bools:
    """Whether a sample differs from the one before, (S,)."""
    moves = np.ones(len(told.meter), dtype=np.bool_)
    moves[1:] = (np.diff(told.meter) != 0) | (np.diff(told.value) != 0.0)
    return moves


def _pairs(told: Samples) -> tuple[I64, F64, F64, F64, F64]:
    """Neighbours of one meter: meter, from when, to when, difference, and the value before."""
    same = np.flatnonzero(np.diff(told.meter) == 0)
    value = told.value
    return told.meter[same], told.time_s[same], told.time_s[same + 1], value[same + 1] - value[same], value[same]


def _near_w(meter: I64, watts: F64) -> tuple[F64, F64]:
    """Lower and higher of the powers in the pairs before and after, (P,); NaN where neither is known."""
    same = meter[1:] == meter[:-1]
    before, after = np.full(len(watts), np.nan), np.full(len(watts), np.nan)
    before[1:][same] = watts[:-1][same]
    after[:-1][same] = watts[1:][same]
    return np.fmin(before, after), np.fmax(before, after)


def _medians(meter: I64, values: F64, width: int) -> F64:
    """Lower median of each meter's values, (D,); NaN = it has none."""
    ordered = values[np.lexsort((values, meter))]
    count = np.bincount(meter, minlength=width)
    medians = np.full(width, np.nan)
    has = count > 0
    medians[has] = ordered[(np.cumsum(count) - count + (count - 1) // 2)[has]]
    return medians


def _each(value: F64 | float, width: int) -> F64:
    return np.broadcast_to(np.asarray(value, dtype=np.float64), (width,))


def _or(value: F64, otherwise: F64) -> F64:
    return np.where(np.isnan(value), otherwise, value)
