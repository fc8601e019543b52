"""EndpointSlices as they are read, and ours as it is written."""

from __future__ import annotations

from typing import Any

import pytest

from bodies import a_pod, a_service, a_slice, an_activator, an_object
from builders import a_body, a_model
from lull.adapters.fronts import activators, fronts_of
from lull.adapters.mirror import Kind, Mirror
from lull.adapters.objects import read_pod, read_service
from lull.adapters.slices import attachment, is_activator, new_slice, own_ready, read_slice, slice_content, stand_in
from lull.model.route import ServicePort, StandIn
from lull.model.spec import InferenceDeployment, Key, parse

CHAT = Key("demo", "chat")


def test_only_addresses_that_are_ready_and_stay_count() -> None:
    found = read_slice(a_slice(ready=("10.1.0.1", "10.1.0.2"), leaving=("10.1.0.3",)))
    assert found.ready == {"10.1.0.1", "10.1.0.2"}
    assert found.listed == {"10.1.0.1", "10.1.0.2", "10.1.0.3"}
    assert found.ports == {("http", 8000)}
    assert (found.service, found.manager) == (CHAT, "endpointslice-controller.k8s.io")


@pytest.mark.parametrize(
    ("conditions", "is_ready"),
    [
        (None, True),
        ({}, True),
        ({"ready": None}, True),
        ({"ready": False}, False),
        ({"ready": True, "terminating": True}, False),
    ],
)
def test_what_is_not_said_of_an_endpoint_is_as_the_api_says(conditions: Any, is_ready: bool) -> None:
    body = an_object("s", endpoints=[{"addresses": ["10.1.0.1"], "conditions": conditions}], ports=None)
    assert bool(read_slice(body).ready) is is_ready


def test_own_pods_are_counted_over_all_of_kubernetes_slices() -> None:
    several = [read_slice(a_slice("a", ready=("10.1.0.1",))), read_slice(a_slice("b", ready=("10.1.0.1", "10.1.0.2")))]
    assert own_ready(several) == 2
    assert own_ready([read_slice(a_slice(ready=()))]) == 0


def test_without_a_slice_of_kubernetes_own_pods_are_unknown() -> None:
    assert own_ready([]) is None
    assert own_ready([ours()]) is None


def ours(uid: str = "uid-demo-chat") -> Any:
    model = parse(a_body(uid=uid))
    who = StandIn("uid-1", "act-1", "lull", "10.0.0.1", node="node-a")
    content = slice_content((who,), {("http", 20007)}, (ServicePort("http", 8000, app_protocol="http"),))
    body = new_slice(model, CHAT, "IPv4", content)
    body["metadata"] |= {"uid": "uid-slice", "resourceVersion": "7"}
    return read_slice(body)


def test_our_slice_reads_as_it_was_written() -> None:
    found = attachment([read_slice(a_slice()), ours()], "uid-demo-chat")
    assert found is not None
    assert (found.addresses, found.ports) == ({"10.0.0.1"}, {("http", 20007)})
    assert (found.uid, found.version) == ("uid-slice", "7")


def test_another_models_slice_is_not_ours() -> None:
    assert attachment([ours("uid-other"), read_slice(a_slice())], "uid-demo-chat") is None


def test_our_slice_belongs_to_the_service_and_goes_with_the_model() -> None:
    content = slice_content((), (), ())
    body = new_slice(a_model(), CHAT, "IPv4", content)
    assert body["metadata"]["name"] == "chat-lull"
    assert body["metadata"]["labels"] == {
        "kubernetes.io/service-name": "chat",
        "endpointslice.kubernetes.io/managed-by": "lull.dev",
        "lull.dev/model": "chat",
    }
    assert body["metadata"]["ownerReferences"][0]["uid"] == a_model().uid
    assert body["addressType"] == "IPv4"


