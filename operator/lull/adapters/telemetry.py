"""Joins what Prometheus answered to models, through the pods.

A model's signals are sums over its pods. Every pod that is Ready for a while must have a fresh scrape, or the sums
miss it and bound the truth only from below; without any fresh scrape nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lull.adapters.objects import Pod
from lull.adapters.pod_loads import PodLoads
from lull.adapters.prometheus import Answer, Prometheus
from lull.adapters.readings import QUEUE, Readings, absence, missing, signals_of
from lull.adapters.servers import DIALECTS, SCRAPE_AGE, metrics_of, queries_for
from lull.adapters.tables import Histograms, Table
from lull.errors import LullError, Unreachable
from lull.model.fleet import Fault, Signals
from lull.model.reason import Reason
from lull.model.spec import InferenceDeployment, Key, Metric, Runtime
from lull.settings import Settings

Name = tuple[Runtime | Key | None, str]
"""Whose query, and for which signal: a runtime's, one generic model's, or everybody's (None)."""

_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Pods:
    """Pods of one model."""

    live: Sequence[Pod]
    gone: Sequence[Pod]
    """Went a short while ago; their requests are still in the rates."""

    @property
    def ready(self) -> list[Pod]:
        """Those that are Ready and stay."""
        return [pod for pod in self.live if pod.ready_since_s is not None]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one read told."""

    signals: dict[Key, Signals]
    """Of every model."""
    loads: PodLoads
    """Of every pod, to be asked."""


async def read_signals(
    prometheus: Prometheus,
    models: Mapping[Key, tuple[InferenceDeployment, Pods]],
    settings: Settings,
    now_s: float,
) -> Measured:
    """Signals of every model, one bulk read for all of them."""
    asked = {
        runtime: queries_for(runtime, settings.rate_window_s, metrics)
        for runtime, metrics in _objectives(deployment for deployment, _ in models.values()).items()
        if runtime is not Runtime.GENERIC
    }
    queries: dict[Name, str] = {(None, "scrape_age"): SCRAPE_AGE} if asked else {}
    for runtime, by_signal in asked.items():
        queries |= {(runtime, signal): query for signal, query in by_signal.items()}
    for key, (deployment, _) in models.items():
        if deployment.spec.server.queries is not None:
            queries[key, "completions"] = deployment.spec.server.queries.requests_per_second
            if deployment.spec.server.queries.backlog is not None:
                queries[key, "in_flight"] = deployment.spec.server.queries.backlog
    answers = await prometheus.read(queries)
    told: dict[Runtime, _Told] = {runtime: _tabulate(runtime, asked[runtime], answers) for runtime in asked}
    signals = {
        key: _generic(key, answers)
        if deployment.spec.server.runtime is Runtime.GENERIC
        else _served(deployment, pods, told[deployment.spec.server.runtime], settings, now_s)
        for key, (deployment, pods) in models.items()
    }
    return Measured(signals, _loads(told, settings.stale_after_s))


def _loads(told: Mapping[Runtime, _Told], stale_after_s: float) -> PodLoads:
    """What is told without doubt; only the signals that loads are made of, since the rest is large."""
    whole = {runtime: found for runtime, found in told.items() if found.failure is None and found.doubt is None}
    tables: dict[Runtime, Mapping[str, Table]] = {
        runtime: {name: found.tables[name] for name in DIALECTS[runtime].in_hand if name in found.tables}
        for runtime, found in whole.items()
    }
    return PodLoads(tables, next((found.ages for found in whole.values()), Table()), stale_after_s)


def _objectives(deployments: Iterable[InferenceDeployment]) -> dict[Runtime, set[Metric]]:
    """Runtimes there are, and what their models' objectives bound."""
    found: dict[Runtime, set[Metric]] = {}
    for deployment in deployments:
        metrics = {objective.metric for objective in deployment.spec.slo.objectives}
        found.setdefault(deployment.spec.server.runtime, set()).update(metrics)
    return found


@dataclass(frozen=True, slots=True)
class _Told:
    """What Prometheus knows of one runtime."""

    queries: Mapping[str, str]
    tables: Mapping[str, Table]
    histograms: Mapping[str, Histograms]
    ages: Table
    failure: Fault | None
    doubt: str | None


def _tabulate(runtime: Runtime, queries: Mapping[str, str], answers: Mapping[Name, Answer | LullError]) -> _Told:
    mine = {name[1]: answer for name, answer in answers.items() if name[0] in (None, runtime)}
    rows = {signal: answer.rows for signal, answer in mine.items() if isinstance(answer, Answer)}
    histograms = {str(metric) for metric in DIALECTS[runtime].buckets}
    return _Told(
        queries=queries,
        tables={
            signal: Table.of_cache_sizes(found) if signal == "kv_tokens" else Table.of(found)
            for signal, found in rows.items()
            if signal not in histograms
        },
        histograms={signal: Histograms.of(found) for signal, found in rows.items() if signal in histograms},
        ages=Table.of(rows.get("scrape_age", ())),
        failure=_failure(mine.values()),
        doubt=_doubt(mine.values()),
    )


