"""How long a replica takes to become Ready, learned per model from the starts that were seen.

The logarithm of a start's seconds is taken as normal: per model and per kind of node its mean and variance are carried
along with fading weights (Welford's update). Few starts of one model are helped out by those of its group, and those by
a prior: the mean is the posterior of a normal mean whose prior is the group's, with the variance between models known
(Gelman and others, "Bayesian Data Analysis", on hierarchical normal models). Above what the law says stands the longest
start of late, since node shortages and slow registries are in no law.

Warm nodes had the image, cold ones had to pull it; the two are learned apart. A start on a cold node also shows what
one on a warm node takes: all of it but the pull, where no init container hides how long that was. Which kind the next
start meets is not known, so what is planned with is a quantile of both, mixed by how often each was met. The loop is
the only writer.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import ClassVar, Final

import numpy as np

from lull.model.arrays import F64, I64, Bools
from lull.model.columns import place, widen
from lull.model.start import LONGEST_S, Start, StartSummary

MEMORY: Final = 0.95
"""Weight that a start keeps with each one after it: half of all weight lies on the last 14."""

BETWEEN: Final = 0.6
"""Standard deviation of ln(seconds) between models of one group. With the spread of one model's own starts a model of
which nothing is known is thus planned with three times the prior at its 95th percentile."""

WITHIN: Final = 0.25
"""Standard deviation of ln(seconds) between starts of one model, before any were seen ..."""

WITHIN_STARTS: Final = 4.0
"""... and for how many starts that counts."""

PRIOR_MODELS: Final = 2.0
"""Models that the prior counts for in its group."""

COLD_TIMES: Final = 3.0
"""Times the prior that a start takes on a node without the image, before any were seen."""

COLD_SHARE: Final = 0.05
"""Share of starts that meet such a node, before any were seen: few, as the scheduler prefers nodes with the image, and
the one that a model has just left has it ..."""

COLD_STARTS: Final = 2.0
"""... and for how many starts that counts."""

_NO_PULL: Final = np.array([1.0, 0.0, 1.0])
"""What of the phases is left where the image is there."""

_WRITTEN: Final = ("seen", "weight", "mean", "spread", "longest", "met", "phases_s")

_SHORTEST_S: Final = 1.0
"""Kubernetes tells whole seconds."""

_WARM: Final = 0
_COLD: Final = 1
_HALVINGS: Final = 24


class StartTimes:
    """Distributions of start-up time.

    Args:
        width: number of models.
        prior_s: median start on a node that has the image, of models of which nothing is known.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("group", "seen", "weight", "mean", "spread", "longest", "phases_s", "met")

    def __init__(self, width: int, *, prior_s: float = 60.0) -> None:
        self._priors_s = (prior_s, COLD_TIMES * prior_s)
        self.group: I64 = np.zeros(width, dtype=np.int64)
        """Models that are alike, such as those of one runtime; from 0."""
        self.seen: F64 = np.zeros(width)
        """Starts seen, older ones counting less."""
        self.weight: F64 = np.zeros((2, width))
        """What is known of starts on warm and cold nodes, in starts, older ones counting less."""
        self.mean: F64 = np.zeros((2, width))
        """Mean of ln(seconds)."""
        self.spread: F64 = np.zeros((2, width))
        """Weighted sum of squared distances from that mean."""
        self.longest: F64 = np.full((2, width), -np.inf)
        """Longest ln(seconds) of late; it sinks towards the mean."""
        self.phases_s: F64 = np.full((2, 3, width), np.nan)
        """Mean seconds of scheduling, image and loading; NaN = no start seen."""
        self.met: F64 = np.zeros((2, width))
        """Starts that met warm and cold nodes, older ones of either kind counting less; first pulls do not count."""
        self._told: dict[float, F64] = {}
        self._texts: dict[int, str] = {}

    def resize(self, width: int) -> None:
        """Grows to ``width`` models; of the new ones nothing is known."""
        widen(self, StartTimes(width - len(self.group)))
        self._told.clear()

    def forget(self, columns: I64) -> None:
        """Makes columns as new."""
        place(self, columns, StartTimes(1))
        self._told.clear()
        self._texts.clear()

    def assign(self, columns: I64, groups: I64) -> None:
        """Says which group each of those columns belongs to."""
        self.group[columns] = groups
        self._told.clear()

    def learn(self, starts: Sequence[Start], columns: Mapping[str, int]) -> None:
        """Takes in starts in the order they came; absurd ones and those of models without a column are left out."""
        taken = [start for start in starts if start.model_uid in columns and _is_sane(start)]
        for starts_each in _in_turn([start for start in taken if start.is_cold_node and start.is_pull_alone]):
            at, _, phases_s = _columns(starts_each, columns)
            self._learn_law(np.full(len(at), _WARM), at, phases_s * _NO_PULL)
        for starts_each in _in_turn(taken):
            at, kind, phases_s = _columns(starts_each, columns)
            self._learn_law(kind, at, phases_s)
            # That no node had the image is true once: it tells nothing of what later starts meet.
            is_telling = np.array([not (start.is_first and start.is_cold_node) for start in starts_each])
            self._count(kind, at, phases_s, is_telling)
        self._told.clear()
        for start in taken:
            self._texts.pop(columns[start.model_uid], None)

    @property
    def known(self) -> Bools:
        """Models of which a start was seen, (N,)."""
        return np.greater(self.seen, 0.0)

    @property
    def cold_ratio(self) -> F64:
        """Chance that a start meets a node without the image, (N,)."""
        ratio: F64 = (COLD_STARTS * COLD_SHARE + self.met[_COLD]) / (COLD_STARTS + self.met.sum(axis=0))
        return ratio

    def lead_s(self, quantile: float) -> F64:
        """Seconds within which a start is done in that share of cases, whatever node it meets, (N,).

        A quantile that the starts seen are too few for is at least the longest of them: of n values the largest lies
        near the quantile n / (n + 1), and n / (n + 2) is taken.

        Args:
            quantile: above 0 to below 1.
        """
        if quantile not in self._told:
            told = self._mixed(quantile)
            guarded = np.maximum(told, np.exp(self.longest.max(axis=0)))
            told = np.where(self.known & (quantile >= self.seen / (self.seen + 2.0)), guarded, told)
            told.flags.writeable = False
            self._told[quantile] = told
        return self._told[quantile]

    def kind_s(self, quantile: float, *, is_cold_node: bool) -> F64:
        """The same of starts on one kind of node alone, as the law has it, (N,)."""
        centre, deviation = self._laws()
        kind = _COLD if is_cold_node else _WARM
        seconds: F64 = np.exp(centre[kind] + NormalDist().inv_cdf(quantile) * deviation[kind])
        return seconds

    @property
    def expected_s(self) -> F64:
        """Mean seconds of a start, whatever node it meets, (N,): of a lognormal law ``exp(mean + variance / 2)``."""
        centre, deviation = self._laws()
        warm, cold = np.exp(centre + deviation**2 / 2.0)
        expected: F64 = warm + self.cold_ratio * (cold - warm)
        return expected

    def summary(self, column: int) -> StartSummary:
        """All that is known of one model's starts."""
        warm, cold = (self.kind_s(0.5, is_cold_node=is_cold)[column] for is_cold in (False, True))
        phases_s = self.phases_s[_WARM if self.met[_WARM, column] > 0.0 else _COLD, :, column]
        scheduling_s, image_s, loading_s = (None if np.isnan(phase_s) else float(phase_s) for phase_s in phases_s)
        return StartSummary(
            seen=float(self.seen[column]),
            p50_s=float(self.lead_s(0.5)[column]),
            p95_s=float(self.lead_s(0.95)[column]),
            expected_s=float(self.expected_s[column]),
            warm_p50_s=float(warm),
            cold_p50_s=float(cold),
            cold_ratio=float(self.cold_ratio[column]),
            scheduling_s=scheduling_s,
            image_s=image_s,
            loading_s=loading_s,
        )

    def written(self, column: int) -> str:
        """All that was learned of one model, for ``recall``: numbers to four digits, in the order of the columns."""
        if column not in self._texts:
            numbers = np.concatenate([np.ravel(getattr(self, name)[..., column]) for name in _WRITTEN])
            self._texts[column] = " ".join(f"{value:.4g}" for value in numbers.tolist())
        return self._texts[column]

    def recall(self, column: int, written: str) -> bool:
        """Takes what was ``written`` of a model for its own; returns whether it could be read."""
        parts = {name: np.shape(getattr(self, name)[..., column]) for name in _WRITTEN}
        try:
            numbers = np.array([float(word) for word in written.split()])
        except ValueError:
            return False
        ends = np.cumsum([math.prod(shape) for shape in parts.values()])
        if len(numbers) != ends[-1] or not 0.0 < numbers[0] < math.inf:
            return False
        for (name, shape), values in zip(parts.items(), np.split(numbers, ends[:-1]), strict=True):
            getattr(self, name)[..., column] = values.reshape(shape)
        self._told.clear()
        self._texts.pop(column, None)
        return True

    def _learn_law(self, kind: I64, at: I64, phases_s: F64) -> None:
        seconds = _log_of(phases_s)
        weight = MEMORY * self.weight[kind, at] + 1.0
        ahead = seconds - self.mean[kind, at]
        mean = self.mean[kind, at] + ahead / weight
        self.weight[kind, at], self.mean[kind, at] = weight, mean
        self.spread[kind, at] = MEMORY * self.spread[kind, at] + ahead * (seconds - mean)
        before_s = self.phases_s[kind, :, at]
        blended_s = before_s + (phases_s - before_s) / weight[:, None]
        self.phases_s[kind, :, at] = np.where(np.isnan(before_s), phases_s, blended_s)

    def _count(self, kind: I64, at: I64, phases_s: F64, is_telling: Bools) -> None:
        self.seen[at] = MEMORY * self.seen[at] + 1.0
        self.met[:, at] *= MEMORY
        self.met[kind, at] += is_telling
        mean, longest = self.mean[kind, at], self.longest[kind, at]
        sunk = np.where(np.isinf(longest), -np.inf, mean + MEMORY * (longest - mean))
        seconds = np.where(is_telling, _log_of(phases_s), -np.inf)
        self.longest[kind, at] = np.maximum(seconds, sunk)

    def _mixed(self, quantile: float) -> F64:
        """Quantile of the mixture of both kinds, by bisection between the quantiles of the two."""
        centre, deviation = self._laws()
        cold = self.cold_ratio
        edges = centre + NormalDist().inv_cdf(quantile) * deviation
        low, high = edges.min(axis=0), edges.max(axis=0)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2.0
            below = _normal_share((middle - centre) / deviation)
            is_low = (1.0 - cold) * below[_WARM] + cold * below[_COLD] < quantile
            low, high = np.where(is_low, middle, low), np.where(is_low, high, middle)
        mixed: F64 = np.exp(high)
        return mixed

    def _laws(self) -> tuple[F64, F64]:
        """Mean and standard deviation of ln(seconds) of the next start, (2, N) each."""
        free = np.maximum(self.weight - 1.0, 0.0)
        own = self.spread + WITHIN_STARTS * WITHIN**2
        variance = own / (WITHIN_STARTS + free)
        shrink = variance / BETWEEN**2
        centre = (shrink * self._group_means() + self.weight * self.mean) / (shrink + self.weight)
        # A node without the image does all that one with it does, and the pull.
        centre[_COLD] = np.maximum(centre[_COLD], centre[_WARM])
        return centre, np.sqrt(variance * (1.0 + 1.0 / (shrink + self.weight)))

    def _group_means(self) -> F64:
        """Mean ln(seconds) of each model's group, (2, N); a model with many starts counts hardly more than with few."""
        counts = self.weight / (self.weight + 1.0)
        means = []
        for kind, prior_s in enumerate(self._priors_s):
            models = PRIOR_MODELS + np.bincount(self.group, counts[kind])
            total = PRIOR_MODELS * np.log(prior_s) + np.bincount(self.group, counts[kind] * self.mean[kind])
            means.append((total / models)[self.group])
        return np.stack(means)


