"""Request traces: read from a file or drawn, halved into training and scoring, and what one replica serves of them.

A trace file is CSV, gzip or plain: ``seconds,requests`` for one series, ``seconds,series,requests`` for a fleet.
``seconds`` is the start of a bin, ``requests`` what arrived in it. A pair that is not written held none, and rows of
the same pair add up. Called by ``cli`` and the replay; chance comes from a seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from lull.errors import TraceError
from lull.model.arrays import F64, Bools
from lull.replay.rows import TICKS_PER_S, Rows, read_rows

MOST_BYTES: Final = 2_000_000_000
"""Size above which a trace is refused: a laptop holds it, and a replay needs a few arrays more."""

PEAK_QUANTILE: Final = 0.995
PEAK_REPLICAS: Final = 6.0
"""A replica serves a sixth of the training peak where no capacity is given: sizing then matters, and so does each
replica."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests of every series in bins of one width, from the first bin written to the last."""

    name: str
    bin_s: float
    series: tuple[str, ...]
    """Names, (N,); those of a file are sorted."""
    requests: F64
    """Requests per bin, (T, N)."""

    @property
    def span_s(self) -> float:
        """Seconds from the start of the first bin to the end of the last."""
        return self.bin_s * len(self.requests)


def read(path: Path, *, bin_s: float | None = None) -> Trace:
    """Reads a trace.

    The width of a bin is the greatest common divisor of the distances between the `seconds` in the file, in whatever
    order they stand. A wider one may be asked for: bins are then summed, counted from the first, and the last has what
    is left for it.

    Args:
        path: a CSV file, gzip or not.
        bin_s: width of a bin, a multiple of the file's; absent = the file's.

    Raises:
        TraceError: when the file cannot be read or understood, has one bin only, or would take more than `MOST_BYTES`.
    """
    name = path.name.removesuffix(".gz").removesuffix(".csv") or path.name
    rows = read_rows(path, only_series=name)
    ticks = rows.ticks - rows.ticks.min()
    width = _width(path, rows, bin_s)
    bins, width_s = ticks // width, width / TICKS_PER_S
    length = int(bins.max()) + 1
    if length < 2:
        raise TraceError(f"{path}: all of it lies in one bin of {width_s:g} s; ask for a smaller bin")
    cells = length * len(rows.series)
    if _bytes(cells) > MOST_BYTES:
        wider_s = width_s * math.ceil(_bytes(cells) / MOST_BYTES)
        raise TraceError(
            f"{path}: {length} bins of {width_s:g} s for {len(rows.series)} series take {_bytes(cells) / 1e9:.1f} GB,"
            f" more than {MOST_BYTES / 1e9:g}; ask for a larger bin, of {wider_s:g} s or more"
        )
    counted = np.bincount(bins * len(rows.series) + rows.place, weights=rows.requests, minlength=cells)
    return Trace(name, width_s, rows.series, counted.astype(np.float64, copy=False).reshape(length, -1))


def halves(trace: Trace) -> tuple[Trace, Trace]:
    """The half that trains and tunes and the half that scores; of an odd number of bins the second has one more.

    Raises:
        TraceError: when there are fewer than two bins.
    """
    middle = len(trace.requests) // 2
    if not middle:
        raise TraceError(f"{trace.name}: {len(trace.requests)} bins cannot be halved; give a longer trace")
    return (
        Trace(trace.name, trace.bin_s, trace.series, trace.requests[:middle]),
        Trace(trace.name, trace.bin_s, trace.series, trace.requests[middle:]),
    )


def capacity_rps(training: Trace) -> F64:
    """Requests per second that one replica serves of each series, (N,), where nobody says.

    A sixth of the 99.5th percentile of the training rate. Where that percentile is zero, with nearly all bins empty, a
    sixth of a peak would split single requests over replicas: one replica then serves the percentile of the busy bins.
    NaN where nothing arrived in training: such a series is not suited, since nothing tells its scale.
    """
    return np.array([_capacity_rps(column / training.bin_s) for column in training.requests.T], dtype=np.float64)


