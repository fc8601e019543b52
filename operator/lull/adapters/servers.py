"""What each model server exports, one row per runtime: names, units and traps live here and nowhere else.

Every query is one instant query for the whole fleet, summed to ``namespace, pod`` and, where the server tells models
apart, its model label; joining pods to models is the reader's work. Names were read off the servers themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lull.model.spec import Runtime


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
    has_wait_in_busy: bool = False
    """Whether ``busy`` contains the wait in the queue."""
    counts_from_start: bool = True
    """Whether completions exist, at zero, before the first request. Where not, a scraped pod without them is idle."""


_BY: Final = "sum by (namespace, pod, model)"

DIALECTS: Final[Mapping[Runtime, Dialect]] = {
    # All Triton series exist at 0 once the model is loaded. Failures carry a reason label, so `or` joins all of them.
    # The pending gauge counts queued requests only. Durations are in microseconds.
    Runtime.TRITON: Dialect(
        completions=f"{_BY} (rate(nv_inference_request_success[$w]) or rate(nv_inference_request_failure[$w]))",
        busy=f"{_BY} (rate(nv_inference_request_duration_us[$w]) - rate(nv_inference_queue_duration_us[$w])) / 1e6",
        waiting=f"{_BY} (nv_inference_pending_request_count)",
        growth=f"{_BY} (deriv(nv_inference_pending_request_count[$w]))",
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
    ),
}

SCRAPE_AGE: Final = "time() - max by (namespace, pod) (timestamp(up) * (up == 1))"
"""Seconds since each pod's newest successful scrape, by Prometheus' own clock."""


RECENT: Final = 0.5
"""Share of the rate window that the recent rates cover: a burst shows there in half the time."""


def queries_for(runtime: Runtime, window_s: float) -> dict[str, str]:
    """Queries of a runtime by signal name."""
    dialect = DIALECTS[runtime]
    named = {
        "completions": (dialect.completions, window_s),
        "recent_completions": (dialect.completions, RECENT * window_s),
        "busy": (dialect.busy, window_s),
        "waiting": (dialect.waiting, window_s),
        "in_flight": (dialect.in_flight, window_s),
        "growth": (dialect.growth, window_s),
        "recent_growth": (dialect.growth, RECENT * window_s),
    }
    return {name: query.replace("$w", f"{round(over_s * 1000)}ms") for name, (query, over_s) in named.items() if query}
