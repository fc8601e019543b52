"""Where policies stand: the point each was scored at, its front, and how far it is from the clairvoyant. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from lull.model.arrays import F64
from lull.replay.contenders import CLAIRVOYANT
from lull.replay.lives import Life
from lull.replay.optimum import Optimum
from lull.replay.outcome import Outcome

WISHES: Final = (0.005, 0.01)
"""Missed shares at which fronts are compared, beside the objective."""

CLOSE: Final = 10.0
"""Points of a front whose misses differ by no more than this factor are joined over the logarithm of the misses."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a policy did, before it is told what the clairvoyant would have needed."""

    name: str
    knob: float
    """Where its knob stood, NaN = found by itself."""
    chosen: Outcome
    """What it did there on the scored half, columns are series, (M,)."""
    sweep: tuple[tuple[float, Outcome], ...]
    """All values of the knob with what they did on the scored half."""
    front: F64
    """Missed shares, rising, and seconds of idle power, falling, of all points that no other beats, (P, 2)."""

    @property
    def missed_ratio(self) -> float:
        """Share of the requests that missed."""
        return missed_ratio(self.chosen)

    @property
    def uncovered_ratio(self) -> float:
        """Share of the requests beyond what was ready when they came."""
        return share(self.chosen.uncovered.sum(), self.chosen.requests.sum())


@dataclass(frozen=True, slots=True)
class Standing:
    """A policy's result; ratios are of provisioning energy, and NaN where the clairvoyant would need none."""

    entry: Entry
    ratio: float
    """Over the clairvoyant's at as many misses."""
    ratio_uncovered: float
    """Over the clairvoyant's at as many requests beyond what was ready: like for like, for the bound knows no queue."""
    ratios_each: F64
    """Of each series over the clairvoyant's at misses of its own, (M,)."""
    ratio_each: float
    """The same over all series, each at misses of its own."""
    at: Mapping[float, float]
    """Over the clairvoyant's at wished missed shares, read off the front; NaN where it does not get there."""


@dataclass(frozen=True, slots=True)
class Questions:
    """Missed shares at which the clairvoyant is asked for its least energy."""

    entries: Sequence[Entry]
    wishes: Sequence[float]

    @property
    def of_fleet(self) -> F64:
        """For the fleet: at each entry's misses, at what each left uncovered, and at the wishes, (2 * E + W,)."""
        missed = [entry.missed_ratio for entry in self.entries]
        return np.array([*missed, *(entry.uncovered_ratio for entry in self.entries), *self.wishes])

    @property
    def of_each(self) -> F64:
        """For each series at its own misses in each entry, (E, M)."""
        return np.array([shares(entry.chosen.missed, entry.chosen.requests) for entry in self.entries])

    def answered(self, least_s: F64, least_each_s: F64) -> tuple[Standing, ...]:
        """Standings of the entries, from the least energies at `of_fleet` and `of_each`."""
        at_missed, at_uncovered, at_wish = np.split(least_s, [len(self.entries), 2 * len(self.entries)])
        standings = []
        for row, entry in enumerate(self.entries):
            energy_s = float(entry.chosen.provisioning_s.sum())
            # the clairvoyant's front is known everywhere, not only at its corners
            front_s = at_wish if entry.name == CLAIRVOYANT else [provisioning_at(entry.front, w) for w in self.wishes]
            at = {w: share(s, least) for w, s, least in zip(self.wishes, front_s, at_wish, strict=True)}
            standings.append(
                Standing(
                    entry=entry,
                    ratio=share(energy_s, at_missed[row]),
                    ratio_uncovered=share(energy_s, at_uncovered[row]),
                    ratios_each=shares(entry.chosen.provisioning_s, least_each_s[row]),
                    ratio_each=share(energy_s, least_each_s[row].sum()),
                    at=at,
                )
            )
        return tuple(standings)


def entry_of(life: Life, objective_ratio: float) -> Entry:
    """A policy at the point it chose, or was given, on the training half."""
    place = pick(life, objective_ratio)
    points = np.array([[missed_ratio(outcome), outcome.provisioning_s.sum()] for outcome in life.scored])
    return Entry(
        name=life.name,
        knob=life.knobs[place],
        chosen=life.scored[place],
        sweep=tuple(zip(life.knobs, life.scored, strict=True)),
        front=pareto(points),
    )


def entry_of_best(best: Optimum) -> Entry:
    """The clairvoyant at the cheapest of its schedules that keep to the objective."""
    corners = np.stack([best.missed_ratio, best.provisioning_s], axis=1)
    return Entry(CLAIRVOYANT, math.nan, best.chosen, (), pareto(corners))


def pick(life: Life, objective_ratio: float) -> int:
    """Place of the knob that a policy goes into the scored half with.

    Of those that keep to the objective on the training half the one with the least energy, where none does the one
    that misses least. What finds its knob by itself is not tuned.
    """
    if math.isnan(life.knobs[-1]):
        return len(life.knobs) - 1
    missed = [missed_ratio(outcome) for outcome in life.training]
    energy_s = [float(outcome.provisioning_s.sum()) for outcome in life.training]
    within = [place for place, share in enumerate(missed) if share <= objective_ratio]
    if within:
        return min(within, key=lambda place: energy_s[place])
    return min(range(len(missed)), key=lambda place: (missed[place], energy_s[place]))


def missed_ratio(outcome: Outcome) -> float:
    """Share of all requests that missed; NaN where there were none."""
    return share(outcome.missed.sum(), outcome.requests.sum())


def pareto(points: F64) -> F64:
    """Points of misses and energy, (P, 2), without those that another beats or equals in both, misses rising."""
    kept: list[F64] = []
    for point in points[np.lexsort((points[:, 1], points[:, 0]))]:
        if not kept or point[1] < kept[-1][1]:
            kept.append(point)
    return np.array(kept)


def provisioning_at(front: F64, wish: float) -> float:
    """Energy at a missed share, read off the points of a front.

    Between two points that are close, straight over the logarithm of the misses, as fronts nearly are. Between others
    straight over the misses, which is what going with the one for a part of the time and with the other for the rest
    comes to; the logarithm would promise there what no setting reaches. NaN where even the most generous point misses
    more than is wished. Where the laxest one misses less, that one counts.
    """
    missed, energy_s = front[:, 0], front[:, 1]
    if wish < missed[0]:
        return math.nan
    behind = int(np.searchsorted(missed, wish))
    if behind == len(missed) or missed[behind] == wish:
        return float(energy_s[min(behind, len(missed) - 1)])
    low, high = float(missed[behind - 1]), float(missed[behind])
    is_close = low > 0.0 and high / low <= CLOSE
    part = math.log(wish / low) / math.log(high / low) if is_close else (wish - low) / (high - low)
    return float(energy_s[behind - 1] + part * (energy_s[behind] - energy_s[behind - 1]))


def share(part: float, whole: float) -> float:
    """A quotient; NaN of nothing."""
    return float(part) / float(whole) if whole > 0.0 else math.nan


def shares(part: F64, whole: F64) -> F64:
    """Quotients, (M,); NaN of nothing."""
    found: F64 = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0.0)
    return found
