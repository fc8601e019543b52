"""What meters told of one interval, whichever there were, as joules of devices and who had them.

Called by the loop once an interval with what ``adapters`` read; ``clerk`` takes what comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from lull.energy.clerk import Readings
from lull.energy.counters import Nature, Rises, integrals, rises, within
from lull.energy.holders import CPU, Holders, add_board_holders, add_node_holders, node_and_series
from lull.energy.method import Method
from lull.energy.spans import Named, joined, last, named
from lull.model.arrays import F64
from lull.model.meter import Interval, Meter, Signal, Told

RAPL_RANGES_J: Final = (65_532.610987, 262_143.328850)
"""Where RAPL's counters begin anew: 2^32 of its units, of which there are two; exporters do not tell it."""

MOST_GPU_W: Final = 2000.0
"""No board draws as much; DCGM's signs for "not supported" are far above."""

MOST_CPU_W: Final = 1000.0
"""No socket or its memory draws as much."""

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


def readings(told: Told, over: Interval, ranges_j: Sequence[float] = RAPL_RANGES_J) -> Readings:
    """What meters told of an interval.

    Args:
        told: series by signal.
        over: the interval.
        ranges_j: where RAPL's counters may begin anew, the least first.
    """
    boards = _names(told, [signal for signal, _ in _BOARD_WAYS], lambda meter: meter.board)
    hosts = _names(told, _NODE_SIGNALS, lambda meter: meter.node)
    number = {name: i for i, name in enumerate([*boards, *(CPU + node for node in hosts)])}
    joules, covered_s = _ways(told, over, number, ranges_j)
    vcpus = _latest(told, Signal.CPU_COUNT, lambda meter: meter.node, over)
    limits = {
        board: watts
        for signal in (Signal.TRITON_LIMIT, Signal.DCGM_LIMIT)
        for board, watts in _latest(told, signal, lambda meter: meter.board, over).items()
    }
    products = _products(told)
    metered = {*boards, *(CPU + node for node in _names(told, [of for of, _ in _NODE_WAYS], lambda meter: meter.node))}
    held = Holders()
    add_board_holders(held, told, over)
    add_node_holders(held, told, vcpus, over)
    return Readings(
        over=over,
        devices=tuple(number),
        is_gpu=np.arange(len(number)) < len(boards),
        products=tuple(products.get(name, "") for name in number),
        limits_w=_of_devices(number, limits),
        joules=joules,
        covered_s=covered_s,
        is_metered=np.array([name in metered for name in number], dtype=np.bool_),
        idle_w=_idle_w(told, over, number),
        vcpus=_of_devices(number, {CPU + node: count for node, count in vcpus.items()}),
        busy_cores=_busy_cores(told, over, number),
        **_holdings(held, number),
    )


def _holdings(held: Holders, number: Mapping[str, int]) -> dict[str, Any]:
    """Holdings of devices that are known, by the fields of ``Readings``."""
    at = [i for i, name in enumerate(held.devices) if name in number]
    return {
        "device": np.array([number[held.devices[i]] for i in at], dtype=np.int64),
        "pods": tuple(held.pods[i] for i in at),
        "reserved_ratio": np.array([held.reserved[i] for i in at], dtype=np.float64),
        "activity": np.array([held.activity[i] for i in at], dtype=np.float64),
    }


def _names(told: Told, signals: Sequence[Signal], name_of: Callable[[Meter], str | None]) -> list[str]:
    found = {name_of(meter) for signal in signals if signal in told for meter in told[signal].meters}
    return sorted(name for name in found if name is not None)


def _products(told: Told) -> dict[str, str]:
    """What the driver calls each board."""
    meters = [meter for signal, _ in _BOARD_WAYS if signal in told for meter in told[signal].meters]
    return {meter.board: meter.product for meter in meters if meter.board is not None and meter.product}


def _of_devices(number: Mapping[str, int], values: Mapping[str, float]) -> F64:
    return np.array([values.get(name, np.nan) for name in number], dtype=np.float64)


