"""What the operator has to remember of resting pods beyond what cluster and servers show.

All of it may be lost: a restarted operator takes whatever its predecessor may have sent for done just now. Written and
read by ``runtime.dozer``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

from lull.model.doze import ServerState

PENANCE_S: Final = 3600.0
"""How long a model is left alone after its server did not do as it was told."""


@dataclass(slots=True)
class PodMemory:
    """Of one pod."""

    lands_until_s: float
    """Until when a write to its labels may land, or have landed unseen; infinite while one is under way."""
    is_unsure: bool
    """Whether a call to sleep may have been heard that nobody has answered."""
    is_returning: bool = False
    """Whether it was woken since it was taken out of the Service."""
    state: ServerState | None = None
    """What it said last; None where it gave no answer, or was not asked yet."""
    silent_since_s: float | None = None
    quiet_since_s: float | None = None
    unlisted_since_s: float | None = None
    failures: int = 0
    """Calls in a row that it did not carry out."""
    given_up_at_s: float = -math.inf
    """When it was last to be replaced."""

    def hear(self, state: ServerState | None, now_s: float) -> None:
        """Takes in what the server said; None = it gave no answer."""
        before, self.state = self.state, state
        if state is None:
            self.silent_since_s = now_s if self.silent_since_s is None else self.silent_since_s
            self.quiet_since_s = None
            return
        self.silent_since_s = None
        is_quiet = state.in_flight == 0 and self.unlisted_since_s is not None
        has_served = before is None or state.served != before.served
        if not is_quiet:
            self.quiet_since_s = None
        elif self.quiet_since_s is None or has_served:
            self.quiet_since_s = now_s

    def look(self, is_out: bool, now_s: float) -> None:  # noqa: FBT001 - the only claim
        """Takes in whether the Service sends nothing to the pod any more, by the slices there are."""
        if not is_out:
            self.unlisted_since_s = self.quiet_since_s = None
        elif self.unlisted_since_s is None:
            self.unlisted_since_s = now_s

    def woken(self) -> None:
        """Notes that a wake was answered: it undid whatever was sent before."""
        self.is_unsure = False
        self.is_returning = True
        self.failures = 0

    def silent_for_s(self, now_s: float) -> float:
        """Seconds without an answer."""
        return 0.0 if self.silent_since_s is None else now_s - self.silent_since_s

    def quiet_for_s(self, now_s: float) -> float:
        """Seconds without a request, out of the Service."""
        return 0.0 if self.quiet_since_s is None else now_s - self.quiet_since_s

    def unlisted_for_s(self, now_s: float) -> float:
        """Seconds out of the Service."""
        return 0.0 if self.unlisted_since_s is None else now_s - self.unlisted_since_s


@dataclass(slots=True)
class DozeMemory:
    """Of all pods, by their uid, and of models that are left alone for a while, by theirs."""

    started_at_s: float
    settle_s: float
    """A write has landed and been seen within this of being sent, or never lands."""
    pods: dict[str, PodMemory] = field(default_factory=dict)
    _failed_at_s: dict[str, float] = field(default_factory=dict)

    def of(self, pod_uid: str) -> PodMemory:
        """What is known of a pod; of one that is new, only that a predecessor may have dealt with it."""
        if pod_uid not in self.pods:
            self.pods[pod_uid] = PodMemory(self.started_at_s + self.settle_s, is_unsure=True)
        return self.pods[pod_uid]

    def fail(self, model_uid: str, now_s: float) -> None:
        """Notes that a model's server did not do as it was told."""
        self._failed_at_s[model_uid] = now_s

    def is_forgiven(self, model_uid: str, now_s: float) -> bool:
        """Whether the model may be tried (again)."""
        return now_s - self._failed_at_s.get(model_uid, -math.inf) >= PENANCE_S

    def forget(self, pod_uids: set[str], model_uids: set[str]) -> None:
        """Keeps only what belongs to these."""
        for uid in self.pods.keys() - pod_uids:
            del self.pods[uid]
        for uid in self._failed_at_s.keys() - model_uids:
            del self._failed_at_s[uid]
