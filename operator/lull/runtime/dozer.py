"""Puts servers to sleep in their pods and wakes them, as the plan wishes, and at once when requests wait.

Runs beside the planning loop and the router: the loop says where a model shall rest (``want``), the router whether
others would answer for it. Whatever is lost or late is a fact of the next look; a pod has one thing done at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from lull.adapters.api import Api
from lull.adapters.mirror import Mirror
from lull.adapters.objects import Pod
from lull.adapters.sleepers import Sleepers, Where
from lull.decide.doze import turn
from lull.decide.doze_memory import DozeMemory
from lull.errors import LullError
from lull.model.doze import DozeTiming, Rung
from lull.model.fleet import Doze, Fault
from lull.model.reason import Reason
from lull.model.route import Timing
from lull.model.spec import InferenceDeployment, Key, SleepMode
from lull.runtime.doze_facts import RestFacts, Want
from lull.runtime.doze_writer import RestWriter, Wake
from lull.runtime.router import Router
from lull.runtime.scaler import Scaler

_LOG = logging.getLogger("lull.dozer")

ROUND_S: Final = 1.0
"""Seconds between two looks at a pod that rests or shall, where nothing calls for one sooner."""

ABILITY_S: Final = 60.0
"""Seconds after which a server is asked again whether it can sleep."""

_STEPS: Final = 4
"""Most steps in a row of one look: a server that flaps is left to the next one."""

_AT_ONCE: Final = 200

_Tended = dict[Key, tuple[Pod, InferenceDeployment | None]]


@dataclass(slots=True)
class Dozer:
    """Rest of all models whose servers can sleep, and of pods that somebody left resting."""

    api: Api
    mirror: Mirror
    sleepers: Sleepers
    router: Router
    scaler: Scaler
    clock: Callable[[], float]
    timing: DozeTiming = field(default_factory=DozeTiming)
    facts: RestFacts = field(init=False)
    writer: RestWriter = field(init=False)
    _busy: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _bell: asyncio.Event = field(default_factory=asyncio.Event)
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    def __post_init__(self) -> None:
        """As ``begin``."""
        self.begin()

    def begin(self) -> None:
        """Begins without memory, from now on; called again where time has passed since, as in a standby that leads."""
        memory = DozeMemory(self.clock(), Timing().settle_s)
        self.facts = RestFacts(self.mirror, memory, self.clock)
        self.writer = RestWriter(self.api, self.mirror, self.sleepers, self.router, self.scaler, memory, self.clock)

    # What the planning loop says and asks.

    def want(self, uid: str, rung: Rung, *, may_scale: bool) -> None:
        """Takes in where a model shall rest, and whether Lull may scale it."""
        want = Want(rung, may_scale)
        if self.facts.wants.get(uid) != want:
            self.facts.wants[uid] = want
            self._bell.set()

    def ring(self) -> None:
        """Requests have begun to wait: looks at once."""
        self._bell.set()

    def view(self, model: InferenceDeployment) -> Doze | None:
        """What is known of a model's rest; None where its spec does not ask for that and none of its pods rests."""
        return self.facts.view(model)

    def take_wakes(self) -> list[Wake]:
        """Wakes since this was last called."""
        taken = self.writer.wakes[:]
        self.writer.wakes.clear()
        return taken

    # Rounds.

    async def run(self) -> None:
        """Tends all pods until cancelled."""
        try:
            while True:
                self._bell.clear()
                try:
                    self.start_round()
                except Exception:
                    # An error of our own must not end the waking of all servers.
                    _LOG.exception("doze round failed")
                try:
                    await asyncio.wait_for(self._bell.wait(), ROUND_S)
                except TimeoutError:
                    continue
        finally:
            for task in self._busy.values():
                task.cancel()

    async def round(self) -> None:
        """One round, waited for."""
        self.start_round()
        while self._busy:
            await asyncio.gather(*self._busy.values())

    def start_round(self) -> None:
        """Begins to look at every pod that rests or may, and at which nobody is looking."""
        models = [model for model in self.mirror.models.values() if isinstance(model, InferenceDeployment)]
        tended = self._tended(models)
        self.facts.forget({pod.uid for pod, _ in tended.values()}, {model.uid for model in models})
        for pod, model in tended.values():
            self.facts.note(pod)
            if pod.uid not in self._busy:
                self._busy[pod.uid] = asyncio.create_task(self._tend(pod, model))

    def _tended(self, models: list[InferenceDeployment]) -> _Tended:
        """Pods to look at, with the model that they are of; what rests and is of none is looked at too."""
        pods = self.mirror.pods
        tended: _Tended = {key: (pods[key], None) for key in self.mirror.resting if key in pods}
        namespaces = {key.namespace for key in tended}
        for model in models:
            may_rest = model.doze is not SleepMode.OFF
            if may_rest or model.key.namespace in namespaces:
                tended |= {pod.key: (pod, model) for pod in self.facts.pods_of(model) if may_rest or pod.key in tended}
        return tended

    async def _tend(self, pod: Pod, model: InferenceDeployment | None) -> None:
        """Looks at one pod, and does what is next until there is nothing to do but to look again."""
        try:
            async with self._turns:
                for _ in range(_STEPS):
                    now = self.mirror.pods.get(pod.key)
                    if now is None or now.uid != pod.uid or not await self._look_and_step(now, model):
                        return
        except Exception:
            # An error of our own about one pod must not leave all others asleep.
            _LOG.exception("pod not tended", extra={"namespace": pod.key.namespace, "pod": pod.key.name})
        finally:
            self._busy.pop(pod.uid, None)

    async def _look_and_step(self, pod: Pod, model: InferenceDeployment | None) -> bool:
        """Whether something was done that may be followed by more."""
        where = self.facts.where(pod, model)
        if where is None:
            return False
        if not self.facts.is_resting(pod):
            await self._learn_ability(pod, where)
            if not self.facts.wish(pod, model).is_doze:
                return False
        await self._listen(pod, where)
        step = turn(self.facts.of(self.mirror.pods.get(pod.key, pod), model), self.timing)
        want = self.facts.wants.get(model.uid, Want()) if model is not None else Want()
        return step is not None and await self.writer.take(pod, model, step, where, may_scale=want.may_scale)

    async def _listen(self, pod: Pod, where: Where) -> None:
        memory = self.facts.memory.of(pod.uid)
        try:
            memory.hear(await self.sleepers.state(where), self.clock())
        except LullError as error:
            memory.hear(None, self.clock())
            _LOG.info("server silent", extra={"pod": str(pod.key), "error": str(error)})

    async def _learn_ability(self, pod: Pod, where: Where) -> None:
        asked_at_s, _ = self.facts.abilities.get(pod.uid, (float("-inf"), None))
        if pod.ready_since_s is None or self.clock() - asked_at_s < ABILITY_S:
            return
        try:
            fault = await self.sleepers.fault(where)
        except LullError as error:
            fault = Fault(Reason.SERVER_SILENT, f"pod {pod.key.name} says nothing of its sleep: {error}")
        self.facts.abilities[pod.uid] = (self.clock(), fault)