def _capacity_rps(rates_rps: F64) -> float:
    busy_rps = rates_rps[rates_rps > 0.0]
    if not len(busy_rps):
        return math.nan
    peak_rps = float(np.quantile(rates_rps, PEAK_QUANTILE))
    return peak_rps / PEAK_REPLICAS if peak_rps > 0.0 else float(np.quantile(busy_rps, PEAK_QUANTILE))


def _bytes(cells: int) -> int:
    return cells * np.dtype(np.float64).itemsize


def _width(path: Path, rows: Rows, bin_s: float | None) -> int:
    """Ticks of a bin."""
    distinct = np.unique(rows.ticks)
    if len(distinct) < 2:
        raise TraceError(
            f"{path}: only one bin, at second {distinct[0] / TICKS_PER_S:g}, so its width cannot be told;"
            " a trace needs at least two"
        )
    found = int(np.gcd.reduce(np.diff(distinct)))
    if bin_s is None:
        return found
    asked = round(bin_s * TICKS_PER_S) if math.isfinite(bin_s) else 0
    if asked < 1 or asked % found or not math.isclose(asked, bin_s * TICKS_PER_S):
        raise TraceError(
            f"{path}: bins of {bin_s:g} s cannot be made of its bins of {found / TICKS_PER_S:g} s;"
            f" ask for a multiple of {found / TICKS_PER_S:g} s"
        )
    return asked


# What follows draws a fleet for who has no trace. A clean sine with Poisson noise would flatter every forecast
# (research/papers.md section 4), so series have hours of their own, noise that wanders, minutes that cluster, outages.


def sample(seed: int, *, days: float = 14, series: int = 12, bin_s: float = 60.0) -> Trace:
    """A drawn fleet: steady, daily, batch, sparse, flash and shifted series in turn, the same for the same seed.

    A series is drawn by its number and the seed alone, so a larger fleet contains the smaller one.

    Args:
        seed: 0 or more.
        days: span, which begins on a Monday.
        series: how many.
        bin_s: width of a bin.

    Raises:
        TraceError: when there would be no series, fewer than two bins, or more than `MOST_BYTES`.
    """
    length = round(days * _DAY_S / bin_s) if bin_s > 0.0 else 0
    if series < 1 or length < 2 or _bytes(length * series) > MOST_BYTES:
        raise TraceError(
            f"a sample of {days:g} days in bins of {bin_s:g} s with {series} series cannot be drawn; ask for one series"
            f" or more, two bins or more, and {MOST_BYTES / 1e9:g} GB or less"
        )
    hours = (np.arange(length, dtype=np.float64) + 0.5) * (bin_s / 3600.0)
    kinds = [list(_KINDS)[number % len(_KINDS)] for number in range(series)]
    requests = np.empty((length, series))
    for number, kind in enumerate(kinds):
        draw = np.random.default_rng([seed, number])
        requests[:, number] = _arrivals(draw, _KINDS[kind](draw, hours), hours, bin_s)
    names = tuple(f"{kind}-{number // len(_KINDS) + 1}" for number, kind in enumerate(kinds))
    return Trace(f"sample-{seed}", bin_s, names, requests)


_DAY_S: Final = 86_400.0


def _arrivals(draw: np.random.Generator, per_minute: F64, hours: F64, bin_s: float) -> F64:
    """Counts around a level: it wanders, its minutes cluster as users do, and now and then nothing comes through."""
    level = per_minute * (bin_s / 60.0) * _wander(draw, hours, spread=0.12, over_h=0.5)
    level[_spells(draw, hours, every_h=100.0, lasting_h=0.5)] = 0.0
    shape = draw.uniform(10.0, 80.0) * bin_s / 60.0
    return draw.poisson(draw.gamma(shape, level / shape)).astype(np.float64)


def _wander(draw: np.random.Generator, hours: F64, *, spread: float, over_h: float) -> F64:
    """A factor around 1 that forgets within some `over_h` hours."""
    knots_h = np.arange(-over_h, hours[-1] + 2.0 * over_h, over_h / 2.0)
    kernel = 0.6 ** np.arange(12.0)
    steps = np.convolve(draw.normal(size=len(knots_h) + len(kernel) - 1), kernel, mode="valid")
    return np.exp(spread * np.interp(hours, knots_h, steps / np.linalg.norm(kernel)))


