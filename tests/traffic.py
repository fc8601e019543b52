"""Traffic to forecast: unclean as it is, and clean where a test is about one thing. From a seed, in rates per step."""

from __future__ import annotations

import numpy as np

DAY_S = 86_400.0


def unclean(steps: int, series: int, *, seed: int, step_s: float = 60.0) -> np.ndarray:
    """Mean rates of ``steps`` x ``series`` of which hardly two are alike, (T, N).

    Levels from one request in ten minutes to a hundred a second; they wander, jump once or twice a day, and half of
    them wave with the day. Around the level rates are gamma-mixed, smooth in some series and wild in others, and
    requests come one by one. A third of the series falls silent now and then.
    """
    rng = np.random.default_rng(seed)
    day = DAY_S / step_s
    level = np.log(10.0 ** rng.uniform(-2.8, 2.0, series))
    jumps = rng.random((steps, series)) < 1.5 / day
    wander = np.cumsum(rng.normal(0.0, 0.3 / np.sqrt(day), (steps, series)), axis=0)
    shift = _held(jumps, rng.normal(0.0, 0.7, (steps, series)))
    phase = rng.uniform(0.0, 2.0 * np.pi, series)
    depth = np.where(rng.random(series) < 0.5, rng.uniform(0.2, 1.0, series), 0.0)
    wave = depth * np.sin(2.0 * np.pi * np.arange(steps)[:, None] / day + phase)
    shape = 10.0 ** rng.uniform(-0.3, 2.0, series)
    rate = np.exp(level + wander + shift + wave) * rng.gamma(shape, 1.0 / shape, (steps, series))
    turns = rng.random((steps, series)) < 8.0 / day
    is_silent = _held(turns, (rng.random((steps, series)) < 0.5).astype(np.float64)) > 0.5
    is_silent &= rng.random(series) < 1.0 / 3.0
    counts: np.ndarray = rng.poisson(np.where(is_silent, 0.0, rate) * step_s)
    return counts / step_s


def _held(changes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The value of the last change, 0 before the first, (T, N)."""
    last = np.maximum.accumulate(np.where(changes, np.arange(1, len(changes) + 1)[:, None], 0), axis=0)
    return np.take_along_axis(np.concatenate([np.zeros((1, values.shape[1])), values]), last, axis=0)


def daily_spikes(days: int, *, at_step: int, spike_rps: float, base_rps: float, step_s: float = 60.0) -> np.ndarray:
    """One series that is flat but for a quarter of an hour each day, (T, 1)."""
    day = round(DAY_S / step_s)
    of_day = np.arange(days * day) % day
    is_spike = (of_day >= at_step) & (of_day < at_step + 900.0 / step_s)
    return np.where(is_spike, spike_rps, base_rps)[:, None]
