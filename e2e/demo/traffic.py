"""Traffic for a run of minutes out of a day that was recorded, or one that is drawn where none is at hand.

Called by the demo and the cluster tests; needs numpy and nothing of Kubernetes. Reading is at the bottom, the
arithmetic above it is pure. A rate is in requests per second, one value per step.
"""

from __future__ import annotations

import csv
import gzip
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Rates = np.ndarray[tuple[int], np.dtype[np.float64]]

DAY_S = 86_400.0
MORNING_S = 9 * 3600.0


class TraceError(ValueError):
    """A trace cannot be used; the message names the file and the mend."""


@dataclass(frozen=True)
class Trace:
    """Arrivals per bin, from second 0 of the recording on; a bin nobody wrote down held none."""

    name: str
    step_s: float
    requests: Rates

    @property
    def span_s(self) -> float:
        return self.step_s * len(self.requests)


def window(trace: Trace, start_s: float, length_s: float) -> Trace:
    """The part of a trace from `start_s` on."""
    first, last = round(start_s / trace.step_s), round((start_s + length_s) / trace.step_s)
    if not 0 <= first < last <= len(trace.requests):
        raise TraceError(
            f"{trace.name}: second {start_s:g} to {start_s + length_s:g} is not in it, it lasts {trace.span_s:g} s;"
            " choose an earlier or shorter window"
        )
    return Trace(trace.name, trace.step_s, trace.requests[first:last])


def compress(trace: Trace, steps: int) -> Rates:
    """The shape of the trace in `steps` equal parts: the mean rate of each, no request left out or counted twice."""
    counted = np.concatenate(([0.0], np.cumsum(trace.requests)))
    edges = np.linspace(0.0, len(trace.requests), steps + 1)
    arrived = np.interp(edges, np.arange(len(counted)), counted)
    return np.diff(arrived) / (trace.span_s / steps)


def scale(rates: Rates, peak_rps: float, quantile: float = 1.0) -> Rates:
    """The same shape with `quantile` of its steps at or below `peak_rps`; 1.0 makes it the highest step."""
    reference = float(np.quantile(rates, quantile))
    if reference <= 0.0:
        raise TraceError(f"nothing to scale: the {quantile:g} quantile of the rates is 0; choose a busier window")
    return rates * (peak_rps / reference)


def drawn_day(seed: int, step_s: float = 60.0) -> Trace:
    """A day that never was: a quiet night, a peak before and one after noon, noise, and one sudden burst."""
    chance = np.random.default_rng(seed)
    hours = np.arange(0.0, 24.0, step_s / 3600.0)
    level = 0.08 + 0.75 * _bump(hours, 10.8, 1.7) + 0.9 * _bump(hours, 15.4, 2.1) + 0.12 * _bump(hours, 20.5, 1.5)
    burst_at = chance.uniform(17.8, 19.0)
    level += 0.55 * ((hours >= burst_at) & (hours < burst_at + 0.5))
    return Trace(f"drawn-{seed}", step_s, chance.poisson(1000.0 * level * _noise(chance, len(hours))).astype(float))


def _bump(hours: Rates, centre_h: float, width_h: float) -> Rates:
    return np.exp(-0.5 * ((hours - centre_h) / width_h) ** 2)


def _noise(chance: np.random.Generator, length: int) -> Rates:
    """A factor around 1 that wanders over some minutes, as crowds do, instead of jumping from bin to bin."""
    memory, spread = 0.9, 0.06
    steps = chance.normal(0.0, spread * math.sqrt(1.0 - memory**2), length)
    wander = np.zeros(length)
    for index in range(1, length):
        wander[index] = memory * wander[index - 1] + steps[index]
    return np.exp(wander)


def trace_folder(environment: Mapping[str, str], repository: Path) -> Path | None:
    """Where recorded traces lie, if they do: LULL_TRACES, else `shared/traces` beside the repository."""
    named = environment.get("LULL_TRACES")
    folder = Path(named) if named else repository.parent / "shared" / "traces"
    if folder.is_dir():
        return folder
    if named:
        raise TraceError(f"LULL_TRACES={named} is no folder; point it at the traces, or unset it for a drawn day")
    return None


def read_trace(path: Path, series: Iterable[str] | None = None) -> Trace:
    """Read `seconds,requests[,...]` or a fleet's `seconds,series,requests[,...]`, plain or gzip.

    A fleet is summed, over `series` where they are named, over all where not.
    """
    wanted = None if series is None else set(series)
    seconds: list[float] = []
    requests: list[float] = []
    for row in _rows(path):
        if wanted is None or row.get("series") in wanted:
            seconds.append(float(row["seconds"]))
            requests.append(float(row["requests"]))
    if not seconds:
        raise TraceError(f"{path.name}: no rows{'' if wanted is None else f' of {sorted(wanted)}'}; check the series")
    return _binned(path.name, np.asarray(seconds), np.asarray(requests))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as lines:
        reader = csv.DictReader(lines)
        if not {"seconds", "requests"} <= set(reader.fieldnames or ()):
            raise TraceError(f"{path.name}: columns are {reader.fieldnames}; it needs 'seconds' and 'requests'")
        yield from reader


def _binned(name: str, seconds: Rates, requests: Rates) -> Trace:
    """Sparse rows to dense bins; the step is the smallest distance between two that are written."""
    distinct = np.unique(seconds)
    step_s = float(np.diff(distinct).min()) if len(distinct) > 1 else 1.0
    places = np.rint(seconds / step_s).astype(int)
    return Trace(name, step_s, np.bincount(places, weights=requests).astype(float))


def day_of(environment: Mapping[str, str], repository: Path, name: str, day: int, seed: int) -> Trace:
    """Day `day` of the trace called `name`, or a drawn day where there are no traces."""
    folder = trace_folder(environment, repository)
    path = None if folder is None else folder / f"{name}.csv.gz"
    if path is None or not path.exists():
        return drawn_day(seed)
    return window(read_trace(path), day * DAY_S, DAY_S)


def demo_day(day: int, seed: int) -> Trace:
    """The day the demo replays, of a production code-completion service: from the quiet end of the night, a tenth of
    the afternoon's load, until midnight. A whole day would press its morning into the seconds a pod takes to start.
    """
    whole = day_of(os.environ, Path(__file__).resolve().parents[2], "azure-llm-2024-code-1min", day, seed)
    return window(whole, MORNING_S, DAY_S - MORNING_S)
