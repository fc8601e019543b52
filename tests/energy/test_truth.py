"""Simulated devices of which every joule is known, read through counters that do what counters do.

Devices reset, wrap and hand over; exporters restart, move and hang; scrapes fail, come twice and come late; boards are
told once for each of their pods. What the ledger says of the covered time must be the truth within a hundredth, and
attributed and unallocated joules must be those metered, always.
"""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lull.adapters.meters import series_of
from lull.adapters.prometheus import Track
from lull.energy.attribution import Attributed
from lull.energy.clerk import Clerk, Readings, may_close
from lull.energy.ledger import Ledger
from lull.energy.periods import Period
from lull.energy.reading import RAPL_RANGES_J, readings
from lull.model.arrays import F64
from lull.model.meter import Interval, Signal
from lull.model.spec import Key
from minutes import an_account

START_S = 1_790_000_040.0
MINUTES = 40
LENGTH_S = 60.0
SECONDS = int(MINUTES * LENGTH_S)
PODS = [Key("demo", f"p{i}") for i in range(4)]
ACCOUNTS = [an_account(pod.name) for pod in PODS]


@dataclass
class Device:
    """A board or a socket: what it drew, second by second, and who had it."""

    name: str
    is_gpu: bool
    watts: F64
    holders: np.ndarray
    """Number of the pod of each second; -1 = none, -2 = the first two share it."""

    def energy_j(self, start_s: float, end_s: float) -> float:
        """The truth: joules between two moments, in seconds since the start."""
        whole = np.concatenate([[0.0], np.cumsum(self.watts)])
        return float(np.diff(np.interp([start_s, end_s], np.arange(len(whole)), whole))[0])


def a_device(draw: np.random.Generator, number: int) -> Device:
    is_gpu = number % 2 == 0
    levels = draw.uniform(70.0, 700.0, 8) if is_gpu else draw.uniform(60.0, 250.0, 8)
    watts = np.repeat(levels, SECONDS // 8) * draw.uniform(0.97, 1.03, SECONDS)
    shifts = np.sort(draw.integers(0, SECONDS, 3))
    holders = draw.integers(-2, len(PODS), 4)[np.searchsorted(shifts, np.arange(SECONDS), side="right")]
    return Device(f"GPU-{number}" if is_gpu else f"n{number}", is_gpu, watts, holders)


def counted(device: Device, draw: np.random.Generator, resets_s: list[float]) -> F64:
    """What the counter shows at each second, in joules: with resets to 0, and a wrap where it is RAPL's."""
    total = np.concatenate([[0.0], np.cumsum(device.watts)])[:-1]
    base = draw.uniform(0.0, RAPL_RANGES_J[1])
    shown = total + base
    for at_s in resets_s:
        at = int(at_s)
        shown[at:] = total[at:] - total[at]
    return shown if device.is_gpu else shown % RAPL_RANGES_J[1]


def scrapes(draw: np.random.Generator, step_s: float) -> F64:
    """Moments of scrapes: with jitter, single losses, and one outage."""
    at_s = np.arange(0.0, SECONDS - 1.0, step_s) + draw.uniform(0.0, 0.2 * step_s)
    at_s = at_s[draw.random(len(at_s)) > 0.05]
    outage_s = draw.uniform(0.0, SECONDS)
    return at_s[(at_s < outage_s) | (at_s > outage_s + draw.choice([0.0, 90.0, 400.0]))]


def labels_of(device: Device, holder: int, instance: str) -> list[dict[str, str]]:
    """Labels of the series that tell of it: one for each pod that has it."""
    if not device.is_gpu:
        return [{"__name__": "node_rapl_package_joules_total", "index": "0", "node": device.name, "instance": instance}]
    whole = {"UUID": device.name, "gpu": "0", "modelName": "NVIDIA H100 80GB HBM3", "instance": instance}
    pods = [PODS[0], PODS[1]] if holder == -2 else [PODS[holder]] if holder >= 0 else []
    return [whole | {"namespace": pod.namespace, "pod": pod.name} for pod in pods] or [whole]


def told_of(device: Device, draw: np.random.Generator) -> list[Track]:
    """Its series as Prometheus has them.

    Resets are ten minutes apart: one that hits a counter before it counted more than a gap's joules can look as if the
    device had drawn less, and nobody could tell.
    """
    first_s = draw.uniform(300.0, SECONDS)
    resets_s = [first_s, first_s + draw.uniform(600.0, SECONDS)][: draw.integers(0, 3)]
    resets_s = [at_s for at_s in resets_s if at_s < SECONDS]
    shown = counted(device, draw, resets_s)
    moved_s = draw.uniform(0.0, 2.0 * SECONDS)
    points: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}

    def note(at_s: float, value: float, instance: str) -> None:
        for labels in labels_of(device, int(device.holders[int(at_s)]), instance):
            points.setdefault(tuple(sorted(labels.items())), []).append((START_S + at_s, value))

    unit = 1000.0 if device.is_gpu else 1.0
    for at_s in scrapes(draw, draw.choice([10.0, 15.0, 30.0])):
        value = unit * (shown[int(at_s)] + (at_s % 1.0) * device.watts[int(at_s)])
        note(at_s, value, "a:9400" if at_s < moved_s else "b:9400")
        if draw.random() < 0.3:
            note(at_s, value, "replica:9400")
    return [
        Track(dict(labels), np.array([at_s for at_s, _ in of]), np.array([value for _, value in of]))
        for labels, of in points.items()
    ]


