"""Wakes: a burst, many at once, those who do not wake anybody, and an activator that is killed while it holds."""

from __future__ import annotations

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from callers import a_home, asleep, at_home, call
from cycles import Sizes, activators, keep
from eventually import eventually
from kube import apply, kubectl, replicas
from load import Outcome, Target, finish, start
from models import a_model, a_standin

SLEEPY = {"mode": "Enforce", "idle": "10s", "holdTimeout": "90s", "allowLongStart": True}
MANY = 25
SLOW_S = 20.0
"""Loading, where many wake at once: as long as a real model takes, and so more than the kubelet does."""


def _burst_at_zero(namespace: str) -> tuple[Outcome, Sizes]:
    """Five hundred requests within a second, a new connection for each."""
    apply(a_standin("sudden", namespace, work_ms=10, maxReplicas=4, scaleToZero=SLEEPY))
    eventually(lambda: asleep(namespace), ["sudden"].__eq__, within_s=150)
    with Sizes(namespace) as sizes:
        start(namespace, Target("standin", "sudden", [500.0]), timeout_s=60.0)
        outcome = finish(namespace, within_s=120)
    print(json.dumps({"rises": sizes.rises("sudden"), "total": outcome.summary["total"]}))
    assert outcome.requests > 400
    assert outcome.lost == 0, outcome.summary["total"]
    return outcome, sizes


def test_a_burst_at_zero_is_answered_and_is_one_wake(namespace: str) -> None:
    _, sizes = _burst_at_zero(namespace)
    assert sizes.wakes()["sudden"] == 1


@pytest.mark.soak
def test_a_burst_at_zero_is_one_scale_up(namespace: str) -> None:
    """The first report tells of few, and the rest of the burst, once the pod is scraped, asks for no other one."""
    _, sizes = _burst_at_zero(namespace)
    assert len(sizes.rises("sudden")) == 1, sizes.rises("sudden")


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_many_that_wake_at_once_take_little_longer_than_one(namespace: str) -> None:
    """p95 from request to answer is within one and a half times the slowest of five cold starts one by one."""
    names = [f"m{number:02}" for number in range(MANY)]
    apply(a_home(namespace), *(a_standin(name, namespace, load_s=SLOW_S, scaleToZero=SLEEPY) for name in names))
    at_home(namespace)
    eventually(lambda: asleep(namespace), names.__eq__, within_s=600, every_s=3.0)
    alone_s = [_answered_s(namespace, name) for name in names[:5]]
    eventually(lambda: asleep(namespace), names.__eq__, within_s=300, every_s=3.0)
    start(namespace, *(Target("standin", name, [1.0, 2.0]) for name in names), timeout_s=120.0, seed=7)
    outcome = finish(namespace, within_s=200)
    together = outcome.summary["total"]
    evidence = {"alone_s": alone_s, "together": together}
    keep("soak-together", evidence)
    print(json.dumps(evidence))
    assert outcome.lost == 0, together
    assert together["held"]["p95_s"] <= 1.5 * max(alone_s)


def _answered_s(namespace: str, name: str) -> float:
    seconds: float = call(namespace, "curl", name)["seconds"][0]
    return seconds


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_nothing_but_a_request_wakes(namespace: str) -> None:
    """Ten minutes of scrapes, probes and an idle gRPC channel; then one real request."""
    model = a_model("embed", namespace, scaleToZero=SLEEPY)
    apply(a_home(namespace), model)
    at_home(namespace)
    eventually(lambda: asleep(namespace), ["embed"].__eq__, within_s=200)
    with Sizes(namespace) as sizes:
        saw = call(namespace, "nosy", "embed", "600", timeout_s=700.0)
        assert sizes.wakes()["embed"] == 0, sizes.told
    keep("soak-nosy", saw)
    print(json.dumps(saw))
    assert all(statuses == [200] for statuses in saw["statuses"].values()), saw
    assert "READY" in saw["channel"], "the idle channel was connected"
    assert replicas("embed", namespace) == 0
    answered = call(namespace, "grpc", "embed")
    assert answered["errors"] == []
    assert answered["answers"] == 40


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_killed_activator_costs_what_it_held_and_no_more(namespace: str) -> None:
    """Twenty requests a second at a model that takes a minute to wake; one of two activators dies in between."""
    apply(a_standin("slow", namespace, load_s=30.0, maxReplicas=1, scaleToZero=SLEEPY))
    eventually(lambda: asleep(namespace), ["slow"].__eq__, within_s=150)
    assert len(activators()) == 2
    rate_rps, before_s = 20.0, 10
    start(namespace, Target("standin", "slow", [rate_rps] * 60), timeout_s=120.0)
    time.sleep(before_s)
    victim = activators()[0]
    address = kubectl("-n", "lull-system", "get", "pod", victim, "-o", "jsonpath={.status.podIP}")
    with ThreadPoolExecutor(1) as pool:
        gone_s = pool.submit(_unlisted_after_s, namespace, address)
        kubectl("-n", "lull-system", "delete", "pod", victim, "--grace-period=0", "--force")
        outcome = finish(namespace, within_s=240)
        lost = outcome.summary["total"]["lost_by_kind"]
        evidence = {"unlisted_after_s": gone_s.result(), "lost_by_kind": lost, "total": outcome.summary["total"]}
    keep("soak-killed", evidence)
    print(json.dumps(evidence))
    # It held about half of what had come; those refused are of the moment until its address was out of the slice.
    assert outcome.lost <= rate_rps * (before_s + 5.0), outcome.summary["total"]
    assert set(lost) <= {"reset", "refused", "unreachable"}, lost
    assert lost.get("refused", 0) + lost.get("unreachable", 0) <= rate_rps * 2.0, lost


def _unlisted_after_s(namespace: str, address: str) -> float:
    began_s = time.monotonic()
    while time.monotonic() - began_s < 60.0:
        try:
            listed = kubectl("-n", namespace, "get", "endpointslice", "slow-lull", "-o", "jsonpath={.endpoints}")
        except subprocess.SubprocessError:
            continue
        if address not in listed:
            return round(time.monotonic() - began_s, 2)
        time.sleep(0.05)
    raise AssertionError(f"{address} was listed for a minute after its pod was killed")
