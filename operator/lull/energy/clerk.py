"""What meters told of an interval, made into whose joules they are. Called by the loop once an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from lull.energy.attribution import FOREIGN, Attributed, Holdings, Metered, attribute
from lull.energy.counters import MAX_GAP_S
from lull.energy.devices import DEVICES, PROCESSORS, Device, Processor
from lull.energy.fitting import PowerFit
from lull.energy.method import IS_MEASURED, Component, Method, Ways
from lull.energy.power import Estimate, Profiles, estimate, estimate_processors, profiles_of
from lull.model.arrays import F64, I64, Bools
from lull.model.columns import Columns, place, widen
from lull.model.meter import Interval
from lull.model.spec import Key

_WORKS_RATIO: Final = 0.5
"""Share of an interval that a meter must cover to count as working."""

_ENOUGH_RATIO: Final = 0.9
"""Share of the metered devices that must be covered before an interval is concluded early."""

_THROUGHOUT_RATIO: Final = 0.95
"""Share of an interval from which it counts as covered throughout."""


@dataclass(frozen=True, slots=True)
class Readings:
    """What meters told of one interval: D devices, H holdings. NaN = not told."""

    over: Interval
    devices: tuple[str, ...]
    """UUID of a GPU; ``cpu/`` and the node of its processors."""
    is_gpu: Bools
    products: tuple[str, ...]
    """What the driver calls the device; "" = not told."""
    limits_w: F64
    joules: F64
    """By way and device, (len(Method), D); counts only where ``covered_s`` does."""
    covered_s: F64
    """Seconds of the interval by way and device, (len(Method), D)."""
    is_metered: Bools
    """Whether any meter of the device was heard of, (D,)."""
    idle_w: F64
    """What a meter calls idle, (D,)."""
    vcpus: F64
    """Of a node, (D,)."""
    busy_cores: F64
    """Mean number of them that worked, (D,)."""
    device: I64
    """Whose holdings, (H,): number of the device."""
    pods: tuple[Key | None, ...]
    """Who has it; None = processes that are no pod's."""
    reserved_ratio: F64
    activity: F64


def may_close(told: Readings, now_s: float) -> bool:
    """Whether an interval may be concluded: its meters have told all of it, or will hardly do so.

    What a counter did in an outage is known as soon as it is read again, but spread evenly: who concludes before that
    books an estimate for the first part of the outage, and for the rest a mean that may be far from it. So nine tenths
    of the devices must be covered, or a quarter of an hour be over. A single dead exporter holds up no large fleet.

    Args:
        told: of the interval, by what was read until now.
        now_s: until when that was.
    """
    measured_s = told.covered_s[IS_MEASURED]
    best_s = measured_s.max(axis=0, initial=0.0)
    is_covered = best_s >= _THROUGHOUT_RATIO * told.over.length_s
    is_metered = told.is_metered
    return now_s >= told.over.end_s + MAX_GAP_S or bool(
        is_covered[is_metered].sum() >= _ENOUGH_RATIO * is_metered.sum()
    )


