"""The forecast of the whole fleet: time of an update, and memory.

What is measured has all experts awake: it knows the hours from which yesterday, last week and the weeks' waves speak.
Few series are taken through those hours, leaping over the days between, and then stand for ten thousand.
"""

from __future__ import annotations

import numpy as np
from figures import MODELS, Figure, median_s

from lull.forecast.experts import HORIZONS, Expert
from lull.forecast.forecaster import Forecaster
from lull.model.arrays import F32, F64

STEP_S = 60.0
START_S = 28_000_000 * STEP_S
DAY_S = 86_400.0
_DRAWN = 100
_HOURS = ((0.0, 60), (7.0 * DAY_S, 240), (13.0 * DAY_S, 240), (14.0 * DAY_S, 120))
"""Days to learn of, and how many steps of each."""
_UPDATES = 7


def a_fleet_of_forecasts(width: int, hours: tuple[tuple[float, int], ...] = _HOURS) -> tuple[Forecaster, float]:
    """A forecaster that has learned some steps from those moments on; and the moment that comes next."""
    draw = np.random.default_rng(1)
    learned, next_s = Forecaster(_DRAWN, STEP_S), START_S
    level = draw.gamma(1.0, 20.0, _DRAWN)
    for after_s, steps in hours:
        for i in range(steps):
            next_s = START_S + after_s + i * STEP_S
            learned.learn(rates_rps(draw, level), next_s)
    return learned.only(np.arange(width) % _DRAWN), next_s + STEP_S


def rates_rps(draw: np.random.Generator, level: F64) -> F64:
    """Rates around a level, a tenth of them silent."""
    return np.where(draw.random(len(level)) < 0.1, 0.0, level * draw.gamma(10.0, 0.1, len(level)))


def forecasting() -> list[Figure]:
    forecaster, next_s = a_fleet_of_forecasts(MODELS)
    draw = np.random.default_rng(2)
    told = [rates_rps(draw, np.full(MODELS, 20.0)) for _ in range(_UPDATES)]
    moments_s = iter(next_s + STEP_S * np.arange(_UPDATES))
    rates = iter(told)

    def update() -> None:
        forecaster.learn(next(rates), next(moments_s))
        forecaster.forecast()

    update_s = median_s(_UPDATES, update)
    _are_all_awake(forecaster)
    history, rest = _arrays(forecaster)
    copied = [np.empty_like(array) for array in rest]
    copy_s = median_s(_UPDATES, lambda: [np.copyto(to, array) for to, array in zip(copied, rest, strict=True)])
    return [
        Figure(f"forecast/update of 10000 series at {len(HORIZONS)} horizons", 1e3 * update_s, "CPU ms", 100.0),
        Figure("forecast/update against one copy of the state beside the history", update_s / copy_s, "ratio"),
        Figure("forecast/history of 14 days for 10000 series", _megabytes(history), "MB", 300.0),
        Figure("forecast/state beside the history", _megabytes(rest), "MB"),
    ]


def _are_all_awake(forecaster: Forecaster) -> None:
    """Raises RuntimeError where an expert has no forecast: it would be cheaper than in life."""
    asleep = [expert.name for expert in Expert if np.isnan(forecaster._centres[expert]).mean() > 0.5]
    if asleep:
        raise RuntimeError(f"asleep, so that nothing of theirs was measured: {', '.join(asleep)}")


def _arrays(forecaster: Forecaster) -> tuple[list[F32], list[F32]]:
    """Arrays of the history, and all others."""
    history = [getattr(forecaster._seasons, name) for name in forecaster._seasons.COLUMNS]
    others = [part for part in forecaster._parts if part is not forecaster._seasons]
    return history, [getattr(part, name) for part in others for name in part.COLUMNS]


def _megabytes(arrays: list[F32]) -> float:
    return sum(array.nbytes for array in arrays) / 1e6
