"""Tells Kubernetes which pods to take when a model shrinks, by their deletion cost.

ReplicaSets alone look at it; a StatefulSet's pods go by ordinal, so nothing is written there. A mark is a wish that may
be left out: the size is written a moment later whatever became of it, and one that has had no effect is taken away.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from lull.adapters.api import Api, Lane, path_of
from lull.adapters.objects import Pod
from lull.adapters.pod_loads import PodLoads
from lull.decide.departures import departing
from lull.errors import LullError
from lull.model.spec import InferenceDeployment
from lull.names import ANNOTATION_DELETION_COST, ANNOTATION_MARK

_LOG = logging.getLogger("lull.marker")

MOMENT_S: Final = 1.0
"""Longest that a change of size waits for marks."""

MARKS_MOST: Final = 20
"""Pods that are written to for one change of size."""

LASTS_S: Final = 30.0
"""After it a marked pod that is not on its way out stays, and loses its mark."""

_COST: Final = "-1"
"""Below that of all others, which is 0 where none is given. Those that go need no order among them."""
_MARK: Final = {ANNOTATION_DELETION_COST: _COST, ANNOTATION_MARK: _COST}
_NO_MARK: Final = {ANNOTATION_DELETION_COST: None, ANNOTATION_MARK: None}

_Change = tuple[Pod, Mapping[str, str | None]]


class Marker:
    """Marks pods and takes marks away.

    Args:
        api: where to write.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._pods: Mapping[str, Sequence[Pod]] = {}
        self._loads = PodLoads()
        self._lodgers: Counter[str | None] | None = None
        self._marked_at_s: dict[str, float] = {}

    def see(self, pods: Mapping[str, Sequence[Pod]], loads: PodLoads) -> None:
        """Takes in what a round has seen: every model's pods by its uid, and what they have in hand."""
        self._pods, self._loads, self._lodgers = pods, loads, None

    async def mark(self, model: InferenceDeployment, after: int) -> None:
        """Marks the pods that shall go when the model has ``after`` replicas; raises nothing."""
        await self._send(self.changes(model, after))

    async def tidy(self, marked: Iterable[Pod], now_s: float) -> None:
        """Ends a round: takes the marks of pods that stay, and lets go of what the round has seen; raises nothing.

        Args:
            marked: pods that carry a mark.
            now_s: seconds on a clock that never jumps.
        """
        staying = [pod for pod in marked if pod.is_active]
        self._marked_at_s = {pod.uid: self._marked_at_s.get(pod.uid, now_s) for pod in staying}
        stale = [pod for pod in staying if now_s - self._marked_at_s[pod.uid] > LASTS_S]
        self.see({}, PodLoads())
        await self._send([(pod, _NO_MARK) for pod in stale])

    def changes(self, model: InferenceDeployment, after: int) -> list[_Change]:
        """What is to be written so that the right pods go, marks that no longer hold first."""
        active = [pod for pod in self._pods.get(model.uid, ()) if pod.is_active]
        sets = {pod.replica_set for pod in active}
        # In a rollout each of two ReplicaSets shrinks by rules of the Deployment's own.
        if len(sets) != 1 or None in sets or any(pod.is_priced for pod in active):
            return []
        ready = [pod for pod in active if pod.ready_since_s is not None]
        ready.sort(key=lambda pod: (not pod.is_marked, pod.key))  # of equals those go that were to go before
        unready = len(active) - len(ready)
        going = self._going(model, active, ready, len(active) - after - unready)
        if going is None:
            return []
        stays = set(range(len(ready))) - set(going)
        wrong: list[_Change] = [(ready[i], _NO_MARK) for i in sorted(stays) if ready[i].is_marked]
        new: list[_Change] = [(ready[i], _MARK) for i in going if not ready[i].is_marked]
        return [*wrong, *new]

    def _going(
        self, model: InferenceDeployment, active: Sequence[Pod], ready: Sequence[Pod], count: int
    ) -> list[int] | None:
        """Which of the Ready ones go, first to last; None where that makes no difference."""
        if not 0 < count < len(ready):
            return None
        if self._lodgers is None:
            self._lodgers = Counter(pod.node for pods in self._pods.values() for pod in pods if pod.is_active)
        own = Counter(pod.node for pod in active)
        numbers = {node: number for number, node in enumerate(node for node in own if node is not None)}
        going = departing(
            self._loads.of(model.spec.server, ready),
            np.array([numbers.get(pod.node, -1) if pod.node is not None else -1 for pod in ready], dtype=np.int64),
            np.array([self._lodgers[pod.node] - own[pod.node] for pod in ready], dtype=np.int64),
            count,
        )
        return None if going is None else going.tolist()

    async def _send(self, changes: Sequence[_Change]) -> None:
        """Sends what can be sent within a moment."""
        failures: list[str] = []
        try:
            async with asyncio.timeout(MOMENT_S):
                await asyncio.gather(*(self._patch(*change, failures) for change in changes[:MARKS_MOST]))
        except TimeoutError:
            failures.append("the API server took too long")
        if failures:
            _LOG.warning("pods not marked", extra={"pods": len(failures), "error": failures[0]})

    async def _patch(self, pod: Pod, annotations: Mapping[str, str | None], failures: list[str]) -> None:
        if not self._api.has_room(Lane.SPARE, MOMENT_S):
            return
        change: dict[str, Any] = {"metadata": {"uid": pod.uid, "annotations": dict(annotations)}}
        try:
            await self._api.merge(path_of("v1", "pods", *pod.key), change, lane=Lane.SPARE)
        except LullError as error:
            failures.append(f"{pod.key}: {error}")
