"""What Prometheus says, asked through the API server."""

from __future__ import annotations

import json
import urllib.parse

from kube import kubectl

PATH = "/api/v1/namespaces/monitoring/services/prometheus:http/proxy/api/v1/query?"


def values(query: str) -> list[float]:
    """Values of an instant query, one for each series."""
    answer = json.loads(kubectl("get", "--raw", PATH + urllib.parse.urlencode({"query": query})))
    return [float(series["value"][1]) for series in answer["data"]["result"]]


def replica_seconds(namespace: str, name: str, span_s: int) -> float:
    """Seconds of replicas that a model was scaled to in the last so many seconds, starting ones included."""
    (mean,) = values(f'avg_over_time(lull_model_replicas{{exported_namespace="{namespace}",name="{name}"}}[{span_s}s])')
    return mean * span_s
