"""Which pods may rest in place, read from the mirror: what their Services leave out, and where their servers listen."""

from __future__ import annotations

from typing import Final

from lull.adapters.fronts import service_key
from lull.adapters.mirror import Kind, Mirror
from lull.adapters.objects import Pod
from lull.model.fleet import Fault
from lull.model.reason import Reason
from lull.model.spec import InferenceDeployment, Role, SleepMode
from lull.names import LABEL_AWAKE, SLICE_MANAGER_OF_KUBERNETES

_NAME: Final = "http"


def awake_only(mirror: Mirror, model: InferenceDeployment) -> bool:
    """Whether the Service that Lull owns shall leave out resting pods.

    Only once every pod carries the label, and the template of those to come: any other would be left out for good. And
    for as long as a pod rests, whatever the spec says by then.
    """
    workload = mirror.workloads[Kind.DEPLOYMENT].get(model.key)
    if workload is None or workload.body is None:
        return False
    pods = [pod for pod in mirror.pods_of(model.key.namespace, workload.selector) if not pod.is_leaving]
    if any(pod.key in mirror.resting for pod in pods):
        return True
    template = workload.body["spec"].get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    is_asked = model.doze is SleepMode.ENFORCE and labels.get(LABEL_AWAKE) == "true"
    return is_asked and all(pod.is_listed for pod in pods)


def label_fault(mirror: Mirror, model: InferenceDeployment, pod: Pod) -> Fault | None:
    """Why the Service would go on sending to the pod while its server sleeps; None where it would not."""
    key = service_key(model)
    service = None if key is None else mirror.services.get(key)
    selects = service is not None and service.selector.get(LABEL_AWAKE) == "true"
    if selects and LABEL_AWAKE in pod.labels:
        return None
    if model.is_owner and model.spec.service_ref is None:
        return Fault(Reason.AWAKE_LABEL_MISSING, f"pods with the label {LABEL_AWAKE} are still being rolled out")
    return Fault(
        Reason.AWAKE_LABEL_MISSING,
        f'give the pods of {model.target} the label {LABEL_AWAKE}: "true" by their template and, once all have it, add '
        "it to the selector of their Service",
    )


def port_of(mirror: Mirror, model: InferenceDeployment) -> int | None:
    """The port of the pods where the server speaks HTTP; None where nobody says which it is."""
    for port in model.spec.server.ports:
        if port.role is Role.HTTP:
            return port.port
    key = service_key(model)
    slices = [] if key is None else mirror.slices_of(key)
    own = {port for found in slices if found.manager == SLICE_MANAGER_OF_KUBERNETES for port in found.ports}
    numbers = {number for name, number in own if name == _NAME} or {number for _, number in own}
    return numbers.pop() if len(numbers) == 1 else None
