"""What is read of Kubernetes objects."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodies import a_deployment, a_pod, a_service, a_started_pod, an_autoscaler, an_object, owned_by
from lull.adapters.objects import matches, owner_uid, read_autoscaler, read_pod, read_service, read_workload
from lull.model.spec import Key

READY_AT_S = 1767225600.0


@pytest.mark.parametrize(
    ("body", "since"),
    [
        pytest.param(a_pod(), READY_AT_S, id="ready"),
        pytest.param(a_pod(ready=False), None, id="not ready"),
        pytest.param(a_pod(leaving=True), None, id="ready and on its way out"),
        pytest.param(an_object("p"), None, id="without a status"),
        pytest.param(an_object("p", status={"conditions": None}), None, id="without conditions"),
    ],
)
def test_a_pod_is_ready_since_its_condition_turned(body: dict[str, Any], since: float | None) -> None:
    assert read_pod(body).ready_since_s == since


@pytest.mark.parametrize("told", [{"lastTransitionTime": None}, {}])
def test_a_ready_pod_that_does_not_say_since_when_has_been_ready_for_long(told: dict[str, Any]) -> None:
    """It then needs a scrape like any other, and reading it ends nothing."""
    body = an_object("p", status={"conditions": [{"type": "Ready", "status": "True"} | told]})
    since = read_pod(body).ready_since_s
    assert since is not None
    assert since <= READY_AT_S


@pytest.mark.parametrize(
    ("body", "drains"),
    [
        pytest.param(a_pod(), True, id="a preStop hook"),
        pytest.param(a_pod(drains=False), False, id="none"),
        pytest.param(an_object("p", spec={"containers": [{"lifecycle": None}]}), False, id="an empty lifecycle"),
        pytest.param(
            an_object("p", spec={"containers": [{}, {"lifecycle": {"preStop": {"exec": {}}}}]}), True, id="on a sidecar"
        ),
        pytest.param(an_object("p"), False, id="no spec"),
    ],
)
def test_a_pod_drains_when_a_container_has_a_hook(body: dict[str, Any], drains: bool) -> None:
    assert bool(read_pod(body).drains) is drains


def test_a_pod_tells_when_it_came_how_far() -> None:
    pod = read_pod(a_started_pod(created_s=100, after_s=(2, 5, 60), node="node-b", image="sha256:9", restarts=3))
    assert (pod.created_at_s, pod.scheduled_at_s) == (READY_AT_S + 100, READY_AT_S + 102)
    assert (pod.started_at_s, pod.ready_since_s) == (READY_AT_S + 105, READY_AT_S + 160)
    assert (pod.node, pod.image, pod.restarts) == ("node-b", "sha256:9", 3)


@pytest.mark.parametrize(
    ("after_s", "known"),
    [
        pytest.param((2, 5, None), (True, True, False), id="loading"),
        pytest.param((2, None, None), (True, False, False), id="pulling"),
        pytest.param((None, None, None), (False, False, False), id="waiting for a node"),
    ],
)
def test_what_a_pod_has_not_reached_is_unknown(
    after_s: tuple[int | None, int | None, int | None], known: tuple[bool, bool, bool]
) -> None:
    pod = read_pod(a_started_pod(after_s=after_s))
    assert tuple(at is not None for at in (pod.scheduled_at_s, pod.started_at_s, pod.ready_since_s)) == known


NOTHING_TOLD: list[dict[str, Any]] = [
    an_object("p"),
    an_object("p", spec=None, status=None),
    an_object("p", spec={"containers": []}, status={"containerStatuses": []}),
    an_object("p", metadata={"annotations": None}, spec={"containers": None}, status={"containerStatuses": None}),
    an_object(
        "p",
        metadata={"creationTimestamp": None},
        spec={"nodeName": "", "containers": [{"name": "server"}]},
        status={"containerStatuses": [{"name": "server", "imageID": "", "state": None, "restartCount": None}]},
    ),
    an_object(
        "p",
        spec={"containers": [{"name": "server"}]},
        status={
            "containerStatuses": [{"name": "server", "state": {"running": {"startedAt": None}}}, {"name": "proxy"}],
            "conditions": [{"type": "PodScheduled", "status": "True"}],
        },
    ),
]


@pytest.mark.parametrize("body", NOTHING_TOLD)
def test_a_pod_that_tells_nothing_of_its_start_is_read_all_the_same(body: dict[str, Any]) -> None:
    pod = read_pod(body)
    assert (pod.created_at_s, pod.scheduled_at_s, pod.started_at_s, pod.node, pod.image) == (None,) * 5
    assert pod.restarts == 0


def with_proxy(**metadata: Any) -> dict[str, Any]:
    """A pod with a sidecar that came before the server."""
    body = a_started_pod(after_s=(2, 30, 60), metadata=metadata)
    body["spec"]["containers"].insert(0, {"name": "proxy", "image": "proxy:1"})
    running = {"running": {"startedAt": "2026-01-01T00:00:03Z"}}
    body["status"]["containerStatuses"].insert(0, {"name": "proxy", "restartCount": 1, "state": running})
    return body


def test_the_container_that_serves_is_the_one_that_kubectl_takes() -> None:
    """The one that is named, else the first; restarts are anybody's, for the pod is Ready only with all of them."""
    named = read_pod(with_proxy(annotations={"kubectl.kubernetes.io/default-container": "server"}))
    assert (named.started_at_s, named.image, named.restarts) == (READY_AT_S + 30, "sha256:1", 1)
    assert read_pod(with_proxy()).started_at_s == READY_AT_S + 3
    unknown = read_pod(with_proxy(annotations={"kubectl.kubernetes.io/default-container": "gone"}))
    assert unknown.started_at_s == READY_AT_S + 3


