"""Intervals of a fleet that is easy to add up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lull.energy.accounts import Account
from lull.energy.attribution import FOREIGN, Attributed, Holdings, Metered, attribute
from lull.energy.method import Method
from lull.energy.power import Estimate
from lull.model.meter import Interval

START_S = 1_790_000_040.0
LENGTH_S = 60.0


def an_account(name: str, namespace: str = "demo", uid: str | None = None) -> Account:
    return Account(uid or f"uid-{name}", namespace, name)


def a_minute(
    number: int,
    watts: Sequence[float],
    held: Sequence[tuple[int, int]],
    floor_w: float = 50.0,
    covered_s: float = LENGTH_S,
) -> Attributed:
    """Minute ``number``: each device drew so many watts, and is held in equal parts by those (device, holder)."""
    width = len(watts)
    count = np.bincount([device for device, _ in held], minlength=width)
    columns = [np.array(column, dtype=np.int64) for column in zip(*held, strict=True)] or [
        np.empty(0, dtype=np.int64)
    ] * 2
    share = 1.0 / count[columns[0]] if held else np.empty(0)
    metered = Metered(np.array(watts) * covered_s, np.full(width, covered_s), np.full(width, int(Method.COUNTER)))
    unknown = Estimate(np.full(width, np.nan), np.zeros(width, dtype=np.int64), np.full(width, np.nan))
    start_s = START_S + LENGTH_S * number
    return attribute(
        metered,
        unknown,
        np.full(width, floor_w),
        Holdings(columns[0], columns[1], share, np.ones(len(held))),
        Interval(start_s, start_s + LENGTH_S),
    )


__all__ = ["FOREIGN", "LENGTH_S", "START_S", "a_minute", "an_account"]
