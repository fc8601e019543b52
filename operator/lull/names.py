"""Every string that another program also has to know: groups, labels, annotations, field managers, versions."""

from typing import Final

GROUP: Final = "lull.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "InferenceDeployment"
PLURAL: Final = "inferencedeployments"
BUDGET_KIND: Final = "EnergyBudget"
BUDGET_PLURAL: Final = "energybudgets"

FIELD_MANAGER: Final = "lull"
"""Owner of every field Lull writes, in server-side apply and in scale patches."""

EVENT_SOURCE: Final = "lull"

LABEL_MODEL: Final = "lull.dev/model"
"""On owned pods: the InferenceDeployment's name. The owned Deployment and Service select by it."""

LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"

LABEL_SERVICE: Final = "kubernetes.io/service-name"
"""On an EndpointSlice: the Service it belongs to."""

LABEL_SLICE_MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"

LABEL_AWAKE: Final = "lull.dev/awake"
"""On pods whose server can sleep: "true" from their template, and "false" while Lull rests them. A Service that selects
by "true" leaves those out; a pod that nobody touched is in it."""

ANNOTATION_DOZE: Final = "lull.dev/doze"
"""On a pod that Lull took out of its Service so: how it is woken, as ``model.doze.Mark`` writes it."""

ANNOTATION_APPLIED: Final = "lull.dev/applied"
"""On owned objects: digest of the manifest that was applied last."""

ANNOTATION_DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
"""On pods: a ReplicaSet that shrinks deletes those of the lowest cost first; none counts as 0."""

ANNOTATION_MARK: Final = "lull.dev/deletion-cost"
"""On pods: the deletion cost that Lull gave them. A cost without it is somebody else's."""

ANNOTATION_ADDRESS: Final = "lull.dev/address"
"""On the Lease: host and port at which the leader answers people's questions."""

LEASE: Final = "lull-operator"
"""Name of the Lease, in Lull's namespace. Whoever holds it may write."""

FIELD_MANAGER_ROUTE: Final = "lull-route"
"""Owner of status.route and status.hold. The rest of the status is applied apart, and an apply takes away what its
manager no longer names."""

FIELD_MANAGER_ACTIVATOR: Final = "lull-activator-"
"""Followed by the name of an activator's pod: owner of the pod's own entry in status.activation."""

SLICE_MANAGER: Final = GROUP
SLICE_MANAGER_OF_KUBERNETES: Final = "endpointslice-controller.k8s.io"

ACTIVATOR_LABELS: Final = {"app.kubernetes.io/name": "lull", "app.kubernetes.io/component": "activator"}
"""On every pod of the activator, in Lull's namespace."""

HEADER_PROBE: Final = "Lull-Probe"
"""Asks an activator, by the model's uid, whether it listens for it."""

HEADER_ACTIVATOR: Final = "Lull-Activator"
"""On the answer: uid of the pod."""

HEADER_MODEL: Final = "Lull-Model"
"""On the answer: uid of the model that the port stands for."""
