"""Lull's own metrics: what it knows, what it wants, what it did and how long that took."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from lull.adapters.api import Api
from lull.model.plan import Plan
from lull.model.spec import Key

_MODEL: Final = ("namespace", "name")
_CYCLE_BUCKETS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(slots=True)
class Exposition:
    """Everything under ``/metrics``."""

    api: Api
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    plan: Plan | None = None
    """The latest plan; the gauges of each model are read from it when scraped."""
    ready: dict[Key, int] = field(default_factory=dict)
    starts_s: Mapping[str, Mapping[Key, float]] = field(default_factory=dict)
    """Start-up times of the models whose starts were seen, by quantile."""
    leads: Callable[[], bool] = lambda: True
    """Whether this replica is the one that acts."""
    _counted: set[tuple[str, str, str]] = field(default_factory=set)
    cycle_s: Histogram = field(init=False)
    decisions: Counter = field(init=False)
    failures: Counter = field(init=False)

    def __post_init__(self) -> None:
        """Registers the metrics."""
        self.cycle_s = Histogram(
            "lull_cycle_seconds",
            "Time of one planning round, by phase.",
            ["phase"],
            buckets=_CYCLE_BUCKETS_S,
            registry=self.registry,
        )
        self.decisions = Counter(
            "lull_decisions", "Decisions that changed a size, by reason.", [*_MODEL, "reason"], registry=self.registry
        )
        self.failures = Counter(
            "lull_cycle_failures", "Planning rounds that ended in an error of Lull's own.", registry=self.registry
        )
        self.registry.register(_Gauges(self))

    def count_decision(self, key: Key, reason: str) -> None:
        """Counts a size that was changed."""
        self._counted.add((*key, reason))
        self.decisions.labels(*key, reason).inc()

    def forget(self, alive: Container[Key]) -> None:
        """Drops the counts of models that went."""
        for labels in [labels for labels in self._counted if Key(*labels[:2]) not in alive]:
            self.decisions.remove(*labels)
            self._counted.discard(labels)

    def text(self) -> bytes:
        """The metrics as Prometheus reads them."""
        return generate_latest(self.registry)


class _Gauges(Collector):
    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("lull_leader", "1 on the replica that acts.", value=self._exposition.leads())
        yield self._requests()
        yield from self._models()
        yield self._starts()

    def _requests(self) -> Metric:
        sent = CounterMetricFamily(
            "lull_api_requests", "Requests to the API server.", labels=["verb", "resource", "code"]
        )
        for labels, count in self._exposition.api.requests.items():
            sent.add_metric(list(labels), count)
        return sent

    def _starts(self) -> Metric:
        starts = GaugeMetricFamily(
            "lull_model_start_seconds",
            "Time from created to Ready that this share of a model's starts stays within; absent while none was seen.",
            labels=[*_MODEL, "quantile"],
        )
        for quantile, of_models in self._exposition.starts_s.items():
            for key, seconds in of_models.items():
                starts.add_metric([*key, quantile], seconds)
        return starts

    def _models(self) -> Iterator[Metric]:
        gauges = {
            name: GaugeMetricFamily(f"lull_model_{name}", text, labels=list(_MODEL))
            for name, text in (
                ("replicas", "Replicas the target is scaled to."),
                ("replicas_ready", "Replicas that are Ready."),
                ("replicas_desired", "Replicas Lull wants; in Recommend, would want."),
                ("requests_per_second", "Requests arriving per second; absent while unknown."),
                ("backlog", "Requests waiting; absent while unknown."),
                (
                    "capacity_requests_per_second",
                    "What one replica does that always has work, as learned; absent while unknown.",
                ),
                ("data_age_seconds", "Seconds since the demand was last known; absent while it never was."),
            )
        }
        reason = GaugeMetricFamily("lull_model_reason", "1 for the reason in force.", labels=[*_MODEL, "reason"])
        conditions = GaugeMetricFamily(
            "lull_model_condition", "1 for the status in force.", labels=[*_MODEL, "condition", "status"]
        )
        plan = self._exposition.plan
        for key, model in plan.models.items() if plan else ():
            values: dict[str, float | None] = {
                "requests_per_second": model.demand.arrivals_rps,
                "backlog": model.demand.backlog,
                "data_age_seconds": model.demand.age_s,
                "replicas_ready": self._exposition.ready.get(key),
            }
            if model.decision is not None:
                values |= {"replicas": model.decision.before, "replicas_desired": model.decision.after}
                values["capacity_requests_per_second"] = model.decision.evidence.get("capacity_rps")
                reason.add_metric([*key, str(model.decision.reason)], 1)
            for name, value in values.items():
                if value is not None:
                    gauges[name].add_metric(list(key), value)
            for condition in model.conditions:
                conditions.add_metric([*key, str(condition.type), str(condition.status)], 1)
        yield from (*gauges.values(), reason, conditions)
