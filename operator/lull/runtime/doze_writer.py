"""Carries out the steps of one pod's rest: its label, and calls to its server.

Every write names the version that it was concluded from, so that one that comes late finds the pod changed and does
nothing. What may still land, or may have been heard, is remembered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from lull.adapters.api import Api, Lane, path_of
from lull.adapters.mirror import Kind, Mirror
from lull.adapters.objects import Pod
from lull.adapters.sleepers import Sleepers, Where
from lull.adapters.snapshot import locate
from lull.decide.doze_memory import DozeMemory
from lull.errors import LullError, Refused
from lull.model.doze import DozeStep, GiveUp, Hide, Mark, PutToSleep, Rung, Show, WakeUp
from lull.model.plan import Decision
from lull.model.reason import Reason
from lull.model.spec import InferenceDeployment
from lull.names import ANNOTATION_DOZE, LABEL_AWAKE
from lull.runtime.router import Router
from lull.runtime.scaler import Scaler

_LOG = logging.getLogger("lull.dozer")

_UNSURE: Final = 500
"""From this status on, a refused write may have landed all the same."""

_CONFLICT: Final = 409

_REPLACED_S: Final = 1.0
"""Seconds until the mirror has seen that a target is at zero."""

_ONCE_IN_S: Final = 60.0
"""Fewest seconds between two attempts to have one pod replaced: it has to be seen on its way out first."""


@dataclass(frozen=True, slots=True)
class Wake:
    """A wake that was carried out."""

    model_uid: str
    level: Rung
    took_s: float


@dataclass(slots=True)
class RestWriter:
    """What goes out for pods that rest or may."""

    api: Api
    mirror: Mirror
    sleepers: Sleepers
    router: Router
    scaler: Scaler
    memory: DozeMemory
    clock: Callable[[], float]
    wakes: list[Wake] = field(default_factory=list)
    """Since they were last taken."""

    async def take(
        self, pod: Pod, model: InferenceDeployment | None, step: DozeStep, where: Where, *, may_scale: bool
    ) -> bool:
        """Carries out one step; whether it was, and may be followed by another at once."""
        match step:
            case Hide(level):
                # Where it may not, nobody would answer yet; the router is preparing those who will.
                if model is not None and self.router.may_be_zero(model.uid):
                    await self._hide(pod, model, Mark(level, where[1], pod.restarts))
            case Show():
                await self._label(pod, "true", None)
            case PutToSleep(level):
                return await self._sleep(pod, model, level, where)
            case WakeUp(level):
                return await self._wake(pod, model, level, where)
            case GiveUp():
                await self._give_up(pod, model, may_scale=may_scale)
        return False

    async def _sleep(self, pod: Pod, model: InferenceDeployment | None, level: Rung, where: Where) -> bool:
        if not self.api.may_write():
            return False
        memory, began_s = self.memory.of(pod.uid), self.clock()
        memory.is_unsure = True
        try:
            await self.sleepers.sleep(where, level)
        except LullError as error:
            self._failed(pod, model, error)
            return False
        memory.is_unsure = False
        self._log("asleep", pod, level, began_s)
        return True

    async def _wake(self, pod: Pod, model: InferenceDeployment | None, level: Rung, where: Where) -> bool:
        if not self.api.may_write():
            return False
        began_s = self.clock()
        try:
            await self.sleepers.wake_up(where, level)
        except LullError as error:
            self._failed(pod, model, error)
            return False
        self.memory.of(pod.uid).woken()
        self._log("awake", pod, level, began_s)
        if model is not None:
            self.wakes.append(Wake(model.uid, level, self.clock() - began_s))
        return True

    async def _hide(self, pod: Pod, model: InferenceDeployment, mark: Mark) -> None:
        self.memory.of(pod.uid).is_returning = False
        error = await self._label(pod, "false", str(mark))
        if isinstance(error, Refused) and error.status != _CONFLICT:
            self.memory.fail(model.uid, self.clock())  # nor will it be allowed a second later

    async def _label(self, pod: Pod, value: str, mark: str | None) -> LullError | None:
        """Takes the pod out of its Service or gives it back, unless it is no longer as it was seen; why it did not."""
        memory = self.memory.of(pod.uid)
        metadata = {
            "uid": pod.uid,
            "resourceVersion": self.mirror.version(Kind.POD, pod.key),
            "labels": {LABEL_AWAKE: value},
            "annotations": {ANNOTATION_DOZE: mark},
        }
        memory.lands_until_s = float("inf")
        is_answered = False
        try:
            live = await self.api.merge(path_of("v1", "pods", *pod.key), {"metadata": metadata}, lane=Lane.URGENT)
            is_answered = True
            self.mirror.feed(Kind.POD, live)
            _LOG.info("listed" if mark is None else "unlisted", extra=_named(pod))
        except LullError as error:
            is_answered = isinstance(error, Refused) and error.status < _UNSURE
            _LOG.warning("pod not labelled", extra=_named(pod) | {"error": str(error)})
            return error
        finally:
            memory.lands_until_s = float("-inf") if is_answered else self.clock() + self.memory.settle_s
        return None

    async def _give_up(self, pod: Pod, model: InferenceDeployment | None, *, may_scale: bool) -> None:
        """Scales to zero, from where requests wake the model in the ordinary way, with a new pod."""
        memory, now_s = self.memory.of(pod.uid), self.clock()
        if now_s - memory.given_up_at_s < _ONCE_IN_S:
            return
        memory.given_up_at_s = now_s
        size = None if model is None else locate(self.mirror, model, {}).replicas
        if model is None or not may_scale or not size:
            memory.failures = 0
            _LOG.error("the server does not wake; delete its pod", extra=_named(pod))
            return
        self.router.permit(model.uid)
        fault = await self.scaler.scale(model, Decision(size, 0, Reason.DOZE_FAILED, {}, is_enforced=True))
        extra = _named(pod) | ({} if fault is None else {"error": fault.message})
        _LOG.error("the server does not wake; its pod is replaced", extra=extra)
        asyncio.get_running_loop().call_later(_REPLACED_S, self.mirror.on_wake, model.key)

    def _failed(self, pod: Pod, model: InferenceDeployment | None, error: LullError) -> None:
        self.memory.of(pod.uid).failures += 1
        if model is not None:
            self.memory.fail(model.uid, self.clock())
        _LOG.warning("the server did not do as it was told", extra=_named(pod) | {"error": str(error)})

    def _log(self, what: str, pod: Pod, level: Rung, began_s: float) -> None:
        _LOG.info(what, extra=_named(pod) | {"level": int(level), "seconds": round(self.clock() - began_s, 2)})


def _named(pod: Pod) -> dict[str, Any]:
    return {"namespace": pod.key.namespace, "pod": pod.key.name}
