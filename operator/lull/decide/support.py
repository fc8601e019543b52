"""Whether others can answer for the pods behind a Service: kube-proxy has to choose, by slices, for every connection.

ClientIP affinity is no hindrance: kube-proxy forgets a client's endpoint once no slice lists it.
"""

from __future__ import annotations

from lull.model.fleet import Fault
from lull.model.reason import Reason
from lull.model.route import Front, ServiceShape


def unsupported(front: Front) -> Fault | None:
    """Why the model cannot sleep, with the mend; None where it can. The first of several is told."""
    if front.service is None:
        return Fault(
            Reason.SERVICE_UNNAMED,
            "the workload was adopted and no Service is named; set spec.serviceRef to let it sleep",
        )
    if front.shape is None:
        return Fault(Reason.SERVICE_NOT_FOUND, f"Service {front.service!r} is not there; create it or rename it")
    fault = _shape_fault(front.service, front.shape)
    if fault is not None:
        return fault
    if front.sharers:
        others = ", ".join(front.sharers)
        return Fault(
            Reason.SERVICE_SHARED,
            f"{others} is behind Service {front.service!r} too; give each model a Service of its own",
        )
    if front.has_mesh:
        return Fault(
            Reason.MESH_IN_THE_WAY,
            "pods have a service mesh's proxy, which may refuse connections from outside the mesh; "
            "leave these pods out of the mesh to let the model sleep",
        )
    if not front.has_activator:
        return Fault(
            Reason.NO_ACTIVATOR, "no pod of the activator is there; install the chart with activator.enabled=true"
        )
    return None


def _shape_fault(service: str, shape: ServiceShape) -> Fault | None:
    other = next((port for port in shape.ports if port.protocol != "TCP"), None)
    spoken = f"port {other.port} over {other.protocol}" if other else ""
    checks = (
        (shape.is_external, Reason.SERVICE_ELSEWHERE, "is of type ExternalName; name the Service of the pods"),
        (shape.is_headless, Reason.SERVICE_HEADLESS, "is headless: clients connect to pods; use one with a clusterIP"),
        (not shape.selects, Reason.SERVICE_WITHOUT_SELECTOR, "has no selector; let it select the pods"),
        (
            shape.is_local,
            Reason.SERVICE_LOCAL,
            "keeps traffic on its node; set internalTrafficPolicy and externalTrafficPolicy to Cluster",
        ),
        (
            shape.publishes_unready,
            Reason.SERVICE_PUBLISHES_UNREADY,
            "publishes addresses of pods that are not Ready; set publishNotReadyAddresses to false",
        ),
        (
            len(shape.families) > 1,
            Reason.SERVICE_DUAL_STACK,
            "has addresses of two families; set ipFamilyPolicy to SingleStack",
        ),
        (
            other is not None,
            Reason.SERVICE_NOT_TCP,
            f"offers {spoken}, which cannot be held; move what is no TCP to another Service",
        ),
    )
    return next((Fault(reason, f"Service {service!r} {says}") for is_so, reason, says in checks if is_so), None)
