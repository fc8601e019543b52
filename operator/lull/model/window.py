"""What one look tells of the replicas of each model, so that it can be learned what one of them can do."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from lull.model.arrays import F64, I64, Bools, Objects


@dataclass(frozen=True, slots=True)
class Window:
    """One look at all replicas of each model together, (N,); NaN = unknown."""

    stated: Objects
    """What the spec says of the capacity; the learning starts anew where it says something else than before."""
    is_prior: Bools
    """Whether the spec states a capacity at all."""
    revision: Objects
    """Revision of the pod template that all Ready pods are of; empty = unknown, or they are of several."""
    nominal_rps: F64
    """What one replica can do as it is stated, or as one request at a time has it; NaN = no law of slots sizes it."""
    limit_rps: F64
    """What a replica is given at most as it is sized now."""
    slots: F64
    """Requests that one replica works on at the same time, at least 1."""
    completions_rps: F64
    """Mean over the rate window, of pods that went meanwhile too."""
    backlog: F64
    """Requests waiting now, those being worked on not counted."""
    growth_rps: F64
    """Growth of the backlog over the rate window."""
    service_s: F64
    """Mean seconds of work on a request, as the server tells it."""
    has_wait: Bools
    """Whether that contains the wait."""
    ready: F64
    """Replicas that are Ready now."""
    is_complete: Bools
    """Whether nothing is missing or stale in the numbers; what is incomplete teaches nothing."""
    span_s: float
    """Length of the rate window."""

    @staticmethod
    def unseen(width: int, span_s: float) -> Window:
        """A look that saw nothing."""
        unknown, nothing, no = np.full(width, np.nan), np.full(width, "", dtype=object), np.zeros(width, dtype=bool)
        return Window(nothing, no, nothing, *(unknown,) * 7, no, unknown, no, span_s)

    def spread(self, at: I64, width: int) -> Window:
        """The same with model i in column ``at[i]`` of ``width``; in the other columns nothing was seen."""
        wide = Window.unseen(width, self.span_s)
        columns = {f.name: getattr(wide, f.name).copy() for f in fields(Window) if f.name != "span_s"}
        for name, column in columns.items():
            column[at] = getattr(self, name)
        return Window(**columns, span_s=self.span_s)