def test_endpoints_name_their_pod_and_node_and_count_as_ready() -> None:
    leaving = StandIn("uid-1", "act-1", "lull", "10.0.0.1", node="node-a", is_leaving=True)
    content = slice_content((leaving,), {("", 20001)}, (ServicePort("", 80, app_protocol="kubernetes.io/h2c"),))
    assert content["ports"] == [{"name": "", "port": 20001, "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"}]
    assert content["endpoints"] == [
        {
            "addresses": ["10.0.0.1"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "targetRef": {"kind": "Pod", "name": "act-1", "namespace": "lull", "uid": "uid-1"},
            "nodeName": "node-a",
        }
    ]


# Who can stand in.


@pytest.mark.parametrize(
    ("body", "family", "address"),
    [
        pytest.param(an_activator(), "IPv4", "10.0.0.1", id="its address"),
        pytest.param(an_activator(), "IPv6", None, id="none of that family"),
        pytest.param(an_activator(address="fd00::1"), "IPv6", "fd00::1", id="of the other"),
        pytest.param(an_activator(phase="Failed"), "IPv4", None, id="ended"),
        pytest.param(a_pod(), "IPv4", None, id="none yet"),
    ],
)
def test_a_pod_stands_in_by_its_address(body: dict[str, Any], family: str, address: str | None) -> None:
    found = stand_in(read_pod(body), family)
    assert (found.address if found else None) == address


def test_a_pod_on_its_way_out_may_still_answer() -> None:
    found = stand_in(read_pod(an_activator(leaving=True)), "IPv4")
    assert found is not None
    assert (found.is_ready, found.is_leaving) == (True, True)


def test_activators_are_those_of_our_namespace() -> None:
    mirror = Mirror(lambda: None, 60.0, clock=lambda: 0.0)
    for body in (
        an_activator("act-2", "10.0.0.2"),
        an_activator(),
        an_activator("x", namespace="demo", uid="x"),
        a_pod(),
    ):
        mirror.feed(Kind.POD, body)
    assert activators(mirror, "IPv4") == ()
    mirror.home = "lull"
    assert [who.name for who in activators(mirror, "IPv4")] == ["act-1", "act-2"]
    assert is_activator(an_activator())
    assert not is_activator(a_pod())


def test_the_mirror_rings_for_slices_and_activators_alone() -> None:
    mirror = Mirror(lambda: None, 60.0, clock=lambda: 0.0)
    rang: list[Key | None] = []
    mirror.on_route = rang.append
    mirror.feed(Kind.POD, a_pod())
    mirror.feed(Kind.SERVICE, a_service())
    assert rang == []
    mirror.feed(Kind.ENDPOINT_SLICE, a_slice())
    mirror.feed(Kind.POD, an_activator())
    mirror.feed(Kind.POD, an_activator(), is_gone=True)
    assert rang == [CHAT, None, None]


def test_slices_are_found_by_their_service_and_forgotten_with_it() -> None:
    mirror = Mirror(lambda: None, 60.0, clock=lambda: 0.0)
    mirror.feed(Kind.ENDPOINT_SLICE, a_slice("a"))
    mirror.feed(Kind.ENDPOINT_SLICE, a_slice("b", service="rank"))
    assert [found.key.name for found in mirror.slices_of(CHAT)] == ["a"]
    mirror.feed(Kind.ENDPOINT_SLICE, a_slice("a") | {"metadata": a_slice("a", service="rank")["metadata"]})
    assert mirror.slices_of(CHAT) == []
    for name in ("a", "b"):
        mirror.feed(Kind.ENDPOINT_SLICE, a_slice(name), is_gone=True)
    assert mirror.slices == {}
    assert len(mirror._slices_of) == 0


# Fronts.


def front(service: dict[str, Any] | None, *bodies: dict[str, Any]) -> Any:
    mirror = Mirror(lambda: None, 60.0, clock=lambda: 0.0)
    mirror.home = "lull"
    if service is not None:
        mirror.feed(Kind.SERVICE, service)
    for body in bodies:
        mirror.feed(Kind.POD, body)
    models: list[InferenceDeployment] = [a_model(serviceRef={"name": "chat"}, scaleToZero={"mode": "Enforce"})]
    models.append(a_model("rank", scaleToZero={"mode": "Recommend"}))
    models.append(a_model("other", serviceRef={"name": "other"}))
    found = fronts_of(mirror, models)
    assert set(found) == {models[0].uid, models[1].uid}, "models that never sleep have none"
    return found[models[0].uid]


def test_a_front_tells_what_is_in_the_way() -> None:
    mesh = a_pod()
    mesh["spec"]["initContainers"] = [{"name": "istio-proxy"}]
    found = front(a_service(), mesh)
    assert (found.service, found.has_mesh, found.has_activator) == ("chat", True, False)
    found = front(a_service(), a_pod(), an_activator())
    assert (found.has_mesh, found.has_activator, found.sharers) == (False, True, ())


def test_a_service_that_is_not_there_has_no_shape() -> None:
    assert front(None).shape is None


@pytest.mark.parametrize(
    ("spec", "is_so"),
    [
        ({"clusterIP": "None"}, "is_headless"),
        ({"type": "ExternalName"}, "is_external"),
        ({"internalTrafficPolicy": "Local"}, "is_local"),
        ({"externalTrafficPolicy": "Local"}, "is_local"),
        ({"publishNotReadyAddresses": True}, "publishes_unready"),
    ],
)
def test_the_shape_of_a_service_is_read(spec: dict[str, Any], is_so: str) -> None:
    plain = {
        "selector": {"app": "chat"},
        "clusterIP": "10.9.0.1",
        "type": "ClusterIP",
        "internalTrafficPolicy": "Cluster",
    }
    assert not getattr(read_service(an_object("s", spec=plain)).shape, is_so)
    assert getattr(read_service(an_object("s", spec=plain | spec)).shape, is_so)


def test_ports_of_a_service_are_read() -> None:
    ports = [{"port": 53, "protocol": "UDP", "name": "dns"}, {"port": 80, "appProtocol": "http"}]
    shape = read_service(an_object("s", spec={"ports": ports, "ipFamilies": ["IPv6"]})).shape
    assert shape.ports == (ServicePort("dns", 53, "UDP"), ServicePort("", 80, "TCP", "http"))
    assert (shape.selects, shape.families) == (False, ("IPv6",))
