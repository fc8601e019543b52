"""Pods that became Ready, as starts to learn from. Fed by the loop with the pods of every model; concludes nothing.

Times are those that the cluster wrote into the pods, so a start is told alike by an operator that watched it and by one
that came later. Only Ready is told anew whenever it flaps: of a pod first seen after it flapped the start looks longer
than it was, and beyond an hour it is left out.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Final, TypeVar

from lull.adapters.objects import Pod
from lull.model.start import LONGEST_S, Start

PULL_S: Final = 5.0
"""Fewest seconds between node and running container that can have held a pull worth telling apart."""

SKEW_S: Final = 5.0
"""Seconds that clocks of nodes may differ by: a phase that is negative by no more took no time."""

IMAGES_MOST: Final = 50_000
"""Images, and pairs of node and image, that are remembered; the longest known go first."""

_SPARE: Final = 1000


class Startups:
    """What was seen of pods so far, so that each counts once and a first pull is known as such."""

    def __init__(self) -> None:
        self._judged: set[tuple[str, str]] = set()
        """Models and pods of theirs that were looked at, by uid."""
        self._models: set[str] = set()
        self._there_since_s: dict[tuple[str, str], float] = {}
        self._anywhere_since_s: dict[str, float] = {}

    def starts_of(self, pods: Mapping[str, Iterable[Pod]]) -> list[Start]:
        """Starts of pods that are Ready for the first time, in that order; failed and absurd ones are left out.

        Args:
            pods: live ones by the uid of their model. A model that is missing is forgotten, and its pods are told anew
                when it comes back: the planner's memory does the same.
        """
        self._forget_models(pods.keys())
        live = [(uid, pod) for uid, of_model in pods.items() for pod in of_model]
        fresh = [(uid, pod) for uid, pod in live if (uid, pod.uid) not in self._judged]
        for _, pod in fresh:
            self._note_image(pod)
        ready = [(pod.ready_since_s, uid, pod) for uid, pod in fresh if pod.ready_since_s is not None]
        ready.sort(key=lambda found: found[0])
        self._judged.update((uid, pod.uid) for _, uid, pod in ready)
        self._forget_gone(live)
        return [start for _, uid, pod in ready if (start := self._start_of(uid, pod)) is not None]

    def _start_of(self, uid: str, pod: Pod) -> Start | None:
        created_s, scheduled_s, started_s, ready_s = (
            pod.created_at_s,
            pod.scheduled_at_s,
            pod.started_at_s,
            pod.ready_since_s,
        )
        if created_s is None or scheduled_s is None or started_s is None or ready_s is None or pod.restarts > 0:
            return None
        phases_s = (scheduled_s - created_s, started_s - scheduled_s, ready_s - started_s)
        if min(phases_s) < -SKEW_S or not 0.0 <= ready_s - created_s <= LONGEST_S:
            return None
        scheduling_s, image_s, loading_s = (max(0.0, phase_s) for phase_s in phases_s)
        return Start(
            uid,
            scheduling_s,
            image_s,
            loading_s,
            is_cold_node=image_s >= PULL_S and self._had_to_pull(pod),
            is_first=pod.image is not None and scheduled_s < self._anywhere_since_s.get(pod.image, math.inf),
            is_pull_alone=not pod.has_init,
        )

    def _had_to_pull(self, pod: Pod) -> bool:
        """Whether the pod came to its node before any container of its image had run there."""
        if pod.node is None or pod.image is None or pod.scheduled_at_s is None:
            return False
        return pod.scheduled_at_s < self._there_since_s.get((pod.node, pod.image), pod.scheduled_at_s)

    def _note_image(self, pod: Pod) -> None:
        if pod.node is None or pod.image is None or pod.started_at_s is None:
            return
        there, since_s = (pod.node, pod.image), pod.started_at_s
        _note(self._there_since_s, there, since_s)
        _note(self._anywhere_since_s, pod.image, since_s)

    def _forget_models(self, alive: Collection[str]) -> None:
        if not self._models <= set(alive):
            self._judged = {(uid, pod) for uid, pod in self._judged if uid in alive}
        self._models = set(alive)

    def _forget_gone(self, live: list[tuple[str, Pod]]) -> None:
        """Forgets pods by the hundred: those that the mirror lacks for a moment are not counted twice."""
        if len(self._judged) > 2 * len(live) + _SPARE:
            self._judged &= {(uid, pod.uid) for uid, pod in live}


_Known = TypeVar("_Known", bound=Hashable)


def _note(since_s: dict[_Known, float], what: _Known, at_s: float) -> None:
    since_s[what] = min(at_s, since_s.get(what, at_s))
    if len(since_s) > IMAGES_MOST:
        del since_s[next(iter(since_s))]
