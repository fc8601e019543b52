"""Many models go to zero and back at random moments, also while what they rest on is killed; no request is lost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from callers import asleep
from cycles import (
    Chaos,
    Harm,
    Sizes,
    bursts,
    delete_activator,
    keep,
    kill_leader,
    restart_api_server,
    scale_prometheus,
)
from eventually import eventually
from kube import apply, kubectl
from load import Outcome, Target, finish, start
from models import a_standin

SEED = 20261122
SLEEPY = {"mode": "Enforce", "idle": "10s", "holdTimeout": "60s", "allowLongStart": True}
QUIET_S = (38.0, 70.0)
"""Silences long enough to sleep: the idle time, 20 s after a wake until the pods alone answer, and the way to zero."""


@pytest.fixture
def prometheus_returns() -> Iterator[None]:
    """Whatever the story does to Prometheus, it is there again afterwards."""
    yield
    kubectl("-n", "monitoring", "scale", "deploy/prometheus", "--replicas=1")
    kubectl("-n", "monitoring", "rollout", "status", "deploy/prometheus", "--timeout=120s", timeout_s=130)


def _night(
    namespace: str, models: int, for_s: int, harms: tuple[Harm, ...] = ()
) -> tuple[Outcome, Sizes, Chaos, dict[str, Any]]:
    """Puts the models to sleep, sends the traffic, and sees them all asleep again."""
    names = [f"m{number:02}" for number in range(models)]
    apply(*(a_standin(name, namespace, scaleToZero=SLEEPY, maxReplicas=2) for name in names))
    eventually(lambda: asleep(namespace), names.__eq__, within_s=120 + 10 * models, every_s=3.0)
    chance = np.random.default_rng(SEED)
    targets = [Target("standin", name, bursts(for_s, chance, quiet_s=QUIET_S)) for name in names]
    with Sizes(namespace) as sizes:
        start(namespace, *targets, timeout_s=120.0)
        with Chaos(harms) as chaos:
            time.sleep(for_s)
        outcome = finish(namespace, within_s=180)
        resting = eventually(lambda: asleep(namespace), names.__eq__, within_s=240, every_s=3.0)
    wakes = sizes.wakes()
    evidence = {
        "models": models,
        "seconds": for_s,
        "wakes": sum(wakes.values()),
        "fewest_wakes_of_a_model": min(wakes[name] for name in names),
        "asleep_at_the_end": len(resting),
        "harm_done": dict(chaos.done),
        "harm_failed": chaos.failed,
        "total": outcome.summary["total"],
    }
    print(json.dumps(evidence))
    return outcome, sizes, chaos, evidence


def test_models_sleep_and_wake_and_no_request_is_lost(namespace: str) -> None:
    outcome, sizes, _, _ = _night(namespace, models=5, for_s=170)
    assert outcome.lost == 0, outcome.summary["total"]
    assert sum(sizes.wakes().values()) >= 5


@pytest.mark.soak
@pytest.mark.timeout(5400)
def test_five_hundred_cycles(namespace: str) -> None:
    """Over twenty models."""
    outcome, sizes, _, evidence = _night(namespace, models=20, for_s=1800)
    keep("soak-cycles", evidence)
    assert outcome.lost == 0, outcome.summary["total"]
    assert sum(sizes.wakes().values()) >= 500


@pytest.mark.soak
@pytest.mark.timeout(5400)
@pytest.mark.usefixtures("prometheus_returns")
def test_cycles_while_everything_is_killed(namespace: str) -> None:
    """The leader every 30 s, an activator every 20 s, Prometheus gone for five minutes, the API server once."""
    harms = (
        Harm("leader killed", kill_leader, 10.0, 30.0),
        Harm("activator deleted", delete_activator(np.random.default_rng(SEED)), 15.0, 20.0),
        Harm("Prometheus stopped", scale_prometheus(0), 400.0),
        Harm("Prometheus started", scale_prometheus(1), 700.0),
        Harm("API server restarted", restart_api_server, 1000.0),
    )
    outcome, sizes, chaos, evidence = _night(namespace, models=20, for_s=2400, harms=harms)
    keep("soak-chaos", evidence)
    assert chaos.done["leader killed"] > 60
    assert chaos.done["activator deleted"] > 80
    assert chaos.done["API server restarted"] == 1, chaos.failed
    assert outcome.lost == 0, outcome.summary["total"]
    assert sum(sizes.wakes().values()) >= 500
