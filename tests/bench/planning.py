"""One round of the planner for the whole fleet, with a day behind it."""

from __future__ import annotations

import tracemalloc

import numpy as np
from figures import MODELS, Figure, median_s
from forecasting import START_S, STEP_S, a_fleet_of_forecasts

from lull.cycle import plan_cycle
from lull.decide.sizing import utilisation_limit
from lull.foresight import foresee, look
from lull.memory import Memory
from lull.model.fleet import ModelView, Signals, Snapshot, Target
from lull.model.history import History, Observation
from lull.model.plan import Plan
from lull.model.spec import parse
from lull.settings import Settings

_DAY_OF_STEPS = 1440
_ROUNDS = 12


def a_fleet() -> Snapshot:
    body = {
        "metadata": {"namespace": "bench", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {
            "mode": "Enforce",
            "server": {"runtime": "triton", "modelName": "m"},
            "slo": {"objectives": [{"metric": "Latency", "percentile": "95", "threshold": "400ms"}]},
            "capacity": {"concurrency": 8},
            "maxReplicas": 50,
            "scaleTargetRef": {"kind": "Deployment", "name": "x"},
            "behavior": {"scaleDown": {"policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}]}},
        },
    }
    chance = np.random.default_rng(1)
    views = []
    for i, rps in enumerate(chance.exponential(100.0, MODELS)):
        model = parse({**body, "metadata": {**body["metadata"], "name": f"m{i}", "uid": f"u{i}"}})
        signals = Signals(
            completions_rps=float(rps), waiting=0.0, recent_rps=float(rps), service_time_s=0.05, age_s=3.0
        )
        views.append(ModelView(model, Target(3, 3, drains=True), signals))
    return Snapshot(tuple(views))


def a_memory(fleet: Snapshot, settings: Settings) -> tuple[Memory, float]:
    """A memory of this fleet that has taken a day over and lived through some rounds since; and the present moment."""
    memory = Memory(History(span_s=3600.0, tick_s=settings.tick_s, gap_s=60.0), STEP_S)
    past, now_s = a_fleet_of_forecasts(len(fleet.models), ((0.0, _DAY_OF_STEPS),))
    for _ in range(_ROUNDS):
        plan = plan_cycle(fleet, memory, settings, now_s)
        memory.history.record(plan.observation, now_s)
        memory.learn(plan.lesson, now_s)
        now_s += settings.tick_s
    if not memory.adopt([view.deployment.uid for view in fleet.models], past):
        raise RuntimeError("the day was not taken over, so that nothing would be planned with it")
    return memory, now_s


def planning() -> list[Figure]:
    fleet, settings = a_fleet(), Settings(prometheus_url="http://prometheus")
    memory, now_s = a_memory(fleet, settings)
    plan = plan_cycle(fleet, memory, settings, now_s)
    plan_s = median_s(5, lambda: plan_cycle(fleet, memory, settings, now_s))
    asked_s = median_s(5, lambda: _foresight(plan, memory, settings))
    few = Snapshot(fleet.models[:100])
    few_memory, few_now_s = a_memory(few, settings)
    few_s = median_s(9, lambda: plan_cycle(few, few_memory, settings, few_now_s))
    return [
        Figure("plan_cycle/10000 models with a day learned", plan_s, "CPU s", 1.0),
        Figure("plan_cycle/share of forecast, foresight and accounts", asked_s / plan_s, "ratio"),
        Figure(
            "plan_cycle/10000 models against a hundred fleets of 100", plan_s / (few_s * MODELS / 100), "ratio", 1.0
        ),
        _learning(plan, memory, now_s),
        _history(settings),
    ]


def _foresight(plan: Plan, memory: Memory, settings: Settings) -> None:
    """What a plan asks of the past: the forecast, the chance of each layer, and advice within the accounts."""
    lesson = plan.lesson
    at = memory.find(lesson.uids)
    most = np.full(len(at), 50.0)
    seen = look(memory.forecaster.forecast(), at, lesson.costs.limit_rps, lesson.replicas, most)
    foresee(seen, lesson.costs, memory.accounts, at, lesson.replicas, settings.tick_s)


def _learning(plan: Plan, memory: Memory, now_s: float) -> Figure:
    """A round within a step of the forecast: prices and accounts, and the arrivals gathered."""
    moments_s = iter(now_s + 0.1 * np.arange(9))
    learn_s = median_s(9, lambda: memory.learn(plan.lesson, float(next(moments_s))))
    return Figure("learning/a round of 10000 models, no step of the forecast ends", 1e3 * learn_s, "CPU ms")


def _history(settings: Settings) -> Figure:
    uids = [f"u{i}" for i in range(MODELS)]
    tracemalloc.start()
    history = History(span_s=3600.0, tick_s=settings.tick_s, gap_s=60.0)
    threes = np.full(MODELS, 3.0)
    for tick in range(60):
        history.record(Observation(uids, threes, threes, threes), START_S + settings.tick_s * tick)
    held_mb = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    return Figure("plan_cycle/history of an hour for 10000 models", held_mb, "MB", 300.0)


def sizing() -> list[Figure]:
    slots, waits, miss = np.full(1000, 8.0), np.linspace(0.5, 20.0, 1000), np.full(1000, 0.05)
    together_s = median_s(5, lambda: utilisation_limit(slots, waits, miss))
    alone_s = median_s(
        1, lambda: [utilisation_limit(slots[i : i + 1], waits[i : i + 1], miss[i : i + 1]) for i in range(1000)]
    )
    return [Figure("sizing/1000 models at once against one by one", together_s / alone_s, "ratio", 0.1)]
