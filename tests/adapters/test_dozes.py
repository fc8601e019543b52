"""Which pods may rest in place: labels and Services, in the order in which a rollout changes them."""

from __future__ import annotations

from typing import Any

import pytest

from bodies import a_deployment, a_pod, a_slice, an_object
from builders import a_body, an_owned_spec
from lull.adapters.dozes import awake_only, label_fault, port_of
from lull.adapters.mirror import Kind, Mirror
from lull.adapters.objects import Body
from lull.model.reason import Reason
from lull.model.spec import InferenceDeployment, Key, parse
from lull.render.workload import Manifest, manifests

AWAKE, RESTING, PLAIN = {"lull.dev/awake": "true"}, {"lull.dev/awake": "false"}, dict[str, str]()
PORTS = [{"name": "api", "port": 8000, "role": "HTTP"}]


def a_dozer(doze: str = "Enforce", **spec: Any) -> InferenceDeployment:
    server = {"runtime": "vllm", "modelName": "m", "ports": PORTS}
    rule = {"mode": "Enforce", "doze": doze}
    return parse(a_body(spec=an_owned_spec(server=server, scaleToZero=rule, **spec)))


def a_mirror(*pods: dict[str, str], template: dict[str, str] | None = None, front: dict[str, str] = AWAKE) -> Mirror:
    mirror = Mirror(lambda: None, 60.0, clock=lambda: 0.0)
    deployment = a_deployment(owner="uid-demo-chat")
    deployment["spec"]["template"] = {"metadata": {"labels": AWAKE if template is None else template}}
    mirror.feed(Kind.DEPLOYMENT, deployment)
    mirror.feed(Kind.SERVICE, an_object("chat", spec={"selector": {"app": "chat"} | front}))
    for number, labels in enumerate(pods):
        body = a_pod(f"chat-{number}", labels={"app": "chat"} | labels)
        if labels == RESTING:
            body["metadata"]["annotations"] = {"lull.dev/doze": "1/8000/0"}
        mirror.feed(Kind.POD, body)
    return mirror


@pytest.mark.parametrize(
    ("mirror", "doze", "is_left_out"),
    [
        pytest.param(a_mirror(AWAKE, AWAKE), "Enforce", True, id="all pods carry the label"),
        pytest.param(a_mirror(AWAKE, PLAIN), "Enforce", False, id="an old pod serves"),
        pytest.param(a_mirror(AWAKE, template={}), "Enforce", False, id="pods to come would not carry it"),
        pytest.param(a_mirror(), "Enforce", True, id="no pods, and those to come carry it"),
        pytest.param(a_mirror(AWAKE), "Off", False, id="nobody asks for it"),
        pytest.param(a_mirror(RESTING), "Off", True, id="one still rests"),
        pytest.param(a_mirror(RESTING, PLAIN), "Off", True, id="one still rests beside a new one"),
    ],
)
def test_the_service_leaves_out_who_rests_only_once_nobody_else_is_left_out(
    mirror: Mirror, doze: str, is_left_out: bool
) -> None:
    assert awake_only(mirror, a_dozer(doze)) is is_left_out


def test_a_pod_that_leaves_does_not_hold_up_the_service() -> None:
    mirror = a_mirror(AWAKE)
    mirror.feed(Kind.POD, a_pod("chat-9", labels={"app": "chat"}, leaving=True))
    assert awake_only(mirror, a_dozer())


def rendered(model: InferenceDeployment, *, awake_only: bool = False) -> tuple[Manifest, Manifest]:
    deployment, service = manifests(model, 5.0, awake_only=awake_only)
    return deployment, service


@pytest.mark.parametrize(("doze", "label"), [("Enforce", "true"), ("Recommend", None), ("Off", None)])
def test_pods_carry_the_label_where_their_server_may_be_put_to_sleep(doze: str, label: str | None) -> None:
    deployment, service = rendered(a_dozer(doze))
    assert deployment["spec"]["template"]["metadata"]["labels"].get("lull.dev/awake") == label
    assert "lull.dev/awake" not in deployment["spec"]["selector"]["matchLabels"], "who rests is still the Deployment's"
    assert "lull.dev/awake" not in service["spec"]["selector"]


def test_the_service_selects_by_it_when_told_to() -> None:
    _, service = rendered(a_dozer(), awake_only=True)
    assert service["spec"]["selector"] == {"lull.dev/model": "chat", "lull.dev/awake": "true"}


def fault_of(mirror: Mirror, model: InferenceDeployment) -> Reason | None:
    found = label_fault(mirror, model, mirror.pods[Key("demo", "chat-0")])
    return None if found is None else found.reason


@pytest.mark.parametrize(
    ("mirror", "reason"),
    [
        pytest.param(a_mirror(AWAKE), None, id="as it should be"),
        pytest.param(a_mirror(RESTING), None, id="at rest"),
        pytest.param(a_mirror(PLAIN), Reason.AWAKE_LABEL_MISSING, id="a pod without the label"),
        pytest.param(a_mirror(AWAKE, front={}), Reason.AWAKE_LABEL_MISSING, id="a Service that does not look at it"),
    ],
)
def test_a_service_that_would_send_to_a_sleeping_server_is_told(mirror: Mirror, reason: Reason | None) -> None:
    assert fault_of(mirror, a_dozer()) is reason


@pytest.mark.parametrize(
    ("ports", "port"),
    [
        pytest.param({"http": 8080, "metrics": 9090}, 8080, id="the one named http"),
        pytest.param({"api": 8080}, 8080, id="the only one"),
        pytest.param({"api": 8080, "grpc": 9090}, None, id="none is more likely than the other"),
        pytest.param({}, None, id="none"),
    ],
)
def test_an_adopted_servers_port_is_its_services(ports: dict[str, int], port: int | None) -> None:
    mirror = a_mirror(AWAKE)
    mirror.feed(Kind.ENDPOINT_SLICE, a_slice(ports=ports))
    spec = {"template": None, "scaleTargetRef": {"kind": "Deployment", "name": "chat"}, "serviceRef": {"name": "chat"}}
    server = {"runtime": "vllm", "modelName": "m"}
    body: Body = a_body(spec=an_owned_spec(**spec | {"server": server, "scaleToZero": {"doze": "Enforce"}}))
    assert port_of(mirror, parse({**body, "spec": {k: v for k, v in body["spec"].items() if v is not None}})) == port


def test_an_owned_servers_port_is_stated() -> None:
    assert port_of(a_mirror(AWAKE), a_dozer()) == 8000
