"""What is expected to be wanted over the rest of a period, and the plan by which its amount is spent.

From the mean of each hour of the day as it was learned, moved by how far the last while was from it; such a distance
is forgotten within some hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from lull.model.arrays import F64, I64
from lull.model.spending import HOURS, Wanted

_HOUR_S: Final = 3600.0
_FORGETS_S: Final = 18.0 * 3600.0
"""Time constant with which today's distance from other days is forgotten."""


@dataclass(frozen=True, slots=True)
class Course:
    """Expected power of groups of models along the time ahead."""

    edges_s: F64
    """Seconds since 1970, (H + 1,)."""
    want_w: F64
    """Mean between two edges, (H, G)."""
    sd_w: F64
    """Standard deviation of each group, taken to last the whole time, (G,)."""

    @property
    def lasts_s(self) -> F64:
        """Length of each stretch, (H,)."""
        return np.diff(self.edges_s)

    def until(self, end_s: float) -> Course:
        """The same, cut off at a time within it."""
        stretches = max(int(np.searchsorted(self.edges_s, end_s)), 1)
        edges_s = np.append(self.edges_s[:stretches], end_s)
        return Course(edges_s, self.want_w[:stretches], self.sd_w)


def course(wanted: Wanted, now_w: F64, group: I64, groups: int, now_s: float, end_s: float) -> Course:
    """What is expected from now on.

    Args:
        wanted: what was learned of the models, N of them.
        now_w: what each wants now, (N,); it stands for what was not learned.
        group: of each, from 0, (N,).
        groups: how many there are, G.
        now_s: seconds since 1970.
        end_s: the same; later than now.
    """
    level_w = filled(wanted.level_w, now_w)
    recent_w = np.where(np.isnan(wanted.recent_w), now_w, wanted.recent_w)
    away_w = recent_w - level_w[_hour(now_s)]
    by_hour = np.array([np.bincount(group, row, minlength=groups) for row in level_w]).reshape(HOURS, groups)
    edges_s = hours_between(now_s, end_s)
    middle_s = (edges_s[:-1] + edges_s[1:]) / 2.0
    fades = np.exp(-(middle_s - now_s) / _FORGETS_S)
    away = np.bincount(group, away_w, minlength=groups)
    hour = (middle_s // _HOUR_S).astype(np.int64) % HOURS
    want_w = np.maximum(by_hour[hour] + fades[:, None] * away, 0.0)
    variance = np.bincount(group, np.nan_to_num(wanted.sd_w) ** 2, minlength=groups)
    return Course(edges_s, want_w, np.sqrt(variance))


def course_of_past(wanted: Wanted, start_s: float, now_s: float) -> float:
    """Joules that all models would have wanted from then until now by what was learned of them."""
    if not start_s < now_s:
        return 0.0
    edges_s = hours_between(start_s, now_s)
    hour = ((edges_s[:-1] + edges_s[1:]) / 2.0 // _HOUR_S).astype(np.int64) % HOURS
    level_w = filled(wanted.level_w, np.nan_to_num(wanted.recent_w)).sum(axis=1)
    return float(np.diff(edges_s) @ level_w[hour])


def filled(level_w: F64, now_w: F64) -> F64:
    """Levels with the mean of the known hours for those not known, and with what is wanted now where none is."""
    is_known = ~np.isnan(level_w)
    count = is_known.sum(axis=0)
    mean_w = np.where(count > 0, np.nansum(level_w, axis=0) / np.maximum(count, 1), now_w)
    return np.where(is_known, level_w, mean_w)


def hours_between(start_s: float, end_s: float) -> F64:
    """Both ends, and the whole hours of UTC between them, (H + 1,)."""
    first = np.floor(start_s / _HOUR_S) + 1.0
    last = np.ceil(end_s / _HOUR_S)
    return np.concatenate([[start_s], np.arange(first, last) * _HOUR_S, [end_s]])


def plan(amount: float, weights: F64) -> F64:
    """Spending plan over stretches of the expected weights, (H,): what may be spent in each; in sum the amount."""
    total = weights.sum()
    if not total > 0.0:
        return np.full(len(weights), amount / max(len(weights), 1))
    shares: F64 = amount * (weights / total)
    return shares


def per_j_ahead(edges_s: F64, per_j: F64) -> F64:
    """Grams or currency per joule in each stretch, (H,), of those by hours from the first edge on, (M,)."""
    middle_s = (edges_s[:-1] + edges_s[1:]) / 2.0
    ahead = ((middle_s - edges_s[0]) // _HOUR_S).astype(np.int64)
    found: F64 = per_j[np.minimum(ahead, len(per_j) - 1)]
    return found


def _hour(at_s: float) -> int:
    return int(at_s // _HOUR_S) % HOURS
