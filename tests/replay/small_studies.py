"""Traffic small enough to be reckoned by hand, and studies of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

import numpy as np

from lull.errors import TraceError
from lull.replay.jobs import Tell
from lull.replay.options import Options
from lull.replay.physics import Physics
from lull.replay.study import Study, study
from lull.replay.trace import Trace

PUNCTUAL = Physics(cold_start_sigma=0.0)
"""Every start takes the same time, a whole number of steps: what a start costs is then exact."""


ASKED = ("lull", "lull-each", "static", "hpa", "lcp", "clairvoyant")
HOSTILE = "<b>[red]&\"'</b>"
"""A name that would be markup in a page and in a terminal."""


def a_trace(*columns: Sequence[float] | np.ndarray, bin_s: float = 60.0, name: str = "shop") -> Trace:
    """A series for each column of requests per bin."""
    requests = np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)
    return Trace(name, bin_s, tuple(f"s{place}" for place in range(len(columns))), requests)


def steady(minutes: int, per_minute: float = 600.0) -> np.ndarray:
    return np.full(minutes, per_minute)


def bursts(minutes: int, seed: int) -> np.ndarray:
    """Spells of load of random heights among silence."""
    chance = np.random.default_rng(seed)
    is_busy = np.repeat(chance.random(minutes // 4 + 1) < 0.5, 4)[:minutes]
    return np.where(is_busy, chance.integers(100, 2000, minutes), 0.0)


def a_study(
    trace: Trace, *policies: str, physics: Physics = PUNCTUAL, progress: Tell | None = None, **options: object
) -> Study:
    return study(trace, policies, Options(physics=physics, **options), progress)  # type: ignore[arg-type]


def a_fleet() -> Trace:
    """Three series of which one has a hostile name, and a fourth that is not suited."""
    late = np.concatenate([np.zeros(60), steady(60)])
    plain = a_trace(steady(120), bursts(120, 2), bursts(120, 3) / 900.0, late)
    return Trace("shop <i>", 60.0, ("steady", HOSTILE, "rare", "late"), plain.requests)


def die(tell: Tell) -> NoReturn:
    """Work that takes its process along."""
    tell(0.5)
    os._exit(3)


def fail(tell: Tell) -> NoReturn:
    """Work that cannot be done."""
    tell(0.5)
    raise TraceError("no such luck")


def echo(value: int, tell: Tell) -> int:
    """Work that is quickly done."""
    tell(1.0)
    return value
