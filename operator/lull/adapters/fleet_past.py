"""The past of a fleet that nobody names: models and their replicas are found in Prometheus by their own series.

Needs no Kubernetes. Requests are told by the servers' counters, by Lull's own record and by a query of the user's;
replicas by a query of the user's, by Lull's gauge, by kube-state-metrics where a workload has the model's name, and by
the pods that show a model's series. Called by ``lull replay --from-prometheus``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from lull.adapters.past import OWN_RATE, write_tracks
from lull.adapters.prometheus import Prometheus, Track
from lull.adapters.servers import DIALECTS, pods_of
from lull.errors import LullError
from lull.model.arrays import F64
from lull.model.record import Record
from lull.model.spec import Key, Runtime

Rows: TypeAlias = dict[Key, F64]
"""Values of each bin by model, (T,) each."""

_POINTS: Final = 2_000
"""Points per query, far below the 11,000 that Prometheus allows: it also bounds the samples that a query may load."""

_NAMES_AT_A_TIME: Final = 50
_WORKLOAD: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_NAMESPACES: Final = ("exported_namespace", "namespace")

_OWN_REPLICAS: Final = "max by (namespace, exported_namespace, name) (lull_model_replicas)"

_AGREE: Final = 0.8
"""Share of the bins in which a workload of the model's name must be as large as the model, or it is another's."""


@dataclass(slots=True)
class _Reading:
    """One stretch of time, read piece by piece; what failed is noted."""

    prometheus: Prometheus
    start_s: float
    bins: int
    bin_s: float
    tell: Callable[[float], None]
    doubts: list[str] = field(default_factory=list)
    failed: dict[str, LullError] = field(default_factory=dict)
    """Queries that no piece was answered of."""

    async def rows(self, queries: Mapping[str, str], share: float) -> dict[str, Rows]:
        """Values by query; together the pieces tell ``share`` of the progress."""
        found: dict[str, Rows] = {name: {} for name in queries}
        failures: dict[str, list[LullError]] = {name: [] for name in queries}
        pieces = range(0, self.bins, _POINTS)
        for first in pieces:
            last = min(first + _POINTS, self.bins)
            # A bin's mean is what Prometheus says at its end.
            span = (self.start_s + (first + 1) * self.bin_s, self.start_s + last * self.bin_s)
            answers = await self.prometheus.read_ranges(queries, *span, self.bin_s)
            for name, answer in answers.items():
                if isinstance(answer, LullError):
                    failures[name].append(answer)
                else:
                    self._place(found[name], answer, slice(first, last), span[0])
            self.tell(share * (last - first) / self.bins)
        self._note(failures, len(pieces))
        return found

    def _place(self, rows: Rows, tracks: Iterable[Track], piece: slice, first_s: float) -> None:
        for track in tracks:
            row = rows.setdefault(_key(track.labels), np.full(self.bins, np.nan))
            write_tracks(row[piece], [track], first_s, self.bin_s)

    def _note(self, failures: Mapping[str, Sequence[LullError]], pieces: int) -> None:
        for name, errors in failures.items():
            if errors:
                self.doubts.append(f"{name}: {len(errors)} of {pieces} answers are unknown: {errors[0]}")
            if len(errors) == pieces:
                self.failed[name] = errors[0]


@dataclass(frozen=True, slots=True)
class _Found:
    """All that was answered."""

    servers: Mapping[Runtime, Rows]
    pods: Mapping[Runtime, Rows]
    shared: Mapping[Runtime, Rows]
    own: Rows
    own_replicas: Rows
    asked: Rows
    asked_replicas: Rows
    workloads: Rows

    def keys(self) -> list[Key]:
        """Models that have requests or replicas of their own, sorted."""
        rows = (*self.servers.values(), *self.pods.values(), self.own, self.asked)
        return sorted({key for each in rows for key in each})


async def read_fleet(
    prometheus: Prometheus,
    start_s: float,
    end_s: float,
    bin_s: float,
    *,
    query: str | None = None,
    replicas_query: str | None = None,
    tell: Callable[[float], None] = lambda _: None,
) -> Record:
    """Requests and replicas of every model that Prometheus knows of.

    Args:
        prometheus: where to read.
        start_s: start of the first bin, seconds since the epoch.
        end_s: end of the last one.
        bin_s: width of a bin; rates are taken over it.
        query: gives requests per second of further models, by ``namespace`` and other labels.
        replicas_query: gives their replicas, by the same labels.
        tell: told which share of the reading was done since the last call.

    Raises:
        LullError: when Prometheus gave no usable answer to any question, or to a query of the user's.
    """
    bins = round((end_s - start_s) / bin_s)
    reading = _Reading(prometheus, start_s, bins, bin_s, tell)
    queries = _queries(bin_s, query, replicas_query)
    answered = await reading.rows(queries, share=0.9)
    for name in ("--query", "--replicas-query", *(queries if reading.failed.keys() >= queries.keys() else ())):
        if name in reading.failed:
            raise reading.failed[name]
    found = _found(answered, {})
    workloads = await _workloads(reading, found.keys())
    return _joined(_found(answered, workloads), reading)


def _queries(bin_s: float, query: str | None, replicas_query: str | None) -> dict[str, str]:
    window = f"{round(bin_s * 1000)}ms"
    found = {"lull": OWN_RATE.replace("$w", window), "lull_model_replicas": _OWN_REPLICAS}
    for runtime, dialect in DIALECTS.items():
        pods, by = pods_of(runtime), f"count by (namespace, {dialect.model_label})"
        several = f"count by (namespace, pod, instance) ({pods}) > 1"
        found[f"{runtime}"] = f"sum by (namespace, model) ({dialect.completions.replace('$w', window)})"
        found[f"{runtime} pods"] = f"{by} ({pods})"
        found[f"{runtime} shared pods"] = f"{by} (({pods}) and on (namespace, pod, instance) ({several}))"
    asked = {"--query": query, "--replicas-query": replicas_query}
    return found | {name: text for name, text in asked.items() if text}


def _found(answered: Mapping[str, Rows], workloads: Rows) -> _Found:
    return _Found(
        servers={runtime: answered[f"{runtime}"] for runtime in DIALECTS},
        pods={runtime: answered[f"{runtime} pods"] for runtime in DIALECTS},
        shared={runtime: answered[f"{runtime} shared pods"] for runtime in DIALECTS},
        own=answered["lull"],
        own_replicas=answered["lull_model_replicas"],
        asked=answered.get("--query", {}),
        asked_replicas=answered.get("--replicas-query", {}),
        workloads=workloads,
    )


async def _workloads(reading: _Reading, models: Sequence[Key]) -> Rows:
    """Replicas of the Deployments and StatefulSets that have a model's name, as kube-state-metrics tells them."""
    names = sorted({key.name for key in models if _WORKLOAD.fullmatch(key.name)})
    parts = [names[first : first + _NAMES_AT_A_TIME] for first in range(0, len(names), _NAMES_AT_A_TIME)]
    found: Rows = {}
    for part in parts:
        either = " or ".join(
            f'label_join(kube_{kind}_status_replicas{{{kind}=~"{"|".join(part)}"}}, "workload", "", "{kind}")'
            for kind in ("deployment", "statefulset")
        )
        query = f"max by (namespace, exported_namespace, workload) ({either})"
        found |= (await reading.rows({"kube-state-metrics": query}, share=0.1 / len(parts)))["kube-state-metrics"]
    return found


