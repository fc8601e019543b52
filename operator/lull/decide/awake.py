"""What is remembered of a model for the time it sleeps: its size in use, and the pod template that was seen to work.

A template that changed while the model slept is tried at once, by a start that nobody asked for: else the first request
would find out that it does not start. Called by ``cycle`` and ``decide.zero``.
"""

from __future__ import annotations

from lull.model.fleet import LastAwake, ModelView


def last_awake(model: ModelView, *, is_used: bool) -> LastAwake | None:
    """What shall be known when the model sleeps; None where sleep is off or nothing is known of its target.

    A size that nobody uses, as of the one replica that proves a template, is remembered only where no other is.

    Args:
        model: what was seen.
        is_used: whether anything is known to be wanted of it.
    """
    target, before = model.target, model.last_awake.replicas
    if model.front is None or target is None:
        return None
    replicas = (target.replicas or before) if is_used else (before or target.replicas or None)
    return LastAwake(replicas, _proven(model))


def is_unproven(model: ModelView) -> bool:
    """Whether the pod template is known to be another than the one that was seen to work."""
    proven = _proven(model)
    return model.target is not None and None not in (proven, model.target.template) and proven != model.target.template


def _proven(model: ModelView) -> str | None:
    """Digest of the newest template that was Ready; one that a model already slept with is taken for such."""
    target, before = model.target, model.last_awake.template
    if target is None or target.template is None:
        return before
    is_asleep_already = before is None and target.replicas == 0
    return target.template if target.is_rolled_out or is_asleep_already else before
