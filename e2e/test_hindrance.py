"""What a start meets while a model sleeps: nothing that keeps it from coming up is found out by waiting clients."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from callers import Answer, a_home, ask, asleep, at_home
from cycles import Sizes
from eventually import eventually, steadily
from kube import apply, condition, events, get, kubectl, replicas, status
from models import a_standin

SLEEPY = {"mode": "Enforce", "idle": "10s", "holdTimeout": "90s", "allowLongStart": True}
NAMES = ["paid", "placed", "pulled", "renewed"]

SECONDS = 20.0
"""In which a start that cannot be is told: a round or two, the kubelet's or scheduler's first try, and Lull's patience.
Far below the hold, which is how long a client waits that is told nothing."""


@pytest.fixture(scope="module")
def sleepers(shared_namespace: str) -> str:
    """A namespace with a sleeping model for each story."""
    models = [a_standin(name, shared_namespace, load_s=0.5, scaleToZero=SLEEPY) for name in NAMES]
    apply(a_home(shared_namespace), *models)
    at_home(shared_namespace)
    eventually(lambda: asleep(shared_namespace), NAMES.__eq__, within_s=200)
    return shared_namespace


def _change(namespace: str, name: str, pod: Mapping[str, Any] = {}, **container: Any) -> None:
    """Changes the model's pod template, as its team would, and waits until the Deployment has it."""
    found = get("infd", name, namespace)["spec"]["template"]["spec"]["containers"]
    spec = {**pod, "containers": [{**found[0], **container}]}
    patch = json.dumps({"spec": {"template": {"spec": spec}}})
    kubectl("-n", namespace, "patch", "infd", name, "--type=merge", "-p", patch)
    eventually(
        lambda: get("deployment", name, namespace)["spec"]["template"],
        lambda template: _has(template, pod, container),
        within_s=20,
    )


def _has(template: Mapping[str, Any], pod: Mapping[str, Any], container: Mapping[str, Any]) -> bool:
    """Whether a pod template has all that was changed; None = it is gone."""
    spec = template["spec"]
    is_placed = all(spec.get(field) == value for field, value in pod.items())
    return is_placed and all(spec["containers"][0].get(field) == value for field, value in container.items())


def _says(namespace: str, name: str, reason: str) -> None:
    """Both conditions and an Event say the same word."""
    for kind in ("Active", "Ready"):
        told = condition(name, namespace, kind)
        assert (told["status"], told["reason"]) == ("False", reason), told
    warned = [event["reason"] for event in events(name, namespace) if event["type"] == "Warning"]
    assert reason in warned


def _is_told(answer: Answer, reason: str, words: str) -> None:
    assert (answer.status, answer.body.get("reason")) == (503, reason), answer
    assert words in answer.body["error"]
    assert answer.retry_after_s
    assert answer.seconds < SECONDS


def _is_answered(namespace: str, name: str) -> None:
    """By the model itself, which says back what it was asked; who is turned away meanwhile asks again.

    Lull tries again what a quota forbade after half a minute.
    """
    seen = [ask(namespace, name)]
    give_up_s = time.monotonic() + 75.0
    while seen[-1].status == 503 and time.monotonic() < give_up_s:
        time.sleep(2.0)
        seen.append(ask(namespace, name))
    print(json.dumps({name: [(answer.status, answer.seconds) for answer in seen]}))
    assert (seen[-1].status, seen[-1].body) == (200, {"n": 1})


def test_a_wake_that_no_quota_pays_for_is_told_and_goes_on_when_it_is_raised(sleepers: str) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "nothing", "namespace": sleepers}}
    apply(quota | {"spec": {"hard": {"pods": "0"}}})
    # It counts only once it has counted.
    eventually(lambda: get("resourcequota", "nothing", sleepers)["status"]["hard"], within_s=30)
    _is_told(ask(sleepers, "paid"), "QuotaExceeded", "exceeded quota: nothing")
    _says(sleepers, "paid", "QuotaExceeded")
    assert replicas("paid", sleepers) == 1
    assert ask(sleepers, "paid").seconds < 2.0, "who comes later is told at the door"

    kubectl("-n", sleepers, "delete", "resourcequota", "nothing")
    _is_answered(sleepers, "paid")
    eventually(lambda: condition("paid", sleepers, "Active")["status"], "True".__eq__, within_s=15)


def test_a_model_that_no_node_fits_is_told_to_who_waits(sleepers: str) -> None:
    _change(sleepers, "placed", {"nodeSelector": {"lull.dev/story": "nowhere"}})
    _is_told(ask(sleepers, "placed"), "NoCapacity", "node")
    _says(sleepers, "placed", "NoCapacity")

    _change(sleepers, "placed", {"nodeSelector": None})
    _is_answered(sleepers, "placed")


def test_a_template_that_does_not_work_is_found_out_before_anybody_asks(sleepers: str) -> None:
    """The image is nowhere to be had, and the model slept when it was named."""
    before = status("pulled", sleepers)["lastAwake"]["template"]
    image = get("infd", "pulled", sleepers)["spec"]["template"]["spec"]["containers"][0]["image"]
    _change(sleepers, "pulled", image="127.0.0.1:1/lull/nowhere:1")
    eventually(
        lambda: condition("pulled", sleepers, "Active"), lambda told: told["reason"] == "ImagePull", within_s=SECONDS
    )
    _says(sleepers, "pulled", "ImagePull")
    assert condition("pulled", sleepers, "SleepAllowed")["reason"] == "TemplateProof"
    assert {"TemplateProof"} <= {event["reason"] for event in events("pulled", sleepers)}
    assert status("pulled", sleepers)["lastAwake"]["template"] == before, "it was never Ready"
    _is_told(ask(sleepers, "pulled"), "ImagePull", "nowhere")

    _change(sleepers, "pulled", image=image)
    _is_answered(sleepers, "pulled")


def test_a_template_that_changed_in_sleep_is_started_once_without_a_request(sleepers: str) -> None:
    """It sleeps on through a change that is none of the template's, and sleeps again once one replica was Ready."""
    before = status("renewed", sleepers)["lastAwake"]["template"]
    kubectl("-n", sleepers, "patch", "infd", "renewed", "--type=merge", "-p", '{"spec": {"maxReplicas": 3}}')
    eventually(lambda: status("renewed", sleepers)["observedGeneration"], (2).__eq__, within_s=15)
    with Sizes(sleepers) as sizes:
        steadily(lambda: replicas("renewed", sleepers), (0).__eq__, for_s=5.0)
        variables = get("infd", "renewed", sleepers)["spec"]["template"]["spec"]["containers"][0]["env"]
        _change(sleepers, "renewed", env=[*variables, {"name": "EDITION", "value": "2"}])
        eventually(lambda: status("renewed", sleepers)["lastAwake"]["template"], lambda now: now != before, within_s=60)
        eventually(lambda: asleep(sleepers), lambda names: "renewed" in names, within_s=90)
        assert sizes.rises("renewed") == [(0, 1)]
    told = [event["reason"] for event in events("renewed", sleepers)]
    assert told.count("TemplateProof") == 1
    assert "Woken" not in told, "nobody asked"
    _is_answered(sleepers, "renewed")