def _ways(told: Told, over: Interval, number: Mapping[str, int], ranges_j: Sequence[float]) -> tuple[F64, F64]:
    """Joules and covered seconds by way and device, each (len(Method), D)."""
    joules, covered_s = np.zeros((len(Method), len(number))), np.zeros((len(Method), len(number)))
    for signal, method in _BOARD_WAYS:
        boards = named(told, signal, lambda meter: meter.board)
        at = [number[name] for name in boards.names]
        _enter(joules[method], covered_s[method], _risen(signal, boards, ranges_j), over, at)
    for signal, method in _NODE_WAYS:
        zones = named(told, signal, node_and_series)
        at = [number[CPU + node] for node, _ in zones.names]
        _enter(joules[method], covered_s[method], _risen(signal, zones, ranges_j), over, at)
    return joules, covered_s


def _enter(amount: F64, covered_s: F64, found: Rises, over: Interval, device_at: Sequence[int]) -> None:
    at = np.array(device_at, dtype=np.int64)
    amounts, seconds = joined(within(found, over.start_s, over.end_s), at, len(amount))
    known = seconds > 0.0
    amount[known], covered_s[known] = amounts[known], seconds[known]


def _risen(signal: Signal, meters: Named[Any], ranges_j: Sequence[float]) -> Rises:
    if signal is Signal.DCGM_POWER:
        return integrals(meters.samples, MOST_GPU_W)
    if signal in (Signal.RAPL, Signal.KEPLER_NODE):
        return rises(meters.samples, Nature(_wraps_at(meters, ranges_j), MOST_CPU_W))
    # idle and dynamic joules are two counters there, of which one may stand still
    return rises(meters.samples, Nature(most_w=MOST_GPU_W, is_steady=signal is not Signal.OLD_KEPLER_NODE))


def _wraps_at(meters: Named[Any], ranges_j: Sequence[float]) -> F64:
    """Where each counter of RAPL begins anew, by the highest value that it showed; NaN where it counts further."""
    highest = np.zeros(meters.samples.width)
    np.fmax.at(highest, meters.samples.meter, meters.samples.value)
    return np.append(ranges_j, np.nan)[np.searchsorted(ranges_j, highest)]


def _idle_w(told: Told, over: Interval, number: Mapping[str, int]) -> F64:
    """What Kepler calls idle; NaN where it does not."""
    joules, covered_s = np.zeros(len(number)), np.zeros(len(number))
    for signal in (Signal.OLD_KEPLER_NODE, Signal.KEPLER_IDLE):
        zones = named(told, signal, _idle_zone)
        at = [number.get(CPU + node, -1) for node, _ in zones.names]
        if -1 not in at:
            _enter(joules, covered_s, rises(zones.samples, Nature(most_w=MOST_CPU_W, is_steady=False)), over, at)
    return _per_second(joules, covered_s)


def _idle_zone(meter: Meter) -> tuple[str, str] | None:
    return node_and_series(meter) if meter.is_idle else None


def _busy_cores(told: Told, over: Interval, number: Mapping[str, int]) -> F64:
    """Mean number of a node's processors that worked; NaN where nobody tells."""
    seconds, covered_s = np.zeros(len(number)), np.zeros(len(number))
    roots = named(told, Signal.CPU_ROOT, node_and_series)
    at = [number[CPU + node] for node, _ in roots.names]
    _enter(seconds, covered_s, rises(roots.samples, Nature(is_steady=False)), over, at)
    return _per_second(seconds, covered_s)


def _per_second(amount: F64, covered_s: F64) -> F64:
    """Amounts by the second; NaN where nothing is covered."""
    return np.where(covered_s > 0.0, amount / np.maximum(covered_s, 1e-9), np.nan)


def _latest(told: Told, signal: Signal, name_of: Callable[[Meter], str | None], over: Interval) -> dict[str, float]:
    # what was scraped right after the interval is as good
    return last(named(told, signal, name_of), over.end_s + over.length_s, _TOLD_S)
