"""One planning loop for the whole fleet: mend, read, conclude, act, tell.

The loop holds no opinion: what it does with a model is in the plan. It runs every tick, and at once when a spec
changed.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from lull.adapters.exposition import Exposition
from lull.adapters.holds import read_waiting
from lull.adapters.mirror import Mirror
from lull.adapters.objects import Pod
from lull.adapters.power import read_power
from lull.adapters.prometheus import Prometheus
from lull.adapters.snapshot import Located, is_watched, locate, snapshot_of
from lull.adapters.startups import Startups
from lull.adapters.telemetry import read_signals
from lull.cycle import plan_cycle
from lull.decide.hinder import PATIENCE_S
from lull.memory import Memory
from lull.model.doze import Rung
from lull.model.fleet import Doze, Fault, Snapshot
from lull.model.history import History
from lull.model.plan import Decision, ModelPlan, Plan
from lull.model.reason import Reason
from lull.model.spec import InferenceDeployment, Key, Runtime
from lull.runtime.backfill import Backfill
from lull.runtime.dozer import Dozer
from lull.runtime.reporter import Reporter
from lull.runtime.router import Router
from lull.runtime.scaler import Scaler
from lull.runtime.upkeep import Upkeep
from lull.settings import Settings

_LOG = logging.getLogger("lull.loop")

HISTORY_S: Final = 3600.0
"""How far back the history reaches: the longest stabilisation window the API allows."""

START_LEVELS: Final = (0.5, 0.95)
"""Quantiles of the start-up times that the metrics tell."""

_RUNTIMES: Final = {runtime: number for number, runtime in enumerate(Runtime)}
"""Servers of one kind start alike: they help each other's start-up times out."""

_PodsOf = Mapping[str, Sequence[Pod]]
"""Live pods by the uid of their model."""

_LOOK_BACK_EVERY_S: Final = 30.0

_SCRAPED_S: Final = 15.0
"""Seconds by which the newest sample of a meter may be late."""

_SOONEST_S: Final = 1.0
"""Fewest seconds between two rounds, however often specs change."""


def steady_clock() -> Callable[[], float]:
    """Seconds since the epoch that advance by the monotonic clock, so that a jump of the wall clock moves nothing."""
    offset_s = time.time() - time.monotonic()
    return lambda: time.monotonic() + offset_s


