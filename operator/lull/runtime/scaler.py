"""Carries out decisions through the scale subresource, and reads the scale of targets that are not watched."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from lull.adapters.api import Api, Lane, path_of
from lull.adapters.snapshot import ForeignScale, is_watched
from lull.errors import LullError, Refused
from lull.model.fleet import Fault
from lull.model.plan import Decision
from lull.model.reason import Reason
from lull.model.spec import InferenceDeployment, Key, ScaleTarget
from lull.runtime.marker import Marker

_KNOWN: Final = {"Deployment": "deployments", "StatefulSet": "statefulsets"}
_CONFLICT: Final = 409


class Scaler:
    """Reads and writes scales."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.marker = Marker(api)
        self._plurals: dict[tuple[str, str], str] = {}

    async def read_foreign(self, models: list[InferenceDeployment]) -> dict[Key, ForeignScale]:
        """Scales of the targets that the mirror does not hold; a target that cannot be read is left out."""
        foreign = [model for model in models if not is_watched(model)]
        scales = await asyncio.gather(*(self._read(model) for model in foreign))
        return {model.key: scale for model, scale in zip(foreign, scales, strict=True) if scale is not None}

    async def scale(self, model: InferenceDeployment, decision: Decision) -> Fault | None:
        """Writes a new size, unless the target is no longer as the decision saw it; returns why it was not written.

        Nothing is tried again: the next round decides from what is true then. Raises nothing.
        """
        try:
            path = await self.path_of(model)
            if 0 < decision.after < decision.before:
                await self.marker.mark(model, decision.after)
            seen = await self._api.get(path)
            if seen["spec"].get("replicas", 0) != decision.before:
                return Fault(Reason.TARGET_CHANGED, "the target's size changed while it was being decided")
            version = seen["metadata"]["resourceVersion"]
            change: dict[str, Any] = {"metadata": {"resourceVersion": version}, "spec": {"replicas": decision.after}}
            is_waited_for = decision.before == 0 and decision.reason is not Reason.TEMPLATE_PROOF
            await self._api.merge(path, change, lane=Lane.URGENT if is_waited_for else Lane.ROUTINE)
        except Refused as error:
            if error.status == _CONFLICT:
                return Fault(Reason.TARGET_CHANGED, "the target changed while it was being decided")
            return Fault(Reason.SCALE_REFUSED, f"the API server refused to scale {model.target}: {error}")
        except LullError as error:
            return Fault(Reason.API_UNREACHABLE, str(error))
        return None

    async def _read(self, model: InferenceDeployment) -> ForeignScale | None:
        try:
            scale = await self._api.get(await self.path_of(model))
        except LullError:
            return None  # no scale known means no target, and no target means nothing is decided
        return ForeignScale(int(scale["spec"].get("replicas", 0)), str((scale.get("status") or {}).get("selector", "")))

    async def path_of(self, model: InferenceDeployment) -> str:
        """Path of the scale of a model's target.

        Raises:
            LullError: when the API server knows no such kind, or it cannot be scaled.
        """
        target = model.target
        plural = _KNOWN.get(target.kind) if target.api_version == "apps/v1" else None
        return path_of(
            target.api_version, plural or await self._discover(target), model.key.namespace, target.name, sub="scale"
        )

    async def _discover(self, target: ScaleTarget) -> str:
        """Plural of a kind that has a scale subresource.

        Raises:
            Refused: when the API server knows no such kind, or it cannot be scaled.
        """
        known = self._plurals.get((target.api_version, target.kind))
        if known is not None:
            return known
        prefix = "/apis" if "/" in target.api_version else "/api"
        resources = (await self._api.get(f"{prefix}/{target.api_version}")).get("resources") or ()
        names = {resource["name"] for resource in resources}
        for resource in resources:
            if resource["kind"] == target.kind and "/" not in resource["name"] and f"{resource['name']}/scale" in names:
                self._plurals[target.api_version, target.kind] = resource["name"]
                return str(resource["name"])
        raise Refused(404, f"{target.api_version} has no kind {target.kind} with a scale subresource")
