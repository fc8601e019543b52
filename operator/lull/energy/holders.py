"""Who has which device, as far as meters tell: pods on boards, on slices of boards, and on nodes' processors.

Called by ``reading``. What is reserved for a pod counts for the time that it was there: a board that one pod hands to
another is shared by time, one that several have at once in equal parts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from lull.energy.spans import means, named, worked
from lull.model.meter import Interval, Meter, Part, Signal, Told
from lull.model.spec import Key

Slot = tuple[str, Part | None]
"""A board, and the slice of it; None = the whole board."""

CPU: Final = "cpu/"
"""What the name of a node's processors begins with."""

_BOARD_SIGNALS: Final = (Signal.DCGM_ENERGY, Signal.DCGM_POWER, Signal.DCGM_UTIL, Signal.DCGM_ENGINE)
_POD_SIGNALS: Final = (Signal.KEPLER_POD, Signal.OLD_KEPLER_POD, Signal.CPU_SECONDS, Signal.SCAPHANDRE_PROCESS)
"""What tells of a pod's work on a node, best first."""

_NODE_SIGNALS: Final[Mapping[Signal, tuple[tuple[Signal, float], ...]]] = {
    Signal.KEPLER_POD: ((Signal.KEPLER_NODE, 1.0), (Signal.KEPLER_IDLE, -1.0)),
    Signal.CPU_SECONDS: ((Signal.CPU_ROOT, 1.0),),
}
"""What the same meter tells of all work on the node."""


@dataclass(slots=True)
class Holders:
    """Holdings by device name."""

    devices: list[str] = field(default_factory=list)
    pods: list[Key | None] = field(default_factory=list)
    """None = processes that are no pod's."""
    reserved: list[float] = field(default_factory=list)
    activity: list[float] = field(default_factory=list)

    def add(self, device: str, pod: Key | None, reserved: float, activity: float) -> None:
        """Notes one."""
        self.devices.append(device)
        self.pods.append(pod)
        self.reserved.append(reserved)
        self.activity.append(activity)


def add_board_holders(found: Holders, told: Told, over: Interval) -> None:
    """Who has which board: by dcgm-exporter, else by the Triton that reports it, else all pods of its node (Kepler)."""
    by_kepler = worked(named(told, Signal.KEPLER_GPU_POD, lambda meter: meter.pod), over)
    presence = _presence(told, over)
    _add_dcgm(found, told, presence, over, by_kepler)
    known = {board for board, _ in presence}
    tritons = _tritons(told, known)
    for board, pods in tritons.items():
        for pod in sorted(pods):
            found.add(board, pod, 1.0 / len(pods), by_kepler.get(pod, np.nan))
    _add_kepler(found, told, known | set(tritons), by_kepler)


def add_node_holders(found: Holders, told: Told, vcpus: Mapping[str, float], over: Interval) -> None:
    """Who has a node's processors: activity by Kepler's counters, else by processor seconds, else by Scaphandre.

    The floor goes by requests where kube-state-metrics tells them, and a pod without one reserves nothing; else by
    activity. What the node does beside its pods is nobody's pod.
    """
    requests = _requests(told)
    for node, (pods, beside) in _node_activity(told, over).items():
        total = sum(pods.values()) + beside
        for pod, activity in [*pods.items(), *([(None, beside)] if beside > 0.0 else [])]:
            reserved = activity / total if total > 0.0 else np.nan
            if requests:
                wanted = requests.get(pod, 0.0) if pod is not None else 0.0
                reserved = wanted / vcpus[node] if vcpus.get(node, 0.0) > 0.0 else np.nan
            found.add(CPU + node, pod, reserved, activity)


def _presence(told: Told, over: Interval) -> dict[Slot, dict[Key | None, float]]:
    """How often each pod was told to have a board or slice in the interval; None = how often none was.

    Where nothing was told in the interval, those who had it last still have it.
    """
    found: dict[Slot, dict[Key | None, float]] = {}
    for signal in _BOARD_SIGNALS:
        series = named(told, signal, _slot_and_pod)
        samples = series.samples
        inside = (samples.time_s > over.start_s) & (samples.time_s <= over.end_s)
        times = np.bincount(samples.meter[inside], minlength=samples.width)
        last_s = np.full(samples.width, -np.inf)
        np.maximum.at(last_s, samples.meter, samples.time_s)
        mine: defaultdict[Slot, dict[Key | None, tuple[float, float]]] = defaultdict(dict)
        for (slot, pod), count, at_s in zip(series.names, times.tolist(), last_s.tolist(), strict=True):
            mine[slot][pod] = (float(count), at_s)
        found = {slot: _present(pods) for slot, pods in mine.items()} | found
    return found