def _is_sane(start: Start) -> bool:
    return min(start.scheduling_s, start.image_s, start.loading_s) >= 0.0 and start.total_s <= LONGEST_S


def _log_of(phases_s: F64) -> F64:
    """Of (S, 3) phases the ln(seconds) of the whole start, (S,)."""
    logarithm: F64 = np.log(np.maximum(phases_s.sum(axis=1), _SHORTEST_S))
    return logarithm


def _in_turn(starts: Iterable[Start]) -> list[list[Start]]:
    """In lists with one start of a model each, so that many at once are a few array steps."""
    turns: list[list[Start]] = []
    before: Counter[str] = Counter()
    for start in starts:
        if before[start.model_uid] == len(turns):
            turns.append([])
        turns[before[start.model_uid]].append(start)
        before[start.model_uid] += 1
    return turns


def _columns(starts: Sequence[Start], columns: Mapping[str, int]) -> tuple[I64, I64, F64]:
    """Column of the model, kind of node, and phases, (S,), (S,), (S, 3)."""
    return (
        np.array([columns[start.model_uid] for start in starts], dtype=np.int64),
        np.array([_COLD if start.is_cold_node else _WARM for start in starts], dtype=np.int64),
        np.array([(start.scheduling_s, start.image_s, start.loading_s) for start in starts]),
    )


def _normal_share(z: F64) -> F64:
    """Share of the normal law below z, within 0.0002 (Bowling and others' logistic approximation, 2009)."""
    z = np.clip(z, -8.0, 8.0)
    return 1.0 / (1.0 + np.exp(-(0.07056 * z**3 + 1.5976 * z)))