@dataclass(slots=True)
class Loop:
    """The planning loop and the parts it plays on."""

    settings: Settings
    mirror: Mirror
    prometheus: Prometheus
    upkeep: Upkeep
    scaler: Scaler
    reporter: Reporter
    exposition: Exposition
    wake: asyncio.Event
    router: Router
    dozer: Dozer
    clock: Callable[[], float] = field(default_factory=steady_clock)
    finished_at_s: float | None = None
    """When the latest round ended, by ``clock``."""
    memory: Memory = field(init=False)
    backfill: Backfill = field(init=False)
    startups: Startups = field(default_factory=Startups)
    memory_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the memory is written; who holds it may read."""
    woken: dict[Key, float] = field(default_factory=dict)
    """Models for which requests have begun to wait and that no wake has looked at yet, and since when."""
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    waking: set[asyncio.Task[None]] = field(default_factory=set)
    scale_faults: dict[Key, Fault] = field(default_factory=dict)
    """Models whose last change of size the API server refused, and why."""

    def __post_init__(self) -> None:
        """Starts with an empty memory."""
        history = History(span_s=HISTORY_S, tick_s=self.settings.tick_s, gap_s=self.settings.stale_after_s)
        self.memory = Memory(history, self.settings.forecast_step_s, cold_start_s=self.settings.cold_start_s)
        self.backfill = Backfill(self.prometheus, self.memory, self.settings)
        self.mirror.on_wake = self._ring
        self.mirror.on_obstacle = self._look_again

    async def run(self) -> None:
        """Plans until cancelled."""
        while True:
            self.wake.clear()
            try:
                await self.tick(self.clock())
                self.finished_at_s = self.clock()
            except Exception:
                # An error of our own must not end the planning of all models: it is told and counted, and a round
                # that never succeeds again fails the liveness probe.
                self.exposition.failures.inc()
                _LOG.exception("planning round failed")
            await asyncio.sleep(_SOONEST_S)
            with_timeout_s = max(0.0, self.settings.tick_s - _SOONEST_S)
            try:
                await asyncio.wait_for(self.wake.wait(), with_timeout_s)
            except TimeoutError:
                continue

    async def remember(self) -> None:
        """Reads and learns the past of models that have none, beside the planning, until cancelled."""
        while True:
            models = [model for model in self.mirror.models.values() if isinstance(model, InferenceDeployment)]
            await self.backfill.run(models, self.clock())
            await asyncio.sleep(_LOOK_BACK_EVERY_S)

    async def wake_up(self) -> None:
        """Wakes models as soon as requests wait for them, beside the rounds and ahead of them, until cancelled."""
        try:
            while True:
                await self.bell.wait()
                self.bell.clear()
                woken, self.woken = self.woken, {}
                with self._survived():
                    await self.wake_now(woken, self.clock())
        finally:
            for task in self.waking:
                task.cancel()

    async def wake_now(self, woken: Mapping[Key, float], now_s: float) -> None:
        """Plans the models that requests wait for, and no others, and begins to carry out what that says.

        Nobody waits for another's writes. ``woken`` tells since when requests wait, by ``clock``.
        """
        models = [model for key in woken if isinstance(model := self.mirror.models.get(key), InferenceDeployment)]
        foreign = await self.scaler.read_foreign(models)
        located = {model.key: locate(self.mirror, model, foreign) for model in models}
        asleep = {key: at for key, at in located.items() if at.replicas == 0}
        if not asleep:
            return
        portless = self.router.portless
        snapshot = snapshot_of(self.mirror, asleep, {}, {}, self.scale_faults, now_s, portless=portless)
        async with self.memory_lock:
            plan = await asyncio.to_thread(plan_cycle, snapshot, self.memory, self.settings, now_s)
        for key in asleep:
            task = asyncio.create_task(self._wake_one(plan.models[key], woken[key], now_s))
            self.waking.add(task)
            task.add_done_callback(self.waking.discard)

    async def _wake_one(self, plan: ModelPlan, since_s: float, now_s: float) -> None:
        """Only a size that was written is a wake whose time counts."""
        with self._survived():
            self._route(plan)
            scaled = await self._scale(plan)
            if scaled:
                self.exposition.wake_s.observe(max(0.0, self.clock() - since_s))
            await self.reporter.report(plan, self.exposition.ready.get(plan.key), scaled, now_s)

    @contextmanager
    def _survived(self) -> Iterator[None]:
        """An error of our own ends no other wake, and the next round wakes the model too, only later."""
        try:
            yield
        except Exception:
            self.exposition.failures.inc()
            _LOG.exception("wake failed")

    def _look_again(self, namespace: str) -> None:
        """Who waits for a start that will not be is told so by the next round; that need not wait for its tick."""
        now_s = self.clock()
        statuses = (status for key, status in self.mirror.statuses.items() if key.namespace == namespace)
        if any(read_waiting(status, now_s).held for status in statuses):
            asyncio.get_running_loop().call_later(PATIENCE_S, self.wake.set)

    def _ring(self, key: Key) -> None:
        self.woken.setdefault(key, self.clock())
        self.bell.set()
        self.dozer.ring()

    async def tick(self, now_s: float) -> Plan:
        """One round."""
        known = frozenset(self.mirror.models)
        with self.exposition.cycle_s.labels("upkeep").time():
            faults = await self.upkeep.run(now_s)
        with self.exposition.cycle_s.labels("read").time():
            snapshot, pods = await self._see(known, faults, now_s)
        with self.exposition.cycle_s.labels("plan").time():
            plan = await asyncio.to_thread(plan_cycle, snapshot, self.memory, self.settings, now_s)
        async with self.memory_lock:
            await asyncio.to_thread(self._learn, plan, snapshot, pods, now_s)
            self.exposition.plan = plan
        self.exposition.ready = {view.key: view.target.ready for view in snapshot.models if view.target}
        with self.exposition.cycle_s.labels("act").time():
            await self._act(plan, now_s)
        return plan

    def _learn(self, plan: Plan, snapshot: Snapshot, pods: _PodsOf, now_s: float) -> None:
        self.backfill.take_over()
        self.memory.history.record(plan.observation, now_s)
        self.memory.learn(plan.lesson, now_s)
        seen = [view.deployment for view in snapshot.models if view.target is not None]
        groups = {model.uid: _RUNTIMES[model.spec.server.runtime] for model in seen}
        self.memory.learn_starts(self.startups.starts_of(pods), groups, self._written_starts(seen))
        wakes = [(wake.model_uid, wake.level, wake.took_s) for wake in self.dozer.take_wakes()]
        self.memory.learn_rests(wakes, self._powers(snapshot, now_s))
        self.exposition.starts_s = self._starts_s(seen)

    def _powers(self, snapshot: Snapshot, now_s: float) -> list[tuple[str, Rung, float]]:
        """Power of replicas that were on one rung, and idle, for as long as the mean that tells it reaches back."""
        found = []
        for view in snapshot.models:
            doze, uid = view.doze, view.deployment.uid
            if doze is None or doze.power_w is None or view.target is None or view.target.replicas != 1:
                continue
            quiet_s = math.inf if view.is_dozing else self.memory.quiet_s(uid, now_s)
            unknown_s = 0.0 if view.is_dozing else math.inf
            for_s = min(quiet_s, unknown_s if doze.since_s is None else now_s - doze.since_s)
            if for_s >= self.settings.rate_window_s + _SCRAPED_S:
                found.append((uid, doze.rung, doze.power_w))
        return found

    def _written_starts(self, models: Sequence[InferenceDeployment]) -> dict[str, str]:
        """What an operator before this one had learned of models whose starts this one has not seen, by uid."""
        statuses = ((model.uid, self.mirror.statuses.get(model.key) or {}) for model in models)
        told = ((uid, (status.get("startup") or {}).get("learned")) for uid, status in statuses)
        return {uid: written for uid, written in told if isinstance(written, str)}

    def _starts_s(self, models: Sequence[InferenceDeployment]) -> dict[str, dict[Key, float]]:
        """Start-up times by quantile of those models whose starts were seen."""
        starts = self.memory.starts
        at = self.memory.find([model.uid for model in models])
        known = starts.known[at]
        keys = [model.key for model, is_known in zip(models, known, strict=True) if is_known]
        return {f"{q:g}": dict(zip(keys, starts.lead_s(q)[at[known]].tolist(), strict=True)) for q in START_LEVELS}

    async def _see(
        self, known: frozenset[Key], faults: dict[Key, tuple[Fault, ...]], now_s: float
    ) -> tuple[Snapshot, _PodsOf]:
        """Everything about the models that the upkeep has known, and the pods of those that have a target.

        What has appeared since waits for the next round.
        """
        models = [model for model in self.mirror.models.values() if isinstance(model, InferenceDeployment)]
        foreign = await self.scaler.read_foreign(models)
        located = {model.key: locate(self.mirror, model, foreign) for model in models}
        measured = {model.key: (model, located[model.key].pods) for model in models if _is_there(located[model.key])}
        read = await read_signals(self.prometheus, measured, self.settings, now_s)
        # The signals may have taken seconds: sizes and pods are looked at again, so that decisions rest on what is.
        alive = [model for model in self.mirror.models.values() if isinstance(model, InferenceDeployment)]
        located = {model.key: locate(self.mirror, model, foreign) for model in alive if model.key in known}
        there = [model for model in alive if model.key in located and _is_there(located[model.key])]
        pods = {model.uid: located[model.key].pods.live for model in there}
        self.scaler.marker.see(pods, read.loads)
        dozes = await self._dozes(there, pods)
        portless = self.router.portless
        snapshot = snapshot_of(
            self.mirror, located, read.signals, faults, self.scale_faults, now_s, portless=portless, dozes=dozes
        )
        return snapshot, pods

    async def _dozes(self, models: Sequence[InferenceDeployment], pods: _PodsOf) -> dict[str, Doze]:
        """What is known of rest with pods in place, by uid, with the power of those pods that are one alone."""
        seen = {model.uid: doze for model in models if (doze := self.dozer.view(model)) is not None}
        alone = {uid: pods[uid][0].key for uid in seen if len(pods[uid]) == 1}
        power_w = await read_power(self.prometheus, self.settings.rate_window_s) if alone else {}
        return {
            uid: replace(doze, power_w=power_w.get(alone[uid]) if uid in alone else None) for uid, doze in seen.items()
        }

    async def _act(self, plan: Plan, now_s: float) -> None:
        # Growing goes first: writes share one pace, and a late replica costs users more than a late saving.
        ordered = sorted(plan.models.values(), key=_growth, reverse=True)
        await asyncio.gather(*(self._act_on(model, now_s) for model in ordered))
        await self.scaler.marker.tidy(self.mirror.marked_pods, now_s)
        self.reporter.forget({model.uid for model in self.mirror.models.values()})
        self.exposition.forget(self.mirror.models)

    async def _act_on(self, plan: ModelPlan, now_s: float) -> None:
        self._route(plan)
        scaled = await self._scale(plan)
        await self.reporter.report(plan, self.exposition.ready.get(plan.key), scaled, now_s)

    def _route(self, plan: ModelPlan) -> None:
        model = self.mirror.models.get(plan.key)
        if plan.wish is None or not isinstance(model, InferenceDeployment):
            return
        before = None if plan.decision is None else plan.decision.before
        size = None if is_watched(model) else before
        start_s = plan.startup.p50_s if plan.startup else None
        wake_s = start_s if plan.wake_s is None else plan.wake_s
        self.router.want(model.uid, plan.wish, expected_start_s=wake_s, replicas=size)
        may_scale = plan.decision is not None and plan.decision.is_enforced
        self.dozer.want(model.uid, plan.rung, may_scale=may_scale)

    async def _scale(self, plan: ModelPlan) -> bool:
        """Carries the decision out where it asks for that; returns whether the size was changed."""
        model, decision = self.mirror.models.get(plan.key), plan.decision
        self.scale_faults.pop(plan.key, None)
        if decision is None or not (decision.is_enforced and decision.is_change):
            return False
        if not isinstance(model, InferenceDeployment):
            return False
        if decision.after == 0 and not self._may_be_zero(model.uid, decision):
            return False  # nobody would answer yet; the router is preparing those who will
        fault = await self.scaler.scale(model, decision)
        if fault is None:
            self.exposition.count_decision(plan.key, str(decision.reason))
            return True
        if fault.reason is Reason.SCALE_REFUSED:
            self.scale_faults[plan.key] = fault
        named = {"namespace": plan.key.namespace, "model": plan.key.name, "reason": str(fault.reason)}
        _LOG.warning("scale not written", extra=named | {"error": fault.message})
        return False

    def _may_be_zero(self, uid: str, decision: Decision) -> bool:
        """Where a quota forbids the pods, those who would have to answer have done so for as long."""
        if decision.reason is Reason.QUOTA_EXCEEDED:
            self.router.permit(uid)
            return True
        return self.router.may_be_zero(uid)


def _is_there(at: Located) -> bool:
    return at.replicas is not None


def _growth(plan: ModelPlan) -> int:
    decision = plan.decision
    return decision.after - decision.before if decision is not None and decision.is_enforced else 0
