"""Wakes every sleeping model and gives its Service back to its own pods, while no operator plans.

For the end of an installation, and for people who want Lull out of the way. For each model: the target gets replicas,
they become Ready, Kubernetes lists them behind the Service, and only then Lull's own slice goes, so that at every
moment somebody answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from uuid import uuid4

from lull.adapters.api import Api, path_of
from lull.adapters.holds import read_hold, read_last_awake
from lull.adapters.lease import Lease
from lull.adapters.objects import read_pod
from lull.decide.leadership import Terms
from lull.errors import LullError, Refused, SpecError, Unreachable
from lull.model.route import Hold, HoldState, Route, Timing
from lull.model.spec import InferenceDeployment, Key, parse
from lull.names import API_VERSION, LABEL_MODEL, LABEL_SERVICE, LABEL_SLICE_MANAGED_BY, PLURAL
from lull.render.route import route_status
from lull.runtime.leader import Leader
from lull.runtime.rousing import all_roused
from lull.runtime.scaler import Scaler

T = TypeVar("T")

_SLICES: Final = ("discovery.k8s.io/v1", "endpointslices")
_OURS: Final = "lull.dev"
_LOOK_EVERY_S: Final = 1.0
_TRIES: Final = 5
_CONFLICT, _NOT_FOUND, _BUSY = 409, 404, 429


@dataclass(frozen=True, slots=True)
class Woken:
    """What came of one model that slept."""

    key: Key
    replicas: int
    took_s: float
    fault: str = ""
    """Why it is not awake; empty when it is."""


class Waking:
    """Wakes models.

    Args:
        api: where to write.
        timeout_s: longest time that one model may take until it is Ready.
        clock: seconds on a clock that never jumps.
        wall: seconds since the epoch.
    """

    def __init__(self, api: Api, timeout_s: float, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._api = api
        self._scaler = Scaler(api)
        self._timeout_s = timeout_s
        self._clock = clock
        self._wall = wall

    async def run(self) -> list[Woken]:
        """Wakes all that sleep, together.

        Raises:
            LullError: when the models cannot be listed.
        """
        try:
            bodies = [body async for body in self._api.list(path_of(API_VERSION, PLURAL))]
        except Refused as error:
            if error.status == _NOT_FOUND:
                return []  # without the CRD there are no models
            raise
        found = await asyncio.gather(*(self._wake(body) for body in bodies))
        return [woken for woken in found if woken is not None]

    async def _wake(self, body: dict[str, Any]) -> Woken | None:
        """None for a model that does not sleep."""
        key = Key(body["metadata"]["namespace"], body["metadata"]["name"])
        began_s, replicas = self._clock(), 0
        try:
            model = parse(body)
            path = await self._scaler.path_of(model)
            size = int((await self._api.get(path))["spec"].get("replicas") or 0)
            if not _sleeps(body, size):
                return None
            replicas = size or awake_size(model, read_last_awake(body.get("status") or {}).replicas)
            if size and not await self._is_roused(model, path):
                # Its server cannot be woken from here; another pod comes up awake.
                await self._api.merge(path, {"spec": {"replicas": 0}})
                size = 0
            if not size:
                await self._scale(path, replicas)
            await self._until(lambda: self._is_ready(model, path, replicas), f"{replicas} replicas are not Ready")
            await self._give_back(model, read_hold(body.get("status") or {}))
        except SpecError as error:
            return Woken(key, replicas, self._clock() - began_s, f"its spec cannot be read: {error}")
        except LullError as error:
            return Woken(key, replicas, self._clock() - began_s, str(error))
        return Woken(key, replicas, self._clock() - began_s)

    async def _scale(self, path: str, replicas: int) -> None:
        """Writes a size where there is none."""
        for left in reversed(range(_TRIES)):
            seen = await self._api.get(path)
            if seen["spec"].get("replicas"):
                return
            version = seen["metadata"]["resourceVersion"]
            try:
                change = {"metadata": {"resourceVersion": version}, "spec": {"replicas": replicas}}
                await self._api.merge(path, change)
            except Refused as error:
                if error.status != _CONFLICT or not left:
                    raise
            else:
                return

    async def _is_roused(self, model: InferenceDeployment, path: str) -> bool:
        selector = str(((await self._api.get(path)).get("status") or {}).get("selector") or "")
        return not selector or await all_roused(self._api, model.key.namespace, selector)

    async def _is_ready(self, model: InferenceDeployment, path: str, replicas: int) -> bool:
        selector = str(((await self._api.get(path)).get("status") or {}).get("selector") or "")
        if not selector:
            raise Unreachable("the scale of its target names no pods")
        pods = [read_pod(body) async for body in self._api.list(path_of("v1", "pods", model.key.namespace), selector)]
        return sum(pod.ready_since_s is not None for pod in pods) >= replicas

    async def _give_back(self, model: InferenceDeployment, hold: Hold | None) -> None:
        """Takes Lull's slices away, each once Kubernetes' own slices of its Service have a ready address.

        Activators go on listening for whoever some kube-proxy still sends to them.
        """
        ours = f"{LABEL_SLICE_MANAGED_BY}={_OURS},{LABEL_MODEL}={model.key.name}"
        folder = path_of(*_SLICES, model.key.namespace)
        for one in [body async for body in self._api.list(folder, ours)]:
            service = str(one["metadata"]["labels"].get(LABEL_SERVICE, ""))
            await self._until(
                lambda service=service: self._is_served(folder, service),  # type: ignore[misc]
                f"Service {service!r} lists none of its own pods",
            )
            await self._api.delete(f"{folder}/{one['metadata']['name']}")
        rests = hold and Hold(HoldState.QUARANTINED, hold.ports, self._wall() + Timing().rest_s)
        status = route_status(Route.OWN, rests, expected_start_s=None, held=0, since_s=None)
        nothing = dict.fromkeys(("expectedStart", "waitingSince"))
        status["hold"] = nothing | status["hold"] if rests else None
        await self._api.merge(path_of(API_VERSION, PLURAL, *model.key, sub="status"), {"status": status})

    async def _is_served(self, folder: str, service: str) -> bool:
        slices = [body async for body in self._api.list(folder, f"{LABEL_SERVICE}={service}")]
        own = [body for body in slices if body["metadata"]["labels"].get(LABEL_SLICE_MANAGED_BY) != _OURS]
        endpoints = [endpoint for body in own for endpoint in body.get("endpoints") or ()]
        return any((endpoint.get("conditions") or {}).get("ready") for endpoint in endpoints)

    async def _until(self, happens: Callable[[], Awaitable[bool]], otherwise: str) -> None:
        """Looks until it happened; an API server that is away or busy is asked again.

        Raises:
            Unreachable: it did not happen in time, for the reason ``otherwise``.
        """
        began_s, why = self._clock(), otherwise
        while True:
            try:
                if await happens():
                    return
                why = otherwise
            except (Unreachable, Refused) as error:
                if isinstance(error, Refused) and error.status != _BUSY and error.status < 500:
                    raise
                why = f"{otherwise}; {error}"
            if self._clock() - began_s >= self._timeout_s:
                raise Unreachable(f"after {self._timeout_s:.0f} s {why}")
            await asyncio.sleep(_LOOK_EVERY_S)


def awake_size(model: InferenceDeployment, before: int | None) -> int:
    """Replicas to wake a model with: what it had when it was last awake, where that is known, within its bounds."""
    return min(max(1, model.spec.min_replicas, before or 0), max(1, model.spec.max_replicas))


def _sleeps(body: dict[str, Any], size: int) -> bool:
    """Whether Lull has put it to sleep, or has begun to: somebody else's zero is left alone."""
    if (body.get("status") or {}).get("route") == "Hold":
        return True
    return size == 0 and ((body.get("spec") or {}).get("scaleToZero") or {}).get("mode") == "Enforce"