def test_an_image_is_known_by_its_name_until_the_node_has_it() -> None:
    body = an_object("p", spec={"containers": [{"name": "server", "image": "triton:1"}]})
    assert read_pod(body).image == "triton:1"
    told = {"containerStatuses": [{"name": "server", "imageID": "", "image": "triton:1"}]}
    assert read_pod(body | {"status": told}).image == "triton:1"


def test_a_pod_without_labels_has_none() -> None:
    assert read_pod(an_object("p", metadata={"labels": None})).labels == {}


@pytest.mark.parametrize(("body", "replicas"), [(a_deployment(replicas=7), 7), (a_deployment(replicas=None), 1)])
def test_a_workload_has_the_replicas_it_asks_for(body: dict[str, Any], replicas: int) -> None:
    """Absent is one, as the API server has it."""
    assert read_workload(body).replicas == replicas


def test_zero_replicas_are_zero() -> None:
    assert read_workload(a_deployment(replicas=0)).replicas == 0


def test_only_objects_with_a_controller_keep_their_body() -> None:
    """Nobody else's object is ever compared, and a large cluster has many."""
    owned, foreign = read_workload(a_deployment(owner="uid-1")), read_workload(a_deployment())
    assert (owned.owner_uid, owned.body is not None) == ("uid-1", True)
    assert (foreign.owner_uid, foreign.body) == (None, None)


def test_the_owner_is_the_controller() -> None:
    others = [{"kind": "Team", "uid": "uid-team"}, {"kind": "Group", "uid": "uid-group", "controller": False}]
    assert owner_uid(an_object("x", metadata={"ownerReferences": others})) is None
    assert owner_uid(an_object("x", metadata={"ownerReferences": [*others, *owned_by("uid-1")]})) == "uid-1"
    assert owner_uid(an_object("x", metadata={"ownerReferences": None})) is None


def test_a_service_without_a_selector_selects_nothing() -> None:
    assert read_service(a_service()).selector == {"app": "chat"}
    assert read_service(an_object("s", spec={"clusterIP": "None"})).selector == {}


def test_what_an_autoscaler_scales() -> None:
    hpa = read_autoscaler(an_autoscaler("auto", "chat", kind="StatefulSet"), "HorizontalPodAutoscaler")
    assert (hpa.key, hpa.kind) == (Key("demo", "auto"), "HorizontalPodAutoscaler")
    assert (hpa.target_kind, hpa.target_name) == ("StatefulSet", "chat")


def test_a_scaled_object_means_a_deployment_unless_it_says_otherwise() -> None:
    scaled = read_autoscaler(an_object("auto", spec={"scaleTargetRef": {"name": "chat"}}), "ScaledObject")
    assert (scaled.target_kind, scaled.target_name) == ("Deployment", "chat")


