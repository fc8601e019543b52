"""What the pods of one model told, made into its signals, and what they should tell and do not.

A signal is a sum over pods, or a ratio of two such sums. Rates count pods that went a short while ago, for their
requests are in them; what is waiting or running went with its pod. Called by ``telemetry``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lull.adapters.objects import Pod
from lull.adapters.servers import DIALECTS, Dialect, metrics_of
from lull.adapters.tables import Histograms, Table
from lull.model.fleet import Fault, Signals
from lull.model.reason import Reason
from lull.model.spec import InferenceDeployment, Metric, Server

QUEUE: Final = frozenset({"waiting", "running"})
"""Gauges of load. Without them overload cannot be seen: completions stop growing exactly when a server is saturated."""


@dataclass(frozen=True, slots=True)
class Readings:
    """Tables of one runtime, seen from one model's pods."""

    server: Server
    live: Sequence[Pod]
    gone: Sequence[Pod]
    tables: Mapping[str, Table]
    histograms: Mapping[str, Histograms]

    @property
    def model(self) -> str:
        """The model's name on its server."""
        return self.server.model_name or ""

    @property
    def dialect(self) -> Dialect:
        """What the server's metrics are called."""
        return DIALECTS[self.server.runtime]

    def rate(self, signal: str) -> float | None:
        """Sum over all pods, those that went included."""
        return self.tables.get(signal, _NOTHING).sum_over([*self.live, *self.gone], self.model)

    def level(self, signal: str) -> float | None:
        """Sum over the pods there are."""
        return self.tables.get(signal, _NOTHING).sum_over(self.live, self.model)

    def each(self, signal: str) -> float | None:
        """Mean over the pods there are."""
        return self.tables.get(signal, _NOTHING).mean_over(self.live, self.model)

    def names(self, signal: str) -> set[str]:
        """Names of models that the pods tell a signal of; empty for a server that does not tell models apart."""
        return self.tables.get(signal, _NOTHING).models_of(self.live)

    def has(self, signal: str) -> bool:
        """Whether any pod there is has a series of the signal for the model."""
        if signal in self.histograms:
            return self.histograms[signal].has(self.live, self.model)
        return self.level(signal) is not None

    def quantile(self, metric: Metric, percentile: float) -> float | None:
        """What an objective bounds, at its percentile."""
        found = self.histograms.get(str(metric), _NO_BUCKETS)
        return found.quantile_over([*self.live, *self.gone], self.model, percentile / 100.0)


_NOTHING: Final = Table()
_NO_BUCKETS: Final = Histograms()


def signals_of(
    readings: Readings, deployment: InferenceDeployment, age_s: float | None, fault: Fault | None
) -> Signals:
    """The model's signals; what no pod tells is None."""
    completions = readings.rate("completions") or 0.0  # a scraped pod that exports no count served nothing yet
    first_token_s = _over(readings.rate("first_token"), readings.rate("first_tokens"))
    objectives = deployment.spec.slo.objectives
    return Signals(
        completions_rps=completions,
        waiting=readings.level("waiting"),
        in_flight=readings.level("in_flight"),
        backlog_growth_rps=readings.level("growth"),
        recent_rps=_recent(readings.rate("recent_completions"), readings.level("recent_growth")),
        service_time_s=_over(readings.rate("busy"), completions),
        has_wait_in_service=readings.dialect.has_wait_in_busy,
        running=readings.level("running"),
        mean_batch=_over(readings.rate("inferences"), readings.rate("executions")),
        prompt_tokens=_over(readings.rate("prompt_tokens"), completions),
        generated_tokens=_over(readings.rate("generated_tokens"), completions),
        first_token_s=first_token_s,
        prefill_s=_prefill_s(readings, completions, first_token_s),
        inter_token_s=_over(readings.rate("inter_token"), readings.rate("inter_tokens")),
        end_to_end_s=_over(readings.rate("end_to_end"), completions),
        observed_s=tuple(readings.quantile(o.metric, o.percentile) for o in objectives)
        if readings.dialect.buckets
        else (),
        kv_usage_ratio=readings.each("kv_usage"),
        kv_tokens=readings.each("kv_tokens"),
        age_s=age_s,
        fault=fault,
    )


def missing(readings: Readings, deployment: InferenceDeployment, queries: Mapping[str, str]) -> set[str]:
    """Signals that the model needs and no series of its pods tells.

    Servers may make a series with the first request, or with the first answer of several tokens, so what is made of
    requests is missed only while there are some.

    Args:
        readings: what the pods told; the model is known to them.
        deployment: whose objectives need more than the runtime always needs.
        queries: what was asked, by signal.
    """
    completions, tokens = readings.rate("completions") or 0.0, readings.rate("generated_tokens") or 0.0
    expected = {signal for signal in readings.dialect.needs if signal in QUEUE or completions > 0.0}
    if tokens > completions > 0.0:
        expected |= {str(o.metric) for o in deployment.spec.slo.objectives if o.metric is not Metric.LATENCY}
    return {signal for signal in expected if signal in queries and not readings.has(signal)}


def absence(signals: set[str], server: Server, queries: Mapping[str, str]) -> Fault:
    """The fault that names the metrics in which those signals were looked for."""
    looked_for = [
        f"{' or '.join(metrics_of([query]))} ({signal.replace('_', ' ')})"
        for signal, query in queries.items()
        if signal in signals
    ]
    return Fault(
        Reason.METRIC_MISSING,
        f"the pods are scraped, but export no {' and no '.join(looked_for)}; "
        f"see whether this version of {server.runtime} has it under another name or switched off",
    )


def _prefill_s(readings: Readings, completions: float, first_token_s: float | None) -> float | None:
    """Work before the first token: as told, else what the first token takes less the mean wait (Little's law)."""
    if "prefill" in readings.tables:
        return _over(readings.rate("prefill"), completions)
    waiting = readings.level("waiting")
    if first_token_s is None or waiting is None or not completions:
        return None
    return max(0.0, first_token_s - waiting / completions) or None


def _over(total: float | None, count: float | None) -> float | None:
    # two rates, each extrapolated by itself, can differ by a hair below zero
    return total / count if total and total > 0.0 and count and count > 0.0 else None


def _recent(completions_rps: float | None, growth_rps: float | None) -> float | None:
    return None if completions_rps is None else max(0.0, completions_rps + (growth_rps or 0.0))
