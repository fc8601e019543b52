"""A hundred requests a second on two servers, replicas moving 1 -> 4 -> 1, a new connection for every request: none is
lost. A short form here, five minutes in the soak.
"""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path

import pytest

from eventually import eventually
from kube import apply, replicas, status
from load import Outcome, Target, finish, level, ramp, start
from models import a_model

EVIDENCE = Path(__file__).parents[1] / "build" / "soak"


def _ready(name: str, namespace: str) -> int:
    return int(status(name, namespace)["replicas"]["ready"])


def run_waves(namespace: str, *, quiet_s: int, busy_s: int, waves: int) -> tuple[Outcome, dict[str, list[int]]]:
    """Waves of 100 requests a second between quiet stretches; returns what was counted and the sizes that were seen."""
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 10}}
    # Tight enough that 80 requests a second need four replicas rather than three.
    slo = {"objectives": [{"metric": "Latency", "percentile": "95", "threshold": "250ms"}]}
    apply(a_model("embed", namespace, behavior=behavior, slo=slo), a_model("digits", namespace, behavior=behavior))
    for name in ("embed", "digits"):
        eventually(partial(_ready, name, namespace), within_s=120)
    wave = [*level(5.0, quiet_s), *ramp(5.0, 80.0, 20), *level(80.0, busy_s)]
    embed = [*wave * waves, *level(5.0, quiet_s)]
    start(namespace, Target("embed", "embed", embed), Target("digits", "digits", [rate / 4.0 for rate in embed]))
    sizes: dict[str, list[int]] = {"embed": [], "digits": []}
    until_s = time.monotonic() + len(embed)
    while time.monotonic() < until_s:
        for name, seen in sizes.items():
            seen.append(replicas(name, namespace))
        time.sleep(2.0)
    return finish(namespace, within_s=120), sizes


def test_no_request_is_lost_while_replicas_move(namespace: str) -> None:
    outcome, sizes = run_waves(namespace, quiet_s=25, busy_s=35, waves=1)

    assert outcome.requests > 4500
    assert outcome.lost == 0, outcome.summary["total"]
    assert max(sizes["embed"]) == max(sizes["digits"]) == 4


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_no_request_is_lost_in_five_minutes(namespace: str) -> None:
    """In one piece; the evidence is written to build/soak/lossless.json."""
    outcome, sizes = run_waves(namespace, quiet_s=40, busy_s=300, waves=1)
    EVIDENCE.mkdir(parents=True, exist_ok=True)
    (EVIDENCE / "lossless.json").write_text(json.dumps({"summary": outcome.summary, "sizes": sizes}, indent=2))

    assert outcome.requests > 30_000
    assert outcome.lost == 0, outcome.summary["total"]
    for seen in sizes.values():
        assert (seen[0], max(seen)) == (1, 4)
        assert seen[-1] < 4