def _served(deployment: InferenceDeployment, pods: Pods, told: _Told, settings: Settings, now_s: float) -> Signals:
    """Signals of a server that Lull knows."""
    if not pods.ready:
        return Signals(fault=Fault(Reason.NO_READY_PODS, "no pod is Ready"))
    if told.failure is not None:
        return Signals(fault=told.failure)
    stale, age_s = _coverage(pods.ready, told.ages, settings.stale_after_s, now_s)
    if age_s is None:
        if stale:
            return Signals(fault=Fault(Reason.NO_DATA, _no_scrape(stale, settings.stale_after_s)))
        return Signals(fault=Fault(Reason.AWAITING_FIRST_SCRAPE, "the Ready pods await their first scrape"))
    server = deployment.spec.server
    readings = Readings(server, pods.live, pods.gone, told.tables, told.histograms)
    is_young = all(_ready_for_s(pod, now_s) <= settings.rate_window_s for pod in pods.ready)
    unknown = _unknown_model(readings, told.queries)
    if unknown is not None and is_young:
        unknown = Fault(Reason.AWAITING_FIRST_SCRAPE, "the Ready pods await the second scrape that a rate takes")
    if unknown is not None:
        return Signals(age_s=age_s, fault=unknown)
    lacking = set() if is_young else missing(readings, deployment, told.queries)
    gap = absence(lacking, server, told.queries) if lacking else None
    fault = _partial(stale, pods.ready, told.doubt, settings.stale_after_s) or gap
    if lacking & QUEUE:
        return Signals(age_s=age_s, fault=fault)
    return signals_of(readings, deployment, age_s, fault)


def _generic(key: Key, answers: Mapping[Name, Answer | LullError]) -> Signals:
    """Signals of a server that only its owner's queries know."""
    mine = {name: answer for name, answer in answers.items() if name[0] == key}
    failed = _failure(mine.values())
    if failed is not None:
        return Signals(fault=failed)
    rows = {name[1]: answer.rows for name, answer in mine.items() if isinstance(answer, Answer)}
    empty = [name for name, found in rows.items() if not found]
    if empty:
        query = {"completions": "requestsPerSecond", "in_flight": "backlog"}[empty[0]]
        return Signals(fault=Fault(Reason.NO_DATA, f"the query in spec.server.queries.{query} has an empty answer"))
    doubt = _doubt(mine.values())
    return Signals(
        completions_rps=sum(row.value for row in rows["completions"]),
        in_flight=sum(row.value for row in rows["in_flight"]) if "in_flight" in rows else None,
        age_s=0.0,
        fault=Fault(Reason.PARTIAL_DATA, f"Prometheus warns: {doubt}") if doubt else None,
    )


def _failure(answers: Iterable[Answer | LullError]) -> Fault | None:
    for answer in answers:
        if isinstance(answer, Unreachable):
            return Fault(Reason.PROMETHEUS_UNREACHABLE, str(answer))
        if isinstance(answer, LullError):
            return Fault(Reason.PROMETHEUS_ANSWER_UNUSABLE, str(answer))
    return None


def _doubt(answers: Iterable[Answer | LullError]) -> str | None:
    return next((answer.doubt for answer in answers if isinstance(answer, Answer) and answer.doubt), None)


def _coverage(ready: Sequence[Pod], ages: Table, stale_after_s: float, now_s: float) -> tuple[list[Pod], float | None]:
    """Ready pods that should have a fresh scrape and have none, and the age of the oldest of the fresh ones."""
    stale, oldest = [], None
    for pod in ready:
        age_s = ages.by_pod.get(pod.key, {}).get("")
        if age_s is not None and age_s <= stale_after_s:
            oldest = max(oldest or 0.0, age_s)
        elif _ready_for_s(pod, now_s) > stale_after_s:
            # A pod Ready only a moment ago had no time to be scraped.
            stale.append(pod)
    return stale, oldest


def _ready_for_s(pod: Pod, now_s: float) -> float:
    return 0.0 if pod.ready_since_s is None else now_s - pod.ready_since_s


def _unknown_model(readings: Readings, queries: Mapping[str, str]) -> Fault | None:
    """Why no request of the model was ever counted, unless it is idle: a wrong name, or a count by another name."""
    model, dialect = readings.model, readings.dialect
    counted, known = readings.names("completions"), readings.names("completions") | readings.names("running")
    if model in counted:
        return None
    if model in readings.names(dialect.moves_with_completions):
        return absence({"completions"}, readings.server, queries)
    if model in known or (not known and not dialect.counts_from_start):
        return None
    names, metrics = ", ".join(sorted(known)) or "none", " and ".join(metrics_of([dialect.completions]))
    return Fault(
        Reason.NO_DATA,
        f"the pods are scraped, but count no requests of a model {model!r} (they count: {names}; in {metrics}); "
        "correct spec.server.modelName, or see that Prometheus scrapes the server's metrics port",
    )


def _partial(stale: Sequence[Pod], ready: Sequence[Pod], doubt: str | None, stale_after_s: float) -> Fault | None:
    if stale:
        message = f"{len(stale)} of {len(ready)} Ready pods: {_no_scrape(stale, stale_after_s)}"
        return Fault(Reason.PARTIAL_DATA, message)
    return Fault(Reason.PARTIAL_DATA, f"Prometheus warns: {doubt}") if doubt else None


def _no_scrape(pods: Sequence[Pod], stale_after_s: float) -> str:
    names = ", ".join(sorted(pod.key.name for pod in pods)[:_SHOWN])
    more = f" and {len(pods) - _SHOWN} more" if len(pods) > _SHOWN else ""
    return (
        f"Prometheus has no scrape of {names}{more} within {stale_after_s:g} s; "
        "it must scrape the pods with labels namespace and pod"
    )
