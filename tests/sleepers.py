"""A fleet that sleeps and wakes in a world of its own: requests, waiting rooms, pods that start, and scrapes.

What the cluster does is done here and nothing of it is concluded here: requests that find no ready pod wait and are
reported, a report wakes at once beside the rounds, pods take their time, and servers' counts are seen only once a pod
was scraped twice. Time goes by in ticks; requests come at their beginnings.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from builders import a_history, a_memory, a_model, some_settings, some_signals
from lull.cycle import plan_cycle
from lull.memory import Memory
from lull.model.fleet import Fault, ModelView, Signals, Snapshot, Target
from lull.model.plan import Decision, ModelPlan
from lull.model.reason import Reason
from lull.model.route import Front, ServicePort, ServiceShape, Wish
from lull.model.spec import InferenceDeployment
from lull.model.start import Start
from lull.settings import Settings

FRONT = Front("chat", ServiceShape(ports=(ServicePort("http", 80),)))
TICK_S = 300.0
"""Coarse, so that days go by in seconds; starts take about as long."""
DAY_S = 86_400.0
START_S = 20_000 * DAY_S
"""A midnight."""
WINDOW_S = TICK_S
LEAD_S = 270.0
"""Of a start, as long as nothing else is said."""
ENERGY_S = 900.0
"""Of a start beyond its time."""
SCRAPED_S = 30.0
"""Until a pod that became Ready was scraped twice; what it did before is in no rate."""


def a_sleeper(name: str, *, share: str | None = None, **spec: object) -> InferenceDeployment:
    """A model that may sleep as soon as it has learned to, of 10 requests/s a replica."""
    objectives = [{"metric": "Latency", "percentile": "95", "threshold": "800ms"}]
    slo = {"objectives": objectives} | ({} if share is None else {"coldStartShare": share})
    sleep = {"mode": "Enforce", "allowLongStart": True}
    return a_model(name, **{"slo": slo, "scaleToZero": sleep, "prediction": {"mode": "Enforce"}} | spec)


@dataclass
class Life:
    """One model: who comes, and what became of them."""

    model: InferenceDeployment
    arrivals: Sequence[int]
    """Requests of each tick."""
    start_s: float = LEAD_S
    replicas: int = 1
    ready_at_s: list[float] = field(default_factory=lambda: [-np.inf])
    held: int = 0
    held_ever: int = 0
    served: deque[tuple[float, int]] = field(default_factory=deque)
    done: int = 0
    writes: list[tuple[float, int]] = field(default_factory=list)
    """Sizes as they were written, and when."""
    sizes: list[int] = field(default_factory=list)
    """Replicas at the end of each tick."""
    cold: list[int] = field(default_factory=list)
    """Requests of each tick that had to wait for a wake."""
    plans: list[ModelPlan] = field(default_factory=list)
    new_starts: list[Start] = field(default_factory=list)
    started: int = 0

    def ready(self, now_s: float) -> int:
        return sum(at_s <= now_s for at_s in self.ready_at_s)

    def come(self, requests: int, now_s: float) -> None:
        """Requests come: a ready pod answers them, else they wait."""
        self.cold.append(0)
        if self.ready(now_s):
            self._serve(requests, now_s)
        else:
            self.held += requests
            self.held_ever += requests
            self.cold[-1] = requests

    def let_go(self, now_s: float) -> None:
        """Whoever waits goes to the first pod that is ready."""
        if self.held and self.ready(now_s):
            self._serve(self.held, min(at_s for at_s in self.ready_at_s if at_s <= now_s))
            self.held = 0

    def resize(self, size: int, now_s: float) -> None:
        self.writes.append((now_s, size))
        lacking = size - self.replicas
        self.ready_at_s = sorted(self.ready_at_s)[: min(size, self.replicas)] + [now_s + self.start_s] * max(0, lacking)
        self.new_starts += [Start(self.model.uid, 1.0, 0.0, self.start_s - 1.0, is_cold_node=False)] * max(0, lacking)
        self.started += max(0, lacking)
        self.replicas = size

    def view(self, now_s: float) -> ModelView:
        ready_s = [at_s for at_s in self.ready_at_s if at_s <= now_s]
        first_s = max(min(ready_s), START_S - DAY_S) if ready_s else None
        target = Target(self.replicas, len(ready_s), drains=True, ready_since_s=first_s, revision="a")
        return ModelView(
            self.model,
            target,
            self._signals(now_s, first_s),
            front=FRONT,
            is_held=not ready_s,
            waiting=self.held,
            held_ever=self.held_ever,
        )

    def _serve(self, requests: int, at_s: float) -> None:
        self.done += requests
        self.served.append((at_s, requests))

    def _signals(self, now_s: float, ready_since_s: float | None) -> Signals:
        if self.replicas == 0:
            return Signals(completions_rps=0.0, waiting=float(self.held), age_s=0.0)
        if ready_since_s is None:
            return Signals(fault=Fault(Reason.NO_READY_PODS, "no pod is Ready"))
        if now_s - ready_since_s < SCRAPED_S:
            return Signals(fault=Fault(Reason.AWAITING_FIRST_SCRAPE, "not scraped yet"))
        while self.served and self.served[0][0] < now_s - WINDOW_S:
            self.served.popleft()
        seen = sum(requests for at_s, requests in self.served if at_s >= ready_since_s + SCRAPED_S)
        return some_signals(seen / WINDOW_S)


@dataclass
class House:
    """Models that live under one plan."""

    lives: Sequence[Life]
    settings: Settings = field(default_factory=lambda: some_settings(start_energy_s=ENERGY_S))
    memory: Memory = field(
        default_factory=lambda: a_memory(
            a_history(tick_s=TICK_S, gap_s=5.0 * TICK_S), step_s=TICK_S, cold_start_s=LEAD_S
        )
    )
    now_s: float = START_S

    def goes_on(self, ticks: int) -> None:
        """Ticks go by; whoever begins to wait in one wakes the model at once."""
        for _ in range(ticks):
            for life in self.lives:
                tick = len(life.sizes)
                life.let_go(self.now_s)
                life.come(life.arrivals[tick] if tick < len(life.arrivals) else 0, self.now_s)
            self._wake()
            self.now_s += TICK_S
            for life in self.lives:
                life.let_go(self.now_s)
            self._round()

    def _wake(self) -> None:
        woken = [life for life in self.lives if life.held and life.replicas == 0]
        if woken:
            plan = plan_cycle(Snapshot(tuple(life.view(self.now_s) for life in woken)), *self._known())
            for life in woken:
                self._act(life, plan.models[life.model.key])

    def _round(self) -> None:
        plan = plan_cycle(Snapshot(tuple(life.view(self.now_s) for life in self.lives)), *self._known())
        self.memory.history.record(plan.observation, self.now_s)
        self.memory.learn(plan.lesson, self.now_s)
        starts = [start for life in self.lives for start in life.new_starts]
        self.memory.learn_starts(starts, {life.model.uid: 0 for life in self.lives})
        for life in self.lives:
            life.new_starts = []
            self._act(life, plan.models[life.model.key])
            life.sizes.append(life.replicas)

    def _known(self) -> tuple[Memory, Settings, float]:
        return self.memory, self.settings, self.now_s

    def _act(self, life: Life, plan: ModelPlan) -> None:
        decision, before = plan.decision, life.plans[-1].wish if life.plans else None
        life.plans.append(plan)
        assert isinstance(decision, Decision)
        # The last pod goes once others answer in its place, which takes the router a while.
        is_early = decision.after == 0 and before is not Wish.ASLEEP
        if decision.is_change and not is_early:
            life.resize(decision.after, self.now_s)


def requests(*spells: tuple[float, float], seed: int, days: int = 1) -> np.ndarray:
    """Requests of each tick of some days, drawn: a rate in requests/s until an hour, then another, until 24."""
    draw, per_day = np.random.default_rng(seed), round(DAY_S / TICK_S)
    hour = np.arange(per_day) * 24.0 / per_day
    until_h, rps = zip(*spells, strict=True)
    rates = np.array(rps)[np.searchsorted(until_h, hour, side="right")]
    return draw.poisson(np.tile(rates * TICK_S, days))
