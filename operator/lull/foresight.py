"""Forecast and prices put together: how many replicas of each model to have ahead of the need, and to keep past it.

Pure. Called by ``cycle`` for the fleet of a cluster and by ``replay`` for that of a trace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from lull.decide.accounts import Accounts
from lull.decide.layers import Layers
from lull.decide.provision import Advice, advise, candidates, thresholds_rps
from lull.forecast.forecaster import Forecast
from lull.forecast.law import chance_above
from lull.model.arrays import F64, I64, running_maximum
from lull.model.costs import Costs

_ANY_RPS: Final = 1e-5
"""A rate that is some: one request in a day is more."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """The forecast as seen by the layers of the models, once per step of the forecast."""

    layers: Layers
    chance: F64
    """That each layer is needed within each horizon, (H, L)."""
    horizons_s: F64
    """Seconds from the end of the last step that was learned."""
    since_s: float
    """Seconds since then."""


def look(forecast: Forecast, at: I64, limit_rps: F64, replicas: F64, maximum: F64, *, since_s: float = 0.0) -> Outlook:
    """The chance of a need for each layer in question.

    Args:
        forecast: of all series.
        at: which of them belongs to each model, (N,).
        limit_rps: what one replica of each carries, (N,).
        replicas: replicas there are, (N,).
        maximum: most there may be, (N,).
        since_s: seconds since the end of the last step that was learned.
    """
    quantiles = forecast.quantiles_rps[:, :, at]
    layers = candidates(quantiles, replicas, limit_rps, maximum)
    owner = at[layers.owner]
    with np.errstate(invalid="ignore"):
        # None at all needs no replica: a law whose quantiles are all zero must not pass the first one's threshold.
        threshold_rps = np.maximum(thresholds_rps(layers, limit_rps), _ANY_RPS)
        above = chance_above(forecast.quantiles_rps[:, :, owner], threshold_rps)
    busy = forecast.busy_chance[:, owner]
    # Whatever ends a silence needs the first replica; how much it is, the quantiles say for those above.
    above = np.where((busy < 1.0) & (layers.number == 1) & ~np.isnan(above), 1.0, above)
    chance = running_maximum(busy * above)
    return Outlook(layers, chance, forecast.horizons_s, since_s)


def foresee(outlook: Outlook, costs: Costs, accounts: Accounts, at: I64, replicas: F64, tick_s: float) -> Advice:
    """What to start ahead and what to keep.

    Args:
        outlook: of the models.
        costs: theirs.
        accounts: of all models' layers.
        at: the models' columns there, (N,).
        replicas: replicas there are, starting ones included, (N,).
        tick_s: seconds until the next decision.
    """
    return advise(
        outlook.layers, outlook.chance, outlook.horizons_s, costs, accounts, at, replicas, tick_s, outlook.since_s
    )
