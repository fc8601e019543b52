"""Rows of Prometheus, arranged for looking up by pod. Called by ``telemetry``; knows no runtime and no network."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from lull.adapters.objects import Pod
from lull.adapters.prometheus import Row
from lull.model.spec import Key


@dataclass(slots=True)
class Table:
    """One signal by pod, and by the model label where there is one."""

    by_pod: dict[Key, dict[str, float]] = field(default_factory=dict)

    @staticmethod
    def of(rows: Iterable[Row]) -> Table:
        """A signal whose rows have a namespace, a pod and perhaps a model."""
        table = Table()
        for row in rows:
            table.by_pod.setdefault(_pod_of(row), {})[row.labels.get("model", "")] = row.value
        return table

    @staticmethod
    def of_cache_sizes(rows: Iterable[Row]) -> Table:
        """Tokens that KV caches hold, summed over a pod's engines, from values or from labels.

        vLLM's ``cache_config_info`` is always 1 and has the size in labels, without a model. Newer versions name the
        tokens themselves; the blocks of a hybrid model do not multiply up to them. A label that is no number ("None"
        before profiling) tells nothing.
        """
        table = Table()
        for row in rows:
            tokens = _cache_size(row)
            if math.isfinite(tokens):
                models = table.by_pod.setdefault(_pod_of(row), {})
                model = row.labels.get("model", "")
                models[model] = models.get(model, 0.0) + tokens
        return table

    def sum_over(self, pods: Iterable[Pod], model: str) -> float | None:
        """Sum over pods that have the series; None when none has."""
        values = self._values(pods, model)
        return sum(values) if values else None

    def mean_over(self, pods: Iterable[Pod], model: str) -> float | None:
        """Mean over pods that have the series; None when none has."""
        values = self._values(pods, model)
        return sum(values) / len(values) if values else None

    def models_of(self, pods: Iterable[Pod]) -> set[str]:
        """Model labels that the pods' series carry; an absent label is empty."""
        return {name for pod in pods for name in self.by_pod.get(pod.key, {})}

    def _values(self, pods: Iterable[Pod], model: str) -> list[float]:
        return [value for pod in pods for name, value in self.by_pod.get(pod.key, {}).items() if name in (model, "")]


@dataclass(slots=True)
class Histograms:
    """Cumulative histograms by pod and model: observations per second at or below each bound."""

    by_pod: dict[Key, dict[str, dict[float, float]]] = field(default_factory=dict)

    @staticmethod
    def of(rows: Iterable[Row]) -> Histograms:
        """Rows of buckets, whose label ``le`` is their upper bound; a bound that is no number is left out."""
        found = Histograms()
        for row in rows:
            bound = _number(row.labels.get("le", ""))
            if not math.isnan(bound):
                models = found.by_pod.setdefault(_pod_of(row), {})
                models.setdefault(row.labels.get("model", ""), {})[bound] = row.value
        return found

    def has(self, pods: Iterable[Pod], model: str) -> bool:
        """Whether any pod has the histogram of the model, observations in it or not."""
        return any(name in (model, "") for pod in pods for name in self.by_pod.get(pod.key, {}))

    def quantile_over(self, pods: Iterable[Pod], model: str, share: float) -> float | None:
        """The value that a share of all pods' observations stays at or below; None without observations.

        Within a bucket observations are taken as evenly spread, as ``histogram_quantile`` of Prometheus does; beyond
        the last finite bound nothing is known but that bound. Pods of other versions may have other bounds: a pod's
        count at a bound it lacks is interpolated.
        """
        each = [
            buckets for pod in pods for name, buckets in self.by_pod.get(pod.key, {}).items() if name in (model, "")
        ]
        bounds = sorted({bound for buckets in each for bound in buckets if math.isfinite(bound)})
        total = sum(max(buckets.values()) for buckets in each)
        if not bounds or total <= 0.0:
            return None
        counts = np.zeros(len(bounds))
        for buckets in each:
            finite = sorted(bound for bound in buckets if math.isfinite(bound))
            known = [0.0, *(buckets[bound] for bound in finite)]
            counts += np.interp(bounds, [min(0.0, bounds[0]), *finite], known)
        # rates extrapolated one by one need not rise from bound to bound
        rising = np.maximum.accumulate(np.concatenate([[0.0], counts]))
        if share * total >= rising[-1]:
            return bounds[-1]
        above = int(np.searchsorted(rising, share * total, side="right"))
        edges = [min(0.0, bounds[0]), *bounds]
        within = (share * total - rising[above - 1]) / (rising[above] - rising[above - 1])
        return float(edges[above - 1] + within * (edges[above] - edges[above - 1]))


def _cache_size(row: Row) -> float:
    labels = row.labels
    if "num_gpu_blocks" not in labels and "kv_cache_size_tokens" not in labels:
        return row.value
    tokens = _number(labels.get("kv_cache_size_tokens", ""))
    blocks, of = _number(labels.get("num_gpu_blocks", "")), _number(labels.get("block_size", ""))
    return blocks * of if math.isnan(tokens) else tokens


def _pod_of(row: Row) -> Key:
    return Key(row.labels.get("namespace", ""), row.labels.get("pod", ""))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
