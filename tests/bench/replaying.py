"""`lull replay` as its user runs it: all policies over a fleet's fortnight, in seconds on the clock."""

from __future__ import annotations

import csv
import gzip
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from figures import Figure, median_s

from lull.replay.trace import Trace, read, sample

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "traces" / "servegen-m-small-fleet-1min.csv.gz"
_DAYS, _SERIES, _BIN_S = 14.0, 43, 60.0
_TENTH = 0.1


def replaying(*, whole: bool) -> list[Figure]:
    """The fortnight, or a tenth of it taken tenfold."""
    fleet = read(RECORDED) if RECORDED.exists() else sample(1, days=_DAYS, series=_SERIES, bin_s=_BIN_S)
    asked = fleet if whole else _first(fleet, _TENTH)
    with TemporaryDirectory() as folder:
        path = Path(folder, "fleet.csv.gz")
        _write(asked, path)
        before = os.times()
        took_s = median_s(1, lambda: _replay(path), clock=time.perf_counter)
        after = os.times()
    worked_s = after.children_user + after.children_system - before.children_user - before.children_system
    size = f"{fleet.span_s / 86_400.0:.0f} days x {len(fleet.series)} series of {fleet.bin_s / 60.0:g} min"
    name = f"replay/{size}, {'recorded' if RECORDED.exists() else 'drawn'}, all policies once"
    if not whole:
        name += ", ten times a tenth of it"
    times = len(fleet.requests) / len(asked.requests)
    return [
        Figure(name, times * took_s, "s", 180.0),
        # On a machine that others use the clock says little: this is what its two processes did.
        Figure(f"{name}: work", times * worked_s, "CPU s"),
    ]


def _first(trace: Trace, share: float) -> Trace:
    """Its first bins."""
    bins = round(share * len(trace.requests))
    return Trace(trace.name, trace.bin_s, trace.series, trace.requests[:bins])


def _write(trace: Trace, path: Path) -> None:
    with gzip.open(path, "wt", compresslevel=1, newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("seconds", "series", "requests"))
        for i, bin_requests in enumerate(trace.requests):
            for name, requests in zip(trace.series, bin_requests, strict=True):
                if requests:
                    rows.writerow((round(i * trace.bin_s), name, requests))


def _replay(path: Path) -> None:
    subprocess.run([sys.executable, "-m", "lull", "replay", str(path)], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
