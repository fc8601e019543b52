"""A past for models that have none: blocks of samples that promtool writes into Prometheus' store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

from eventually import eventually
from kube import kubectl
from promql import values

EVERY_S = 30
RateAt = Callable[[float], float]
"""Requests per second at an instant, seconds since the epoch."""


def write_past(namespace: str, rates: Mapping[str, RateAt], *, days: float) -> None:
    """Writes what Lull would have told of models had it been there, up to now, and waits until it can be queried.

    Args:
        namespace: of the models.
        rates: by the name of the model.
        days: how far back.
    """
    now_s = int(time.time()) // EVERY_S * EVERY_S
    text = "\n".join(_openmetrics(namespace, rates, now_s - int(days * 86_400.0), now_s))
    kubectl(
        *("-n", "monitoring", "exec", "-i", "deploy/prometheus", "-c", "prometheus", "--", "sh", "-c"),
        # Its file system is read-only but for the store.
        "mkdir -p /prometheus/past && export TMPDIR=/prometheus/past && cat > /prometheus/past/past.om"
        " && promtool tsdb create-blocks-from openmetrics /prometheus/past/past.om /prometheus > /dev/null"
        " && rm -r /prometheus/past",
        stdin=text,
        timeout_s=300.0,
    )
    asked = f'count_over_time(lull_model_requests_per_second{{namespace="{namespace}"}}[{int(days * 24.0)}h])'
    # Prometheus looks for new blocks once a minute.
    eventually(lambda: values(asked), lambda counts: len(counts) == len(rates) and min(counts) > 1000, within_s=180)


def _openmetrics(namespace: str, rates: Mapping[str, RateAt], start_s: int, end_s: int) -> Iterator[str]:
    yield "# TYPE lull_model_requests_per_second gauge"
    for name, rate_at in rates.items():
        for at_s in range(start_s, end_s, EVERY_S):
            rate_rps = rate_at(at_s)
            yield f'lull_model_requests_per_second{{namespace="{namespace}",name="{name}"}} {rate_rps:.4f} {at_s}'
    yield "# EOF\n"
