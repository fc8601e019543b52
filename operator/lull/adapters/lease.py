"""The Lease of ``coordination.k8s.io``: read, made, replaced. Its requests are neither paced nor fenced.

Every replacement names the edition that it replaces, so the API server refuses it when somebody else was faster. It is
a merge patch, so that labels and annotations of others stay.
"""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from lull.adapters.api import MERGE, Api, path_of
from lull.errors import BadAnswer, Refused
from lull.model.lease import LeaseRecord
from lull.names import ANNOTATION_ADDRESS, LEASE

_VERSION: Final = "coordination.k8s.io/v1"


class Lease:
    """One Lease.

    Args:
        api: where it lies.
        namespace: of Lull.
        lease_s: whole seconds; what the Lease tells others to wait for.
    """

    def __init__(self, api: Api, namespace: str, lease_s: float) -> None:
        self._api = api
        self._namespace = namespace
        self._lease_s = round(lease_s)

    async def read(self, timeout_s: float) -> LeaseRecord | None:
        """The present edition; None where there is none.

        Raises:
            Unreachable: when there was no answer within ``timeout_s``.
            Refused: when the API server did not answer the question.
            BadAnswer: when the answer is no Lease.
        """
        try:
            return _record_of(await self._api.send_at_once("GET", self._path, timeout_s=timeout_s))
        except Refused as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def create(self, holder: str, address: str, timeout_s: float) -> LeaseRecord:
        """Makes the Lease; it is ``holder``'s.

        Raises:
            Unreachable: no answer in time; it may have been made all the same.
            Refused: 409 when somebody else was faster.
        """
        now = _micro_time()
        body = {
            "apiVersion": _VERSION,
            "kind": "Lease",
            "metadata": {"name": LEASE, "annotations": {ANNOTATION_ADDRESS: address}},
            "spec": self._spec(holder, now) | {"acquireTime": now, "leaseTransitions": 0},
        }
        path = path_of(_VERSION, "leases", self._namespace)
        return _record_of(await self._api.send_at_once("POST", path, body, timeout_s=timeout_s))

    async def replace(self, held: LeaseRecord, holder: str, address: str, timeout_s: float) -> LeaseRecord:
        """Makes the Lease ``holder``'s, or renews it, unless it is no longer as in ``held``; "" gives it back.

        Raises:
            Unreachable: no answer in time; it may have been replaced all the same.
            Refused: 409 when it is no longer as in ``held``.
        """
        now = _micro_time()
        spec = self._spec(holder, now)
        if holder != held.holder:
            spec |= {"acquireTime": now, "leaseTransitions": held.transitions + 1}
        metadata = {"resourceVersion": held.version, "annotations": {ANNOTATION_ADDRESS: address}}
        change = {"metadata": metadata, "spec": spec}
        return _record_of(await self._api.send_at_once("PATCH", self._path, change, MERGE, timeout_s=timeout_s))

    @property
    def _path(self) -> str:
        return path_of(_VERSION, "leases", self._namespace, LEASE)

    def _spec(self, holder: str, now: str) -> dict[str, Any]:
        return {"holderIdentity": holder, "leaseDurationSeconds": self._lease_s, "renewTime": now}


def _record_of(body: dict[str, Any]) -> LeaseRecord:
    metadata, spec = body.get("metadata") or {}, body.get("spec") or {}
    version = metadata.get("resourceVersion")
    if not version:
        raise BadAnswer("the API server's answer is no Lease: it has no resourceVersion")
    return LeaseRecord(
        holder=str(spec.get("holderIdentity") or ""),
        version=str(version),
        lease_s=float(spec.get("leaseDurationSeconds") or 0.0),
        transitions=int(spec.get("leaseTransitions") or 0),
        address=str((metadata.get("annotations") or {}).get(ANNOTATION_ADDRESS) or ""),
    )


def _micro_time() -> str:
    """For people; no candidate reads it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
