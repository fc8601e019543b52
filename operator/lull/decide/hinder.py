"""Whether a wake can go on: said within seconds, so that nobody waits for a pod that will not come.

| pods that are not Ready | the workload's pods are refused | the wake |
|---|---|---|
| one or more without hindrance | either | goes on |
| all hindered | either | is blocked by what most of them meet |
| none | for a quota | is blocked: QuotaExceeded |
| none | no, or for something else | goes on |

A wake that goes on may still take longer than a request can wait; that is for ``expectedStart`` to tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from lull.model.fleet import Fault
from lull.model.hindrance import Attempt, Hindrance, Obstacle
from lull.model.reason import Reason

PATIENCE_S: Final = 3.0
"""For how long a pod may find no node before it counts: the scheduler tries again at once when another pod goes, and a
wake often follows a model that has just left. What cannot be pulled has failed already when it is told."""

_QUOTA: Final = "exceeded quota"
"""In the words of the API server's quota plugin, which the Deployment's condition repeats."""
_REASONS: Final = {Obstacle.NODE: Reason.NO_CAPACITY, Obstacle.IMAGE: Reason.IMAGE_PULL}
_MENDS: Final = {
    Obstacle.NODE: "add a node that fits, or let another model give one up",
    Obstacle.IMAGE: "name an image that the node can pull, with the imagePullSecrets that it needs",
}


def blocked_by(attempts: Sequence[Attempt], refusal: str | None, now_s: float) -> Fault | None:
    """Why no pod of a model that has none Ready will become so; None = the wake goes on, as far as is known.

    Args:
        attempts: its pods that are not Ready and not on their way out.
        refusal: why the API server refused to make a pod of the workload; None = it does not.
        now_s: seconds since 1970.
    """
    if not attempts:
        return _refused(refusal)
    lasting = [attempt for attempt in attempts if _lasts(attempt.hindrance, now_s)]
    if len(lasting) < len(attempts):
        return None
    of = Counter(attempt.hindrance.obstacle for attempt in lasting if attempt.hindrance)
    obstacle = max(sorted(of), key=of.__getitem__)
    first = min((a for a in lasting if a.hindrance and a.hindrance.obstacle is obstacle), key=lambda a: a.pod)
    told = first.hindrance.message if first.hindrance else ""
    return Fault(_REASONS[obstacle], f"pod {first.pod} cannot start: {told}; {_MENDS[obstacle]}")


def is_out_of_quota(attempts: Sequence[Attempt], refusal: str | None) -> bool:
    """Whether there is no pod because a quota forbids it; arguments as for ``blocked_by``."""
    return not attempts and refusal is not None and _QUOTA in refusal


def _refused(refusal: str | None) -> Fault | None:
    if not is_out_of_quota((), refusal):
        return None
    return Fault(Reason.QUOTA_EXCEEDED, f"no pod may be made: {refusal}; raise the namespace's ResourceQuota")


def _lasts(hindrance: Hindrance | None, now_s: float) -> bool:
    if hindrance is None:
        return False
    if hindrance.obstacle is Obstacle.IMAGE or hindrance.since_s is None:
        return True
    return now_s - hindrance.since_s >= PATIENCE_S
