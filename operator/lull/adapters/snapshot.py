"""The mirror, as the planner's snapshot."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lull.adapters.fronts import fronts_of
from lull.adapters.holds import read_hold, read_last_awake, read_waiting
from lull.adapters.mirror import Kind, Mirror
from lull.adapters.objects import Pod, Workload
from lull.adapters.telemetry import Pods
from lull.model.fleet import Doze, Fault, ModelView, Signals, Snapshot, Target, Unreadable
from lull.model.hindrance import Attempt
from lull.model.reason import Reason
from lull.model.route import HoldState
from lull.model.spec import InferenceDeployment, Key
from lull.names import LABEL_AWAKE

TargetId = tuple[str, str, str]

NO_DOZES: Final[Mapping[str, Doze]] = {}


@dataclass(frozen=True, slots=True)
class ForeignScale:
    """Scale of a target whose kind is not watched, as its scale subresource tells it."""

    replicas: int
    selector: str


@dataclass(frozen=True, slots=True)
class Located:
    """A model's target and its pods."""

    workload: Workload | None
    """The watched object, where its kind is watched."""
    replicas: int | None
    """Replicas it is scaled to; None when there is no such target."""
    pods: Pods


def locate(mirror: Mirror, model: InferenceDeployment, foreign: Mapping[Key, ForeignScale]) -> Located:
    """Finds a model's target and pods; an object that somebody else owns under an owned name is not the target."""
    workload = _watched(mirror, model)
    if workload is not None:
        if model.is_owner and workload.owner_uid != model.uid:
            return _NOWHERE
        return Located(workload, workload.replicas, _pods(mirror, model.key.namespace, workload.selector))
    scale = foreign.get(model.key)
    if scale is None:
        return _NOWHERE
    pods = _pods(mirror, model.key.namespace, _parse_selector(scale.selector))
    return Located(None, scale.replicas, pods)


def snapshot_of(
    mirror: Mirror,
    located: Mapping[Key, Located],
    signals: Mapping[Key, Signals],
    faults: Mapping[Key, tuple[Fault, ...]],
    scale_faults: Mapping[Key, Fault],
    now_s: float,
    *,
    portless: Collection[str] = (),
    dozes: Mapping[str, Doze] = NO_DOZES,
) -> Snapshot:
    """Everything that was seen of the models that were located, as one frozen value.

    Args:
        mirror: the cluster.
        located: the models, with their targets and pods.
        signals: what their servers reported; a model that is missing was not measured.
        faults: what went wrong with their objects.
        scale_faults: why the API server refused their last change of size.
        now_s: seconds since 1970.
        portless: uids of models for which the activator has no port left.
        dozes: what is known of rest with pods in place, by uid.
    """
    models = [model for model in mirror.models.values() if isinstance(model, InferenceDeployment)]
    chosen = sorted((model for model in models if model.key in located), key=lambda m: m.key)
    holders = _holders(chosen, models)
    contenders = _contenders(mirror)
    fronts = fronts_of(mirror, chosen, portless, among=models)
    views = []
    for model in chosen:
        at, status = located[model.key], mirror.statuses.get(model.key, {})
        hold = read_hold(status)
        is_held = hold is not None and hold.state is HoldState.ATTACHED
        waiting = read_waiting(status, now_s).held
        holder = holders[_target_id(model)]
        doze = dozes.get(model.uid)
        is_asleep = not at.replicas or (doze is not None and doze.rung.is_doze)
        views.append(
            ModelView(
                deployment=model,
                target=_target(at),
                signals=_held(waiting) if is_held and is_asleep else signals.get(model.key, _UNMEASURED),
                holder=holder.key if holder is not model else None,
                contenders=contenders.get(_target_id(model), ()),
                scale_fault=scale_faults.get(model.key),
                faults=(*faults.get(model.key, ()), *_service_faults(mirror, model, at)),
                front=fronts.get(model.uid),
                is_held=is_held,
                waiting=waiting,
                held_ever=mirror.held_ever.get(model.key, 0),
                attempts=_attempts(at),
                refusal=at.workload.refusal if at.workload else None,
                last_awake=read_last_awake(status),
                doze=doze,
            )
        )
    return Snapshot(tuple(views), tuple(model for model in mirror.models.values() if isinstance(model, Unreadable)))


def _held(waiting: int) -> Signals:
    """Signals of a model that sleeps: all requests there are wait at the activators, which tell at once."""
    return Signals(completions_rps=0.0, waiting=float(waiting), age_s=0.0)


def is_watched(model: InferenceDeployment) -> bool:
    """Whether the target is of a kind that the mirror holds."""
    return model.target.api_version == "apps/v1" and model.target.kind in (Kind.DEPLOYMENT, Kind.STATEFUL_SET)


_SELECTOR_PARTS: Final = re.compile(r"(?:[^,(]|\([^)]*\))+")
_SELECTOR_FORM: Final = re.compile(
    r"(?P<n>[\w./-]+)\s*(?P<o>==|!=|=|\bin\b|\bnotin\b)\s*(?:\((?P<vs>[^)]*)\)|(?P<v>[\w.-]*))"
    r"|!(?P<absent>[\w./-]+)|(?P<present>[\w./-]+)"
)
_SELECTOR_WORDS: Final = {"=": "In", "==": "In", "in": "In", "!=": "NotIn", "notin": "NotIn"}

