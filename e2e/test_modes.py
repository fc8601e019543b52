"""Recommend tells and Paused keeps still; both serve."""

from __future__ import annotations

from eventually import eventually, steadily
from kube import apply, condition, events, replicas, status
from load import Target, level, start
from models import a_model


def test_recommend_tells_what_it_would_do_and_paused_decides_nothing(namespace: str) -> None:
    """Both are served from their templates at minReplicas; only the telling differs."""
    advised = a_model("embed", namespace, name="advised", pause_ms=100, mode="Recommend", minReplicas=2)
    paused = a_model("embed", namespace, name="paused", pause_ms=100, mode="Paused")
    apply(advised, paused)
    eventually(lambda: status("advised", namespace).get("replicas", {}).get("ready"), lambda n: n == 2, within_s=90)
    eventually(lambda: status("paused", namespace).get("replicas", {}).get("ready"), within_s=90)

    start(namespace, Target("embed", "advised", level(30, 40)), Target("embed", "paused", level(15, 40)))
    eventually(lambda: status("advised", namespace)["replicas"]["desired"], lambda n: n == 4, within_s=45)
    advice = [event for event in events("advised", namespace) if "would scale" in event["message"]]

    assert replicas("advised", namespace) == 2
    assert advice, "a recommendation is told as an Event"
    assert all(event["reason"] in ("DemandRise", "AtMaxReplicas") for event in advice)
    assert "from 2 to 4" in advice[-1]["message"]
    assert condition("advised", namespace, "ScalingActive")["reason"] == "Recommending"
    assert status("paused", namespace)["decision"]["reason"] == "Paused"
    assert condition("paused", namespace, "ScalingActive")["reason"] == "Paused"
    steadily(lambda: (replicas("advised", namespace), replicas("paused", namespace)), lambda n: n == (2, 1), for_s=10)


def test_a_model_without_a_mode_gets_the_operators_which_is_recommend(namespace: str) -> None:
    apply(a_model("embed", namespace, name="silent", mode=None))
    eventually(lambda: status("silent", namespace).get("mode"), lambda mode: mode == "Recommend", within_s=30)