def _key(labels: Mapping[str, str]) -> Key:
    """Namespace, and whatever else tells series apart. A scrape with a namespace of its own keeps ours as exported."""
    namespace = next((labels[label] for label in _NAMESPACES if labels.get(label)), "")
    others = [value for label, value in sorted(labels.items()) if label not in {*_NAMESPACES, "__name__"}]
    return Key(namespace, "/".join(others) or "all")


def _joined(found: _Found, reading: _Reading) -> Record:
    keys = found.keys()
    models = [_model(key, found, reading.bins) for key in keys]

    def stacked(rows: list[F64]) -> F64:
        return np.stack(rows, axis=1) if rows else np.empty((reading.bins, 0))

    return Record(
        start_s=reading.start_s,
        bin_s=reading.bin_s,
        models=tuple("/".join(part for part in key if part) for key in keys),
        rates_rps=stacked([model.rates_rps for model in models]),
        replicas=stacked([model.replicas for model in models]),
        rate_sources=tuple(model.rate_source for model in models),
        replica_sources=tuple(model.replica_source for model in models),
        has_starting=np.array([model.has_starting for model in models], dtype=bool),
        shared_ratio=np.array([model.shared_ratio for model in models], dtype=np.float64),
        doubts=tuple(dict.fromkeys(reading.doubts)),
    )


