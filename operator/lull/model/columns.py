"""Which column of the arrays over models belongs to whom, and how such arrays grow.

A part that learns keeps arrays whose last axis is the models and names them in ``COLUMNS``; it can then be widened,
and single columns be made as new or be taken over from another one of its kind.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar, Protocol

import numpy as np

from lull.model.arrays import I64


class Part(Protocol):
    """Something with arrays over models."""

    COLUMNS: ClassVar[tuple[str, ...]]
    """Names of its arrays over models."""


def widen(part: Part, fresh: Part) -> None:
    """Appends the columns of ``fresh``, a new part of the same kind that is as wide as what is lacking."""
    for name in part.COLUMNS:
        setattr(part, name, np.concatenate([getattr(part, name), getattr(fresh, name)], axis=-1))


def place(part: Part, at: I64, other: Part) -> None:
    """Overwrites the columns ``at``, (N,), with those of ``other``, N in their order or one for all."""
    for name in part.COLUMNS:
        getattr(part, name)[..., at] = getattr(other, name)


class Columns:
    """Hands out columns by uid; those of the gone are used again."""

    def __init__(self) -> None:
        self._at: dict[str, int] = {}
        self._free: list[int] = []
        self.width = 0

    def __contains__(self, uid: str) -> bool:
        return uid in self._at

    @property
    def uids(self) -> Collection[str]:
        """Whose columns there are."""
        return self._at.keys()

    def claim(self, uids: Sequence[str]) -> I64:
        """Columns of those uids, (N,); who has none gets one. ``width`` tells afterwards how wide arrays must be."""
        new = [uid for uid in dict.fromkeys(uids) if uid not in self._at]
        lacking = len(new) - len(self._free)
        if lacking > 0:
            # By half at least, so that a fleet that grows one by one does not copy its past each time.
            by = max(lacking, self.width // 2)
            self._free.extend(range(self.width + by - 1, self.width - 1, -1))
            self.width += by
        for uid in new:
            self._at[uid] = self._free.pop()
        return np.array([self._at[uid] for uid in uids], dtype=np.int64)

    def find(self, uids: Sequence[str]) -> I64:
        """Columns of those uids, (N,); -1 = has none."""
        at: Mapping[str, int] = self._at
        return np.array([at.get(uid, -1) for uid in uids], dtype=np.int64)

    def free(self, uids: Collection[str]) -> I64:
        """Takes the columns back; returns which, to be made as new."""
        gone = [self._at.pop(uid) for uid in uids if uid in self._at]
        self._free.extend(gone)
        return np.array(gone, dtype=np.int64)
