"""EndpointSlices: Kubernetes' own as the mirror keeps them, and ours as it is written.

Ours names the Service and the pods that stand in for its own; kube-proxy joins all slices of a Service.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lull.adapters.objects import Body, Pod, key_of
from lull.model.route import Attachment, ServicePort, StandIn
from lull.model.spec import InferenceDeployment, Key
from lull.names import (
    ACTIVATOR_LABELS,
    API_VERSION,
    KIND,
    LABEL_MODEL,
    LABEL_SERVICE,
    LABEL_SLICE_MANAGED_BY,
    SLICE_MANAGER,
    SLICE_MANAGER_OF_KUBERNETES,
)

SLICES: Final = ("discovery.k8s.io/v1", "endpointslices")
_ENDED: Final = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Slice:
    """An EndpointSlice."""

    key: Key
    uid: str
    version: str
    service: Key
    manager: str
    owner_uid: str | None
    """The InferenceDeployment that ours is of."""
    ready: frozenset[str]
    """Addresses that are ready and not on their way out."""
    listed: frozenset[str]
    """All its addresses."""
    ports: frozenset[tuple[str, int]]


def read_slice(body: Body) -> Slice:
    """Reads an EndpointSlice."""
    metadata = body["metadata"]
    key, labels = key_of(body), metadata.get("labels") or {}
    endpoints = body.get("endpoints") or ()
    owners = metadata.get("ownerReferences") or ()
    return Slice(
        key=key,
        uid=metadata["uid"],
        version=str(metadata.get("resourceVersion") or ""),
        service=service_of(body),
        manager=labels.get(LABEL_SLICE_MANAGED_BY, ""),
        owner_uid=next((str(owner["uid"]) for owner in owners if owner.get("kind") == KIND), None),
        ready=_addresses(found for found in endpoints if _is_ready(found)),
        listed=_addresses(endpoints),
        ports=frozenset(
            (port.get("name") or "", int(port["port"])) for port in body.get("ports") or () if port.get("port")
        ),
    )


def service_of(body: Body) -> Key:
    """The Service that an EndpointSlice belongs to; one of no name where it names none."""
    metadata = body["metadata"]
    return Key(metadata["namespace"], (metadata.get("labels") or {}).get(LABEL_SERVICE, ""))


def own_ready(slices: Iterable[Slice]) -> int | None:
    """Addresses of a Service's own pods that are ready, of Kubernetes' own slices; None where there is no slice yet."""
    own = [found for found in slices if found.manager == SLICE_MANAGER_OF_KUBERNETES]
    return len(frozenset().union(*(found.ready for found in own))) if own else None


def attachment(slices: Iterable[Slice], uid: str) -> Attachment | None:
    """Our slice of a model, if it is there."""
    for found in slices:
        if found.manager == SLICE_MANAGER and found.owner_uid == uid:
            return Attachment(found.listed, found.ports, found.uid, found.version)
    return None


def slice_key(service: Key) -> Key:
    """Namespace and name of our slice of a Service."""
    return Key(service.namespace, f"{service.name}-lull")


def new_slice(model: InferenceDeployment, service: Key, family: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """Our slice of a Service, to be created."""
    owner = {"apiVersion": API_VERSION, "kind": KIND, "name": model.key.name, "uid": model.uid}
    return {
        "apiVersion": SLICES[0],
        "kind": "EndpointSlice",
        "metadata": {
            "name": slice_key(service).name,
            "namespace": service.namespace,
            "labels": {
                LABEL_SERVICE: service.name,
                LABEL_SLICE_MANAGED_BY: SLICE_MANAGER,
                LABEL_MODEL: model.key.name,
            },
            "ownerReferences": [owner],
        },
        "addressType": family,
        **content,
    }


def slice_content(
    stand_ins: Iterable[StandIn], ports: Iterable[tuple[str, int]], service_ports: Iterable[ServicePort]
) -> dict[str, Any]:
    """Ports and endpoints of our slice: what changes in it."""
    spoken = {port.name: port.app_protocol for port in service_ports}
    return {
        "endpoints": [_endpoint(stand_in) for stand_in in sorted(stand_ins, key=lambda found: found.address)],
        "ports": [
            {"name": name, "port": number, "protocol": "TCP"}
            | ({"appProtocol": protocol} if (protocol := spoken.get(name)) else {})
            for name, number in sorted(ports)
        ],
    }


def is_activator(body: Body) -> bool:
    """Whether a pod carries the activator's labels; in which namespace is for the reader to look at."""
    labels = body["metadata"].get("labels") or {}
    return all(labels.get(name) == value for name, value in ACTIVATOR_LABELS.items())


def stand_in(pod: Pod, family: str) -> StandIn | None:
    """A pod as somebody who may answer for others; None where it has ended or has no address of that family."""
    address = next((found for found in pod.addresses if (":" in found) == (family == "IPv6")), None)
    if address is None or pod.phase in _ENDED:
        return None
    return StandIn(
        pod.uid, pod.key.name, pod.key.namespace, address, pod.restarts, pod.node, pod.is_answering, pod.is_leaving
    )


def _endpoint(who: StandIn) -> dict[str, Any]:
    # Ready whatever the pod says: one that is on its way out is listed only while nobody else can answer.
    reference = {"kind": "Pod", "name": who.name, "namespace": who.namespace, "uid": who.uid}
    conditions = {"ready": True, "serving": True, "terminating": False}
    node = {"nodeName": who.node} if who.node else {}
    return {"addresses": [who.address], "conditions": conditions, "targetRef": reference} | node


def _is_ready(endpoint: Mapping[str, Any]) -> bool:
    conditions = endpoint.get("conditions") or {}
    # Absent is to be read as true, by the API's own words; of terminating, as false.
    return conditions.get("ready") is not False and not conditions.get("terminating")


def _addresses(endpoints: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    return frozenset(address for endpoint in endpoints for address in endpoint.get("addresses") or ())