def _spells(draw: np.random.Generator, hours: F64, *, every_h: float, lasting_h: float) -> Bools:
    """Where one of some spells lies that begin by chance and last log-normally."""
    count = draw.poisson(hours[-1] / every_h)
    begin_h = draw.uniform(0.0, hours[-1], count)
    end_h = begin_h + lasting_h * draw.lognormal(0.0, 0.7, count)
    begun, ended = (np.searchsorted(np.sort(edge_h), hours, side="right") for edge_h in (begin_h, end_h))
    within: Bools = begun > ended
    return within


def _level(draw: np.random.Generator, least: float, most: float) -> float:
    """Requests per minute, spread evenly over the orders of magnitude."""
    return float(np.exp(draw.uniform(np.log(least), np.log(most))))


def _day(draw: np.random.Generator, hours: F64, depth: float) -> F64:
    """A working day at hours of its own, no two days alike, weekends lower by `depth` too."""
    local_h = hours + draw.uniform(0.0, 24.0)
    sharp, second = draw.uniform(1.0, 4.0), draw.uniform(0.0, 0.6)
    bump = np.exp(sharp * (np.cos(2.0 * np.pi * local_h / 24.0) - 1.0))
    bump += second * np.exp(3.0 * sharp * (np.cos(2.0 * np.pi * (local_h - draw.uniform(4.0, 8.0)) / 24.0) - 1.0))
    date = ((local_h + 12.0) // 24.0).astype(np.int64)
    height = draw.lognormal(0.0, 0.15, date[-1] + 1) * np.where(np.arange(date[-1] + 1) % 7 >= 5, 1.0 - depth, 1.0)
    level: F64 = 1.0 - depth + depth * bump * height[date]
    return level


def _steady(draw: np.random.Generator, hours: F64) -> F64:
    return _level(draw, 100.0, 5000.0) * _wander(draw, hours, spread=0.1, over_h=48.0)


def _daily(draw: np.random.Generator, hours: F64) -> F64:
    wander = _wander(draw, hours, spread=0.25, over_h=3.0)
    return _level(draw, 50.0, 5000.0) * _day(draw, hours, draw.uniform(0.6, 0.95)) * wander


def _batch(draw: np.random.Generator, hours: F64) -> F64:
    busy = _spells(draw, hours, every_h=draw.uniform(3.0, 9.0), lasting_h=draw.uniform(0.3, 1.5))
    return _level(draw, 100.0, 2000.0) * busy * _wander(draw, hours, spread=0.3, over_h=2.0)


def _sparse(draw: np.random.Generator, hours: F64) -> F64:
    busy = _spells(draw, hours, every_h=draw.uniform(6.0, 30.0), lasting_h=0.2)
    return np.where(busy, _level(draw, 0.3, 3.0), 0.0)


def _flash(draw: np.random.Generator, hours: F64) -> F64:
    """A mild day with peaks that stand at once and fade."""
    level: F64 = _day(draw, hours, 0.4)
    for peak_h in draw.uniform(0.0, hours[-1], draw.poisson(hours[-1] / 40.0)):
        since_h = hours - peak_h
        level += (since_h >= 0.0) * draw.uniform(1.0, 6.0) * np.exp(-np.maximum(since_h, 0.0) / 0.4)
    return _level(draw, 100.0, 1000.0) * level


def _shifted(draw: np.random.Generator, hours: F64) -> F64:
    """A level that breaks once, for good."""
    after = hours > hours[-1] * draw.uniform(0.3, 0.8)
    return _level(draw, 100.0, 2000.0) * _day(draw, hours, 0.5) * np.where(after, draw.choice([0.4, 2.5]), 1.0)


_KINDS: Final[dict[str, Callable[[np.random.Generator, F64], F64]]] = {
    "steady": _steady,
    "daily": _daily,
    "batch": _batch,
    "sparse": _sparse,
    "flash": _flash,
    "shifted": _shifted,
}