@dataclass(frozen=True, slots=True)
class _Model:
    rates_rps: F64
    replicas: F64
    rate_source: str
    replica_source: str
    has_starting: bool
    shared_ratio: float


def _model(key: Key, found: _Found, bins: int) -> _Model:
    pods = _sum(found.pods, key, bins)
    replicas, replica_source, has_starting = _replicas(key, found, pods)
    served = _sum(found.servers, key, bins)
    runtimes = [runtime for runtime in DIALECTS if key in found.servers[runtime] or key in found.pods[runtime]]
    is_counted = bool(np.isfinite(served).any())
    if is_counted:
        # Nobody answers where nothing runs.
        served[np.isnan(served) & (replicas == 0.0)] = 0.0
    if is_counted and all(DIALECTS[runtime].counts_later for runtime in runtimes):
        served[np.isnan(served) & (pods > 0.0)] = 0.0
    rates_rps, sources = served, [" + ".join(runtimes)] if is_counted else []
    for name, rows in (("lull", found.own), ("--query", found.asked)):
        if key in rows:
            rates_rps = np.where(np.isfinite(rows[key]), rows[key], rates_rps)
            sources.append(name)
    is_shared = _sum(found.shared, key, bins) > 0.0
    shared_ratio = float(is_shared.sum()) / max(1, int(np.isfinite(pods).sum()))
    return _Model(rates_rps, replicas, ", ".join(sources), replica_source, has_starting, shared_ratio)


def _sum(by_runtime: Mapping[Runtime, Rows], key: Key, bins: int) -> F64:
    """Over the servers that have the model, (T,); unknown where one of them is."""
    rows = [rows[key] for rows in by_runtime.values() if key in rows]
    return np.sum(rows, axis=0) if rows else np.full(bins, np.nan)


def _replicas(key: Key, found: _Found, pods: F64) -> tuple[F64, str, bool]:
    """Replicas, their source, and whether those starting count: of what knows most, the first."""
    unknown = np.full(len(pods), np.nan)
    workload = found.workloads.get(key, unknown)
    candidates = [
        (found.asked_replicas.get(key, unknown), "--replicas-query", True),
        (found.own_replicas.get(key, unknown), "lull_model_replicas", True),
        (workload if _agree(workload, pods) else unknown, "kube-state-metrics", True),
        (pods, "pods with its metrics", False),
    ]
    # A scrape more or less decides nothing.
    best = max(candidates, key=lambda candidate: round(float(np.isfinite(candidate[0]).mean()), 2))
    return best if np.isfinite(best[0]).any() else (unknown, "", False)


def _agree(workload: F64, pods: F64) -> bool:
    is_known = np.isfinite(workload) & np.isfinite(pods)
    return not is_known.any() or bool((workload == pods)[is_known].mean() >= _AGREE)
