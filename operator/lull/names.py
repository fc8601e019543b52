"""Every string that another program also has to know: groups, labels, annotations, field managers, versions."""

from typing import Final

GROUP: Final = "lull.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "InferenceDeployment"
PLURAL: Final = "inferencedeployments"

FIELD_MANAGER: Final = "lull"
"""Owner of every field Lull writes, in server-side apply and in scale patches."""

EVENT_SOURCE: Final = "lull"

LABEL_MODEL: Final = "lull.dev/model"
"""On owned pods: the InferenceDeployment's name. The owned Deployment and Service select by it."""

LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"

LABEL_SERVICE: Final = "kubernetes.io/service-name"
"""On an EndpointSlice: the Service it belongs to."""

LABEL_SLICE_MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"

ANNOTATION_APPLIED: Final = "lull.dev/applied"
"""On owned objects: digest of the manifest that was applied last."""

ANNOTATION_ADDRESS: Final = "lull.dev/address"
"""On the Lease: host and port at which the leader answers people's questions."""

LEASE: Final = "lull-operator"
"""Name of the Lease, in Lull's namespace. Whoever holds it may write."""
