"""Rest with the pod in place, as values: a server that sleeps keeps its process and wakes in seconds.

``decide.rungs`` says how deep one quiet replica rests, ``decide.doze`` what to do next about its pod.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from lull.model.arrays import F64, Bools


class Rung(IntEnum):
    """How deep a replica rests; the deeper, the less it holds and the longer it takes to wake."""

    AWAKE = 0
    LEVEL_1 = 1
    """The server sleeps; its weights are in the host's memory."""
    LEVEL_2 = 2
    """The server sleeps; its weights are dropped, and loaded anew when it wakes."""
    GONE = 3
    """The pod is away."""

    @property
    def is_doze(self) -> bool:
        """Whether the server sleeps and its pod stays."""
        return self in DOZES


DOZES = (Rung.LEVEL_1, Rung.LEVEL_2)


@dataclass(frozen=True, slots=True)
class RungsKnown:
    """What is known of the rungs of N models, (len(Rung), N) each; NaN = unknown."""

    holding: F64
    """Share of the idle power that is held there; 1 awake, 0 gone."""
    wake_s: F64
    """Seconds within which nearly all wakes from a level are done."""
    expected_s: F64
    """Mean seconds of a wake from a level."""
    is_metered: Bools
    """Whether a meter tells what an idle replica draws, (N,)."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What Lull wrote on a pod that it took out of the Service: enough to wake it without knowing the model."""

    level: Rung
    port: int
    """Of the server's HTTP."""
    restarts: int
    """Of the pod's containers at that time: one that restarted since is awake."""

    def __str__(self) -> str:
        return f"{int(self.level)}/{self.port}/{self.restarts}"

    @staticmethod
    def parse(text: str) -> Mark | None:
        """The mark as it was written; None where it was not written by Lull."""
        parts = text.split("/")
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
            return None
        level, port, restarts = (int(part) for part in parts)
        if level not in DOZES or not 0 < port < 65536:
            return None
        return Mark(Rung(level), port, restarts)


@dataclass(frozen=True, slots=True)
class ServerState:
    """What a server says of itself."""

    is_sleeping: bool
    level: Rung | None
    """How deep it sleeps, by its own word; None = it does not say, or does not sleep."""
    in_flight: float
    """Requests that it works on or that wait in it."""
    served: float
    """Requests that it has finished since its start."""


@dataclass(frozen=True, slots=True)
class DozeFacts:
    """All that one turn of one pod's rest is decided from."""

    now_s: float
    wish: Rung
    """Where it shall be."""
    is_wanted: bool
    """Whether requests wait for it, at the activators or in itself."""
    is_listed: bool
    """Whether the Service selects it, by its label."""
    is_leaving: bool
    """Whether the pod is on its way out."""
    own_ready: int | None
    """Addresses of own pods that the Service sends to; None = unknown."""
    unlisted_for_s: float
    """Seconds for which no own pod has been seen behind the Service."""
    mark: Mark | None
    """None = Lull did not take it out of the Service."""
    restarts: int
    state: ServerState | None
    """None = it was not asked yet, or gave no answer."""
    silent_for_s: float
    """Seconds for which it has given no answer; 0 where it answered last."""
    quiet_for_s: float
    """Seconds for which it has had nothing in flight and finished nothing, since it was taken out of the Service."""
    failures: int
    """Wakes in a row that it did not carry out."""
    is_settled: bool
    """Whether no write of ours to its labels can still land unseen."""
    is_returning: bool
    """Whether it was woken since it was taken out: who woke it may go on asking."""
    is_unsure: bool
    """Whether a call to sleep may have been heard, or be heard yet, that nobody has answered."""


@dataclass(frozen=True, slots=True)
class DozeTiming:
    """How late things may be, and how long is waited for them."""

    lag_s: float = 5.0
    """Every kube-proxy has a changed slice after this."""
    quiet_s: float = 10.0
    """A server without a request for so long has no client that would send one past the Service."""
    drain_s: float = 60.0
    """A server that is still in use so long after it was taken out of the Service is put back."""
    silence_s: float = 30.0
    """A server that says nothing for so long while it is wanted is given up."""
    tries: int = 3
    """Wakes that may fail before the pod is given up."""


@dataclass(frozen=True, slots=True)
class Hide:
    """Take the pod out of the Service, once others answer."""

    level: Rung


@dataclass(frozen=True, slots=True)
class PutToSleep:
    """Let the server sleep."""

    level: Rung


@dataclass(frozen=True, slots=True)
class WakeUp:
    """Let the server wake; one that is awake already stays so. It hears this after every call to sleep before it."""

    level: Rung


@dataclass(frozen=True, slots=True)
class Show:
    """Give the pod back to the Service."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Have the pod replaced by another: scale to zero, from where requests wake the model in the ordinary way."""


DozeStep = Hide | PutToSleep | WakeUp | Show | GiveUp
