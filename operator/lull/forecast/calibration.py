"""Quantiles kept honest online, and the experts mixed by the loss that is used.

A tracker moves a quantile up by a step whenever it was too low, and down by a smaller one whenever it was not, so that
in the long run the right share lies below it, whatever the forecast (online conformal inference; Gibbs and Candes,
"Adaptive conformal inference under distribution shift"). Each expert has trackers of its own. Their quantiles are mixed
with weights that shrink exponentially with their pinball loss, with a fixed share so that none is ever lost (Herbster
and Warmuth, "Tracking the best expert"; experts without a forecast sleep, as in Freund and others, "Using and combining
predictors that specialize"). Those weights remember hours, and who alone foresees what comes once a day has lost its
own by then; each is therefore multiplied by a vote on the mean loss of two days, which sets apart only those that
differ there. A last tracker corrects the mixture.

What a forecast of ``h`` steps was worth is known ``h`` steps late, and one burst then counts against ``h`` forecasts in
a row. All memories are therefore the longer, the longer the horizon: with equal ones the hour's quantiles overshoot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np

from lull.model.arrays import F32, Bools, running_maximum

LEVELS: Final = (0.5, 0.8, 0.9, 0.95, 0.99, 0.997)
"""Quantile levels that are tracked."""

_A: Final = np.array(LEVELS, dtype=np.float32)
_NORMAL: Final = np.array([0.0, 0.8416, 1.2816, 1.6449, 2.3263, 2.7478], dtype=np.float32)
"""Quantiles of the normal law: where every tracker starts."""
EVEN: Final[F32] = np.exp(np.square(_NORMAL) / 2.0) / np.exp(np.square(_NORMAL) / 2.0).mean()
"""Weights of the levels' losses: the loss of a normal law is its density at the quantile, so that each counts alike.
Plain means are all but the median's loss, and the median takes no part in what is provided for."""

_LEAST_SPREAD: Final = np.float32(0.05)
_TRACK: Final = 0.05
_SPREAD: Final = 0.02
_CORRECT: Final = 0.02
_SCALE: Final = np.float32(0.05)
_ETA: Final = np.float32(0.2)
_WORST: Final = np.float32(8.0)
_FIXED_SHARE: Final = np.float32(0.01)
_SLOW_STEPS: Final = 2880
_VOTE: Final = np.float32(10.0)
"""Steepness of the slow vote: a mean loss that is a tenth above the least divides an expert's weight by e ..."""
_LOUDEST: Final = np.float32(4.0)
"""... and this is the most it does, so that the fast weights, which reach further, have the last word after a break."""


class Trackers:
    """Spread and tracked quantiles per expert, horizon and series.

    Args:
        experts: number of experts.
        delays: steps after which a forecast's worth is known, one for each horizon.
        width: number of series.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("spread", "offset", "_seen")

    def __init__(self, experts: int, delays: Sequence[int], width: int) -> None:
        shape = (experts, len(delays), width)
        self.spread: F32 = np.zeros(shape, dtype=np.float32)
        self._seen: F32 = np.zeros(shape, dtype=np.float32)
        self.offset: F32 = np.broadcast_to(_lift(_NORMAL, 3), (len(LEVELS), *shape)).copy()
        """Quantile of the error in spreads, (A, E, H, N)."""
        self._step = _per_delay(_TRACK, delays, 0.75)
        self._memory = _per_delay(_SPREAD, delays, 1.0)

    def quantiles(self, centre: F32) -> F32:
        """Quantiles about ``centre``, (A, E, H, N)."""
        return centre + self.offset * np.maximum(self.spread, _LEAST_SPREAD)

    def learn(self, centre: F32, target: F32, known: Bools) -> None:
        """Takes in what became of a forecast, (E, H, N) against (H, N)."""
        error = target - centre
        scaled = error / np.maximum(self.spread, _LEAST_SPREAD)
        move = self._step * np.maximum(1.0, np.abs(self.offset)) * ((scaled > self.offset) - (1.0 - _lift(_A, 3)))
        self.offset += np.where(known, move, np.float32(0))
        self._seen += known
        self.spread = _spread(self.spread, error, known, np.maximum(self._memory, _share(self._seen)))


class Correction:
    """The last tracker: it corrects quantiles that are mixed already, so that nobody's fault is left in them.

    Args:
        delays: steps after which a forecast's worth is known, one for each horizon.
        width: number of series.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("spread", "offset", "_seen")

    def __init__(self, delays: Sequence[int], width: int) -> None:
        shape = (len(delays), width)
        self.spread: F32 = np.zeros(shape, dtype=np.float32)
        self._seen: F32 = np.zeros(shape, dtype=np.float32)
        self.offset: F32 = np.zeros((len(LEVELS), *shape), dtype=np.float32)
        self._step = _per_delay(_CORRECT, delays, 0.6)
        self._memory = _per_delay(_SPREAD, delays, 0.0)

    def quantiles(self, mixed: F32) -> F32:
        """Corrected quantiles in the order of their levels, (A, H, N)."""
        corrected = mixed + self.offset * np.maximum(self.spread, _LEAST_SPREAD)
        return running_maximum(corrected)

    def learn(self, issued: F32, target: F32, known: Bools) -> None:
        """Takes in what became of quantiles, (A, H, N), exactly as they were issued.

        Asked again today, the mixture would remember the very burst that it is judged by.
        """
        move = self._step * ((target > issued) - (1.0 - _lift(_A, 2)))
        self.offset += np.where(known, move, np.float32(0))
        self._seen += known
        self.spread = _spread(self.spread, target - issued[0], known, np.maximum(self._memory, _share(self._seen)))


