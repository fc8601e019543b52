"""Carries out the steps of one model's route: probes, its slice, its hold.

Every write names the version that it was concluded from, so that one that comes late finds the object changed and does
nothing. Whether a write may still land is remembered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from lull.adapters.api import Api, Lane, path_of
from lull.adapters.fronts import service_key
from lull.adapters.holds import activator_manager, read_waiting
from lull.adapters.mirror import Kind, Mirror
from lull.adapters.probing import Prober
from lull.adapters.slices import SLICES, new_slice, slice_content, slice_key
from lull.decide.route_memory import RouteMemory
from lull.decide.routes import route_of
from lull.errors import LullError, Refused
from lull.model.route import DeleteSlice, Facts, Hold, Probe, Step, WriteHold, WriteSlice
from lull.model.spec import InferenceDeployment, Key
from lull.names import API_VERSION, FIELD_MANAGER_ROUTE, KIND, PLURAL
from lull.render.route import route_status

_LOG = logging.getLogger("lull.router")

_UNSURE: Final = 500
"""From this status on, a refused write may have landed all the same."""


@dataclass(slots=True)
class RouteWriter:
    """What goes out for routes."""

    api: Api
    mirror: Mirror
    prober: Prober
    memory: RouteMemory
    clock: Callable[[], float]

    async def take(self, model: InferenceDeployment, step: Step, facts: Facts, start_s: float | None) -> None:
        """Carries out one step; a write that fails is logged, and the next round decides anew."""
        match step:
            case Probe():
                await self._probe(model, step)
            case WriteHold(hold):
                await self._sent(model, self._apply(model, self.status(model, hold, facts, start_s), Lane.URGENT))
                _LOG.info("hold", extra=_named(model) | {"state": str(hold.state) if hold is not None else "none"})
            case WriteSlice():
                await self._sent(model, self._write_slice(model, step, facts))
            case DeleteSlice():
                await self._sent(model, self._delete_slice(model, step))

    async def tell(self, model: InferenceDeployment, status: dict[str, Any]) -> None:
        """Writes a status that moves nothing."""
        await self._sent(model, self._apply(model, status, Lane.ROUTINE))

    async def clear(self, model: InferenceDeployment, pod: str) -> None:
        """Takes the entry of an activator pod that is gone out of ``status.activation``, in that pod's name."""
        await self._sent(model, self._apply(model, {}, Lane.ROUTINE, activator_manager(pod)))
        _LOG.info("entry of an activator that is gone taken out", extra=_named(model) | {"pod": pod})

    def status(
        self, model: InferenceDeployment, hold: Hold | None, facts: Facts, start_s: float | None
    ) -> dict[str, Any]:
        """The status that shall be, as far as it speaks of the route."""
        live = self.mirror.statuses.get(model.key, {})
        waiting = read_waiting(live, facts.now_s)
        status = route_status(
            route_of(facts), hold, expected_start_s=start_s, held=waiting.held, since_s=waiting.since_s
        )
        before = (live.get("hold") or {}).get("expectedStart")
        if start_s is None and before is not None and hold is not None:
            # Nothing was told since the operator's start: what its predecessor knew is better than nothing.
            status["hold"]["expectedStart"] = before
        return status

    async def _probe(self, model: InferenceDeployment, step: Probe) -> None:
        answers = await asyncio.gather(*(self.prober.ask(who, step.ports, model.uid) for who in step.stand_ins))
        for who, is_right in zip(step.stand_ins, answers, strict=True):
            self.memory.prove(model.uid, who, step.ports, self.clock(), is_right=is_right)

    async def _apply(
        self, model: InferenceDeployment, status: dict[str, Any], lane: Lane, manager: str = FIELD_MANAGER_ROUTE
    ) -> None:
        metadata = {
            "name": model.key.name,
            "namespace": model.key.namespace,
            "uid": model.uid,
            "resourceVersion": self.mirror.version(Kind.MODEL, model.key),
        }
        manifest = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "status": status}
        path = path_of(API_VERSION, PLURAL, *model.key, sub="status")
        live = await self.api.apply(path, manifest, force=True, manager=manager, lane=lane)
        self.mirror.feed(Kind.MODEL, live)

    async def _write_slice(self, model: InferenceDeployment, step: WriteSlice, facts: Facts) -> None:
        service = _service(model)
        content = slice_content(step.stand_ins, step.ports, facts.service_ports or ())
        if step.attachment is None:
            body = new_slice(model, service, self.mirror.services[service].shape.families[0], content)
            live = await self.api.create(path_of(*SLICES, service.namespace), body, lane=Lane.URGENT)
        else:
            change = {"metadata": {"resourceVersion": step.attachment.version}} | content
            live = await self.api.merge(path_of(*SLICES, *slice_key(service)), change, lane=Lane.URGENT)
        self.mirror.feed(Kind.ENDPOINT_SLICE, live)
        _LOG.info("attached", extra=_named(model) | {"stand_ins": len(step.stand_ins), "repair": step.is_repair})

    async def _delete_slice(self, model: InferenceDeployment, step: DeleteSlice) -> None:
        key, at = slice_key(_service(model)), step.attachment
        await self.api.delete(path_of(*SLICES, *key), uid=at.uid, version=at.version, lane=Lane.URGENT)
        metadata = {"namespace": key.namespace, "name": key.name, "uid": at.uid, "resourceVersion": at.version}
        self.mirror.feed(Kind.ENDPOINT_SLICE, {"metadata": metadata}, is_gone=True)
        _LOG.info("detached", extra=_named(model))

    async def _sent(self, model: InferenceDeployment, write: Awaitable[None]) -> None:
        """Waits for a write. Without an answer, or with one of trouble, it may land later."""
        self.memory.send(model.uid)
        is_answered = False
        try:
            await write
            is_answered = True
        except LullError as error:
            is_answered = isinstance(error, Refused) and error.status < _UNSURE
            _LOG.warning("route not written", extra=_named(model) | {"error": str(error)})
        finally:
            if is_answered:
                self.memory.answered(model.uid)
            else:
                self.memory.lost(model.uid, self.clock())


def _service(model: InferenceDeployment) -> Key:
    service = service_key(model)
    assert service is not None  # noqa: S101 - nothing is attached where there is no Service
    return service


def _named(model: InferenceDeployment) -> dict[str, Any]:
    return {"namespace": model.key.namespace, "model": model.key.name}
