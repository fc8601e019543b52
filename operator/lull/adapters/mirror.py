"""An in-memory picture of the cluster, fed by watch events and by re-lists.

Handlers feed it and conclude nothing. A re-list drops what a lost watch event left behind: deletions that fall into
the gap of an expired watch are never told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

from lull.adapters.holds import newly_held, read_waiting
from lull.adapters.objects import (
    Autoscaler,
    Body,
    Pod,
    Service,
    Workload,
    key_of,
    matches,
    read_autoscaler,
    read_pod,
    read_service,
    read_workload,
)
from lull.adapters.slices import Slice, is_activator, read_slice, service_of
from lull.errors import SpecError
from lull.model.fleet import Fault, Unreadable
from lull.model.reason import Reason
from lull.model.spec import InferenceDeployment, Key, parse

_DEAD_S: Final = 600.0
_DEAD_MANY: Final = 1000


class Kind(StrEnum):
    """Kinds that are watched."""

    MODEL = "InferenceDeployment"
    POD = "Pod"
    DEPLOYMENT = "Deployment"
    STATEFUL_SET = "StatefulSet"
    SERVICE = "Service"
    HPA = "HorizontalPodAutoscaler"
    SCALED_OBJECT = "ScaledObject"
    ENDPOINT_SLICE = "EndpointSlice"


class Mirror:
    """What is known of the cluster, by kind and key.

    Args:
        on_spec: called when an InferenceDeployment appeared, changed its spec or went.
        keep_gone_s: seconds for which pods that went are remembered, since their requests are still in the rates.
        clock: seconds on a clock that never jumps.
    """

    def __init__(self, on_spec: Callable[[], None], keep_gone_s: float, clock: Callable[[], float]) -> None:
        self._on_spec = on_spec
        self.on_route: Callable[[Key | None], None] = lambda _: None
        """Called when an EndpointSlice changed, with its Service, or a pod of the activator, with None."""
        self.on_wake: Callable[[Key], None] = lambda _: None
        """Called when requests have begun to wait for a model."""
        self.on_obstacle: Callable[[str], None] = lambda _: None
        """Called when something came in the way of a start, with the namespace."""
        self.home: str | None = None
        """Lull's own namespace, where its activators are."""
        self._keep_gone_s = keep_gone_s
        self.clock = clock
        self.models: dict[Key, InferenceDeployment | Unreadable] = {}
        self.spec_turns = 0
        """How often an InferenceDeployment appeared, changed its spec or went."""
        self.statuses: dict[Key, Mapping[str, Any]] = {}
        self.held_ever: defaultdict[Key, int] = defaultdict(int)
        """Requests that have begun to wait for each model, counted from report to report."""
        self.pods: dict[Key, Pod] = {}
        self.workloads: dict[Kind, dict[Key, Workload]] = {Kind.DEPLOYMENT: {}, Kind.STATEFUL_SET: {}}
        self.services: dict[Key, Service] = {}
        self.autoscalers: dict[Kind, dict[Key, Autoscaler]] = {Kind.HPA: {}, Kind.SCALED_OBJECT: {}}
        self.heard_at_s: dict[Kind, float] = {}
        self.resting: set[Key] = set()
        """Pods that Lull took out of their Service."""
        self.slices: dict[Key, Slice] = {}
        self._slices_of: defaultdict[Key, set[Key]] = defaultdict(set)
        self._gone: dict[str, dict[Key, tuple[Pod, float]]] = {}
        self._by_label: defaultdict[tuple[str, str, str], set[Key]] = defaultdict(set)
        self._marked: set[Key] = set()
        self._versions: dict[tuple[Kind, Key], tuple[str, int, float]] = {}
        self._dead: dict[str, float] = {}

    def feed(self, kind: Kind, body: Body, *, is_gone: bool = False) -> None:
        """Takes in one object as the API server delivered it; older versions of what is known are ignored."""
        key, uid = key_of(body), body["metadata"]["uid"]
        version = int(body["metadata"].get("resourceVersion") or 0)
        known = self._versions.get((kind, key))
        if uid in self._dead or (known is not None and version < known[1]):
            return
        if is_gone:
            self._bury(uid)
            if known is not None:
                self._drop(kind, key)
                self._ring(kind, body)
            return
        self._versions[kind, key] = (uid, version, self.clock())
        self._store(kind, key, body)
        self._ring(kind, body)

    def version(self, kind: Kind, key: Key) -> str | None:
        """Version of an object as it is known; a write that names it lands only if it is still so."""
        known = self._versions.get((kind, key))
        return None if known is None else str(known[1])

    def hear(self, kind: Kind, body: Body, *, is_gone: bool) -> None:
        """Takes in what a watch told."""
        self.heard_at_s[kind] = self.clock()
        self.feed(kind, body, is_gone=is_gone)

    def is_news(self, kind: Kind, body: Body) -> bool:
        """Whether this edition of an object is newer than what is known."""
        known = self._versions.get((kind, key_of(body)))
        return known is None or int(body["metadata"].get("resourceVersion") or 0) > known[1]

    def sweep(self, kind: Kind, uids: Iterable[str], listed_at_s: float) -> int:
        """Drops what a full list taken at ``listed_at_s`` (by ``clock``) no longer had; returns how many."""
        alive = set(uids)
        ghosts = [
            key
            for (of, key), (uid, _, fed_at_s) in self._versions.items()
            if of is kind and uid not in alive and fed_at_s < listed_at_s
        ]
        for key in ghosts:
            self._drop(kind, key)
        return len(ghosts)

    def pods_of(self, namespace: str, selector: Mapping[str, Any]) -> list[Pod]:
        """Pods that a selector selects."""
        equal = selector.get("matchLabels") or {}
        if equal:
            nothing: set[Key] = set()
            keys = min((self._by_label.get((namespace, *pair), nothing) for pair in equal.items()), key=len)
        else:
            keys = {key for key in self.pods if key.namespace == namespace}
        return [self.pods[key] for key in keys if matches(selector, self.pods[key].labels)]

    @property
    def marked_pods(self) -> list[Pod]:
        """Pods that carry a deletion cost of Lull's."""
        return [self.pods[key] for key in self._marked]

    def gone_pods_of(self, namespace: str, selector: Mapping[str, Any]) -> list[Pod]:
        """Pods that a selector selected and that went a short while ago."""
        horizon_s = self.clock() - self._keep_gone_s
        return [
            pod
            for pod, at_s in self._gone.get(namespace, {}).values()
            if at_s >= horizon_s and matches(selector, pod.labels)
        ]

    def slices_of(self, service: Key) -> list[Slice]:
        """EndpointSlices of a Service, ours and others'."""
        return [self.slices[key] for key in self._slices_of.get(service, ())]

    def _turn(self) -> None:
        self.spec_turns += 1
        self._on_spec()

    def _ring(self, kind: Kind, body: Body) -> None:
        if kind is Kind.ENDPOINT_SLICE:
            self.on_route(service_of(body))
        elif kind is Kind.POD and is_activator(body):
            self.on_route(None)

    def _store(self, kind: Kind, key: Key, body: Body) -> None:
        match kind:
            case Kind.MODEL:
                self._store_model(key, body)
            case Kind.POD:
                self._store_pod(key, body)
            case Kind.DEPLOYMENT | Kind.STATEFUL_SET:
                before = self.workloads[kind].get(key)
                found = self.workloads[kind][key] = read_workload(body)
                if found.refusal is not None and (before is None or before.refusal is None):
                    self.on_obstacle(key.namespace)
            case Kind.SERVICE:
                self.services[key] = read_service(body)
            case Kind.HPA | Kind.SCALED_OBJECT:
                self.autoscalers[kind][key] = read_autoscaler(body, str(kind))
            case Kind.ENDPOINT_SLICE:
                self._drop_slice(key)
                read = self.slices[key] = read_slice(body)
                self._slices_of[read.service].add(key)

    def _store_model(self, key: Key, body: Body) -> None:
        before = self.models.get(key)
        try:
            model: InferenceDeployment | Unreadable = parse(body)
        except SpecError as error:
            metadata = body["metadata"]
            fault = Fault(Reason.SPEC_UNREADABLE, str(error))
            model = Unreadable(key, metadata["uid"], int(metadata.get("generation", 0)), fault)
        self.models[key] = model
        self._hear_of_waiting(key, body.get("status") or {})
        if before is None or before.uid != model.uid or before.generation != model.generation:
            self._turn()

    def _hear_of_waiting(self, key: Key, status: Mapping[str, Any]) -> None:
        before, now_s = self.statuses.get(key, {}), self.clock()
        self.statuses[key] = status
        self.held_ever[key] += newly_held(before, status, now_s)
        if not read_waiting(before, now_s).held and read_waiting(status, now_s).held:
            self.on_wake(key)

    def _store_pod(self, key: Key, body: Body) -> None:
        before = self.pods.get(key)
        self._unlabel(key)
        # A StatefulSet's pod comes back under its name, and its series go on.
        self._gone.get(key.namespace, {}).pop(key, None)
        pod = self.pods[key] = read_pod(body)
        for name, value in pod.labels.items():
            self._by_label[key.namespace, name, value].add(key)
        if pod.is_marked:
            self._marked.add(key)
        else:
            self._marked.discard(key)
        if pod.mark is not None and not pod.is_listed:
            self.resting.add(key)
        if pod.hindrance is not None and (before is None or before.hindrance is None):
            self.on_obstacle(key.namespace)

    def _bury(self, uid: str) -> None:
        """Remembers a deletion for a while: a list that was begun before it would bring the object back."""
        now_s = self.clock()
        if len(self._dead) > _DEAD_MANY:
            self._dead = {old: at_s for old, at_s in self._dead.items() if now_s - at_s < _DEAD_S}
        self._dead[uid] = now_s

    def _drop(self, kind: Kind, key: Key) -> None:
        self._versions.pop((kind, key), None)
        if kind is Kind.POD:
            self._unlabel(key)
            self._marked.discard(key)
            if pod := self.pods.pop(key, None):
                self._remember_gone(pod)
        elif kind is Kind.MODEL:
            self.models.pop(key, None)
            self.statuses.pop(key, None)
            self.held_ever.pop(key, None)
            self._turn()
        elif kind is Kind.SERVICE:
            self.services.pop(key, None)
        elif kind is Kind.ENDPOINT_SLICE:
            self._drop_slice(key)
        elif kind in self.workloads:
            self.workloads[kind].pop(key, None)
        else:
            self.autoscalers[kind].pop(key, None)

    def _drop_slice(self, key: Key) -> None:
        if found := self.slices.pop(key, None):
            self._slices_of[found.service].discard(key)
            if not self._slices_of[found.service]:
                del self._slices_of[found.service]

    def _remember_gone(self, pod: Pod) -> None:
        """Keeps a pod that went for a while; those that went too long ago make room for it."""
        now_s, namespace = self.clock(), pod.key.namespace
        kept = {
            key: gone for key, gone in self._gone.get(namespace, {}).items() if now_s - gone[1] <= self._keep_gone_s
        }
        self._gone[namespace] = kept | {pod.key: (pod, now_s)}

    def _unlabel(self, key: Key) -> None:
        self.resting.discard(key)
        if pod := self.pods.get(key):
            for name, value in pod.labels.items():
                index = (key.namespace, name, value)
                self._by_label[index].discard(key)
                if not self._by_label[index]:
                    del self._by_label[index]
