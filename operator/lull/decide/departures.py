"""Which pods shall go when a model gives some up: those with nothing to do, and of these whose going frees a node.

Kubernetes takes pods that are not Ready first, whatever is concluded here. Called by ``runtime.marker``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from lull.model.arrays import F64, I64

IDLE_LOAD: Final = 0.05
"""Requests in hand, in the mean, up to which a pod counts as idle: it has just finished something."""


def departing(load: F64, node: I64, strangers: I64, count: int) -> I64 | None:
    """Chooses who goes.

    ============  ==================  =================  ===============================
    in hand       its node            pods there         goes
    ============  ==================  =================  ===============================
    nothing       would be free       any                first, from the emptiest nodes
    nothing       would not be free   any                next, from the emptiest nodes
    k requests    as above            any                then, those with the fewest
    unknown       as above            any                last: it counts as busiest
    ============  ==================  =================  ===============================

    Args:
        load: requests that each pod has in its queue or works on, (N,); NaN = unknown.
        node: number of each pod's node, (N,); -1 = unknown.
        strangers: pods of all managed models on that node that are not among these and stay, (N,).
        count: how many go.

    Returns:
        Numbers of those that go, (count,), the first to go first and ties in the order given; None where it makes no
        difference who goes.
    """
    if not 0 < count < len(load):
        return None
    level = np.where(np.isnan(load), np.inf, np.ceil(np.maximum(load - IDLE_LOAD, 0.0)))
    at = node + 1
    highest = np.full(int(at.max()) + 1, -np.inf)
    np.maximum.at(highest, at, level)
    # Who is the busiest on its node goes after the others there, and the node is free once it goes.
    stays_used = (strangers > 0) | (node < 0) | (level < highest[at])
    crowd = strangers + np.bincount(at)[at]
    keys = np.stack([level, stays_used, crowd])
    if bool((keys == keys[:, :1]).all()):
        return None
    return np.lexsort((at, crowd, stays_used, level))[:count]
