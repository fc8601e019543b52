"""The Deployment and Service made of a template, and the comparison that decides whether to apply them."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import a_model, a_template, an_owned_model
from lull.errors import SpecError
from lull.model.spec import InferenceDeployment
from lull.names import ANNOTATION_APPLIED
from lull.render.workload import STOP_S, covers, digest_of, manifests, pause_s

Json = Any


def a_rich_template() -> dict[str, Json]:
    """A template with something of everything, made anew for each test."""
    return {
        "metadata": {"labels": {"team": "search"}, "annotations": {"prometheus.io/scrape": "true"}},
        "spec": {
            "nodeSelector": {"gpu": "a100"},
            "tolerations": [{"operator": "Exists"}],
            "initContainers": [{"name": "fetch", "image": "fetch:1"}],
            "containers": [
                {"name": "proxy", "image": "proxy:1", "ports": [{"containerPort": 9901}]},
                {
                    "name": "server",
                    "image": "triton:1",
                    "ports": [{"name": "http", "containerPort": 8000}],
                    "resources": {"limits": {"nvidia.com/gpu": 1, "cpu": "1500m"}},
                    "volumeMounts": [{"name": "models", "mountPath": "/models"}],
                },
            ],
            "volumes": [{"name": "models", "emptyDir": {}}],
        },
    }


def made(model: InferenceDeployment | None = None, drain_pause_s: float = 5.0) -> dict[str, dict[str, Json]]:
    return {manifest["kind"]: manifest for manifest in manifests(model or an_owned_model(), drain_pause_s)}


def pod_of(model: InferenceDeployment, drain_pause_s: float = 5.0) -> dict[str, Json]:
    found: dict[str, Json] = made(model, drain_pause_s)["Deployment"]["spec"]["template"]["spec"]
    return found


def container_of(model: InferenceDeployment, name: str = "server") -> dict[str, Json]:
    return next(container for container in pod_of(model)["containers"] if container["name"] == name)


def a_pod_template(**server: Json) -> dict[str, Json]:
    """A template whose serving container has more to say."""
    template = a_template()
    template["spec"]["containers"][0] |= server
    return template


# What is made.


def test_an_owner_has_a_deployment_and_a_service_of_its_name() -> None:
    found = made()
    assert set(found) == {"Deployment", "Service"}
    for manifest in found.values():
        assert (manifest["metadata"]["name"], manifest["metadata"]["namespace"]) == ("chat", "demo")


def test_an_adopter_makes_nothing() -> None:
    assert manifests(a_model(), 5.0) == ()


def test_a_service_that_is_there_is_not_made_again() -> None:
    assert set(made(an_owned_model(serviceRef={"name": "front"}))) == {"Deployment"}


def test_replicas_are_never_written() -> None:
    """Size goes through the scale subresource alone, or a template's change would undo a decision."""
    assert "replicas" not in made(an_owned_model(template=a_rich_template()))["Deployment"]["spec"]