async def operator_stopped(api: Api, namespace: str, name: str, within_s: float) -> str:
    """Scales the operator to nothing and waits until its pods are gone; it stays so.

    Returns:
        What was done, for people.

    Raises:
        LullError: when it cannot be scaled, or a pod of it stays.
    """
    path = path_of("apps/v1", "deployments", namespace, name, sub="scale")
    try:
        scale = await api.get(path)
    except Refused as error:
        if error.status != _NOT_FOUND:
            raise
        return f"there is no operator {namespace}/{name}"
    before, selector = int(scale["spec"].get("replicas") or 0), str(scale["status"].get("selector") or "")
    if before:
        await api.merge(path, {"spec": {"replicas": 0}})
    try:
        async with asyncio.timeout(within_s):
            await _gone(api, namespace, selector)
    except TimeoutError as error:
        raise Unreachable(f"pods of the operator {namespace}/{name} are still there after {within_s:.0f} s") from error
    return f"operator {namespace}/{name} scaled from {before} to 0"


async def _gone(api: Api, namespace: str, selector: str) -> None:
    path = path_of("v1", "pods", namespace)
    while True:
        if not [pod async for pod in api.list(path, selector)]:
            return
        await asyncio.sleep(_LOOK_EVERY_S)


async def in_office(api: Api, line: Api, namespace: str, work: Callable[[], Awaitable[T]], within_s: float) -> T:
    """Does work while it holds the operator's Lease, and gives it back.

    An operator that somebody scales up meanwhile stands by.

    Args:
        api: what the work writes to; its writes are fenced by the Lease.
        line: a connection of the Lease's own.
        namespace: of Lull.
        work: what is done.
        within_s: longest wait for the Lease.

    Raises:
        LullError: when the Lease was not to be had, or was lost; else what the work raises.
    """
    terms = Terms()
    leader = Leader(Lease(line, namespace, terms.lease_s), f"wake_{uuid4().hex[:12]}", terms=terms)
    try:
        async with asyncio.timeout(within_s):
            await leader.win()
    except TimeoutError as error:
        raise Unreachable(f"the operator's Lease was not free for {within_s:.0f} s: does another one run?") from error
    api.may_write = leader.may_write
    working, keeping = asyncio.ensure_future(work()), asyncio.create_task(leader.keep())
    try:
        await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            await keeping  # raises why it ended
        return await working
    finally:
        working.cancel()
        await leader.resign(api)
        keeping.cancel()