def _present(pods: Mapping[Key | None, tuple[float, float]]) -> dict[Key | None, float]:
    """How often each was told, from that and when it was last told."""
    if any(count for count, _ in pods.values()):
        return {pod: count for pod, (count, _) in pods.items()}
    latest_s = max(at_s for _, at_s in pods.values())
    return {pod: float(at_s == latest_s) for pod, (_, at_s) in pods.items()}


def _add_dcgm(
    found: Holders,
    told: Told,
    presence: Mapping[Slot, Mapping[Key | None, float]],
    over: Interval,
    by_kepler: Mapping[Key, float],
) -> None:
    utilised = means(named(told, Signal.DCGM_UTIL, _slot_and_pod), over)
    engine = means(named(told, Signal.DCGM_ENGINE, _slot_and_pod), over)
    for slot, pods in presence.items():
        board, part = slot
        total = sum(pods.values())
        size = 1.0 if part is None else part.size_ratio
        for pod, times in pods.items():
            if pod is None or times <= 0.0:
                continue
            share = times / total
            activity = (utilised if part is None else engine).get((slot, pod), by_kepler.get(pod, np.nan))
            found.add(board, pod, size * share, activity * size * min(1.0, share * len(pods)))


def _tritons(told: Told, known: set[str]) -> dict[str, set[Key]]:
    """The pods whose Triton reports a board, of boards that are not known otherwise."""
    found: defaultdict[str, set[Key]] = defaultdict(set)
    for meter in _meters(told, Signal.TRITON_ENERGY):
        if meter.board is not None and meter.pod is not None and meter.board not in known:
            found[meter.board].add(meter.pod)
    return found


def _add_kepler(found: Holders, told: Told, known: set[str], by_kepler: Mapping[Key, float]) -> None:
    """Kepler does not tell which of its node's boards a pod has: it is taken to have a part of each."""
    pods: defaultdict[str | None, set[Key]] = defaultdict(set)
    for meter in _meters(told, Signal.KEPLER_GPU_POD):
        if meter.pod is not None:
            pods[meter.node].add(meter.pod)
    boards = {(meter.board, meter.node) for meter in _meters(told, Signal.KEPLER_GPU)}
    for board, node in sorted((board, node or "") for board, node in boards if board is not None):
        for pod in sorted(pods[node]) if board not in known else ():
            found.add(board, pod, 1.0 / len(pods[node]), by_kepler.get(pod, np.nan))


def _node_activity(told: Told, over: Interval) -> dict[str, tuple[dict[Key, float], float]]:
    """What each node's pods did, and what was done beside them."""
    found: dict[str, tuple[dict[Key, float], float]] = {}
    for signal in _POD_SIGNALS:
        series = named(told, signal, _node_pod_and_series)
        amounts = means(series, over) if signal is Signal.SCAPHANDRE_PROCESS else worked(series, over)
        mine: defaultdict[str, defaultdict[Key, float]] = defaultdict(lambda: defaultdict(float))
        for (node, pod, _), amount in amounts.items():
            mine[node][pod] += amount
        beside = _beside(told, signal, mine, over)
        found = {node: (dict(pods), beside.get(node, 0.0)) for node, pods in mine.items()} | found
    return found


def _beside(told: Told, signal: Signal, pods: Mapping[str, Mapping[Key, float]], over: Interval) -> dict[str, float]:
    """What nodes did that no pod did, where it is told; never below 0."""
    whole: defaultdict[str, float] = defaultdict(float)
    signs = _NODE_SIGNALS.get(signal, ())
    for of, sign in signs if all(of in told for of, _ in signs) else ():
        for (node, _), amount in worked(named(told, of, node_and_series), over, is_born=False).items():
            whole[node] += sign * amount
    return {node: max(0.0, amount - sum(pods.get(node, {}).values())) for node, amount in whole.items()}


def _requests(told: Told) -> dict[Key, float]:
    """Cores that each pod's containers request together."""
    found: defaultdict[Key, dict[str, float]] = defaultdict(dict)
    series = named(told, Signal.CPU_REQUEST, lambda meter: (meter.pod, meter.series))
    samples = series.samples
    for at in np.argsort(samples.time_s, kind="stable"):
        pod, container = series.names[samples.meter[at]]
        if pod is not None:
            found[pod][container] = float(samples.value[at])
    return {pod: sum(containers.values()) for pod, containers in found.items()}


def node_and_series(meter: Meter) -> tuple[str, str] | None:
    """Name of a node's counter."""
    return None if meter.node is None else (meter.node, meter.series)


def _slot_and_pod(meter: Meter) -> tuple[Slot, Key | None] | None:
    return None if meter.board is None else ((meter.board, meter.part), meter.pod)


def _node_pod_and_series(meter: Meter) -> tuple[str, Key, str] | None:
    return None if meter.node is None or meter.pod is None else (meter.node, meter.pod, meter.series)


def _meters(told: Told, signal: Signal) -> tuple[Meter, ...]:
    return told[signal].meters if signal in told else ()
