"""What each model server exports, one row per runtime: names, units and traps live here and nowhere else.

Every query is one instant query for the whole fleet, summed to ``namespace, pod`` and, where the server tells models
apart, its model label; joining pods to models is the reader's work. Names were read off the servers themselves. Where
a name changed between versions, one query reads whichever exists: per pod the newer one wins, so a fleet that is half
upgraded is counted once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from lull.model.spec import Metric, Runtime


@dataclass(frozen=True, slots=True)
class Dialect:
    """PromQL of one runtime; ``$w`` stands for the rate window.

    ``completions`` is in requests/s, ``busy`` in seconds of service per second, ``growth`` in requests/s; ``waiting``
    counts queued requests, ``in_flight`` queued and running ones. The last three may lack a model label.
    """

    completions: str
    busy: str
    growth: str
    waiting: str | None = None
    in_flight: str | None = None
    others: Mapping[str, str] = field(default_factory=dict)
    """Further signals by name; what is not in it the server does not tell."""
    buckets: Mapping[Metric, str] = field(default_factory=dict)
    """Cumulative histograms of what an objective bounds, per second, with the label ``le``."""
    has_wait_in_busy: bool = False
    """Whether ``busy`` contains the wait in the queue."""
    counts_from_start: bool = True
    """Whether series of a model exist before its first request. Where not, a scraped pod without them is idle."""
    moves_with_completions: str = "busy"
    """The signal whose series cannot exist without the completions': where it does, their name has changed."""
    needs: tuple[str, ...] = ()
    """Signals that must be there as soon as the model is counted."""
    marks: tuple[str, ...] = ()
    """Series by which a pod shows that it serves a model, from its start on where the server has such."""
    model_label: str = "model"
    """What the marks call the model."""
    counts_later: bool = False
    """Whether counters begin with the first request while the marks are there before: until then there was none."""

    @property
    def in_hand(self) -> tuple[str, ...]:
        """Signals whose sum is what a pod has in its queue or works on.

        Seconds of service per second are the mean number in service (Little's law).
        """
        if self.in_flight is not None:
            return ("in_flight",)
        return ("waiting", "running" if "running" in self.others else "busy")


_BY: Final = "sum by (namespace, pod, model)"


def _either(*expressions: str) -> str:
    """Sums per pod and ``model_name`` of the first expression that a pod has."""
    return " or ".join(f"sum by (namespace, pod, model_name) ({expression})" for expression in expressions)


def _renamed(expression: str, of: str = "sum", also: str = "") -> str:
    """The expression by ``model``, which these servers call ``model_name``."""
    return f'{of} by (namespace, pod, model{also}) (label_join({expression}, "model", "", "model_name"))'


def _rates(*names: str) -> str:
    return _renamed(_either(*(f"rate({name}[$w])" for name in names)))


def _histogram(*names: str) -> str:
    either = " or ".join(f"sum by (namespace, pod, model_name, le) (rate({name}_bucket[$w]))" for name in names)
    return _renamed(either, also=", le")


def _ranks(expression: str) -> str:
    """One value per data-parallel rank: tensor-parallel ranks of one may each tell the same."""
    return f"max by (namespace, pod, model_name, dp_rank) ({expression})"


_VLLM_WAITING: Final = ('vllm:num_requests_waiting_by_reason{reason="capacity"}', "vllm:num_requests_waiting")
_VLLM_ITL: Final = ("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds")
_SGLANG_ITL: Final = ("sglang:inter_token_latency_seconds", "sglang:time_per_output_token_seconds")

_TOKEN_NEEDS: Final = ("waiting", "running", "busy", "prompt_tokens", "generated_tokens", "end_to_end")

