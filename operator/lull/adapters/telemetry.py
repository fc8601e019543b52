"""Joins what Prometheus answered to models, through the pods.

A model's signals are sums over its pods. Every pod that is Ready for a while must have a fresh scrape, or the sums
miss it and bound the truth only from below; without any fresh scrape nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from lull.adapters.objects import Pod
from lull.adapters.prometheus import Answer, Prometheus, Row
from lull.adapters.servers import DIALECTS, SCRAPE_AGE, queries_for
from lull.errors import LullError, Unreachable
from lull.model.fleet import Fault, Signals
from lull.model.reason import Reason
from lull.model.spec import InferenceDeployment, Key, Runtime
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


@dataclass(slots=True)
class _Table:
    """One signal by pod, and by the model label where there is one."""

    by_pod: dict[Key, dict[str, float]] = field(default_factory=dict)

    def add(self, rows: Iterable[Row]) -> None:
        for row in rows:
            key = Key(row.labels.get("namespace", ""), row.labels.get("pod", ""))
            self.by_pod.setdefault(key, {})[row.labels.get("model", "")] = row.value

    def sum_over(self, pods: Iterable[Pod], model: str) -> float | None:
        """Sum over pods that have the series; None when none has."""
        values = [value for pod in pods for name, value in self.by_pod.get(pod.key, {}).items() if name in (model, "")]
        return sum(values) if values else None

    def models_of(self, pods: Iterable[Pod]) -> set[str]:
        return {name for pod in pods for name in self.by_pod.get(pod.key, {})}


async def read_signals(
    prometheus: Prometheus,
    models: Mapping[Key, tuple[InferenceDeployment, Pods]],
    settings: Settings,
    now_s: float,
) -> dict[Key, Signals]:
    """Signals of every model, one bulk read for all of them."""
    runtimes = {deployment.spec.server.runtime for deployment, _ in models.values()} - {Runtime.GENERIC}
    queries: dict[Name, str] = {(None, "scrape_age"): SCRAPE_AGE} if runtimes else {}
    for runtime in runtimes:
        queries |= {(runtime, signal): q for signal, q in queries_for(runtime, settings.rate_window_s).items()}
    for key, (deployment, _) in models.items():
        if deployment.spec.server.queries is not None:
            queries[key, "completions"] = deployment.spec.server.queries.requests_per_second
            if deployment.spec.server.queries.backlog is not None:
                queries[key, "in_flight"] = deployment.spec.server.queries.backlog
    answers = await prometheus.read(queries)
    tables = {name: _tabulate(answer) for name, answer in answers.items() if isinstance(answer, Answer)}
    return {
        key: _generic(key, answers)
        if deployment.spec.server.runtime is Runtime.GENERIC
        else _served(deployment, pods, answers, tables, settings, now_s)
        for key, (deployment, pods) in models.items()
    }


def _tabulate(answer: Answer) -> _Table:
    table = _Table()
    table.add(answer.rows)
    return table


def _served(
    deployment: InferenceDeployment,
    pods: Pods,
    answers: Mapping[Name, Answer | LullError],
    tables: Mapping[Name, _Table],
    settings: Settings,
    now_s: float,
) -> Signals:
    """Signals of a server that Lull knows."""
    if not pods.ready:
        return Signals(fault=Fault(Reason.NO_READY_PODS, "no pod is Ready"))
    runtime = deployment.spec.server.runtime
    mine = {name: answer for name, answer in answers.items() if name[0] in (None, runtime)}
    failed = _failure(mine.values())
    if failed is not None:
        return Signals(fault=failed)
    stale, age_s = _coverage(pods.ready, tables[None, "scrape_age"], settings.stale_after_s, now_s)
    if age_s is None:
        if stale:
            return Signals(fault=Fault(Reason.NO_DATA, _no_scrape(stale, settings.stale_after_s)))
        return Signals(fault=Fault(Reason.AWAITING_FIRST_SCRAPE, "the Ready pods await their first scrape"))
    unknown = _unknown_model(deployment, pods, tables[runtime, "completions"])
    if unknown is not None and all(_ready_for_s(pod, now_s) <= settings.rate_window_s for pod in pods.ready):
        unknown = Fault(Reason.AWAITING_FIRST_SCRAPE, "the Ready pods await the second scrape that a rate takes")
    if unknown is not None:
        return Signals(age_s=age_s, fault=unknown)
    return _sums(deployment, pods, tables, age_s, _partial(stale, pods.ready, mine.values(), settings.stale_after_s))


def _sums(
    deployment: InferenceDeployment, pods: Pods, tables: Mapping[Name, _Table], age_s: float | None, fault: Fault | None
) -> Signals:
    runtime, model = deployment.spec.server.runtime, deployment.spec.server.model_name or ""

    def total(signal: str, over: Iterable[Pod]) -> float | None:
        table = tables.get((runtime, signal))
        return None if table is None else table.sum_over(over, model)

    everyone = [*pods.live, *pods.gone]
    completions = total("completions", everyone) or 0.0  # a scraped pod that exports no count served nothing yet
    busy = total("busy", everyone)
    return Signals(
        completions_rps=completions,
        waiting=total("waiting", pods.live),
        in_flight=total("in_flight", pods.live),
        backlog_growth_rps=total("growth", pods.live),
        recent_rps=_recent(total("recent_completions", everyone), total("recent_growth", pods.live)),
        # two rates, each extrapolated by itself, can differ by a hair below zero
        service_time_s=busy / completions if busy and busy > 0.0 and completions > 0.0 else None,
        has_wait_in_service=DIALECTS[runtime].has_wait_in_busy,
        age_s=age_s,
        fault=fault,
    )


def _recent(completions_rps: float | None, growth_rps: float | None) -> float | None:
    return None if completions_rps is None else max(0.0, completions_rps + (growth_rps or 0.0))


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
    doubt = next((answer.doubt for answer in mine.values() if isinstance(answer, Answer) and answer.doubt), None)
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


def _coverage(ready: Sequence[Pod], ages: _Table, stale_after_s: float, now_s: float) -> tuple[list[Pod], float | None]:
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


def _unknown_model(deployment: InferenceDeployment, pods: Pods, completions: _Table) -> Fault | None:
    """A model name that no pod has ever counted is a mistake rather than idleness."""
    server = deployment.spec.server
    known = completions.models_of(pods.live)
    if server.model_name in known or (not known and not DIALECTS[server.runtime].counts_from_start):
        return None
    names = ", ".join(sorted(known)) or "none"
    return Fault(
        Reason.NO_DATA,
        f"the pods are scraped, but count no requests of a model {server.model_name!r} (they count: {names}); "
        "correct spec.server.modelName, or see that Prometheus scrapes the server's metrics port",
    )


def _partial(
    stale: Sequence[Pod], ready: Sequence[Pod], answers: Iterable[Answer | LullError], stale_after_s: float
) -> Fault | None:
    if stale:
        message = f"{len(stale)} of {len(ready)} Ready pods: {_no_scrape(stale, stale_after_s)}"
        return Fault(Reason.PARTIAL_DATA, message)
    doubt = next((answer.doubt for answer in answers if isinstance(answer, Answer) and answer.doubt), None)
    return Fault(Reason.PARTIAL_DATA, f"Prometheus warns: {doubt}") if doubt else None


def _no_scrape(pods: Sequence[Pod], stale_after_s: float) -> str:
    names = ", ".join(sorted(pod.key.name for pod in pods)[:_SHOWN])
    more = f" and {len(pods) - _SHOWN} more" if len(pods) > _SHOWN else ""
    return (
        f"Prometheus has no scrape of {names}{more} within {stale_after_s:g} s; "
        "it must scrape the pods with labels namespace and pod"
    )
