"""A server that Lull does not know, read through its owner's own queries."""

from __future__ import annotations

from eventually import eventually
from kube import apply, condition, replicas, status
from load import Target, level, start
from models import a_model


def test_own_queries_scale_a_server_and_an_empty_answer_is_unknown(namespace: str) -> None:
    rate = f'sum(rate(nv_inference_request_success{{namespace="{namespace}"}}[10s]))'
    waiting = f'sum(nv_inference_pending_request_count{{namespace="{namespace}"}})'
    known = a_model("embed", namespace, name="known", pause_ms=100)
    known["spec"]["server"] = {
        "runtime": "generic",
        "ports": known["spec"]["server"]["ports"],
        "queries": {"requestsPerSecond": rate, "backlog": waiting},
    }
    silent = a_model("embed", namespace, name="silent", mode="Recommend")
    silent["spec"]["server"] = known["spec"]["server"] | {"queries": {"requestsPerSecond": "rate(no_such_metric[1m])"}}
    broken = a_model("embed", namespace, name="broken", mode="Recommend")
    broken["spec"]["server"] = known["spec"]["server"] | {"queries": {"requestsPerSecond": "rate(no closing"}}
    apply(known, silent, broken)
    eventually(lambda: status("known", namespace).get("replicas", {}).get("ready"), within_s=120)

    start(namespace, Target("embed", "known", level(25, 40)))
    eventually(lambda: replicas("known", namespace), lambda n: n >= 3, within_s=45)

    empty = condition("silent", namespace, "MetricsAvailable")
    assert (empty["status"], empty["reason"]) == ("False", "NoData")
    assert "spec.server.queries.requestsPerSecond" in empty["message"]
    wrong = condition("broken", namespace, "MetricsAvailable")
    assert (wrong["status"], wrong["reason"]) == ("False", "PrometheusAnswerUnusable")
    assert "parse error" in wrong["message"]
