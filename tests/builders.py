"""Worlds to test in: every builder gives something sane, and a test names only what it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lull.cycle import plan_cycle
from lull.decide.facts import Facts
from lull.decide.provision import Advice
from lull.decide.zero import Rest
from lull.memory import Memory
from lull.model.fleet import Fault, ModelView, Signals, Snapshot, Target
from lull.model.history import History, Observation
from lull.model.plan import Decision, ModelPlan, Plan
from lull.model.reason import Reason
from lull.model.spec import Behavior, InferenceDeployment, Key, parse
from lull.settings import Mode, Settings

URL = "http://prometheus.monitoring:9090"
TICK_S = 10.0
START_S = 1_000_000.0


def some_settings(**changes: Any) -> Settings:
    """The operator's settings; Enforce, since most tests are about what happens."""
    return Settings(**{"prometheus_url": URL, "mode": Mode.ENFORCE} | changes)


def a_spec(**changes: Any) -> dict[str, Any]:
    """A spec as YAML has it, of an adopted Triton model; a field set to None is left out.

    One replica does 10 requests/s, one at a time, so that 6.37 requests/s keep p95 below 800 ms.
    """
    spec = {
        "scaleTargetRef": {"kind": "Deployment", "name": "chat"},
        "server": {"runtime": "triton", "modelName": "chat"},
        "slo": {"objectives": [{"metric": "Latency", "percentile": "95", "threshold": "800ms"}]},
        "capacity": {"requestsPerSecond": 10},
        "minReplicas": 1,
        "maxReplicas": 20,
    } | changes
    return {name: value for name, value in spec.items() if value is not None}


def a_template(**pod: Any) -> dict[str, Any]:
    """A pod template with one container that serves HTTP."""
    container = {"name": "server", "image": "triton:1", "ports": [{"name": "http", "containerPort": 8000}]}
    return {"metadata": {"labels": {"team": "search"}}, "spec": {"containers": [container]} | pod}


def an_owned_spec(**changes: Any) -> dict[str, Any]:
    """A spec as YAML has it, with a template."""
    ports = [{"name": "http", "port": 8000, "role": "HTTP"}, {"name": "metrics", "port": 8002, "role": "Metrics"}]
    server = {"runtime": "triton", "modelName": "chat", "ports": ports}
    return a_spec(**{"scaleTargetRef": None, "template": a_template(), "server": server} | changes)


def a_body(
    name: str = "chat",
    namespace: str = "demo",
    *,
    spec: Mapping[str, Any] | None = None,
    uid: str | None = None,
    generation: int = 1,
    created: str = "2026-01-01T00:00:00Z",
    version: int = 1,
    **rest: Any,
) -> dict[str, Any]:
    """An InferenceDeployment as the API server delivers it."""
    return {
        "apiVersion": "lull.dev/v1alpha1",
        "kind": "InferenceDeployment",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid or f"uid-{namespace}-{name}",
            "generation": generation,
            "resourceVersion": str(version),
            "creationTimestamp": created,
        },
        "spec": a_spec() if spec is None else dict(spec),
        **rest,
    }


def a_model(name: str = "chat", namespace: str = "demo", **spec: Any) -> InferenceDeployment:
    """An adopted model; its target has its own name."""
    target = {"scaleTargetRef": {"kind": "Deployment", "name": name}} if "template" not in spec else {}
    return parse(a_body(name, namespace, spec=a_spec(**target | spec)))


def an_owned_model(name: str = "chat", namespace: str = "demo", **spec: Any) -> InferenceDeployment:
    """A model with a template."""
    return parse(a_body(name, namespace, spec=an_owned_spec(**spec)))


def some_signals(rps: float = 0.0, **changes: Any) -> Signals:
    """Complete and fresh signals of a model that completes ``rps`` requests a second and has no queue."""
    return Signals(
        **{
            "completions_rps": rps,
            "recent_rps": rps,
            "waiting": 0.0,
            "backlog_growth_rps": 0.0,
            "service_time_s": 0.1,
            "age_s": 3.0,
        }
        | changes
    )


def silence(reason: Reason = Reason.PROMETHEUS_UNREACHABLE) -> Signals:
    """Signals of which nothing is known."""
    return Signals(fault=Fault(reason, "Prometheus gave no answer"))


def a_glimpse(rps: float) -> Signals:
    """Signals that miss some pods."""
    return some_signals(rps, fault=Fault(Reason.PARTIAL_DATA, "1 of 3 Ready pods: no scrape"))


def a_view(
    model: InferenceDeployment | None = None,
    *,
    replicas: int | None = 2,
    ready: int | None = None,
    drains: bool = True,
    signals: Signals | None = None,
    **rest: Any,
) -> ModelView:
    """A model with a target whose pods are all Ready; ``replicas=None`` leaves the target out."""
    target = None if replicas is None else Target(replicas, replicas if ready is None else ready, drains)
    views = {"target": target, "signals": some_signals() if signals is None else signals}
    return ModelView(model or a_model(), **views | rest)


def a_history(*, span_s: float = 3600.0, tick_s: float = TICK_S, gap_s: float = 60.0) -> History:
    """An empty history."""
    return History(span_s=span_s, tick_s=tick_s, gap_s=gap_s)


def a_memory(history: History | None = None, *, step_s: float = 60.0, cold_start_s: float = 60.0) -> Memory:
    """A memory without anything learned."""
    return Memory(a_history() if history is None else history, step_s, cold_start_s=cold_start_s)


def no_advice(count: int) -> Advice:
    """A forecast that asks for nothing."""
    nothing = np.zeros(count, dtype=np.int64)
    return Advice(start_to=nothing, keep_to=nothing)