DIALECTS: Final[Mapping[Runtime, Dialect]] = {
    # All Triton series exist at 0 once the model is loaded. Failures carry a reason label, so `or` joins all of them.
    # The pending gauge counts queued requests only. Durations are in microseconds.
    Runtime.TRITON: Dialect(
        completions=f"{_BY} (rate(nv_inference_request_success[$w]) or rate(nv_inference_request_failure[$w]))",
        busy=f"{_BY} (rate(nv_inference_request_duration_us[$w]) - rate(nv_inference_queue_duration_us[$w])) / 1e6",
        waiting=f"{_BY} (nv_inference_pending_request_count)",
        growth=f"{_BY} (deriv(nv_inference_pending_request_count[$w]))",
        others={
            "inferences": f"{_BY} (rate(nv_inference_count[$w]))",
            "executions": f"{_BY} (rate(nv_inference_exec_count[$w]))",
        },
        marks=("nv_inference_request_success",),
    ),
    # MLServer has no model_infer_* series before the first request. Its duration contains the wait for a worker, and
    # its only backlog is the whole server's POSTs in progress (probes are GETs or not counted; gRPC is not in it).
    Runtime.MLSERVER: Dialect(
        completions=(
            f"{_BY} (rate(model_infer_request_success_total[$w])"
            ' or label_replace(rate(model_infer_request_failure_total[$w]), "outcome", "failure", "", ""))'
        ),
        busy=f"{_BY} (rate(model_infer_request_duration_sum[$w]))",
        in_flight='sum by (namespace, pod) (rest_server_requests_in_progress{method="POST"})',
        growth='sum by (namespace, pod) (deriv(rest_server_requests_in_progress{method="POST"}[$w]))',
        has_wait_in_busy=True,
        counts_from_start=False,
        marks=("model_infer_request_success_total", "model_infer_request_failure_total"),
    ),
    # vLLM, one label set per engine of a pod; its series exist at 0 from the start. Requests that wait for something
    # else than room ("deferred") are no congestion. A long answer arrives minutes before it is counted, so what runs
    # belongs to the backlog's growth. The cache's size is in labels, and has no model's name.
    Runtime.VLLM: Dialect(
        completions=_rates("vllm:request_success_total"),
        busy=_renamed(
            f"{_either('rate(vllm:e2e_request_latency_seconds_sum[$w])')}"
            f" - {_either('rate(vllm:request_queue_time_seconds_sum[$w])')}"
        ),
        waiting=_renamed(_either(*_VLLM_WAITING)),
        growth=_renamed(
            f"({_either(*(f'deriv({name}[$w])' for name in _VLLM_WAITING))})"
            f" + {_either('deriv(vllm:num_requests_running[$w])')}"
        ),
        others={
            "running": _renamed(_either("avg_over_time(vllm:num_requests_running[$w])")),
            "prompt_tokens": _rates("vllm:prompt_tokens_total"),
            "generated_tokens": _rates("vllm:generation_tokens_total"),
            "first_token": _rates("vllm:time_to_first_token_seconds_sum"),
            "first_tokens": _rates("vllm:time_to_first_token_seconds_count"),
            "inter_token": _rates(*(f"{name}_sum" for name in _VLLM_ITL)),
            "inter_tokens": _rates(*(f"{name}_count" for name in _VLLM_ITL)),
            "end_to_end": _rates("vllm:e2e_request_latency_seconds_sum"),
            "prefill": _rates("vllm:request_prefill_time_seconds_sum"),
            "kv_usage": _renamed("vllm:kv_cache_usage_perc or vllm:gpu_cache_usage_perc", of="avg"),
            "kv_tokens": (
                "max by (namespace, pod, engine, kv_cache_size_tokens, num_gpu_blocks, block_size)"
                " (vllm:cache_config_info)"
            ),
        },
        buckets={
            Metric.LATENCY: _histogram("vllm:e2e_request_latency_seconds"),
            Metric.TIME_TO_FIRST_TOKEN: _histogram("vllm:time_to_first_token_seconds"),
            Metric.INTER_TOKEN_LATENCY: _histogram(*_VLLM_ITL),
        },
        moves_with_completions="end_to_end",
        needs=_TOKEN_NEEDS,
        marks=("vllm:num_requests_running",),
        model_label="model_name",
    ),
    # SGLang, only with --enable-metrics. Gauges appear within 30 s of its start, counters with the first request. It
    # tells no time without the wait; the mean number in service is seconds of service per second (Little's law).
    Runtime.SGLANG: Dialect(
        completions=_rates("sglang:num_requests_total"),
        busy=_renamed(_ranks("avg_over_time(sglang:num_running_reqs[$w])")),
        waiting=_renamed(_ranks("sglang:num_queue_reqs")),
        growth=_renamed(
            f"{_either(_ranks('deriv(sglang:num_queue_reqs[$w])'))}"
            f" + {_either(_ranks('deriv(sglang:num_running_reqs[$w])'))}"
        ),
        others={
            "running": _renamed(_ranks("avg_over_time(sglang:num_running_reqs[$w])")),
            "prompt_tokens": _rates("sglang:prompt_tokens_total"),
            "generated_tokens": _rates("sglang:generation_tokens_total"),
            "first_token": _rates("sglang:time_to_first_token_seconds_sum"),
            "first_tokens": _rates("sglang:time_to_first_token_seconds_count"),
            "inter_token": _rates(*(f"{name}_sum" for name in _SGLANG_ITL)),
            "inter_tokens": _rates(*(f"{name}_count" for name in _SGLANG_ITL)),
            "end_to_end": _rates("sglang:e2e_request_latency_seconds_sum"),
            "kv_usage": _renamed(_ranks("sglang:token_usage"), of="avg"),
            "kv_tokens": _renamed(_ranks("sglang:max_total_num_tokens")),
        },
        buckets={
            Metric.LATENCY: _histogram("sglang:e2e_request_latency_seconds"),
            Metric.TIME_TO_FIRST_TOKEN: _histogram("sglang:time_to_first_token_seconds"),
            Metric.INTER_TOKEN_LATENCY: _histogram(*_SGLANG_ITL),
        },
        moves_with_completions="end_to_end",
        needs=_TOKEN_NEEDS,
        marks=("sglang:num_running_reqs",),
        model_label="model_name",
        counts_later=True,
    ),
}