_REVISION_LABELS: Final = ("pod-template-hash", "controller-revision-hash")
_UNMEASURED = Signals(fault=Fault(Reason.NO_READY_PODS, "there is no target to measure"))
_NOWHERE = Located(None, None, Pods((), ()))


def _target(at: Located) -> Target | None:
    if at.replicas is None:
        return None
    drains = all(pod.drains for pod in at.pods.live)
    since_s = [pod.ready_since_s for pod in at.pods.ready if pod.ready_since_s is not None]
    return Target(
        at.replicas,
        len(at.pods.ready),
        drains,
        ready_since_s=min(since_s, default=None),
        revision=_revision(at.pods.ready),
        template=at.workload.template if at.workload else None,
        is_rolled_out=at.workload is not None and at.workload.is_rolled_out,
    )


def _attempts(at: Located) -> tuple[Attempt, ...]:
    """Told only while nothing is Ready, as nobody asks for them before."""
    if at.pods.ready:
        return ()
    found = (Attempt(pod.key.name, pod.hindrance) for pod in at.pods.live if pod.is_attempt)
    return tuple(sorted(found, key=lambda attempt: attempt.pod))


def _revision(pods: Iterable[Pod]) -> str | None:
    """The revision that the pods are of, as Deployments, StatefulSets and DaemonSets label them."""
    told = {next((pod.labels[name] for name in _REVISION_LABELS if name in pod.labels), None) for pod in pods}
    return told.pop() if len(told) == 1 else None


def _watched(mirror: Mirror, model: InferenceDeployment) -> Workload | None:
    if not is_watched(model):
        return None
    return mirror.workloads[Kind(model.target.kind)].get(Key(model.key.namespace, model.target.name))


def _pods(mirror: Mirror, namespace: str, selector: Mapping[str, Any]) -> Pods:
    live = [pod for pod in mirror.pods_of(namespace, selector) if pod.phase not in ("Succeeded", "Failed")]
    return Pods(live, mirror.gone_pods_of(namespace, selector))


def _target_id(model: InferenceDeployment) -> TargetId:
    return (model.key.namespace, model.target.kind, model.target.name)


def _holders(
    models: Iterable[InferenceDeployment], among: Iterable[InferenceDeployment]
) -> dict[TargetId, InferenceDeployment]:
    """Of several with one target the oldest holds it; equal ages are settled by name."""
    names = {model.target.name for model in models}
    rivals = (model for model in among if model.target.name in names)
    held: dict[TargetId, InferenceDeployment] = {}
    for model in sorted(rivals, key=lambda m: (m.created_at_s, m.key)):
        held.setdefault(_target_id(model), model)
    return held


def _contenders(mirror: Mirror) -> dict[TargetId, tuple[str, ...]]:
    found: defaultdict[TargetId, list[str]] = defaultdict(list)
    for scalers in mirror.autoscalers.values():
        for scaler in scalers.values():
            target = (scaler.key.namespace, scaler.target_kind, scaler.target_name)
            # KEDA works through an HPA of its own; both are named, for both must go.
            found[target].append(f"{scaler.kind}/{scaler.key.name}")
    return {target: tuple(sorted(names)) for target, names in found.items()}


def _service_faults(mirror: Mirror, model: InferenceDeployment, at: Located) -> tuple[Fault, ...]:
    if model.spec.service_ref is None:
        return ()
    name = model.spec.service_ref.name
    service = mirror.services.get(Key(model.key.namespace, name))
    if service is None:
        message = f"spec.serviceRef names Service {name!r}, which is not in {model.key.namespace}; create or rename it"
        return (Fault(Reason.SERVICE_NOT_FOUND, message),)
    # What rests is left out for now, and is of the Service all the same.
    selector = {name: value for name, value in service.selector.items() if name != LABEL_AWAKE}
    selected = {pod.key for pod in mirror.pods_of(model.key.namespace, {"matchLabels": selector})}
    if at.pods.live and not selected & {pod.key for pod in at.pods.live}:
        message = (
            f"Service {name!r} selects none of the pods of {model.target}; correct its selector or spec.serviceRef"
        )
        return (Fault(Reason.SERVICE_SELECTS_NOTHING, message),)
    return ()


def _parse_selector(text: str) -> Mapping[str, Any]:
    """A selector in the string form of scale subresources, such as ``app=chat,tier in (a,b),!old``.

    A form that cannot be read selects nothing, and a target without pods is left as it is.
    """
    found: list[dict[str, Any]] = []
    for part in _SELECTOR_PARTS.findall(text):
        form = _SELECTOR_FORM.fullmatch(part.strip())
        if form is None:
            return {}
        name, operator, value, values, absent, present = form.group("n", "o", "v", "vs", "absent", "present")
        if operator is not None:
            one = value.strip() if value is not None else None
            many = [one] if one is not None else [item.strip() for item in values.split(",")]
            found.append({"key": name, "operator": _SELECTOR_WORDS[operator], "values": many})
        else:
            found.append({"key": absent or present, "operator": "DoesNotExist" if absent else "Exists"})
    return {"matchExpressions": found}
