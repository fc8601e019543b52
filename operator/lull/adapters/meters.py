"""What meters tell of one interval, whichever there are: one read for the whole fleet.

Kepler in both dialects, dcgm-exporter, Triton, Scaphandre, RAPL by node_exporter, and cAdvisor's processor seconds.
What each of them calls what is in ``meter_dialects``; who has which device is found by ``meter_holders``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from lull.adapters.meter_dialects import (
    DIALECTS,
    MOST_CPU_W,
    MOST_GPU_W,
    RAPL_RANGES_J,
    Labels,
    Signal,
    board_of,
    node_of,
    product_of,
    query,
    zone_of,
)
from lull.adapters.meter_holders import CPU, Holders, Told, board_holders, node_holders
from lull.adapters.meter_samples import Meters, joined, last
from lull.adapters.prometheus import Prometheus
from lull.energy.attribution import Interval
from lull.energy.clerk import Readings
from lull.energy.counters import MAX_GAP_S, Nature, Rises, integrals, rises, within
from lull.energy.method import Method
from lull.errors import LullError
from lull.model.arrays import F64

LAG_S: Final = 60.0
"""Time after an interval in which its last samples come: exporters answer from caches, and Prometheus asks in turn."""

MARGIN_S: Final = 120.0
"""How far before an interval samples are wanted, so that its beginning lies between two."""

_TOLD_S: Final = 3600.0
"""Age up to which what hardly changes still holds: limits, numbers of processors."""

_BOARD_WAYS: Final = (
    (Signal.DCGM_ENERGY, Method.COUNTER),
    (Signal.KEPLER_GPU, Method.POD_COUNTERS),
    (Signal.TRITON_ENERGY, Method.SERVER_COUNTER),
    (Signal.DCGM_POWER, Method.POWER_GAUGE),
)
_NODE_WAYS: Final = (
    (Signal.OLD_KEPLER_NODE, Method.POD_COUNTERS),
    (Signal.KEPLER_NODE, Method.POD_COUNTERS),
    (Signal.RAPL, Method.SHARED_COUNTER),
    (Signal.SCAPHANDRE_HOST, Method.POWER_GAUGE),
)
"""The later one wins where a device has two of one kind."""

_NODE_SIGNALS: Final = (*(signal for signal, _ in _NODE_WAYS), Signal.CPU_ROOT, Signal.CPU_SECONDS, Signal.CPU_COUNT)


@dataclass(frozen=True, slots=True)
class Heard:
    """Answers of one read."""

    told: Told
    errors: Mapping[Signal, LullError]
    """Signals that could not be read: what they would have told is unknown for now."""


async def hear(
    prometheus: Prometheus, over: Interval, signals: Collection[Signal] = tuple(Signal), *, is_long: bool = False
) -> Heard:
    """Reads the raw samples around an interval, one query a signal.

    Args:
        prometheus: who is asked.
        over: the interval; it should be over for ``LAG_S``.
        signals: those there are, as ``meter_discovery`` found them.
        is_long: whether to look as far back as a counter may be bridged: after an outage.
    """
    at_s = over.end_s + LAG_S
    window_s = at_s - over.start_s + (MAX_GAP_S if is_long else MARGIN_S)
    answers = await prometheus.read_samples({signal: query(signal, window_s) for signal in signals}, at_s)
    return Heard(
        {signal: answer for signal, answer in answers.items() if not isinstance(answer, LullError)},
        {signal: answer for signal, answer in answers.items() if isinstance(answer, LullError)},
    )


def readings(
    told: Told,
    over: Interval,
    nodes: Mapping[str, str] | None = None,
    ranges_j: Sequence[float] = RAPL_RANGES_J,
) -> Readings:
    """What meters told of an interval.

    Args:
        told: series by signal.
        over: the interval.
        nodes: names of nodes by address, of themselves or of pods on them, where a series carries no better.
        ranges_j: where RAPL's counters may begin anew, the least first.
    """
    nodes = {**_named_nodes(told), **(nodes or {})}
    boards = _names(told, [signal for signal, _ in _BOARD_WAYS], board_of)
    hosts = [CPU + node for node in _names(told, _NODE_SIGNALS, lambda labels: node_of(labels, nodes))]
    products = _products(told)
    number = {name: i for i, name in enumerate([*boards, *hosts])}
    joules, covered_s = _ways(told, over, number, nodes, ranges_j)
    vcpus = _latest(told, Signal.CPU_COUNT, lambda labels: node_of(labels, nodes), over)
    held = _joined(board_holders(told, products, over, nodes), node_holders(told, vcpus, over, nodes), number)
    limits = {**_latest(told, Signal.TRITON_LIMIT, board_of, over), **_latest(told, Signal.DCGM_LIMIT, board_of, over)}
    return Readings(
        over=over,
        devices=tuple(number),
        is_gpu=np.arange(len(number)) < len(boards),
        products=tuple(products.get(name, "") for name in number),
        limits_w=np.array([limits.get(name, np.nan) for name in number], dtype=np.float64),
        joules=joules,
        covered_s=covered_s,
        idle_w=_idle_w(told, over, number, nodes),
        vcpus=np.array([vcpus.get(name.removeprefix(CPU), np.nan) for name in number], dtype=np.float64),
        busy_cores=_busy_cores(told, over, number, nodes),
        device=np.array([number[name] for name in held.devices], dtype=np.int64),
        pods=tuple(held.pods),
        reserved_ratio=np.array(held.reserved, dtype=np.float64),
        activity=np.array(held.activity, dtype=np.float64),
    )


def _names(told: Told, signals: Sequence[Signal], name_of: Callable[[Labels], str | None]) -> list[str]:
    found = {name_of(track.labels) for signal in signals for track in told.get(signal, ())}
    return sorted(name for name in found if name is not None)


def _named_nodes(told: Told) -> dict[str, str]:
    """Names of nodes by the instance under which they are scraped, as node_exporter tells them."""
    labels = [track.labels for track in told.get(Signal.NODE_NAME, ())]
    return {of["instance"]: of["nodename"] for of in labels if {"instance", "nodename"} <= of.keys()}


def _products(told: Told) -> dict[str, str]:
    """What the driver calls each board."""
    labels = [track.labels for signal, _ in _BOARD_WAYS for track in told.get(signal, ())]
    return {board_of(of) or "": product_of(of) for of in labels if product_of(of)}


def _ways(
    told: Told, over: Interval, number: Mapping[str, int], nodes: Mapping[str, str], ranges_j: Sequence[float]
) -> tuple[F64, F64]:
    """Joules and covered seconds by way and device, each (len(Method), D)."""
    joules, covered_s = np.zeros((len(Method), len(number))), np.zeros((len(Method), len(number)))
    for signal, method in _BOARD_WAYS:
        boards = Meters.of(told.get(signal, ()), DIALECTS[signal].unit, board_of)
        at = [number[name] for name in boards.names]
        _enter(joules[method], covered_s[method], _risen(signal, boards, ranges_j), over, at)
    for signal, method in _NODE_WAYS:
        zones = _zones(told, signal, nodes)
        at = [number[CPU + node] for node, _ in zones.names]
        _enter(joules[method], covered_s[method], _risen(signal, zones, ranges_j), over, at)
    return joules, covered_s


def _enter(joules: F64, covered_s: F64, found: Rises, over: Interval, device_at: Sequence[int]) -> None:
    at = np.array(device_at, dtype=np.int64)
    amount, seconds = joined(within(found, over.start_s, over.end_s), at, len(joules))
    known = seconds > 0.0
    joules[known], covered_s[known] = amount[known], seconds[known]


def _risen(signal: Signal, meters: Meters[Any], ranges_j: Sequence[float]) -> Rises:
    if signal is Signal.DCGM_POWER:
        return integrals(meters.samples, MOST_GPU_W)
    if signal in (Signal.RAPL, Signal.KEPLER_NODE):
        return rises(meters.samples, Nature(_wraps_at(meters, ranges_j), MOST_CPU_W))
    # idle and dynamic joules are two counters there, of which one may stand still
    return rises(meters.samples, Nature(most_w=MOST_GPU_W, is_steady=signal is not Signal.OLD_KEPLER_NODE))


def _wraps_at(meters: Meters[Any], ranges_j: Sequence[float]) -> F64:
    """Where each counter of RAPL begins anew, by the highest value that it showed; NaN where it counts further."""
    highest = np.zeros(meters.samples.width)
    np.fmax.at(highest, meters.samples.meter, meters.samples.value)
    return np.append(ranges_j, np.nan)[np.searchsorted(ranges_j, highest)]


def _zones(told: Told, signal: Signal, nodes: Mapping[str, str]) -> Meters[tuple[str, str]]:
    def name(labels: Labels) -> tuple[str, str] | None:
        node = node_of(labels, nodes)
        return None if node is None else (node, zone_of(labels))

    return Meters.of(told.get(signal, ()), DIALECTS[signal].unit, name)


def _idle_w(told: Told, over: Interval, number: Mapping[str, int], nodes: Mapping[str, str]) -> F64:
    """What Kepler calls idle; NaN where it does not."""
    joules, covered_s = np.zeros(len(number)), np.zeros(len(number))
    idle = [track for track in told.get(Signal.OLD_KEPLER_NODE, ()) if track.labels.get("mode") == "idle"]
    for tracks in (idle, told.get(Signal.KEPLER_IDLE, ())):
        zones = _zones({Signal.KEPLER_IDLE: tracks}, Signal.KEPLER_IDLE, nodes)
        at = [number.get(CPU + node, -1) for node, _ in zones.names]
        if -1 not in at:
            _enter(joules, covered_s, rises(zones.samples, Nature(most_w=MOST_CPU_W, is_steady=False)), over, at)
    return _per_second(joules, covered_s)


def _busy_cores(told: Told, over: Interval, number: Mapping[str, int], nodes: Mapping[str, str]) -> F64:
    """Mean number of a node's processors that worked; NaN where nobody tells."""
    seconds, covered_s = np.zeros(len(number)), np.zeros(len(number))
    roots = _zones(told, Signal.CPU_ROOT, nodes)
    at = [number[CPU + node] for node, _ in roots.names]
    _enter(seconds, covered_s, rises(roots.samples, Nature(is_steady=False)), over, at)
    return _per_second(seconds, covered_s)


def _per_second(amount: F64, covered_s: F64) -> F64:
    """Amounts by the second; NaN where nothing is covered."""
    return np.where(covered_s > 0.0, amount / np.maximum(covered_s, 1e-9), np.nan)


def _latest(told: Told, signal: Signal, name_of: Callable[[Labels], str | None], over: Interval) -> dict[str, float]:
    return last(Meters.of(told.get(signal, ()), DIALECTS[signal].unit, name_of), over.end_s + LAG_S, _TOLD_S)


def _joined(boards: Holders, hosts: Holders, number: Mapping[str, int]) -> Holders:
    """All holdings of devices that are known."""
    found = Holders()
    for part in (boards, hosts):
        for device, pod, reserved, activity in zip(part.devices, part.pods, part.reserved, part.activity, strict=True):
            if device in number:
                found.add(device, pod, reserved, activity)
    return found
