"""A spike that comes every day: whoever has seen three of them is ready for the fourth."""

from __future__ import annotations

import json
import time
from functools import partial
from operator import eq
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eventually import eventually
from kube import apply, events, status
from load import Target, finish, level, start
from models import Manifest, a_model
from past import EVERY_S, write_past
from promql import replica_seconds, values
from replayed_run import replayed

EVIDENCE = Path(__file__).parents[1] / "build" / "soak" / "foresight.json"

DAY_S = 86_400.0
BASE_RPS = 4.0
PEAK_RPS = 48.0
SPIKE_S = 300
AFTER_S = 120
WEIGHTS_S = 45
"""What this model's weights take to load; it stands for gigabytes."""
STARTS = 4
SLO_S = "0.4"


def _a_slow_model(namespace: str, name: str, prediction: str, *, least: int = 1) -> Manifest:
    model = a_model(
        "embed",
        namespace,
        name=name,
        pause_ms=50,
        minReplicas=least,
        maxReplicas=8,
        prediction={"mode": prediction},
        behavior={"scaleDown": {"stabilizationWindowSeconds": 0}},
    )
    pod = model["spec"]["template"]["spec"]
    server = pod["containers"][0]
    weights = {name: server[name] for name in ("image", "imagePullPolicy", "securityContext")}
    pod["initContainers"] = [{"name": "weights", "command": ["sleep", str(WEIGHTS_S)], **weights}]
    return model


def _is_spike(spike_at_s: float, at_s: float) -> bool:
    return (at_s - spike_at_s) % DAY_S < SPIKE_S


def _daily_rps(spike_at_s: float, seed: int, at_s: float) -> float:
    """Requests per second of half a minute of such a day, as chance would have them."""
    rps = PEAK_RPS if _is_spike(spike_at_s, at_s) else BASE_RPS
    return float(np.random.default_rng([seed, int(at_s)]).poisson(rps * EVERY_S)) / EVERY_S


def _daily_replicas(spike_at_s: float, at_s: float) -> float:
    return 4.0 if _is_spike(spike_at_s, at_s) else 1.0


def _ready(name: str, namespace: str) -> Any:
    return status(name, namespace).get("replicas", {}).get("ready")


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_spike_of_every_day_is_met_and_not_followed(namespace: str) -> None:
    """The same load on the same slow model twice, with the forecast off and enforced, side by side."""
    spike_at_s = (time.time() // 60 + 7) * 60
    # Names of this run alone: the store still has the past of the run before.
    off, ahead = (f"{name}-{int(spike_at_s) // 60}" for name in ("off", "ahead"))
    names = (off, ahead)
    rates = {name: partial(_daily_rps, spike_at_s, seed) for seed, name in enumerate(names)}
    replicas = dict.fromkeys(names, partial(_daily_replicas, spike_at_s))
    write_past(namespace, {"lull_model_requests_per_second": rates, "lull_model_replicas": replicas}, days=3.0)
    # Some starts each, so that the time they take is known as it would be after three days.
    for least in (STARTS, 1):
        apply(*(_a_slow_model(namespace, name, "Off", least=least) for name in names))
        for name in names:
            eventually(partial(_ready, name, namespace), partial(eq, least), within_s=180)
    apply(_a_slow_model(namespace, ahead, "Enforce"))
    eventually(lambda: (status(ahead, namespace).get("forecast") or {}).get("source"), within_s=120)

    began_s = time.time()
    before_s = int(spike_at_s - began_s)
    assert before_s > 120, "the way to the spike took too long"
    load = [*level(BASE_RPS, before_s), *level(PEAK_RPS, SPIKE_S), *level(BASE_RPS, AFTER_S)]
    start(namespace, *(Target("embed", name, load) for name in names), seed=7)
    outcome = finish(namespace, within_s=len(load) + 120)
    took_s = time.time() - began_s

    missed = {name: outcome.missed(name, SLO_S) for name in names}
    used = {name: replica_seconds(namespace, name, int(took_s)) for name in names}
    reasons = {name: [event["reason"] for event in events(name, namespace)] for name in names}
    replay = _replayed(namespace, ahead, int(took_s) // 60)
    told = {"missed": missed, "replica_seconds": used, "reasons": reasons, "replay": replay}
    EVIDENCE.parent.mkdir(parents=True, exist_ok=True)
    EVIDENCE.write_text(json.dumps(told | {"took_s": took_s, "summary": outcome.summary}, indent=2))

    assert missed[off] > 1000, "nobody needs a forecast for this"
    assert missed[ahead] <= missed[off] / 2
    assert used[ahead] <= 1.05 * used[off]
    assert "ForecastRise" in reasons[ahead]
    assert "ForecastRise" not in reasons[off]
    today, proposed = (replay[side]["replica_seconds"] for side in ("today", "proposed"))
    assert proposed == pytest.approx(today, rel=0.15), "what the replay says is what the cluster does"


def _replayed(namespace: str, name: str, minutes: int) -> dict[str, Any]:
    """The run once more without a cluster, with what the operator had learned of the model."""
    model = f"{namespace}/{name}"
    carries_rps = status(name, namespace)["decision"]["evidence"]["replica_limit_rps"]
    (start_s,) = values(f'lull_model_start_seconds{{name="{name}",quantile="0.5"}}')
    return replayed(
        *(model, "--since", "72h", "--score", f"{minutes}m", "--step", "5s"),
        *("--capacity-of", f"{model}={carries_rps}", "--cold-start", f"{start_s:.0f}s"),
        *("--slo-wait", "350ms", "--objective", "0.05"),
    )
