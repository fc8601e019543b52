"""Speed and memory, measured: `make bench` prints a table and writes build/bench.json.

Every entry is {name, value, unit, bar, holds}; names start with their area. Nothing here is asserted by a test:
machines are shared and noisy. Where a bar is a ratio, both sides were measured in the same run.
"""

from __future__ import annotations

import json
import os
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from lull.adapters.mirror import Kind, Mirror
from lull.cycle import plan_cycle
from lull.decide.sizing import utilisation_limit
from lull.forecast.capacity import Capacities
from lull.memory import Memory
from lull.model.fleet import ModelView, Signals, Snapshot, Target
from lull.model.history import History, Observation
from lull.model.spec import parse
from lull.settings import Settings

MODELS = 10_000
BUILD = Path(__file__).resolve().parents[2] / "build"


@dataclass(frozen=True)
class Figure:
    """One measured figure; ``bar`` None means there is none."""

    name: str
    value: float
    unit: str
    bar: float | None = None

    @property
    def holds(self) -> bool | None:
        return None if self.bar is None else self.value <= self.bar


def best_of(times: int, work: Callable[[], object]) -> float:
    """Least seconds of several runs: what the machine can do when nobody else asks it."""
    found = []
    for _ in range(times):
        started_s = time.process_time()
        work()
        found.append(time.process_time() - started_s)
    return min(found)


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


def planning() -> list[Figure]:
    fleet, settings = a_fleet(), Settings(prometheus_url="http://prometheus")
    uids = [view.deployment.uid for view in fleet.models]
    tracemalloc.start()
    history = History(span_s=3600.0, tick_s=10.0, gap_s=60.0)
    threes = np.full(MODELS, 3.0)
    for tick in range(60):
        history.record(Observation(uids, threes, threes, threes), 10.0 * tick)
    held_mb = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    memory = Memory(history, 60.0)
    plan_s = best_of(3, lambda: plan_cycle(fleet, memory, settings, 600.0))
    few = Snapshot(fleet.models[:100])
    few_s = best_of(3, lambda: plan_cycle(few, memory, settings, 600.0))
    return [
        Figure("plan_cycle/10000 models", plan_s, "CPU s", 1.0),
        Figure(
            "plan_cycle/10000 models against a hundred fleets of 100", plan_s / (few_s * MODELS / 100), "ratio", 1.0
        ),
        Figure("plan_cycle/history of an hour for 10000 models", held_mb, "MB", 300.0),
    ]


def sizing() -> list[Figure]:
    slots, waits, miss = np.full(1000, 8.0), np.linspace(0.5, 20.0, 1000), np.full(1000, 0.05)
    together_s = best_of(3, lambda: utilisation_limit(slots, waits, miss))
    alone_s = best_of(
        1, lambda: [utilisation_limit(slots[i : i + 1], waits[i : i + 1], miss[i : i + 1]) for i in range(1000)]
    )
    return [Figure("sizing/1000 models at once against one by one", together_s / alone_s, "ratio", 0.1)]


def learning() -> list[Figure]:
    fleet, settings = a_fleet(), Settings(prometheus_url="http://prometheus")
    window = plan_cycle(
        fleet, Memory(History(span_s=3600.0, tick_s=10.0, gap_s=60.0), 60.0), settings, 0.0
    ).lesson.window
    known, at, ticks = Capacities(MODELS), np.arange(MODELS), iter(range(1000))
    look_s = best_of(20, lambda: known.learn(at, window, 10.0 * next(ticks)))
    return [Figure("capacity/one look at 10000 models", look_s, "CPU s", 0.01)]


def mirror() -> list[Figure]:
    def pod(i: int) -> dict[str, object]:
        return {
            "metadata": {
                "namespace": "bench",
                "name": f"p{i}",
                "uid": f"u{i}",
                "resourceVersion": str(i + 1),
                "labels": {"lull.dev/model": f"m{i // 3}"},
            },
            "spec": {"containers": [{"name": "c"}]},
            "status": {"phase": "Running", "conditions": []},
        }

    pods = [pod(i) for i in range(3 * MODELS)]

    def fill() -> Mirror:
        held = Mirror(on_spec=lambda: None, keep_gone_s=60.0, clock=time.monotonic)
        for body in pods:
            held.feed(Kind.POD, body)
        return held

    held = fill()
    look_s = best_of(
        3, lambda: [held.pods_of("bench", {"matchLabels": {"lull.dev/model": f"m{i}"}}) for i in range(MODELS)]
    )
    return [
        Figure("mirror/30000 pods fed", best_of(2, fill), "CPU s"),
        Figure("mirror/pods of 10000 models in one namespace", look_s, "CPU s"),
    ]


def main() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    figures = [*planning(), *sizing(), *learning(), *mirror()]
    table = Table("figure", "value", "unit", "bar", "holds")
    for figure in figures:
        holds = {True: "[green]yes", False: "[red]no", None: ""}[figure.holds]
        table.add_row(
            figure.name, f"{figure.value:.3g}", figure.unit, "" if figure.bar is None else f"{figure.bar:g}", holds
        )
    Console().print(table)
    BUILD.mkdir(exist_ok=True)
    (BUILD / "bench.json").write_text(json.dumps([asdict(f) | {"holds": f.holds} for f in figures], indent=2) + "\n")


if __name__ == "__main__":
    main()
