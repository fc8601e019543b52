"""What happened lately, for the whole fleet in a few arrays.

Time-major rings of float32, NaN for unknown: one row per planning round, one column per model. The loop is the only
writer; the planner reads. Everything in it is rebuilt from nothing after a restart: a fresh column starts cautiously
(``since_s``), so a restart delays scale-in and never causes it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lull.model.arrays import F32, F64, I64


@dataclass(frozen=True, slots=True)
class Observation:
    """One round's row, aligned with ``uids``; NaN = unknown."""

    uids: Sequence[str]
    replicas: F64
    """Replicas there were, before the round acted."""
    need: F64
    """Replicas that serve the demand within the objective."""
    safe: F64
    """Replicas that would still serve it with the scale-in margin."""
    unseen: Collection[str] = ()
    """Uids of models that are there and were not seen this time: what is known of them is kept."""


class History:
    """Rings of the last ``span_s`` seconds.

    Args:
        span_s: how far back a row must reach; the longest stabilisation window the API allows.
        tick_s: seconds between rounds. Rounds that come sooner than half of it share a row, so that a busy hour of
            changed specs does not push the past out of the ring.
        gap_s: an unknown stretch longer than this starts a model's knowledge anew.
    """

    def __init__(self, *, span_s: float, tick_s: float, gap_s: float) -> None:
        self._rows = int(2.0 * span_s / tick_s) + 2
        self._apart_s = tick_s / 2.0
        self._gap_s = gap_s
        self._columns: dict[str, int] = {}
        self._free: list[int] = []
        self._next = 0
        self.times_s: F64 = np.full(self._rows, -np.inf)
        self._rings: dict[str, F32] = {name: self._blank(0) for name in ("replicas", "need", "safe")}
        self._since_s: F64 = np.empty(0)
        self._known_at_s: F64 = np.empty(0)

    def record(self, seen: Observation, now_s: float) -> None:
        """Appends one round and forgets models that are no longer in the fleet."""
        self._forget(set(self._columns).difference(seen.uids, seen.unseen))
        at = self._claim(seen.uids)
        row = self._row(now_s)
        safe = np.fmax(self._rings["safe"][row, at], seen.safe)
        for name, values in (("replicas", seen.replicas), ("need", seen.need), ("safe", safe)):
            self._rings[name][row, at] = values
        known = ~np.isnan(seen.need)
        lapsed = ~(now_s - self._known_at_s[at] <= self._gap_s)
        self._since_s[at] = np.where(known & lapsed, now_s, self._since_s[at])
        self._known_at_s[at] = np.where(known, now_s, self._known_at_s[at])

    def window(self, name: str, uids: Sequence[str], since_s: float) -> tuple[F64, F32]:
        """Rows at or after ``since_s``, oldest first: times (T,) and values (T, N); NaN where unknown.

        A model never recorded is all NaN.
        """
        order = np.argsort(self.times_s, kind="stable")
        order = order[self.times_s[order] >= since_s]
        at = np.array([self._columns.get(uid, -1) for uid in uids], dtype=np.int64)
        values: F32 = np.full((len(order), len(uids)), np.nan, dtype=np.float32)
        there = at >= 0
        values[:, there] = self._rings[name][np.ix_(order, at[there])]
        return self.times_s[order], values

    def known_since_s(self, uids: Sequence[str], now_s: float) -> F64:
        """Start of each model's unbroken stretch of knowledge, (N,); NaN = nothing known, or not for too long."""
        is_unbroken = now_s - self._pick(self._known_at_s, uids) <= self._gap_s
        return np.where(is_unbroken, self._pick(self._since_s, uids), np.nan)

    def known_at_s(self, uids: Sequence[str]) -> F64:
        """When each model's demand was known last, (N,); NaN = never."""
        return self._pick(self._known_at_s, uids)

    def _row(self, now_s: float) -> int:
        """The row of this round: a fresh one, or the last one when that was a moment ago."""
        last = (self._next - 1) % self._rows
        if now_s - self.times_s[last] < self._apart_s:
            return last
        row = self._next
        self._next = (row + 1) % self._rows
        self.times_s[row] = now_s
        for ring in self._rings.values():
            ring[row] = np.nan
        return row

    def _pick(self, values: F64, uids: Sequence[str]) -> F64:
        columns: Mapping[str, int] = self._columns
        return np.array([values[columns[uid]] if uid in columns else np.nan for uid in uids], dtype=np.float64)

    def _blank(self, columns: int) -> F32:
        return np.full((self._rows, columns), np.nan, dtype=np.float32)

    def _claim(self, uids: Sequence[str]) -> I64:
        new = [uid for uid in uids if uid not in self._columns]
        lacking = len(new) - len(self._free)
        if lacking > 0:
            self._grow(max(lacking, len(self._columns) // 2))
        for uid in new:
            self._columns[uid] = self._free.pop()
        return np.array([self._columns[uid] for uid in uids], dtype=np.int64)

    def _grow(self, by: int) -> None:
        width = len(self._since_s)
        self._free.extend(range(width + by - 1, width - 1, -1))
        self._rings = {name: np.concatenate([ring, self._blank(by)], axis=1) for name, ring in self._rings.items()}
        self._since_s = np.concatenate([self._since_s, np.full(by, np.nan)])
        self._known_at_s = np.concatenate([self._known_at_s, np.full(by, np.nan)])

    def _forget(self, uids: set[str]) -> None:
        for uid in uids:
            column = self._columns.pop(uid)
            for ring in self._rings.values():
                ring[:, column] = np.nan
            self._since_s[column] = self._known_at_s[column] = np.nan
            self._free.append(column)