# Label selectors, against the words of the API's reference.

NAMES, VALUES = st.sampled_from("abc"), st.sampled_from("xyz")
LABELS = st.dictionaries(NAMES, VALUES)
EXPRESSIONS = st.one_of(
    st.builds(
        lambda key, operator, values: {"key": key, "operator": operator, "values": values},
        NAMES,
        st.sampled_from(["In", "NotIn"]),
        st.lists(VALUES, min_size=1, max_size=2),
    ),
    st.builds(
        lambda key, operator: {"key": key, "operator": operator}, NAMES, st.sampled_from(["Exists", "DoesNotExist"])
    ),
)
SELECTORS = st.fixed_dictionaries(
    {},
    optional={
        "matchLabels": st.dictionaries(NAMES, VALUES, max_size=2),
        "matchExpressions": st.lists(EXPRESSIONS, max_size=2),
    },
)


def naive(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """The reference's sentences, one by one."""
    needs = [
        {"key": key, "operator": "In", "values": [value]} for key, value in selector.get("matchLabels", {}).items()
    ] + selector.get("matchExpressions", [])
    for need in needs:
        has = need["key"] in labels
        is_one = has and labels[need["key"]] in need.get("values", ())
        holds = {"In": is_one, "NotIn": not is_one, "Exists": has, "DoesNotExist": not has}
        if not holds[need["operator"]]:
            return False
    return bool(needs)  # an empty selector would select everything: for a workload it is invalid, so it selects none


@given(SELECTORS, LABELS)
def test_selectors_select_what_the_api_says(selector: dict[str, Any], labels: dict[str, str]) -> None:
    assert matches(selector, labels) == naive(selector, labels)


@pytest.mark.parametrize("selector", [{}, {"matchLabels": None}, {"matchLabels": {}, "matchExpressions": None}])
def test_an_empty_selector_selects_nothing(selector: dict[str, Any]) -> None:
    assert not matches(selector, {"app": "chat"})


# The pod template of a workload.


def rolled(**status: Any) -> dict[str, Any]:
    """A Deployment whose pods are all of its template and Ready, but for what is told."""
    body = a_deployment(replicas=2)
    whole = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}
    body["spec"]["template"] = {"spec": {"containers": [{"name": "server", "image": "triton:1"}]}}
    return body | {"status": whole | status}


def test_a_template_is_told_from_another_and_not_from_itself_with_another_size() -> None:
    one, other, scaled = rolled(), rolled(), rolled()
    other["spec"]["template"]["spec"]["containers"][0]["image"] = "triton:2"
    scaled["spec"]["replicas"], scaled["metadata"]["generation"] = 7, 9
    assert read_workload(one).template != read_workload(other).template
    assert read_workload(one).template == read_workload(scaled).template


def test_the_order_of_a_templates_fields_means_nothing() -> None:
    one, other = rolled(), rolled()
    one["spec"]["template"] = {"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {}}
    other["spec"]["template"] = {"spec": {}, "metadata": {"labels": {"b": "2", "a": "1"}}}
    assert read_workload(one).template == read_workload(other).template


@pytest.mark.parametrize(
    ("status", "is_rolled_out"),
    [
        pytest.param({}, True, id="all are Ready"),
        pytest.param({"readyReplicas": 1}, True, id="one is Ready"),
        pytest.param({"readyReplicas": 0}, False, id="none is Ready"),
        pytest.param({"updatedReplicas": 1, "replicas": 3}, False, id="old pods are there"),
        pytest.param({"updatedReplicas": 0}, False, id="all are old"),
        pytest.param({"replicas": 0, "updatedReplicas": 0, "readyReplicas": 0}, False, id="at zero"),
        pytest.param({"observedGeneration": 0}, False, id="the status is of an older template"),
    ],
)
def test_a_template_counts_as_rolled_out_once_all_pods_are_of_it(status: dict[str, Any], is_rolled_out: bool) -> None:
    assert read_workload(rolled(**status)).is_rolled_out is is_rolled_out


def test_a_workload_that_tells_neither_template_nor_status_is_read_all_the_same() -> None:
    read = read_workload(a_deployment())
    assert (read.template, read.is_rolled_out) == (None, False)
