"""What rest with pods in place is decided from, read from the mirror, the servers and what the plan has told."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from lull.adapters.dozes import label_fault, port_of
from lull.adapters.fronts import service_key
from lull.adapters.holds import read_waiting
from lull.adapters.mirror import Mirror
from lull.adapters.objects import Pod
from lull.adapters.sleepers import Where
from lull.adapters.slices import own_ready
from lull.adapters.snapshot import locate
from lull.decide.doze import is_wanted_inside
from lull.decide.doze_memory import DozeMemory
from lull.decide.dozing import GRACE_S
from lull.model.doze import DozeFacts, Rung
from lull.model.fleet import Doze, Fault
from lull.model.reason import Reason
from lull.model.spec import InferenceDeployment, SleepMode


@dataclass(frozen=True, slots=True)
class Want:
    """What the plan wants of a model."""

    rung: Rung = Rung.AWAKE
    may_scale: bool = False
    """Whether Lull may scale it."""


@dataclass(slots=True)
class RestFacts:
    """Facts of every pod that rests or may."""

    mirror: Mirror
    memory: DozeMemory
    clock: Callable[[], float]
    wants: dict[str, Want] = field(default_factory=dict)
    abilities: dict[str, tuple[float, Fault | None]] = field(default_factory=dict)
    """By pod: when its server was asked whether it can sleep, and why it cannot."""
    asleep_since_s: dict[str, float] = field(default_factory=dict)
    """By pod: since when its server has been seen asleep, out of the Service."""
    listed_since_s: dict[str, float] = field(default_factory=dict)
    """By pod: since when it has been back in the Service."""
    _resting: set[str] = field(default_factory=set)

    def forget(self, pod_uids: set[str], model_uids: set[str]) -> None:
        """Keeps only what belongs to these."""
        self.memory.forget(pod_uids, model_uids)
        for uid in self.wants.keys() - model_uids:
            del self.wants[uid]
        for uid in self.abilities.keys() - pod_uids:
            del self.abilities[uid]
        for since_s in (self.asleep_since_s, self.listed_since_s):
            for uid in since_s.keys() - pod_uids:
                del since_s[uid]
        self._resting &= pod_uids

    def note(self, pod: Pod) -> None:
        """Takes in whether a pod rests: of one that comes back it is known since when."""
        if self.is_resting(pod):
            self._resting.add(pod.uid)
            self.listed_since_s.pop(pod.uid, None)
        elif pod.uid in self._resting:
            self._resting.discard(pod.uid)
            self.listed_since_s[pod.uid] = self.clock()

    def pods_of(self, model: InferenceDeployment) -> list[Pod]:
        """Pods of a model that are not on their way out."""
        return [pod for pod in locate(self.mirror, model, {}).pods.live if not pod.is_leaving]

    def is_resting(self, pod: Pod) -> bool:
        """Whether Lull took the pod out of its Service."""
        return pod.key in self.mirror.resting

    def where(self, pod: Pod, model: InferenceDeployment | None) -> Where | None:
        """Where a pod's server listens."""
        port = pod.mark.port if pod.mark is not None else None if model is None else port_of(self.mirror, model)
        return (pod.addresses[0], port) if pod.addresses and port is not None else None

    def view(self, model: InferenceDeployment) -> Doze | None:
        """What is known of a model's rest; None where its spec does not ask for that and none of its pods rests."""
        if model.doze is SleepMode.OFF and not self.mirror.resting:
            return None  # as in most fleets, of which this is asked for every model in every round
        pods = self.pods_of(model)
        marks = [pod.mark for pod in pods if self.is_resting(pod) and pod.mark is not None]
        if model.doze is SleepMode.OFF and not marks:
            return None
        rung = marks[0].level if marks and len(marks) == len(pods) else Rung.AWAKE
        known_s = self.asleep_since_s if rung.is_doze else self.listed_since_s
        since_s = max((known_s[pod.uid] for pod in pods if pod.uid in known_s), default=None)
        return Doze(rung, self.fault(model, pods), since_s=since_s)

    def of(self, pod: Pod, model: InferenceDeployment | None) -> DozeFacts:
        """Facts of one pod; the memory has to have heard its server a moment ago."""
        now_s, memory = self.clock(), self.memory.of(pod.uid)
        if model is not None and pod.mark is not None and pod.restarts != pod.mark.restarts:
            # Mostly for want of memory for the weights, of which the next sleep would want as much.
            self.memory.fail(model.uid, now_s)
        ready = self._own_ready(model)
        memory.look(not pod.is_listed and ready == 0, now_s)
        held = 0 if model is None else read_waiting(self.mirror.statuses.get(model.key, {}), now_s).held
        facts = DozeFacts(
            now_s=now_s,
            wish=self.wish(pod, model),
            is_wanted=held > 0 or is_wanted_inside(memory.state),
            is_listed=pod.is_listed,
            is_leaving=pod.is_leaving,
            own_ready=ready,
            unlisted_for_s=memory.unlisted_for_s(now_s),
            mark=pod.mark,
            restarts=pod.restarts,
            state=memory.state,
            silent_for_s=memory.silent_for_s(now_s),
            quiet_for_s=memory.quiet_for_s(now_s),
            failures=memory.failures,
            is_settled=now_s >= memory.lands_until_s,
            is_returning=memory.is_returning,
            is_unsure=memory.is_unsure,
        )
        self._note_rest(pod, facts)
        return facts

    def wish(self, pod: Pod, model: InferenceDeployment | None) -> Rung:
        """Where a pod shall be: only one that is alone may rest, and only where nothing speaks against it."""
        if model is None:
            return Rung.AWAKE
        want = self.wants.get(model.uid)
        if want is None:
            # Right after the operator's start what rests goes on, until the plan says otherwise.
            is_young = self.clock() - self.memory.started_at_s < self.memory.settle_s
            return pod.mark.level if is_young and pod.mark is not None else Rung.AWAKE
        if self.clock() - self.listed_since_s.get(pod.uid, -math.inf) < GRACE_S:
            return Rung.AWAKE  # whoever woke it may not even be counted yet, and the plan may be older than that
        pods = self.pods_of(model)
        if want.rung.is_doze and (len(pods) != 1 or self.fault(model, pods) is not None):
            return Rung.AWAKE
        return want.rung

    def fault(self, model: InferenceDeployment, pods: list[Pod]) -> Fault | None:
        """Why the model cannot rest in its pod, with the mend; None where it can."""
        if port_of(self.mirror, model) is None and not any(pod.mark for pod in pods):
            return Fault(
                Reason.SERVER_PORT_UNKNOWN,
                "nobody says on which port the server speaks HTTP; give that port of the Service the name http",
            )
        if not self.memory.is_forgiven(model.uid, self.clock()):
            return Fault(
                Reason.DOZE_FAILED,
                "the server did not sleep or wake as it was told; it is left alone for an hour, see the operator's log",
            )
        found = (self._fault_of(model, pod) for pod in pods)
        return next((fault for fault in found if fault is not None), None)

    def _fault_of(self, model: InferenceDeployment, pod: Pod) -> Fault | None:
        fault = label_fault(self.mirror, model, pod)
        if fault is not None or self.is_resting(pod):
            return fault  # what rests was able to, and is not asked while it does
        if pod.uid not in self.abilities:
            return Fault(Reason.SERVER_SILENT, f"pod {pod.key.name} was not asked yet whether its server can sleep")
        return self.abilities[pod.uid][1]

    def _own_ready(self, model: InferenceDeployment | None) -> int | None:
        service = None if model is None else service_key(model)
        return None if service is None else own_ready(self.mirror.slices_of(service))

    def _note_rest(self, pod: Pod, facts: DozeFacts) -> None:
        if facts.state is not None and facts.state.is_sleeping and not facts.is_listed:
            self.asleep_since_s.setdefault(pod.uid, facts.now_s)
        else:
            self.asleep_since_s.pop(pod.uid, None)
