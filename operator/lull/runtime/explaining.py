"""Answers why a model has as many replicas as it has, between two rounds of the loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from lull.model.spec import InferenceDeployment, Key
from lull.recall import recall
from lull.render.explanation import explanation_of
from lull.runtime.loop import Loop

_LISTED: Final = 20

Answer = tuple[int, dict[str, Any]]
"""An HTTP status and a body."""


async def explain(loop: Loop, key: Key) -> Answer:
    """All that the latest round concluded about a model, and what the memory knows of it.

    The memory has one writer, the loop, which writes with ``memory_lock`` held; what is needed is copied with the same
    lock held, in one turn of the event loop. So it is of one moment, after the round that it is told with, and the loop
    waits some milliseconds for it at most. All else that is read here is frozen.

    Returns:
        200 and the explanation, 404 where there is no such model, or 503 where it was not planned yet; the last two
        with a ``message``.
    """
    async with loop.memory_lock:
        plan, model, now_s = loop.exposition.plan, loop.mirror.models.get(key), loop.clock()
        if model is None:
            return 404, {"message": _unknown(loop, key)}
        if plan is None or key not in plan.models:
            return 503, {"message": f"{key} was not planned yet; ask again in {loop.settings.tick_s:g} s"}
        remembered = None
        if isinstance(model, InferenceDeployment):
            remembered = recall(loop.memory, plan, model, loop.settings.tick_s, now_s)
    return 200, explanation_of(model, plan, remembered, loop.settings, now_s)


def _unknown(loop: Loop, key: Key) -> str:
    names = sorted(other.name for other in loop.mirror.models if other.namespace == key.namespace)
    spaces = sorted({other.namespace for other in loop.mirror.models})
    told = f"there is no InferenceDeployment {key}"
    if names:
        return f"{told}; namespace {key.namespace} has {_listed(names)}"
    return f"{told}; there are some in the namespaces {_listed(spaces)}" if spaces else f"{told}, nor any other"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