class Clerk:
    """Takes for each device the best way that works, and learns its power curve.

    Args:
        devices: the power table.
        processor: the family of the nodes' processors.
    """

    def __init__(self, devices: Sequence[Device] = DEVICES, processor: Processor = PROCESSORS[0]) -> None:
        self._table = devices
        self._processor = processor
        self._ways = {component: Ways(component) for component in Component}
        self._columns = Columns()
        self._fit = PowerFit(0)
        self._before: Readings | None = None

    def with_silent(self, told: Readings, holder_of: Mapping[Key, int]) -> Readings:
        """The readings, with the devices that no meter speaks of any more while a model's pod has them.

        An exporter that died takes its series along, and with them all that would say that something is unknown. Its
        devices are then estimated, or counted as unknown, as long as a pod that had them is there.
        """
        before, there = self._before, frozenset(told.devices)
        if before is not None and before.devices != told.devices:
            told = _joined(told, _silent(before, there, holder_of, told.over))
        self._before = told
        return told

    def conclude(self, told: Readings, holder_of: Mapping[Key, int], running: F64) -> Attributed:
        """Whose joules those of the interval are.

        Args:
            told: by the meters.
            holder_of: numbers of the pods' models; a pod that is not in it is no model's.
            running: mean number of sequences that each device worked on, (D,); NaN = unknown.
        """
        held = _holdings(told, holder_of)
        is_held = np.bincount(held.device, minlength=len(told.devices)) > 0
        prior = profiles_of(told.products, told.limits_w, self._table)
        at = self._claim(told.devices)
        profiles = self._fit.fitted(prior, at)
        otherwise = self._otherwise(told, profiles, is_held, running)
        method = self._method(told, held, otherwise)
        way = (method, np.arange(len(method)))
        metered = Metered(told.joules[way], told.covered_s[way], np.where(IS_MEASURED[method], method, 0))
        self._learn(at, prior, metered, is_held, running, told)
        return attribute(metered, otherwise, self._floor_w(told, profiles, is_held), held, told.over)

    def _claim(self, devices: Sequence[str]) -> I64:
        gone = self._columns.free(set(self._columns.uids).difference(devices))
        place(self._fit, gone, PowerFit(1))
        at = self._columns.claim(devices)
        widen(self._fit, PowerFit(self._columns.width - len(self._fit.loads)))
        return at

    def _otherwise(self, told: Readings, profiles: Profiles, is_held: Bools, running: F64) -> Estimate:
        gpus = estimate(profiles, is_held, running)
        cpus = estimate_processors(self._processor, told.vcpus, told.busy_cores)
        return Estimate(
            np.where(told.is_gpu, gpus.watts, cpus.watts),
            np.where(told.is_gpu, gpus.method, cpus.method),
            np.where(told.is_gpu, gpus.sigma_ratio, cpus.sigma_ratio),
        )

    def _method(self, told: Readings, held: Holdings, otherwise: Estimate) -> I64:
        works = told.covered_s >= _WORKS_RATIO * told.over.length_s
        works[otherwise.method, np.arange(len(otherwise.method))] = True
        works[Method.UNKNOWN] = False
        # a server's counter has its neighbours in it
        works[Method.SERVER_COUNTER] &= np.bincount(held.device, minlength=len(told.devices)) == 1
        found = np.zeros(len(told.devices), dtype=np.int64)
        for component, mine in ((Component.GPU, told.is_gpu), (Component.CPU, ~told.is_gpu)):
            names = [name for name, is_mine in zip(told.devices, mine, strict=True) if is_mine]
            found[mine] = self._ways[component].take(names, works[:, mine])
        return found

    def _floor_w(self, told: Readings, profiles: Profiles, is_held: Bools) -> F64:
        gpus = np.where(is_held, profiles.context_w, profiles.bare_w)
        by_table = np.where(told.is_gpu, gpus, self._processor.idle_w * told.vcpus)
        return np.where(np.isnan(told.idle_w), by_table, told.idle_w)

    def _learn(self, at: I64, prior: Profiles, metered: Metered, is_held: Bools, running: F64, told: Readings) -> None:
        whole = (metered.method > 0) & (metered.covered_s >= _THROUGHOUT_RATIO * told.over.length_s) & told.is_gpu
        watts = np.where(whole, metered.joules / np.maximum(metered.covered_s, 1e-9), np.nan)
        self._fit.learn(prior, watts, is_held, running, at)


def _silent(before: Readings, there: frozenset[str], holder_of: Mapping[Key, int], over: Interval) -> Readings:
    """Devices of the readings before that are not told of now, and what of their holders is still there."""
    is_silent = np.array([name not in there for name in before.devices], dtype=np.bool_)
    is_there = np.array([pod is not None and pod in holder_of for pod in before.pods], dtype=np.bool_)
    kept = np.flatnonzero(is_there & is_silent[before.device])
    devices, at = np.unique(before.device[kept], return_inverse=True)
    unknown = np.full(len(devices), np.nan)
    return Readings(
        over=over,
        devices=tuple(before.devices[i] for i in devices),
        is_gpu=before.is_gpu[devices],
        products=tuple(before.products[i] for i in devices),
        limits_w=before.limits_w[devices],
        joules=np.zeros((len(Method), len(devices))),
        covered_s=np.zeros((len(Method), len(devices))),
        is_metered=np.zeros(len(devices), dtype=np.bool_),
        idle_w=unknown,
        vcpus=before.vcpus[devices],
        busy_cores=unknown,
        device=at.astype(np.int64),
        pods=tuple(before.pods[i] for i in kept),
        reserved_ratio=before.reserved_ratio[kept],
        activity=np.full(len(kept), np.nan),
    )


def _joined(told: Readings, silent: Readings) -> Readings:
    """Both as one; the silent devices come last."""
    shifted = replace(silent, device=silent.device + len(told.devices))
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(told, name), getattr(shifted, name)], axis=-1)
        for name in Readings.__dataclass_fields__
        if isinstance(getattr(told, name), np.ndarray)
    }
    return replace(
        told,
        devices=told.devices + silent.devices,
        products=told.products + silent.products,
        pods=told.pods + silent.pods,
        **arrays,
    )


def _holdings(told: Readings, holder_of: Mapping[Key, int]) -> Holdings:
    holder = [FOREIGN if pod is None else holder_of.get(pod, FOREIGN) for pod in told.pods]
    return Holdings(told.device, np.array(holder, dtype=np.int64), told.reserved_ratio, told.activity)
