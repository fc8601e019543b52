"""Who has which device, as far as meters tell: pods on boards, on slices of boards, and on nodes' processors.

Called by ``meters``. What is reserved for a pod counts for the time that it was there: a board that one pod hands to
another is shared by time, one that several have at once in equal parts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from lull.adapters.meter_dialects import (
    DIALECTS,
    Labels,
    Signal,
    board_of,
    holder_of,
    node_of,
    pod_of,
    slice_of,
    slices_of,
)
from lull.adapters.meter_samples import Meters, means, worked
from lull.adapters.prometheus import Track
from lull.energy.attribution import Interval
from lull.model.spec import Key

Told = Mapping[Signal, Sequence[Track]]
Slot = tuple[str, tuple[str, float] | None]
"""A board, and the slice of it with its size; None = the whole board."""

CPU: Final = "cpu/"
"""What the name of a node's processors begins with."""

_NOBODY: Final = Key("", "")


@dataclass(slots=True)
class Holders:
    """Holdings by device name."""

    devices: list[str] = field(default_factory=list)
    pods: list[Key | None] = field(default_factory=list)
    reserved: list[float] = field(default_factory=list)
    activity: list[float] = field(default_factory=list)

    def add(self, device: str, pod: Key | None, reserved: float, activity: float) -> None:
        """Notes one."""
        self.devices.append(device)
        self.pods.append(pod)
        self.reserved.append(reserved)
        self.activity.append(activity)


def board_holders(told: Told, products: Mapping[str, str], over: Interval, nodes: Mapping[str, str]) -> Holders:
    """Who has which board: by dcgm-exporter, else by the Triton that reports it, else all pods of its node (Kepler)."""
    found = Holders()
    by_kepler = worked(_pods(told, Signal.KEPLER_GPU_POD), over)
    presence = _presence(told, over)
    _add_dcgm(found, told, presence, products, over, by_kepler)
    known = {board for board, _ in presence}
    tritons: defaultdict[str, set[Key]] = defaultdict(set)
    for track in told.get(Signal.TRITON_ENERGY, ()):
        board, pod = board_of(track.labels), pod_of(track.labels)
        if board is not None and pod is not None and board not in known:
            tritons[board].add(Key(*pod))
    for board, pods in tritons.items():
        for pod in sorted(pods):
            found.add(board, pod, 1.0 / len(pods), by_kepler.get(pod, np.nan))
    _add_kepler(found, told, known | set(tritons), by_kepler, nodes)
    return found


def node_holders(told: Told, vcpus: Mapping[str, float], over: Interval, nodes: Mapping[str, str]) -> Holders:
    """Who has a node's processors: activity by Kepler's counters, else by processor seconds, else by Scaphandre.

    The floor goes by requests where kube-state-metrics tells them, and a pod without one reserves nothing; else by
    activity. What the node does beside its pods is nobody's pod.
    """
    found, requests = Holders(), _requests(told)
    for node, (pods, beside) in _node_activity(told, over, nodes).items():
        total = sum(pods.values()) + beside
        for pod, activity in [*pods.items(), *([(None, beside)] if beside > 0.0 else [])]:
            reserved = activity / total if total > 0.0 else np.nan
            if requests:
                wanted = requests.get(pod, 0.0) if pod is not None else 0.0
                reserved = wanted / vcpus[node] if vcpus.get(node, 0.0) > 0.0 else np.nan
            found.add(CPU + node, pod, reserved, activity)
    return found


def _presence(told: Told, over: Interval) -> dict[Slot, dict[Key, float]]:
    """How often each pod was told to have a board or slice in the interval; ``_NOBODY`` where none was."""
    signals = (Signal.DCGM_ENERGY, Signal.DCGM_POWER, Signal.DCGM_UTIL, Signal.DCGM_ENGINE)
    found: dict[Slot, dict[Key, float]] = {}
    for signal in signals:
        mine: defaultdict[Slot, defaultdict[Key, float]] = defaultdict(lambda: defaultdict(float))
        for track in told.get(signal, ()):
            board = board_of(track.labels)
            if board is not None:
                times = int(((track.times_s > over.start_s) & (track.times_s <= over.end_s)).sum())
                pod = holder_of(track.labels)
                mine[board, slice_of(track.labels)][Key(*pod) if pod else _NOBODY] += times
        found = {slot: dict(pods) for slot, pods in mine.items()} | found
    return found


def _add_dcgm(
    found: Holders,
    told: Told,
    presence: Mapping[Slot, Mapping[Key, float]],
    products: Mapping[str, str],
    over: Interval,
    by_kepler: Mapping[Key, float],
) -> None:
    utilised = means(Meters.of(told.get(Signal.DCGM_UTIL, ()), DIALECTS[Signal.DCGM_UTIL].unit, _slot_and_pod), over)
    engine = means(Meters.of(told.get(Signal.DCGM_ENGINE, ()), 1.0, _slot_and_pod), over)
    for slot, pods in presence.items():
        board, part = slot
        total = sum(pods.values())
        size = 1.0 if part is None else part[1] / slices_of(products.get(board, ""))
        for pod, times in pods.items():
            if pod == _NOBODY or times <= 0.0:
                continue
            share = times / total
            told_by = utilised if part is None else engine
            activity = told_by.get((slot, pod), by_kepler.get(pod, np.nan))
            found.add(board, pod, size * share, activity * size * min(1.0, share * len(pods)))