@dataclass
class World:
    devices: list[Device]
    tracks: dict[Signal, list[Track]]


def a_world(seed: int, count: int) -> World:
    chance = np.random.default_rng(seed)
    devices = [a_device(chance, number) for number in range(count)]
    tracks: dict[Signal, list[Track]] = {Signal.DCGM_ENERGY: [], Signal.RAPL: []}
    for device in devices:
        tracks[Signal.DCGM_ENERGY if device.is_gpu else Signal.RAPL] += told_of(device, chance)
    return World(devices, tracks)


def heard(world: World, over: Interval, now_s: float) -> Readings:
    """What was scraped until now, and a quarter of an hour before the interval."""
    told = {}
    for signal, tracks in world.tracks.items():
        ends = [np.searchsorted(track.times_s, [over.start_s - 900.0, now_s]) for track in tracks]
        cut = [
            Track(track.labels, track.times_s[first:last], track.values[first:last])
            for track, (first, last) in zip(tracks, ends, strict=True)
            if first < last
        ]
        series = series_of(signal, cut, {})
        if series.meters:
            told[signal] = series
    return readings(told, over)


def concluded(world: World, clerk: Clerk, minute: int) -> tuple[Attributed, tuple[str, ...]]:
    """What the operator concludes of a minute, as soon as it may."""
    over = Interval(START_S + LENGTH_S * minute, START_S + LENGTH_S * (minute + 1))
    now_s = over.end_s + 60.0
    while not may_close(found := heard(world, over, now_s), now_s):
        now_s += 120.0
    running = np.full(len(found.devices), np.nan)
    return clerk.conclude(found, {pod: i for i, pod in enumerate(PODS)}, running), found.devices


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.integers(1, 3))
def test_what_is_covered_is_the_truth_and_every_joule_is_somebodys(seed: int, count: int) -> None:
    world = a_world(seed, count)
    clerk, ledger = Clerk(), Ledger(ZoneInfo("Europe/Berlin"))
    by_name = {("" if device.is_gpu else "cpu/") + device.name: device for device in world.devices}
    told_j = np.zeros(len(by_name))
    truth_j = np.zeros(len(by_name))
    entered_j = covered_s = 0.0
    for minute in range(MINUTES):
        found, names = concluded(world, clerk, minute)
        assert found.is_conserved.all()
        assert np.abs(found.residual_j).max(initial=0.0) <= 1e-6
        is_whole = found.covered_s >= LENGTH_S - 1e-6
        for at in np.flatnonzero(is_whole):
            device = list(by_name).index(names[at])
            told_j[device] += found.known_j[at]
            truth_j[device] += by_name[names[at]].energy_j(LENGTH_S * minute, LENGTH_S * (minute + 1))
        covered_s += found.covered_s.sum()
        ledger.enter(found, ACCOUNTS, names)
        ledger.enter(found, ACCOUNTS, names)
        entered_j += found.known_j.sum()
    assert told_j == pytest.approx(truth_j, rel=0.01)
    assert covered_s > 0.5 * LENGTH_S * MINUTES * len(by_name), "or nothing was tested"
    assert ledger.totals_j()[:2].sum() == pytest.approx(entered_j, rel=1e-9)
    assert ledger.breaches == 0
    month, _ = ledger.book.present(Period.MONTH, START_S + SECONDS)
    assert np.nansum(month) == pytest.approx(entered_j, rel=1e-9)
