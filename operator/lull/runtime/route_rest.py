"""Which models' routes need no look: nothing that they rest on has changed since a look that found nothing to do.

A round over sleepers that sleep on would else cost as much as one in which all of them change. Routes stay
level-triggered: whatever is missed here, all are looked at every few seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from lull.adapters.fronts import service_key
from lull.adapters.mirror import Kind
from lull.adapters.snapshot import is_watched
from lull.model.route import Facts, HoldState, Wish
from lull.model.spec import InferenceDeployment, Key
from lull.runtime.route_facts import RouteFacts

FULL_LOOK_S: Final = 10.0
"""Seconds between two looks at all models. A stand-in is proven anew a minute after its last proof, and a mesh's proxy
in a pod is seen, up to this much later."""

Stamp = tuple[object, ...]


@dataclass(slots=True)
class Resting:
    """Models at rest, and what each of them rests on."""

    facts: RouteFacts
    _stamps: dict[str, Stamp] = field(default_factory=dict)
    _shared: Stamp = ()
    _all_seen_at_s: float = float("-inf")

    def rouse(self, now_s: float) -> list[InferenceDeployment]:
        """Models to be looked at now; ``facts`` have been looked at where there are any."""
        shared = self._shared_stamp()
        if shared != self._shared or now_s - self._all_seen_at_s >= FULL_LOOK_S:
            self._shared, self._all_seen_at_s = shared, now_s
            self._stamps.clear()
        elif all(self._is_as_it_was(model) for model in self.facts.models.values()):
            return []
        self.facts.look(now_s)
        for uid in self._stamps.keys() - self.facts.models.keys():
            del self._stamps[uid]
        return [model for model in self.facts.models.values() if not self._is_as_it_was(model)]

    def disturb(self, uid: str) -> None:
        """Something is being done about a model."""
        self._stamps.pop(uid, None)

    def settle(self, model: InferenceDeployment, facts: Facts) -> None:
        """Takes in that there was nothing to do about a model; one that waits for a time goes on being looked at."""
        if _is_at_rest(facts) and not self.facts.status(model).get("activation"):
            self._stamps[model.uid] = self._stamp(model)

    def _is_as_it_was(self, model: InferenceDeployment) -> bool:
        before = self._stamps.get(model.uid)
        return before is not None and before == self._stamp(model)

    def _stamp(self, model: InferenceDeployment) -> Stamp:
        """Everything that the facts of one model are read from, but for its pods and what all models share."""
        mirror, service, workload = self.facts.mirror, service_key(model), None
        if is_watched(model):
            key = Key(model.key.namespace, model.target.name)
            workload = mirror.workloads[Kind(model.target.kind)].get(key)
        return (
            mirror.models.get(model.key),
            mirror.statuses.get(model.key),
            None if service is None else mirror.services.get(service),
            None if service is None else mirror.slices_of(service),
            workload,
            self.facts.memory.wishes.get(model.uid),
            self.facts.told.get(model.uid),
        )

    def _shared_stamp(self) -> Stamp:
        return (self.facts.mirror.spec_turns, self.facts.find_stand_ins())


def _is_at_rest(facts: Facts) -> bool:
    """Whether it sleeps as it should, or is awake with nothing of ours left over."""
    hold, at = facts.hold, facts.attachment
    if hold is None and at is None:
        return facts.wish is not Wish.ASLEEP
    is_held = hold is not None and hold.state is HoldState.ATTACHED and at is not None
    return is_held and facts.wish is Wish.ASLEEP and not facts.own_ready
