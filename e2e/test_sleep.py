"""Stories of sleep: a model goes to zero, requests wait for it and wake it, and none is lost."""

from __future__ import annotations

import time
from itertools import pairwise

from eventually import eventually, steadily
from kube import apply, items, replicas, status
from load import Target, finish, level, start
from models import a_model

SLEEPY = {"mode": "Enforce", "idle": "15s", "holdTimeout": "2m", "allowLongStart": True}
"""As the stories need it: nothing is known yet of how long a start takes."""


def _is_asleep(name: str, namespace: str) -> bool:
    return replicas(name, namespace) == 0 and status(name, namespace).get("route") == "Hold"


def _told(name: str, namespace: str) -> dict[str, tuple[str, str]]:
    conditions = status(name, namespace)["conditions"]
    return {c["type"]: (c["status"], c["reason"]) for c in conditions if c["type"] in ("Ready", "Active")}


def test_requests_wake_a_model_and_none_is_lost(namespace: str) -> None:
    """Two bursts with silence between them, a new connection for each request: two times to zero and back."""
    apply(a_model("digits", namespace, scaleToZero=SLEEPY))
    eventually(lambda: _is_asleep("digits", namespace), within_s=150)
    eventually(
        lambda: _told("digits", namespace),
        {"Ready": ("True", "Asleep"), "Active": ("False", "Asleep")}.__eq__,
        within_s=15,
    )

    rates = [*level(3.0, 6), *level(0.0, 80)] * 2
    sizes = [replicas("digits", namespace)]  # the first request comes before the load says that it has begun
    start(namespace, Target("digits", "digits", rates))
    until_s = time.monotonic() + len(rates)
    while time.monotonic() < until_s:
        sizes.append(replicas("digits", namespace))
        time.sleep(1.0)
    outcome = finish(namespace, within_s=120)

    assert outcome.requests > 20
    assert outcome.lost == 0, outcome.summary["total"]
    wakes = sum(1 for before, after in pairwise(sizes) if (before, after) == (0, 1))
    assert wakes == 2, sizes
    eventually(lambda: _is_asleep("digits", namespace), within_s=60)
    assert "Woken" in {event["reason"] for event in items("events", namespace)}


def test_a_model_that_nobody_calls_sleeps_on(namespace: str) -> None:
    """Prometheus scrapes on, the operator plans on, and the activators are probed: none of it is demand."""
    apply(a_model("embed", namespace, scaleToZero=SLEEPY))
    eventually(lambda: _is_asleep("embed", namespace), within_s=150)
    steadily(lambda: _is_asleep("embed", namespace), bool, for_s=30.0)


def test_a_service_that_cannot_be_routed_keeps_its_model_awake(namespace: str) -> None:
    """The condition names the reason and the mend, and the model never goes to zero."""
    apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "direct", "namespace": namespace},
            "spec": {"clusterIP": "None", "selector": {"lull.dev/model": "digits"}, "ports": [{"port": 8080}]},
        },
        a_model("digits", namespace, scaleToZero=SLEEPY, serviceRef={"name": "direct"}),
    )
    told = eventually(
        lambda: {c["type"]: c for c in status("digits", namespace)["conditions"]}["RouteSupported"], within_s=60
    )
    assert (told["status"], told["reason"]) == ("False", "ServiceHeadless")
    eventually(lambda: status("digits", namespace)["replicas"]["ready"], within_s=120)
    steadily(lambda: replicas("digits", namespace), bool, for_s=25.0)