def test_what_is_made_goes_with_its_owner() -> None:
    for manifest in made().values():
        (owner,) = manifest["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("InferenceDeployment", "chat", "uid-demo-chat")
        assert owner["controller"] is True


def test_pods_are_selected_by_one_label_that_nobody_else_has() -> None:
    found, label = made(an_owned_model(template=a_rich_template())), {"lull.dev/model": "chat"}
    assert found["Deployment"]["spec"]["selector"] == {"matchLabels": label}
    assert found["Service"]["spec"]["selector"] == label
    assert found["Deployment"]["spec"]["template"]["metadata"]["labels"] == {"team": "search"} | label


def test_the_template_is_kept_whole() -> None:
    """Everything in it is in the Deployment's, as it was written."""
    assert covers(made(an_owned_model(template=a_rich_template()))["Deployment"]["spec"]["template"], a_rich_template())


def test_the_spec_is_not_touched() -> None:
    """It is what the mirror holds, and it would be compared with itself for ever."""
    model = an_owned_model(template=a_rich_template())
    manifests(model, 5.0)
    assert model.spec.template == a_rich_template()


def test_a_rollout_never_serves_with_fewer_pods() -> None:
    strategy = made()["Deployment"]["spec"]["strategy"]
    assert strategy["rollingUpdate"]["maxUnavailable"] == 0


def test_the_service_offers_every_port_under_its_number() -> None:
    ports = [
        {"name": "http", "port": 8000, "role": "HTTP"},
        {"name": "grpc", "port": 8001, "role": "GRPC"},
        {"name": "metrics", "port": 8002, "role": "Metrics"},
    ]
    found = made(an_owned_model(server={"runtime": "triton", "modelName": "chat", "ports": ports}))["Service"]
    assert [(p["name"], p["port"], p["targetPort"], p["appProtocol"]) for p in found["spec"]["ports"]] == [
        ("http", 8000, 8000, "http"),
        ("grpc", 8001, 8001, "kubernetes.io/h2c"),
        ("metrics", 8002, 8002, "http"),
    ]


# The pause before a pod stops.


def test_pods_pause_before_they_stop() -> None:
    assert container_of(an_owned_model())["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}


@pytest.mark.parametrize(("drain_pause_s", "seconds"), [(5.0, 5), (0.2, 1), (5.1, 6)])
def test_a_pause_is_whole_seconds_and_never_shorter_than_asked(drain_pause_s: float, seconds: int) -> None:
    assert pause_s(an_owned_model(), drain_pause_s) == seconds


def a_server(runtime: str) -> dict[str, Json]:
    return {"runtime": runtime, "modelName": "chat", "ports": [{"name": "http", "port": 8000, "role": "HTTP"}]}


def test_mlserver_pauses_for_its_queue_too() -> None:
    """It drops what it holds when it is told to stop."""
    objectives = [{"metric": "Latency", "percentile": p, "threshold": t} for p, t in (("50", "1s"), ("99", "3s"))]
    model = an_owned_model(server=a_server("mlserver"), slo={"objectives": objectives})
    assert pause_s(model, 5.0) == 5 + 4 * 3
    assert pause_s(an_owned_model(server=a_server("triton"), slo={"objectives": objectives}), 5.0) == 5


@pytest.mark.parametrize(("asked", "given"), [(None, 5 + STOP_S), (10, 5 + STOP_S), (600, 600)])
def test_the_grace_outlasts_the_pause(asked: int | None, given: int) -> None:
    template = a_template(**{} if asked is None else {"terminationGracePeriodSeconds": asked})
    assert pod_of(an_owned_model(template=template))["terminationGracePeriodSeconds"] == given


def test_the_grace_outlasts_a_longer_pause_of_the_users() -> None:
    template = a_pod_template(lifecycle={"preStop": {"sleep": {"seconds": 120}}})
    assert pod_of(an_owned_model(template=template))["terminationGracePeriodSeconds"] == 120 + STOP_S


@pytest.mark.parametrize(
    "lifecycle",
    [
        pytest.param({"preStop": {"exec": {"command": ["drain"]}}}, id="a hook of their own"),
        pytest.param({"preStop": {"exec": {}}, "postStart": {"exec": {}}}, id="both hooks"),
    ],
)
def test_a_hook_of_the_users_stays(lifecycle: dict[str, Json]) -> None:
    model = an_owned_model(template=a_pod_template(lifecycle=lifecycle))
    assert container_of(model)["lifecycle"] == lifecycle


def test_other_hooks_stay_beside_the_pause() -> None:
    model = an_owned_model(template=a_pod_template(lifecycle={"postStart": {"exec": {}}}))
    assert container_of(model)["lifecycle"] == {"postStart": {"exec": {}}, "preStop": {"sleep": {"seconds": 5}}}


# Readiness.


@pytest.mark.parametrize("runtime", ["vllm", "sglang"])
def test_a_server_of_one_model_is_ready_when_it_is_healthy(runtime: str) -> None:
    """It knows no path of the inference protocol."""
    probe = container_of(an_owned_model(server=a_server(runtime)))["readinessProbe"]
    assert probe["httpGet"]["path"] == "/health"


@pytest.mark.parametrize("runtime", ["triton", "mlserver"])
def test_ready_means_that_the_model_answers(runtime: str) -> None:
    probe = container_of(an_owned_model(server=a_server(runtime)))["readinessProbe"]
    assert probe["httpGet"] == {"path": "/v2/models/chat/ready", "port": 8000}


def test_a_models_name_is_quoted_in_the_probe() -> None:
    model = an_owned_model(server=a_server("triton") | {"modelName": "team/chat v2"})
    assert container_of(model)["readinessProbe"]["httpGet"]["path"] == "/v2/models/team%2Fchat%20v2/ready"


def test_a_probe_of_the_users_stays() -> None:
    probe = {"tcpSocket": {"port": 1}}
    assert container_of(an_owned_model(template=a_pod_template(readinessProbe=probe)))["readinessProbe"] == probe


@pytest.mark.parametrize(
    "server",
    [
        pytest.param(a_server("triton") | {"ports": [{"name": "grpc", "port": 8001, "role": "GRPC"}]}, id="no HTTP"),
        pytest.param(
            {"runtime": "generic", "queries": {"requestsPerSecond": "x"}, "ports": a_server("triton")["ports"]},
            id="generic",
        ),
    ],
)
def test_where_nothing_is_known_to_ask_nothing_is_asked(server: dict[str, Json]) -> None:
    assert "readinessProbe" not in container_of(an_owned_model(server=server))


# Which container serves.


@pytest.mark.parametrize(
    ("containers", "serving"),
    [
        pytest.param(a_rich_template()["spec"]["containers"], "server", id="the one that declares a server's port"),
        pytest.param([{"name": "a", "image": "x"}, {"name": "b", "image": "x"}], "a", id="else the first"),
        pytest.param(
            [
                {"name": "a", "image": "x", "ports": None},
                {"name": "b", "image": "x", "ports": [{"containerPort": 8002}]},
            ],
            "b",
            id="a metrics port counts",
        ),
    ],
)
def test_the_container_with_the_servers_port_serves(containers: list[dict[str, Json]], serving: str) -> None:
    model = an_owned_model(template={"spec": {"containers": containers}})
    assert [c["name"] for c in pod_of(model)["containers"] if "lifecycle" in c] == [serving]
    assert [c["name"] for c in pod_of(model)["containers"] if "readinessProbe" in c] == [serving]


# Templates that the API server lets pass unseen.


@pytest.mark.parametrize(
    "template",
    [
        pytest.param(a_pod_template(lifecycle=None), id="lifecycle:"),
        pytest.param(a_pod_template(lifecycle={"preStop": None}), id="preStop:"),
        pytest.param(a_pod_template(readinessProbe=None), id="readinessProbe:"),
        pytest.param(a_pod_template(ports=None), id="ports:"),
        pytest.param(a_template(terminationGracePeriodSeconds=None), id="terminationGracePeriodSeconds:"),
        pytest.param(a_template() | {"metadata": None}, id="metadata:"),
        pytest.param(a_template() | {"metadata": {"labels": None}}, id="labels:"),
    ],
)
def test_an_empty_field_is_an_absent_one(template: dict[str, Json]) -> None:
    model = an_owned_model(template=template)
    assert container_of(model)["lifecycle"]["preStop"] == {"sleep": {"seconds": 5}}
    assert "httpGet" in container_of(model)["readinessProbe"]


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from(["", "8000", "x"]))
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["name", "a"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(
    st.sampled_from(
        ["lifecycle", "ports", "readinessProbe", "terminationGracePeriodSeconds", "containers", "metadata"]
    ),
    ANYTHING,
)
def test_a_template_of_any_shape_is_made_or_refused(field: str, value: Json) -> None:
    """Anything else would end the round for the whole fleet."""
    template = a_template()
    holders = {"terminationGracePeriodSeconds": template["spec"], "containers": template["spec"], "metadata": template}
    holders.get(field, template["spec"]["containers"][0])[field] = value
    model = an_owned_model(template=template)
    with contextlib.suppress(SpecError):
        assert [manifest["kind"] for manifest in manifests(model, 5.0)] == ["Deployment", "Service"]


@pytest.mark.parametrize(
    "template",
    [
        pytest.param(a_pod_template(ports=[8000]), id="ports that are numbers"),
        pytest.param(a_pod_template(lifecycle="soon"), id="a lifecycle in words"),
        pytest.param(a_template(terminationGracePeriodSeconds="60"), id="a grace in quotes"),
        pytest.param(a_template(containers=[]), id="no containers"),
        pytest.param({"metadata": {}}, id="no spec"),
    ],
)
def test_a_template_that_is_none_is_refused_with_a_hint(template: dict[str, Json]) -> None:
    with pytest.raises(SpecError, match=r"spec\.template is no pod template .* compare it with a Deployment's"):
        manifests(an_owned_model(template=template), 5.0)


# The digest.


def turned(node: Json) -> Json:
    """The same with all keys in another order."""
    if isinstance(node, dict):
        return {name: turned(node[name]) for name in reversed(node)}
    return [turned(item) for item in node] if isinstance(node, list) else node


def digests(model: InferenceDeployment, drain_pause_s: float = 5.0) -> list[str | None]:
    return [digest_of(manifest) for manifest in manifests(model, drain_pause_s)]


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digests(an_owned_model(template=a_rich_template())) == digests(
        an_owned_model(template=turned(a_rich_template()))
    )


def test_the_digest_is_the_same_at_every_start() -> None:
    """It is compared with what an earlier operator process wrote."""
    assert digests(an_owned_model())[1] == digests(an_owned_model())[1]
    assert all(isinstance(digest, str) and len(digest) == 16 for digest in digests(an_owned_model()))


def test_another_template_has_another_digest() -> None:
    other = a_rich_template()
    other["spec"]["containers"][1]["image"] = "triton:2"
    assert digests(an_owned_model(template=a_rich_template()))[0] != digests(an_owned_model(template=other))[0]


def test_another_pause_has_another_digest() -> None:
    assert digests(an_owned_model(), 5.0)[0] != digests(an_owned_model(), 9.0)[0]


@pytest.mark.parametrize("live", [{}, {"metadata": {}}, {"metadata": {"annotations": None}}])
def test_what_lull_did_not_apply_has_no_digest(live: dict[str, Json]) -> None:
    assert digest_of(live) is None


def test_the_digest_is_an_annotation() -> None:
    assert set(made()["Deployment"]["metadata"]["annotations"]) == {ANNOTATION_APPLIED}


# The comparison.

LEAVES = st.one_of(st.booleans(), st.integers(0, 3), st.sampled_from(["", "x", "y"]), st.just({}), st.just([]))


def objects(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    return st.dictionaries(st.sampled_from("abc"), inner, max_size=3)


def named(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    """A list whose items have names, each once, as the API has it."""
    by_name = st.dictionaries(st.sampled_from("pqr"), objects(inner), min_size=1, max_size=3)
    return by_name.map(lambda items: [{"name": name} | item for name, item in items.items()])


TREES = st.recursive(
    LEAVES, lambda inner: st.one_of(objects(inner), named(inner), st.lists(inner, max_size=3)), max_leaves=12
)


def grown(node: Json) -> Json:
    """The same with what a server and other people add to it."""
    if isinstance(node, dict):
        return {name: grown(value) for name, value in node.items()} | {"defaulted": {"by": "the server"}}
    if isinstance(node, list):
        items = [grown(item) for item in node]
        is_named = bool(node) and all(isinstance(item, dict) and "name" in item for item in node)
        return [{"name": "injected"}, *reversed(items)] if is_named else items
    return node


def places(node: Json, at: tuple[Json, ...] = ()) -> list[tuple[Json, ...]]:
    """Paths of all leaves."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    found = [place for step, child in children for place in places(child, (*at, step))]
    return found or [at]


def with_other(node: Json, place: tuple[Json, ...]) -> Json:
    """The same with another value in one place."""
    if not place:
        return "changed by hand"
    changed = copy.copy(node)
    changed[place[0]] = with_other(node[place[0]], place[1:])
    return changed


@given(TREES)
def test_everything_covers_itself(tree: Json) -> None:
    assert covers(tree, tree)
    assert covers(copy.deepcopy(tree), tree)


@given(TREES)
def test_what_others_added_does_not_matter(tree: Json) -> None:
    assert covers(grown(tree), tree)


@given(TREES, st.data())
def test_any_changed_value_is_noticed(tree: Json, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(places(tree)))
    assert not covers(with_other(tree, place), tree)
    assert not covers(grown(with_other(tree, place)), tree)


@pytest.mark.parametrize(
    ("live", "wanted"),
    [
        pytest.param({}, {"a": 1}, id="a missing field"),
        pytest.param({"a": None}, {"a": {}}, id="nothing for an object"),
        pytest.param({"a": "b"}, {"a": {"b": 1}}, id="text for an object"),
        pytest.param({"a": {}}, {"a": []}, id="an object for a list"),
        pytest.param([1], [1, 2], id="a shorter list"),
        pytest.param([1, 2, 3], [1, 2], id="a longer list of plain values"),
        pytest.param([2, 1], [1, 2], id="another order of plain values"),
        pytest.param([{"name": "a"}], [{"name": "a"}, {"name": "b"}], id="a missing item"),
    ],
)
def test_what_differs_is_not_covered(live: Json, wanted: Json) -> None:
    assert not covers(live, wanted)


def test_what_the_api_server_makes_of_a_deployment_is_covered() -> None:
    """Its defaults, as they come back from a real one."""
    wanted = made(an_owned_model(template=a_rich_template()))["Deployment"]
    live = copy.deepcopy(wanted)
    live["metadata"] |= {"uid": "u", "generation": 1, "resourceVersion": "7"}
    live["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "1"
    live["spec"] |= {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600}
    pod = live["spec"]["template"]["spec"]
    pod |= {"restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "securityContext": {}, "schedulerName": "x"}
    for container in pod["containers"]:
        container |= {"imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log"}
        for port in container["ports"]:
            port["protocol"] = "TCP"
    live["status"] = {"replicas": 1}
    assert covers(live, wanted)
    live["spec"]["template"]["spec"]["containers"][1]["image"] = "evil:1"
    assert not covers(live, wanted)
