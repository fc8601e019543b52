"""What the admission policy leaves the activator of its right to patch statuses, by CEL's own implementation.

The API server's part, who asks and with which pod's token, is proven on a real cluster.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cel_expr_python import cel

from builders import a_body

Body = dict[str, Any]

ACCOUNT = "system:serviceaccount:lull-system:lull-activator"
POD_NAME = "authentication.kubernetes.io/pod-name"
HELD = "2026-01-01T00:00:30Z"


@pytest.fixture(scope="module")
def policy(chart: Path) -> Body:
    """The policy's spec, with Helm's few words of the file put in by hand."""
    text = (chart / "templates" / "activator-rights.yaml").read_text()
    text = text.replace("{{ .Release.Namespace }}", "lull-system").replace(
        '{{ include "lull.activator" . }}', "lull-activator"
    )
    bare = re.sub(r"^ *\{\{.*\}\}\n", "", text, flags=re.MULTILINE)
    (found,) = [
        o for o in yaml.safe_load_all(re.sub(r"\{\{.*?\}\}", "x", bare)) if o["kind"] == "ValidatingAdmissionPolicy"
    ]
    spec: Body = found["spec"]
    return spec


ENV = cel.NewEnv(variables=dict.fromkeys(("object", "oldObject", "variables", "request"), cel.Type.DYN))


def value_of(expression: str, data: Body) -> Any:
    return ENV.compile(expression).eval(data=data).value()


def refusals(
    policy: Body, before: Body | None, after: Body, pod: str | None = "act-0", user: str = ACCOUNT
) -> list[str]:
    """Messages of all validations that fail; one that cannot be evaluated fails, as failurePolicy says."""
    extra = {} if pod is None else {POD_NAME: [pod]}
    data: Body = {"object": after, "oldObject": before, "request": {"userInfo": {"username": user, "extra": extra}}}
    if not all(value_of(condition["expression"], data) for condition in policy["matchConditions"]):
        return []
    variables: Body = {}
    for variable in policy["variables"]:
        try:
            found = ENV.compile(variable["expression"]).eval(data=data | {"variables": variables})
            variables[variable["name"]] = as_python(found)
        except Exception:  # noqa: S112 - whichever expression uses it fails
            continue
    told = []
    for validation in policy["validations"]:
        try:
            is_met = value_of(validation["expression"], data | {"variables": variables})
        except Exception:
            is_met = False
        if is_met is not True:
            told.append(validation["message"])
    return told


def as_python(found: Any) -> Any:
    return plain(found.value())


def plain(value: Any) -> Any:
    if isinstance(value, cel.Value):
        return plain(value.value())
    if isinstance(value, dict):
        return {plain(key): plain(child) for key, child in value.items()}
    if isinstance(value, list):
        return [plain(child) for child in value]
    return value


def an_entry(pod: str, held: int = 1) -> Body:
    return {"pod": pod, "held": held, "expires": HELD}


def a_model(*entries: Body, **status: Any) -> Body:
    told = {"replicas": {"current": 0}, "route": "Hold", "conditions": [{"type": "Ready", "status": "True"}]} | status
    model = a_body() | {"status": told}
    model["metadata"] |= {"labels": {"team": "a"}, "ownerReferences": []}
    if entries:
        model["status"]["activation"] = list(entries)
    return model


BEFORE = a_model(an_entry("act-0"), an_entry("act-1", 3))


def changed(change: Callable[[Body], object]) -> Body:
    model = copy.deepcopy(BEFORE)
    change(model)
    return model


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(BEFORE, BEFORE, id="nothing"),
        pytest.param(BEFORE, a_model(an_entry("act-0", 9), an_entry("act-1", 3)), id="its own entry"),
        pytest.param(BEFORE, a_model(an_entry("act-1", 3)), id="its own entry goes"),
        pytest.param(a_model(an_entry("act-1")), a_model(an_entry("act-1"), an_entry("act-0")), id="its first"),
        pytest.param(a_model(), a_model(an_entry("act-0")), id="the first of all"),
        pytest.param(a_body(), a_body() | {"status": {"activation": [an_entry("act-0")]}}, id="the first status"),
        pytest.param(
            BEFORE, changed(lambda m: m["metadata"].update(resourceVersion="9", managedFields=[{}])), id="versions"
        ),
    ],
)
def test_an_activator_pod_may_change_its_own_entry(policy: Body, before: Body, after: Body) -> None:
    assert refusals(policy, before, after) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(lambda m: m["status"]["activation"][1].update(held=0), "no entry", id="another's entry"),
        pytest.param(lambda m: m["status"]["activation"].pop(1), "no entry", id="another's entry goes"),
        pytest.param(
            lambda m: m["status"]["activation"].append(an_entry("act-2")), "no entry", id="an entry for another"
        ),
        pytest.param(lambda m: m["status"].pop("activation"), "no entry", id="all entries go"),
        pytest.param(lambda m: m["status"].update(route="Own"), "nothing in the status", id="the route"),
        pytest.param(
            lambda m: m["status"]["replicas"].update(current=9), "nothing in the status", id="deep in a field"
        ),
        pytest.param(lambda m: m["status"]["conditions"].pop(), "nothing in the status", id="a condition goes"),
        pytest.param(lambda m: m["status"].update(hold={}), "nothing in the status", id="a field more"),
        pytest.param(lambda m: m["status"].pop("route"), "nothing in the status", id="a field less"),
        pytest.param(lambda m: m.pop("status"), "nothing in the status", id="the whole status"),
        pytest.param(lambda m: m["spec"].update(maxReplicas=99), "no spec", id="the spec"),
        pytest.param(lambda m: m["metadata"]["labels"].update(team="b"), "no metadata", id="a label"),
        pytest.param(lambda m: m["metadata"].pop("labels"), "no metadata", id="all labels"),
        pytest.param(lambda m: m["metadata"].update(finalizers=["x"]), "no metadata", id="a finalizer"),
        pytest.param(lambda m: m["metadata"].update(annotations={"a": "b"}), "no metadata", id="an annotation"),
    ],
)
def test_an_activator_pod_may_change_nothing_else(policy: Body, change: Callable[[Body], object], says: str) -> None:
    told = refusals(policy, BEFORE, changed(change))
    assert any(says in message for message in told), told


def test_a_token_that_is_no_pods_changes_nothing(policy: Body) -> None:
    assert refusals(policy, BEFORE, a_model(an_entry("act-0", 9), an_entry("act-1", 3)), pod=None)


def test_the_activator_creates_nothing(policy: Body) -> None:
    assert "the activator creates nothing" in refusals(policy, None, BEFORE)


def test_the_policy_is_for_the_activator_alone(policy: Body) -> None:
    after = changed(lambda m: m["status"].update(route="Own"))
    assert refusals(policy, BEFORE, after, user="system:serviceaccount:lull-system:lull") == []
    assert policy["failurePolicy"] == "Fail"
    (rule,) = policy["matchConstraints"]["resourceRules"]
    assert rule["resources"] == ["inferencedeployments", "inferencedeployments/status"]