class Mixture:
    """Shares of the experts per horizon and series, (E, H, N).

    Args:
        experts: number of experts.
        horizons: number of horizons.
        width: number of series.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("_weights", "_scale", "_mean_loss")

    def __init__(self, experts: int, horizons: int, width: int) -> None:
        self._weights: F32 = np.full((experts, horizons, width), 1.0 / experts, dtype=np.float32)
        self._scale: F32 = np.full((horizons, width), np.nan, dtype=np.float32)
        self._mean_loss: F32 = np.zeros((experts, horizons, width), dtype=np.float32)

    def shares(self, has: Bools) -> F32:
        """Share of each expert among those that have a forecast, (E, H, N) both; NaN where none has."""
        mean = np.where(has, self._mean_loss, np.float32(np.inf))
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            worse = _VOTE * np.nan_to_num(mean / mean.min(axis=0) - 1, nan=0.0)
            votes = np.where(has, self._weights, np.float32(0)) * np.exp(-np.minimum(worse, _LOUDEST))
            shares: F32 = votes / votes.sum(axis=0)
        return shares

    def mix(self, quantiles: F32) -> F32:
        """Mean over the experts that have a forecast, (A, H, N), of (A, E, H, N); NaN where none has."""
        shares = self.shares(~np.isnan(quantiles[0]))
        mixed: F32 = np.nansum(quantiles * shares, axis=1)
        return np.where(np.isnan(shares[0]), np.float32(np.nan), mixed)

    def learn(self, loss: F32, own: F32, known: Bools) -> None:
        """Takes in the experts' losses, (E, H, N), and the mixture's own, (H, N); NaN = there was no forecast."""
        has = ~np.isnan(loss) & known
        judged = has.any(axis=0) & ~np.isnan(own)
        self._learn_scale(own, judged)
        # Who sleeps is taken to do as the mixture does, so that nobody gains by it.
        moved = self._mean_loss + (np.where(has, loss, own) - self._mean_loss) / np.float32(_SLOW_STEPS)
        self._mean_loss = np.where(judged, moved, self._mean_loss)
        with np.errstate(invalid="ignore", divide="ignore"):
            excess = np.minimum(loss / self._scale, _WORST)
            awake = np.where(has, self._weights, np.float32(0))
            shrunk = awake * np.exp(-_ETA * np.where(has, np.nan_to_num(excess), np.float32(0)))
            shared = (1 - _FIXED_SHARE) * shrunk / shrunk.sum(axis=0) + _FIXED_SHARE * has / has.sum(axis=0)
            # Who makes no forecast neither wins nor loses: the others share what they had among themselves.
            self._weights = np.where(has, awake.sum(axis=0) * shared, self._weights)

    def _learn_scale(self, own: F32, seen: Bools) -> None:
        """Follows the median of the mixture's loss: beside the mean, which a rare burst makes, all days look alike."""
        with np.errstate(invalid="ignore"):
            moved = self._scale * np.exp(_SCALE * np.sign(own - self._scale)) + np.float32(1e-12)
        self._scale = np.where(seen, np.where(np.isnan(self._scale), own, moved), self._scale)


def pinball(target: F32, quantiles: F32) -> F32:
    """Mean pinball loss over the levels, each weighted to count alike, (...), of quantiles (A, ...)."""
    above = target - quantiles
    axes = quantiles.ndim - 1
    level, even = _lift(_A, axes), _lift(EVEN, axes)
    loss: F32 = np.maximum(even * level * above, even * (level - 1.0) * above).mean(axis=0)
    return loss


def _share(seen: F32) -> F32:
    """What the last error weighs among all there were: until memory fades, all count alike, and not the first most."""
    return (1.0 / np.maximum(seen, 1.0)).astype(np.float32)


def _spread(spread: F32, error: F32, known: Bools, memory: F32) -> F32:
    """Root of the fading mean square of the errors."""
    moved: F32 = np.sqrt((1.0 - memory) * np.square(spread) + memory * np.square(error))
    return np.where(known, moved, spread)


def _per_delay(rate: float, delays: Sequence[int], power: float) -> F32:
    return (rate / np.array(delays, dtype=np.float32) ** np.float32(power)).astype(np.float32)[:, None]


def _lift(values: F32, axes: int) -> F32:
    return values.reshape(-1, *([1] * axes))
