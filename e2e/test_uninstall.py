"""The chart goes while models sleep: they are woken first, every request is answered, and all of Lull is gone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from callers import asleep
from eventually import eventually
from kube import CONTEXT, ENV, apply, exists, items, kubectl, replicas
from load import Target, finish, level, start
from models import a_standin

INSTALL = Path(__file__).parent / "install.sh"
SLEEPY = {"mode": "Enforce", "idle": "10s", "holdTimeout": "60s", "allowLongStart": True}


@pytest.fixture
def lull_returns() -> Iterator[None]:
    """Whatever becomes of the release, it is there again afterwards."""
    yield
    subprocess.run([str(INSTALL)], env=ENV, check=True, capture_output=True, timeout=400)


@pytest.mark.usefixtures("lull_returns")
def test_who_uninstalls_lull_leaves_no_model_asleep_and_loses_no_request(namespace: str) -> None:
    names = ["busy", "quiet"]
    apply(*(a_standin(name, namespace, scaleToZero=SLEEPY) for name in names))
    eventually(lambda: asleep(namespace), names.__eq__, within_s=200)
    start(namespace, Target("standin", "busy", [*level(0.0, 5), *level(5.0, 55)]), timeout_s=60.0)
    done = subprocess.run(
        ["helm", "uninstall", "lull", "--kube-context", CONTEXT, "-n", "lull-system", "--wait", "--timeout", "170s"],
        env=ENV,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [replicas(name, namespace) for name in names] == [1, 1]
    outcome = finish(namespace, within_s=150)
    print(json.dumps(outcome.summary["total"]))

    assert outcome.lost == 0, outcome.summary["total"]
    assert outcome.requests > 200
    assert not [at for at in items("endpointslices", namespace) if at["metadata"]["name"].endswith("-lull")]
    eventually(lambda: items("pods", "lull-system"), [].__eq__, within_s=60)
    assert kubectl("get", "crd", "inferencedeployments.lull.dev", "-o", "name").strip()
    assert all(exists("infd", name, namespace) for name in names), "what users wrote stays"
