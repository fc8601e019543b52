"""What was learned of servers while they served, one element per model. Frozen: learning gives a new value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from lull.model.arrays import F64, I64


@dataclass(frozen=True, slots=True)
class Lines:
    """Straight lines ``y = fixed + slope * x`` through weighted points, (N,); NaN = not known yet."""

    weight: F64
    """Points seen, older ones counting less."""
    mean_x: F64
    mean_y: F64
    spread: F64
    """Weighted sum of ``(x - mean_x)^2``."""
    joint: F64
    """Weighted sum of ``(x - mean_x) * (y - mean_y)``."""
    fixed: F64
    slope: F64
    reach: F64
    """Largest x of late."""

    @staticmethod
    def blank(count: int) -> Lines:
        """Lines through no points."""
        none, unknown = np.zeros(count), np.full(count, np.nan)
        return Lines(none, none, none, none, none, unknown, unknown, unknown)


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned of each model's servers, (N,), aligned with ``uids``; NaN = not known yet."""

    uids: tuple[str, ...]
    pace: Lines
    """Seconds over requests at a time: between tokens over those running, or of an execution over its batch."""
    generated: F64
    """Mean tokens of an answer."""
    prompt: F64
    """Mean tokens of a prompt."""
    prefill_s: F64
    """Mean seconds of work before the first token."""
    pace_tail: F64
    """Time between tokens at an objective's percentile over its mean."""
    answer_tail: F64
    """The same of the time to a whole answer."""
    kv_tokens: F64
    """Tokens that one replica's KV cache holds."""

    @staticmethod
    def nothing(uids: Sequence[str] = ()) -> Learned:
        """Nothing learned of these models."""
        unknown = np.full(len(uids), np.nan)
        return Learned(tuple(uids), Lines.blank(len(uids)), *(unknown,) * 6)

    def of(self, uids: Sequence[str]) -> Learned:
        """The same for these models in this order: those that went are dropped, of new ones nothing is known."""
        if tuple(uids) == self.uids:
            return self
        columns = {uid: i for i, uid in enumerate(self.uids)}
        at = np.array([columns.get(uid, -1) for uid in uids], dtype=np.int64)
        blank = Learned.nothing(uids)
        pace = {f.name: _taken(getattr(self.pace, f.name), at, getattr(blank.pace, f.name)) for f in fields(Lines)}
        rest = {
            f.name: _taken(getattr(self, f.name), at, getattr(blank, f.name))
            for f in fields(Learned)
            if f.name not in ("uids", "pace")
        }
        return Learned(tuple(uids), Lines(**pace), **rest)

    def beside(self, other: Learned) -> Learned:
        """These models and the other ones."""
        if not other.uids:
            return self
        pace = {f.name: np.append(getattr(self.pace, f.name), getattr(other.pace, f.name)) for f in fields(Lines)}
        rest = {
            f.name: np.append(getattr(self, f.name), getattr(other, f.name))
            for f in fields(Learned)
            if f.name not in ("uids", "pace")
        }
        return Learned(self.uids + other.uids, Lines(**pace), **rest)


def _taken(values: F64, at: I64, otherwise: F64) -> F64:
    padded = np.append(values, np.nan)
    return np.where(at >= 0, padded[at], otherwise)
