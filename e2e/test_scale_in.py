"""Scale-in picks its pods: who works stays, whoever Kubernetes would have taken."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any

from callers import a_home, at_home
from eventually import eventually
from kube import apply, items, kubectl, status
from models import a_standin

COST = "controller.kubernetes.io/pod-deletion-cost"
EVENTS = 330
"""Of a stream, one every 100 ms: longer than it takes from its start to the scale-in."""
OLDER_S = 40.0
"""By which two pods are older than the third."""


def _pods(namespace: str, name: str) -> list[dict[str, Any]]:
    """Those that stay."""
    found = items("pods", namespace, "-l", f"lull.dev/model={name}")
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def _ready_for_s(pod: dict[str, Any]) -> float:
    """0 while it is not."""
    told = {condition["type"]: condition for condition in pod["status"].get("conditions", ())}.get("Ready", {})
    if told.get("status") != "True":
        return 0.0
    return (datetime.now(UTC) - datetime.fromisoformat(told["lastTransitionTime"])).total_seconds()


def _grown(namespace: str, names: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Three pods of each model, the one first that Kubernetes takes first: the youngest, by far."""
    for name in names:
        eventually(partial(_ages_s, namespace, name), lambda ages: len(ages) == 2 and min(ages) > OLDER_S, within_s=150)
        _set_least(namespace, name, 3)
    for name in names:
        eventually(partial(_ages_s, namespace, name), lambda ages: len(ages) == 3 and min(ages) > 0.0, within_s=60)
    return {name: sorted(_pods(namespace, name), key=_ready_for_s) for name in names}


def _ages_s(namespace: str, name: str) -> list[float]:
    return [_ready_for_s(pod) for pod in _pods(namespace, name)]


def _backlog(namespace: str, name: str) -> float:
    return float(status(name, namespace)["demand"]["backlog"])


def _set_least(namespace: str, name: str, replicas: int) -> None:
    change = {"spec": {"minReplicas": replicas}}
    kubectl("-n", namespace, "patch", "infd", name, "--type=merge", "-p", json.dumps(change))


def _post(namespace: str, pod: dict[str, Any], path: str, body: dict[str, Any]) -> str:
    """Asks one pod past its Service; returns its answer."""
    url = f"http://{pod['status']['podIP']}:8000{path}"
    words = ("curl", "-s", "-f", "-m", "120", "-d", json.dumps(body), url)
    return kubectl("-n", namespace, "exec", "clients", "--", *words, timeout_s=150.0)


def _scaled_in(namespace: str, name: str) -> list[str]:
    """Names of those that stay when one of three has to go."""
    youngest_s, *older_s = sorted(_ages_s(namespace, name))
    print(json.dumps({name: [youngest_s, *older_s]}))
    assert min(older_s) > 2.0 * (youngest_s + 5.0), "Kubernetes compares ages by their power of two"
    _set_least(namespace, name, 2)
    left = eventually(lambda: _pods(namespace, name), lambda pods: len(pods) == 2, within_s=30)
    return [pod["metadata"]["name"] for pod in left]


def test_a_pod_with_work_in_hand_is_not_the_one_that_goes(namespace: str) -> None:
    """Of each of two models, the pod that Kubernetes would take works on a stream, and another request waits behind it.

    Lull says who goes. But not where somebody else has given a pod a deletion cost: there the one that works does go.
    """
    names = ("minded", "priced")
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 0}}
    apply(
        a_home(namespace),
        *(a_standin(name, namespace, load_s=0.5, minReplicas=2, maxReplicas=3, behavior=behavior) for name in names),
    )
    at_home(namespace)
    pods = _grown(namespace, names)
    busy = {name: pods[name][0] for name in names}
    kubectl("-n", namespace, "annotate", "pod", pods["priced"][1]["metadata"]["name"], f"{COST}=0")
    with ThreadPoolExecutor(4) as pool:
        streams = {name: pool.submit(_post, namespace, busy[name], "/events", {"events": EVENTS}) for name in names}
        time.sleep(1.0)
        behind = {
            name: pool.submit(_post, namespace, busy[name], f"/v2/models/{name}/infer", {"n": 1}) for name in names
        }
        for name in names:
            eventually(partial(_backlog, namespace, name), within_s=30)
        left = {name: _scaled_in(namespace, name) for name in names}
        assert not any(stream.done() for stream in streams.values()), "they still had work in hand"
        assert busy["minded"]["metadata"]["name"] in left["minded"]
        assert busy["priced"]["metadata"]["name"] not in left["priced"], "whom Kubernetes takes was busy"
        assert streams["minded"].result().count("data: ") == EVENTS
        assert json.loads(behind["minded"].result()) == {"n": 1}