def _add_kepler(
    found: Holders, told: Told, known: set[str], by_kepler: Mapping[Key, float], nodes: Mapping[str, str]
) -> None:
    """Kepler does not tell which of its node's boards a pod has: it is taken to have a part of each."""
    boards: defaultdict[str | None, set[str]] = defaultdict(set)
    for track in told.get(Signal.KEPLER_GPU, ()):
        board = board_of(track.labels)
        if board is not None and board not in known:
            boards[node_of(track.labels, nodes)].add(board)
    pods: defaultdict[str | None, set[Key]] = defaultdict(set)
    for track in told.get(Signal.KEPLER_GPU_POD, ()):
        pod = pod_of(track.labels)
        if pod is not None:
            pods[node_of(track.labels, nodes)].add(Key(*pod))
    for node, theirs in boards.items():
        for board in sorted(theirs):
            for pod in sorted(pods[node]):
                found.add(board, pod, 1.0 / len(pods[node]), by_kepler.get(pod, np.nan))


def _node_activity(told: Told, over: Interval, nodes: Mapping[str, str]) -> dict[str, tuple[dict[Key, float], float]]:
    """What each node's pods did, and what was done beside them."""
    found: dict[str, tuple[dict[Key, float], float]] = {}
    for signal in (Signal.KEPLER_POD, Signal.OLD_KEPLER_POD, Signal.CPU_SECONDS, Signal.SCAPHANDRE_PROCESS):
        meters = Meters.of(told.get(signal, ()), DIALECTS[signal].unit, lambda labels: _node_and_series(labels, nodes))
        amounts = means(meters, over) if signal is Signal.SCAPHANDRE_PROCESS else worked(meters, over)
        mine: defaultdict[str, defaultdict[Key, float]] = defaultdict(lambda: defaultdict(float))
        for (node, pod, _), amount in amounts.items():
            mine[node][pod] += amount
        beside = _beside(told, signal, mine, over, nodes)
        found = {node: (dict(pods), beside.get(node, 0.0)) for node, pods in mine.items()} | found
    return found


def _beside(
    told: Told, signal: Signal, pods: Mapping[str, Mapping[Key, float]], over: Interval, nodes: Mapping[str, str]
) -> dict[str, float]:
    """What nodes did that no pod did, where it is told; never below 0."""

    def node(labels: Labels) -> tuple[str, str] | None:
        name = node_of(labels, nodes)
        return None if name is None else (name, labels.get("zone", "") + labels.get("path", ""))

    def rose(of: Signal) -> dict[tuple[str, str], float]:
        return worked(Meters.of(told.get(of, ()), DIALECTS[of].unit, node), over, is_born=False)

    signs = {
        Signal.KEPLER_POD: ((Signal.KEPLER_NODE, 1.0), (Signal.KEPLER_IDLE, -1.0)),
        Signal.CPU_SECONDS: ((Signal.CPU_ROOT, 1.0),),
    }.get(signal, ())
    whole: defaultdict[str, float] = defaultdict(float)
    if all(of in told for of, _ in signs):
        for of, sign in signs:
            for (name, _), amount in rose(of).items():
                whole[name] += sign * amount
    return {name: max(0.0, amount - sum(pods.get(name, {}).values())) for name, amount in whole.items()}


def _requests(told: Told) -> dict[Key, float]:
    """Cores that each pod's containers request together."""
    found: defaultdict[Key, dict[str, float]] = defaultdict(dict)
    for track in told.get(Signal.CPU_REQUEST, ()):
        pod = pod_of(track.labels)
        if pod is not None and len(track.values):
            container = track.labels.get("exported_container") or track.labels.get("container", "")
            found[Key(*pod)][container] = float(track.values[-1])
    return {pod: sum(containers.values()) for pod, containers in found.items()}


def _pods(told: Told, signal: Signal) -> Meters[Key]:
    def name(labels: Labels) -> Key | None:
        pod = pod_of(labels)
        return None if pod is None else Key(*pod)

    return Meters.of(told.get(signal, ()), DIALECTS[signal].unit, name)


def _slot_and_pod(labels: Labels) -> tuple[Slot, Key] | None:
    board, pod = board_of(labels), holder_of(labels)
    return None if board is None or pod is None else ((board, slice_of(labels)), Key(*pod))


def _node_and_series(labels: Labels, nodes: Mapping[str, str]) -> tuple[str, Key, str] | None:
    """Node, pod, and which of the pod's series."""
    node, pod = node_of(labels, nodes), pod_of(labels)
    if node is None or pod is None:
        return None
    names = ("__name__", "zone", "container", "container_name", "container_id", "id", "pid", "pod_id", "mode")
    return node, Key(*pod), "/".join(labels.get(name, "") for name in names)
