"""Keeps who answers for every model: repairs first, across all of them, then everything else.

Runs beside the planning loop, which tells it what is wished (``want``) and asks it before a target goes to zero
(``may_be_zero``). A round begins every second, and at once when a slice, an activator or a write of its own changed
something. A write that fails leaves the facts as they are, and the next round decides from those.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lull.adapters.api import Api
from lull.adapters.holds import left_behind
from lull.adapters.mirror import Mirror
from lull.adapters.probing import Prober
from lull.decide.ports import Ports
from lull.decide.route_memory import RouteMemory
from lull.decide.routes import turn
from lull.model.route import Facts, Step, Timing, Wish
from lull.model.spec import InferenceDeployment, Key
from lull.runtime.route_facts import RouteFacts, Told
from lull.runtime.route_rest import Resting
from lull.runtime.route_writer import RouteWriter
from lull.settings import Settings

_LOG = logging.getLogger("lull.router")

ROUND_S: Final = 1.0
"""Seconds between two rounds where nothing calls for one sooner."""

_SOONEST_S: Final = 0.2
"""Fewest seconds between two rounds: one over a thousand sleeping models takes a tenth of a second."""

_COUNT_S: Final = 5.0
"""Fewest seconds between two writes that tell nothing but how many wait."""

_CLEAR_S: Final = 60.0
"""Fewest seconds between two tries to take one entry of an activator that is gone out of a status."""


@dataclass(slots=True)
class Router:
    """Routes of all models that may sleep, or that somebody stands in for."""

    api: Api
    mirror: Mirror
    prober: Prober
    settings: Settings
    clock: Callable[[], float]
    facts: RouteFacts = field(init=False)
    writer: RouteWriter = field(init=False)
    resting: Resting = field(init=False)
    timing: Timing = field(init=False)
    _counted_at_s: dict[str, float] = field(default_factory=dict)
    _cleared_at_s: dict[tuple[str, str], float] = field(default_factory=dict)
    _busy: set[str] = field(default_factory=set)
    _repairing: set[str] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _bell: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """As ``begin``."""
        self.begin()

    def begin(self) -> None:
        """Begins without memory, from now on: whatever a predecessor sent or permitted may still land.

        Called again where time has passed since, as in a standby that now leads.
        """
        # A shorter pause of the pods makes no kube-proxy faster.
        self.timing = Timing(lag_s=max(Timing().lag_s, self.settings.drain_pause_s))
        now_s, quarantine_s = self.clock(), self.timing.quarantine_s
        first, last = self.settings.activator_ports_from, self.settings.activator_ports_to
        memory = RouteMemory(self.timing, now_s)
        self.facts = RouteFacts(self.mirror, memory, Ports(first, last, now_s + quarantine_s, quarantine_s))
        self.resting = Resting(self.facts)
        self.writer = RouteWriter(self.api, self.mirror, self.prober, memory, self.clock)
        self.mirror.on_route = self._hear

    # What the planning loop says and asks.

    def want(self, uid: str, wish: Wish, *, expected_start_s: float | None = None, replicas: int | None = None) -> None:
        """Takes in what the plan wants of a model.

        Args:
            uid: of the model.
            wish: awake or asleep.
            expected_start_s: seconds from decision to Ready; None = unknown.
            replicas: the size of a target whose kind is not watched; None = unknown, or the mirror knows it.
        """
        told, wishes = Told(expected_start_s, replicas), self.facts.memory.wishes
        if wishes.get(uid) is not wish or self.facts.told.get(uid) != told:
            wishes[uid], self.facts.told[uid] = wish, told
            self._bell.set()

    def may_be_zero(self, uid: str) -> bool:
        """Whether the model's target may be scaled to zero right now; True counts as a permission that is used."""
        now_s = self.clock()
        if now_s - self.facts.looked_at_s > ROUND_S:
            self.facts.look(now_s)
        model = self.facts.models.get(uid)
        if model is None or uid in self._busy:
            return False
        may = turn(self.facts.of(model, now_s), self.timing).may_be_zero
        if may:
            self.facts.memory.permit(uid, now_s)
        return may

    def permit(self, uid: str) -> None:
        """Notes that the model's target goes to zero although nobody was asked: its pods answer nobody anyway."""
        self.facts.memory.permit(uid, self.clock())

    @property
    def portless(self) -> Collection[str]:
        """Uids of models that could be held if the activator had ports for them."""
        return self.facts.portless

    def _hear(self, service: Key | None) -> None:
        """Other Services' slices change all day; one of a model that is new waits for the next round."""
        if service is None or service in self.facts.services:
            self._bell.set()

    # Rounds.

    async def run(self) -> None:
        """Keeps all routes until cancelled."""
        try:
            while True:
                self._bell.clear()
                try:
                    self.start_round(self.clock())
                except Exception:
                    # An error of our own must not end the keeping of all routes.
                    _LOG.exception("route round failed")
                await asyncio.sleep(_SOONEST_S)
                try:
                    await asyncio.wait_for(self._bell.wait(), ROUND_S)
                except TimeoutError:
                    continue
        finally:
            for task in self._tasks:
                task.cancel()

    async def round(self, now_s: float) -> None:
        """One round, waited for."""
        self.start_round(now_s)
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def start_round(self, now_s: float) -> None:
        """Begins what is to be done for every model for which nothing is being done.

        While a repair is under way for any model, nothing else is begun.
        """
        idle = [model for model in self.resting.rouse(now_s) if model.uid not in self._busy]
        known = [(model, self.facts.of(model, now_s)) for model in idle]
        turns = [(model, facts, turn(facts, self.timing)) for model, facts in known]
        for model, facts, now in turns:
            if now.is_repair:
                self._repairing.add(model.uid)
                self._begin(model, self._take(model, now.steps, facts))
        if self._repairing:
            return
        for model, facts, now in turns:
            if now.steps:
                self._begin(model, self._take(model, now.steps, facts))
            elif (status := self._news(model, facts)) is not None:
                self._begin(model, self.writer.tell(model, status))
            elif (pod := self._left_behind(model, now_s)) is not None:
                self._begin(model, self.writer.clear(model, pod))
            else:
                self.resting.settle(model, facts)

    async def _take(self, model: InferenceDeployment, steps: Sequence[Step], facts: Facts) -> None:
        for step in steps:
            await self.writer.take(model, step, facts, self._start_s(model))

    def _begin(self, model: InferenceDeployment, work: Coroutine[Any, Any, None]) -> None:
        self._busy.add(model.uid)
        self.resting.disturb(model.uid)
        task = asyncio.create_task(self._finish(model, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, model: InferenceDeployment, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            # An error of our own about one model must not leave the routes of all others alone.
            _LOG.exception("route not kept", extra={"namespace": model.key.namespace, "model": model.key.name})
        finally:
            self._busy.discard(model.uid)
            self._repairing.discard(model.uid)
            self._bell.set()

    # The status.

    def _news(self, model: InferenceDeployment, facts: Facts) -> dict[str, Any] | None:
        """The status where it is not what it should be; mere counts are told every few seconds."""
        live = self.facts.status(model)
        status = self.writer.status(model, facts.hold, facts, self._start_s(model))
        before = {name: live[name] for name in ("route", "hold") if name in live}
        is_due = facts.now_s - self._counted_at_s.get(model.uid, -math.inf) >= _COUNT_S
        if status == before or not (is_due or _state(status) != _state(before)):
            return None
        self._counted_at_s[model.uid] = facts.now_s
        return status

    def _left_behind(self, model: InferenceDeployment, now_s: float) -> str | None:
        """An activator pod that is gone and whose entry in the status is not."""
        alive = {who.name for family in self.facts.stand_ins.values() for who in family}
        if not alive:
            return None
        left = left_behind(self.facts.status(model), alive, now_s)
        if left:
            self._cleared_at_s = {key: at_s for key, at_s in self._cleared_at_s.items() if now_s - at_s < _CLEAR_S}
        for pod in left:
            if (model.uid, pod) not in self._cleared_at_s:  # an entry that somebody else wrote stays there
                self._cleared_at_s[model.uid, pod] = now_s
                return pod
        return None

    def _start_s(self, model: InferenceDeployment) -> float | None:
        return self.facts.told.get(model.uid, Told()).expected_start_s


def _state(status: dict[str, Any]) -> tuple[object, ...]:
    hold = status.get("hold") or {}
    return status.get("route"), hold.get("state"), bool(hold.get("waiting"))
