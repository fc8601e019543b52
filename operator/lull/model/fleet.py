"""What was seen: models, their targets and what their servers reported. Unknown is None, never zero."""

from __future__ import annotations

from dataclasses import dataclass

from lull.model.doze import Rung
from lull.model.hindrance import Attempt
from lull.model.reason import Reason
from lull.model.route import Front
from lull.model.spec import InferenceDeployment, Key
from lull.model.spending import BudgetView, Draw


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong, and the sentence that says so."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Signals:
    """What a model's servers reported over the rate window, summed over its pods.

    With ``fault`` PartialData the sums miss pods, so they bound the truth from below; with MetricMissing what the
    servers do not export is None and the rest holds; with any other fault nothing is known.
    """

    completions_rps: float | None = None
    waiting: float | None = None
    """Requests in queues, those being worked on not counted."""
    in_flight: float | None = None
    """Requests in queues or being worked on, for servers that tell only this sum."""
    backlog_growth_rps: float | None = None
    recent_rps: float | None = None
    """Completions plus growth of the backlog over the newest part of the window alone."""
    service_time_s: float | None = None
    """Mean seconds of work per request, waiting not counted where the server tells the two apart."""
    has_wait_in_service: bool = False
    """Whether the server's service time contains the wait in its queue."""
    running: float | None = None
    """Requests being worked on, mean over the window."""
    mean_batch: float | None = None
    """Mean requests in one execution of the model."""
    prompt_tokens: float | None = None
    """Mean tokens of a request's prompt, those found in a prefix cache included."""
    generated_tokens: float | None = None
    """Mean tokens of an answer."""
    first_token_s: float | None = None
    """Mean seconds from request to first token, waiting included."""
    prefill_s: float | None = None
    """Mean seconds of work on a request before its first token."""
    inter_token_s: float | None = None
    """Mean seconds between two tokens of an answer."""
    end_to_end_s: float | None = None
    """Mean seconds from request to whole answer, waiting included."""
    observed_s: tuple[float | None, ...] = ()
    """What each objective of the spec bounds, at its percentile, in the spec's order; empty where nothing tells it."""
    kv_usage_ratio: float | None = None
    """Share of the KV cache in use, mean over replicas."""
    kv_tokens: float | None = None
    """Tokens that one replica's KV cache holds, mean over replicas."""
    age_s: float | None = None
    """Seconds since the oldest of the newest scrapes of its Ready pods."""
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """The workload whose scale Lull writes."""

    replicas: int
    """Replicas it is scaled to."""
    ready: int
    """Pods that are Ready and not on their way out."""
    drains: bool
    """Whether its pods pause before they stop."""
    ready_since_s: float | None = None
    """When the oldest of those pods became Ready; None where there is none."""
    revision: str | None = None
    """Revision of the pod template that all its Ready pods are of; None = not told, or they are of several."""
    template: str | None = None
    """Digest of its pod template; None = nobody tells."""
    is_rolled_out: bool = False
    """Whether all its pods are of that template, and at least one is Ready."""


@dataclass(frozen=True, slots=True)
class LastAwake:
    """What has to be known of a model while it sleeps; kept in its status."""

    replicas: int | None = None
    """Replicas it was scaled to when something was last wanted of it, or, where nothing ever was, at first."""
    template: str | None = None
    """Digest of the newest pod template that a replica was Ready with, or that it slept with when it was first seen."""


@dataclass(frozen=True, slots=True)
class Doze:
    """A model's rest with its pod in place; see ``model.doze``."""

    rung: Rung = Rung.AWAKE
    """Where it is: a level as soon as its only pod is out of the Service for it."""
    fault: Fault | None = None
    """Why it cannot rest so."""
    power_w: float | None = None
    """Mean power of its accelerators over the rate window; None = unknown."""
    since_s: float | None = None
    """Since when it has been there: at rest since its server was seen asleep, awake since it was given back to its
    Service. None = it is on its way to rest, or was awake before anybody watched."""


@dataclass(frozen=True, slots=True)
class ModelView:
    """One InferenceDeployment and all that was seen around it."""

    deployment: InferenceDeployment
    target: Target | None
    signals: Signals
    holder: Key | None = None
    """An older InferenceDeployment with the same target."""
    contenders: tuple[str, ...] = ()
    """Autoscalers of other kinds on the same target, as Kind/name."""
    scale_fault: Fault | None = None
    """Why the API server refused the last change of size, if it did."""
    faults: tuple[Fault, ...] = ()
    """What went wrong with the objects of this model, worst first."""
    front: Front | None = None
    """What is in front of it, where it may sleep."""
    is_held: bool = False
    """Whether the activators answer for it where no own pod does."""
    waiting: int = 0
    """Requests that wait at the activators."""
    held_ever: int = 0
    """Requests that have begun to wait there since the operator began to look, as far as reports show them."""
    attempts: tuple[Attempt, ...] = ()
    """Its pods that may yet become Ready."""
    refusal: str | None = None
    """Why the API server refuses to make pods of the target; None = it does not, as far as is known."""
    last_awake: LastAwake = LastAwake()
    doze: Doze | None = None
    """What is known of its rest with the pod in place; None where the spec does not ask for that."""
    draw: Draw | None = None
    """Predicted power of its replicas; None = unknown."""

    @property
    def key(self) -> Key:
        """Who it is."""
        return self.deployment.key

    @property
    def is_dozing(self) -> bool:
        """Whether it rests with its pod in place."""
        return self.doze is not None and self.doze.rung.is_doze

    @property
    def is_asleep(self) -> bool:
        """Whether it rests, in its pod or without one."""
        return self.is_dozing or (self.target is not None and self.target.replicas == 0)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An InferenceDeployment whose spec cannot be understood."""

    key: Key
    uid: str
    generation: int
    fault: Fault


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The fleet at one moment."""

    models: tuple[ModelView, ...]
    unreadable: tuple[Unreadable, ...] = ()
    budgets: tuple[BudgetView, ...] = ()


@dataclass(frozen=True, slots=True)
class Demand:
    """What arrives at a model, as far as it is known."""

    arrivals_rps: float | None
    backlog: float | None
    service_time_s: float | None
    age_s: float | None
    """Seconds since demand was last known; None = never since the operator started."""
