"""A past for models that have none: blocks of samples that promtool writes into Prometheus' store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

from eventually import eventually
from kube import kubectl
from promql import values

EVERY_S = 30
At = Callable[[float], float]
"""A value at an instant, seconds since the epoch."""


def write_past(namespace: str, past: Mapping[str, Mapping[str, At]], *, days: float) -> None:
    """Writes what Lull would have told of models had it been there, up to now, and waits until it can be queried.

    Args:
        namespace: of the models.
        past: by the name of the gauge and that of the model.
        days: how far back.
    """
    now_s = int(time.time()) // EVERY_S * EVERY_S
    text = "\n".join(_openmetrics(namespace, past, now_s - int(days * 86_400.0), now_s))
    kubectl(
        *("-n", "monitoring", "exec", "-i", "deploy/prometheus", "-c", "prometheus", "--", "sh", "-c"),
        # Its file system is read-only but for the store.
        "mkdir -p /prometheus/past && export TMPDIR=/prometheus/past && cat > /prometheus/past/past.om"
        " && promtool tsdb create-blocks-from openmetrics /prometheus/past/past.om /prometheus > /dev/null"
        " && rm -r /prometheus/past",
        stdin=text,
        timeout_s=300.0,
    )
    for gauge, models in past.items():
        _wait_for(f'{gauge}{{namespace="{namespace}",name=~"{"|".join(models)}"}}', len(models), days)


def _wait_for(series: str, count: int, days: float) -> None:
    """Prometheus looks for new blocks once a minute."""
    asked, enough = f"count_over_time({series}[{int(days * 24.0)}h])", 0.9 * days * 86_400.0 / EVERY_S
    eventually(lambda: values(asked), lambda told: len(told) == count and min(told) > enough, within_s=180)


def _openmetrics(namespace: str, past: Mapping[str, Mapping[str, At]], start_s: int, end_s: int) -> Iterator[str]:
    for gauge, models in past.items():
        yield f"# TYPE {gauge} gauge"
        for name, value_at in models.items():
            for at_s in range(start_s, end_s, EVERY_S):
                yield f'{gauge}{{namespace="{namespace}",name="{name}"}} {value_at(at_s):.4f} {at_s}'
    yield "# EOF\n"