SCRAPE_AGE: Final = "time() - max by (namespace, pod) (timestamp(up) * (up == 1))"
"""Seconds since each pod's newest successful scrape, by Prometheus' own clock."""


RECENT: Final = 0.5
"""Share of the rate window that the recent rates cover: a burst shows there in half the time."""

_NO_METRICS: Final = re.compile(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]|\bby \([^)]*\)|\b(?:or|by)\b')
_METRIC: Final = re.compile(r"(?<![\w:.])[A-Za-z_][\w:]*(?![\w:]|\s*\()")


def queries_for(runtime: Runtime, window_s: float, metrics: Collection[Metric] = ()) -> dict[str, str]:
    """Queries of a runtime by signal name; histograms only of the metrics asked for, under the metric's name."""
    dialect = DIALECTS[runtime]
    named = {
        "completions": (dialect.completions, window_s),
        "recent_completions": (dialect.completions, RECENT * window_s),
        "busy": (dialect.busy, window_s),
        "waiting": (dialect.waiting, window_s),
        "in_flight": (dialect.in_flight, window_s),
        "growth": (dialect.growth, window_s),
        "recent_growth": (dialect.growth, RECENT * window_s),
        **{name: (query, window_s) for name, query in dialect.others.items()},
        **{str(metric): (query, window_s) for metric, query in dialect.buckets.items() if metric in metrics},
    }
    return {name: query.replace("$w", f"{round(over_s * 1000)}ms") for name, (query, over_s) in named.items() if query}


def pods_of(runtime: Runtime) -> str:
    """Query of one series for each model in each pod that shows it; where pods are not labelled, for each instance."""
    dialect = DIALECTS[runtime]
    marks, of = "|".join(dialect.marks), dialect.model_label
    return (
        f'count by (namespace, pod, {of}) ({{__name__=~"{marks}", pod!=""}})'
        f' or count by (namespace, instance, {of}) ({{__name__=~"{marks}", pod=""}})'
    )


def metrics_of(queries: Iterable[str]) -> tuple[str, ...]:
    """Names of the metrics that queries read, in order and once each."""
    found = (name for query in queries for name in _METRIC.findall(_NO_METRICS.sub(" ", query)))
    return tuple(dict.fromkeys(found))
