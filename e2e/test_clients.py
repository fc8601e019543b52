"""Clients as people use them call models that sleep: curl, libraries, streams, WebSockets, and gRPC against Triton."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from callers import a_home, asleep, at_home, call
from eventually import eventually
from kube import apply, status
from models import a_model, a_standin
from promql import values

SLEEPY = {"mode": "Enforce", "idle": "10s", "holdTimeout": "90s", "allowLongStart": True}
HTTP = ("curl", "requests", "httpx", "events", "socket", "in-order")
GRPC = ("grpc", "grpc-stream", "grpc-channels")
LOAD_S = 3.0

Saw = dict[str, dict[str, Any]]


def _sleepers(namespace: str) -> list[dict[str, Any]]:
    standins = [a_standin(name, namespace, load_s=LOAD_S, scaleToZero=SLEEPY) for name in HTTP]
    tritons = [a_model("embed", namespace, name=name, scaleToZero=SLEEPY) for name in GRPC[:2]]
    # Two from the start, to see connections spread over both.
    tritons.append(a_model("embed", namespace, name=GRPC[2], scaleToZero=SLEEPY, minReplicas=2))
    for model in tritons:
        model["spec"]["server"]["modelName"] = "embed"
    return [*standins, *tritons]


@pytest.fixture
def saw(namespace: str) -> Saw:
    """What every client saw of a model that slept when it called: all at once, each a model of its own."""
    names = [*HTTP, *GRPC]
    apply(a_home(namespace), *_sleepers(namespace))
    eventually(lambda: asleep(namespace), sorted(names).__eq__, within_s=300, every_s=3.0)
    at_home(namespace)
    with ThreadPoolExecutor(len(names)) as pool:
        return dict(zip(names, pool.map(lambda name: call(namespace, name), names), strict=True))


def test_every_client_gets_its_answers_across_a_wake(namespace: str, saw: Saw) -> None:
    print(json.dumps(saw))
    for name in ("curl", "requests", "httpx"):
        assert set(saw[name]["statuses"]) == {200}, saw[name]
        assert saw[name]["held_s"] >= LOAD_S, saw[name]
        assert max(saw[name]["seconds"][1:]) < 1.0, saw[name]

    assert saw["events"]["events"] == 15
    assert saw["events"]["spread_s"] > 1.0, "events came one by one, as they were sent"
    assert saw["socket"]["opened_s"] >= LOAD_S
    assert saw["in-order"]["in_order"], saw["in-order"]
    assert set(saw["in-order"]["statuses"]) == {200}

    assert saw["grpc"] | {"first_s": 0, "slowest_later_s": 0} == {
        "errors": [],
        "answers": 40,
        "first_s": 0,
        "slowest_later_s": 0,
    }
    assert saw["grpc-stream"]["errors"] == []
    assert saw["grpc-stream"]["answers"] == 10
    assert saw["grpc-channels"] == {"errors": [], "answers": 320}
    counted = values(f'nv_inference_request_success{{namespace="{namespace}",pod=~"grpc-channels-.*"}}')
    assert len(counted) == 2
    assert min(counted) > 0, "connections that the activator had were spread over the new pods"
    assert all(status(name, namespace)["route"] == "Own" for name in saw)
