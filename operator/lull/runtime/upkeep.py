"""Keeps the objects Lull owns as they should be, and remembers what the API server refused.

Runs before each planning round, in every mode: a Recommend model is served too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from lull.adapters.api import Api, path_of
from lull.adapters.dozes import awake_only
from lull.adapters.mirror import Kind, Mirror
from lull.errors import LullError, Refused, SpecError
from lull.model.fleet import Fault
from lull.model.reason import Reason
from lull.model.spec import InferenceDeployment, Key
from lull.render.workload import Manifest, covers, digest_of, manifests
from lull.settings import Settings

_LOG = logging.getLogger("lull.upkeep")
_PLURALS = {"Deployment": "deployments", "Service": "services"}
_RETRY_AFTER_S = 60.0

ObjectId = tuple[str, str, str]


class Upkeep:
    """Applies owned objects where they differ from what they should be."""

    def __init__(self, api: Api, mirror: Mirror, settings: Settings) -> None:
        self._api = api
        self._mirror = mirror
        self._settings = settings
        self._applied: dict[ObjectId, tuple[str, str]] = {}
        self._refused: dict[ObjectId, tuple[str, float, Fault]] = {}

    async def run(self, now_s: float) -> dict[Key, tuple[Fault, ...]]:
        """Mends every owned object that needs it; returns what is wrong, by model."""
        models = [model for model in self._mirror.models.values() if isinstance(model, InferenceDeployment)]
        self._forget({model.key for model in models})
        owners = [model for model in models if model.is_owner]
        found = await asyncio.gather(*(self._keep(model, now_s) for model in owners))
        return {model.key: faults for model, faults in zip(owners, found, strict=True) if faults}

    def _forget(self, alive: set[Key]) -> None:
        for told in (self._applied, self._refused):
            for identity in [identity for identity in told if Key(*identity[1:]) not in alive]:
                del told[identity]

    async def _keep(self, model: InferenceDeployment, now_s: float) -> tuple[Fault, ...]:
        try:
            owned = manifests(model, self._settings.drain_pause_s, awake_only=awake_only(self._mirror, model))
        except SpecError as error:
            return (Fault(Reason.TEMPLATE_REFUSED, str(error)),)
        kept = [await self._keep_one(model, manifest, now_s) for manifest in owned]
        faults = [fault for fault in kept if fault is not None]
        if not faults:
            await self._start_at_minimum(model)
        return tuple(faults)

    async def _keep_one(self, model: InferenceDeployment, manifest: Manifest, now_s: float) -> Fault | None:
        kind, name, digest = manifest["kind"], manifest["metadata"]["name"], str(digest_of(manifest))
        identity = (kind, *model.key)
        exists, owner_uid, live = self._live(kind, model.key)
        if exists and owner_uid != model.uid:
            return Fault(
                Reason.OBJECT_NOT_OURS,
                f"{kind} {name!r} exists and does not belong to this InferenceDeployment; "
                "adopt it with spec.scaleTargetRef, or delete or rename one of the two",
            )
        if live is not None and self._is_kept(identity, live, manifest, digest):
            self._refused.pop(identity, None)
            return None
        refused = self._refused.get(identity)
        if refused is not None and refused[0] == digest and now_s - refused[1] < _RETRY_AFTER_S:
            return refused[2]
        fault = await self._apply(identity, manifest, digest)
        if fault is None:
            self._refused.pop(identity, None)
        else:
            self._refused[identity] = (digest, now_s, fault)
        return fault

    def _live(self, kind: str, key: Key) -> tuple[bool, str | None, Mapping[str, Any] | None]:
        """Whether the object exists, its owner's uid, and its body where it is owned by anybody."""
        held = (
            self._mirror.workloads[Kind.DEPLOYMENT].get(key) if kind == "Deployment" else self._mirror.services.get(key)
        )
        return (False, None, None) if held is None else (True, held.owner_uid, held.body)

    def _is_kept(self, identity: ObjectId, live: Mapping[str, Any], manifest: Manifest, digest: str) -> bool:
        """Whether there is nothing to mend.

        The API server rewrites some values (quantities, say), so a difference that was there right after our own
        apply is its doing and not somebody's edit.
        """
        if digest_of(live) == digest and covers(live, manifest):
            return True
        return self._applied.get(identity) == (digest, _edition(live))

    async def _apply(self, identity: ObjectId, manifest: Manifest, digest: str) -> Fault | None:
        kind, namespace, name = identity
        path = path_of(manifest["apiVersion"], _PLURALS[kind], namespace, name)
        try:
            # Forced, for the object is ours: _keep_one has looked. Fields that others added stay theirs.
            live = await self._api.apply(path, manifest, force=True)
        except Refused as error:
            return Fault(Reason.TEMPLATE_REFUSED, f"the API server refused {kind} {name!r}: {error}")
        except LullError as error:
            return Fault(Reason.API_UNREACHABLE, str(error))
        self._applied[identity] = (digest, _edition(live))
        self._mirror.feed(Kind(kind), live)
        _LOG.info("applied", extra={"namespace": namespace, "model": name, "kind": kind})
        return None

    async def _start_at_minimum(self, model: InferenceDeployment) -> None:
        """Gives a Deployment that nobody has touched since its creation its first size.

        Generation 1 says exactly that, so a restart between creation and this does no harm.
        """
        live = self._mirror.workloads[Kind.DEPLOYMENT].get(model.key)
        if live is None or live.generation != 1 or live.replicas == model.spec.min_replicas:
            return
        path = path_of("apps/v1", "deployments", *model.key)
        try:
            await self._api.merge(f"{path}/scale", {"spec": {"replicas": model.spec.min_replicas}})
            self._mirror.feed(Kind.DEPLOYMENT, await self._api.get(path))
        except LullError as error:
            _LOG.warning(
                "first size failed",
                extra={"namespace": model.key.namespace, "model": model.key.name, "error": str(error)},
            )


def _edition(live: Mapping[str, Any]) -> str:
    """What changes with an object's spec: its generation, and where it has none (a Service) its version."""
    metadata = live["metadata"]
    return str(metadata.get("generation") or metadata.get("resourceVersion"))