def no_rest(count: int) -> Rest:
    """Models that may not sleep."""
    no = np.zeros(count, dtype=bool)
    return Rest(np.ones(count, dtype=np.int64), np.full(count, None, dtype=object), no, no)


def an_observation(rows: Mapping[str, tuple[float, float, float]]) -> Observation:
    """One round: replicas, need and safe by uid."""
    columns = np.array(list(rows.values()), dtype=np.float64).reshape(-1, 3)
    return Observation(tuple(rows), columns[:, 0], columns[:, 1], columns[:, 2])


def some_facts(
    current: Sequence[int] = (4,),
    need: Sequence[float] = (4.0,),
    safe: Sequence[float] | None = None,
    *,
    minimum: int = 1,
    maximum: int = 100,
    is_lower_bound: bool = False,
    is_unreachable: bool = False,
    unknown: Reason = Reason.NO_DATA,
    behavior: Behavior | None = None,
    up_window_s: float = 0.0,
    down_window_s: float = 0.0,
    up_tolerance: float = 0.0,
    down_tolerance: float = 0.0,
    start_to: Sequence[int] = (),
    keep_to: Sequence[int] = (),
    floor: int = 1,
    is_sleeper: bool = False,
    is_held: bool = False,
    waiting: int = 0,
    is_unproven: bool = False,
    is_out_of_quota: bool = False,
    last_awake: int = 0,
    history: History | None = None,
    now_s: float = START_S,
) -> Facts:
    """Facts without any damping; models are called m0, m1 and so on."""
    count = len(current)
    return Facts(
        uids=tuple(f"m{i}" for i in range(count)),
        current=np.array(current, dtype=np.int64),
        minimum=np.full(count, minimum, dtype=np.int64),
        maximum=np.full(count, maximum, dtype=np.int64),
        need_exact=np.array(need, dtype=np.float64),
        safe_exact=np.array(need if safe is None else safe, dtype=np.float64),
        is_lower_bound=np.full(count, is_lower_bound),
        is_unreachable=np.full(count, is_unreachable),
        unknown=np.full(count, unknown, dtype=object),
        up_window_s=np.full(count, up_window_s),
        down_window_s=np.full(count, down_window_s),
        up_tolerance=np.full(count, up_tolerance),
        down_tolerance=np.full(count, down_tolerance),
        start_to=np.array(start_to or [0] * count, dtype=np.float64),
        keep_to=np.array(keep_to or [0] * count, dtype=np.float64),
        floor=np.full(count, floor, dtype=np.int64),
        is_sleeper=np.full(count, is_sleeper),
        is_held=np.full(count, is_held),
        waiting=np.full(count, waiting, dtype=np.int64),
        is_unproven=np.full(count, is_unproven),
        is_out_of_quota=np.full(count, is_out_of_quota),
        last_awake=np.full(count, last_awake, dtype=np.int64),
        behaviors=(behavior or Behavior(),) * count,
        history=history or a_history(),
        now_s=now_s,
    )


def a_decision(before: int = 2, after: int = 2, reason: Reason = Reason.STEADY, **evidence: float) -> Decision:
    """A decision in mode Enforce."""
    return Decision(before, after, reason, evidence, is_enforced=True)


@dataclass
class Story:
    """One model lived through round by round: what is decided is carried out, as the loop would."""

    model: InferenceDeployment = field(default_factory=a_model)
    replicas: int = 2
    settings: Settings = field(default_factory=some_settings)
    memory: Memory = field(default_factory=a_memory)
    now_s: float = START_S
    plans: list[ModelPlan] = field(default_factory=list)

    def goes_on(self, signals: Signals, for_s: float = TICK_S, **view: Any) -> Decision:
        """Plans every tick for a while with these signals; gives the last decision."""
        for _ in range(max(1, round(for_s / TICK_S))):
            plan = self.look(signals, **view)
            self.memory.history.record(plan.observation, self.now_s)
            self.memory.learn(plan.lesson, self.now_s)
            self.plans.append(plan.models[self.model.key])
            decision = self.latest
            if decision.is_enforced:
                self.replicas = decision.after
            self.now_s += TICK_S
        return self.latest

    def look(self, signals: Signals, **view: Any) -> Plan:
        """The plan of this moment; nothing is carried out or remembered."""
        seen = a_view(self.model, **{"replicas": self.replicas, "signals": signals} | view)
        return plan_cycle(Snapshot((seen,)), self.memory, self.settings, self.now_s)

    @property
    def latest(self) -> Decision:
        """The last decision."""
        decision = self.plans[-1].decision
        assert decision is not None
        return decision

    @property
    def sizes(self) -> list[int]:
        """What was wanted, round by round."""
        return [plan.decision.after for plan in self.plans if plan.decision]

    @property
    def reasons(self) -> list[Reason]:
        """Why, round by round, repetitions left out."""
        found = [plan.decision.reason for plan in self.plans if plan.decision]
        return [reason for i, reason in enumerate(found) if i == 0 or found[i - 1] != reason]


def plan_of(*views: ModelView, memory: Memory | None = None, now_s: float = START_S, **changes: Any) -> Plan:
    """One plan for a fleet."""
    return plan_cycle(Snapshot(tuple(views)), memory or a_memory(), some_settings(**changes), now_s)


def decision_on(plan: Plan, name: str = "chat", namespace: str = "demo") -> Decision:
    """What was decided about one model."""
    decision = plan.models[Key(namespace, name)].decision
    assert decision is not None
    return decision
