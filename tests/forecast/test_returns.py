"""When silences end by the clock, in pasts of a few days that are made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lull.forecast.experts import HORIZONS
from lull.forecast.forecaster import Forecaster

STEP_S = 300.0
DAY = 288
FIRST = 20_000 * DAY
EIGHT = 95
"""A step with which a coarse bin begins."""


def lived(*begins: int | None, until: int, busy_for: int = 120) -> Forecaster:
    """Days of which each is busy from its minute on, if at all; then today, silent until its minute ``until``."""
    learned = Forecaster(1, STEP_S)
    for step in range(len(begins) * DAY + until):
        begin = begins[step // DAY] if step < len(begins) * DAY else None
        is_busy = begin is not None and begin <= step % DAY < begin + busy_for
        learned.learn(np.array([2.0 / STEP_S if is_busy else 0.0]), (FIRST + step) * STEP_S)
    return learned


def chance(learned: Forecaster, steps: int) -> float:
    return float(learned.forecast().busy_chance[HORIZONS.index(steps), 0])


def test_the_end_of_a_night_is_expected_when_those_before_it_ended() -> None:
    nights = [EIGHT] * 4
    assert chance(lived(*nights, until=EIGHT - 3), 8) > 0.7
    assert chance(lived(*nights, until=EIGHT - 3), 3) < 0.5, "it begins only after these"
    assert chance(lived(*nights, until=EIGHT - 40), 20) < 0.1


def test_one_night_tells_less_than_four() -> None:
    assert chance(lived(EIGHT, until=EIGHT - 3), 8) < chance(lived(*[EIGHT] * 4, until=EIGHT - 3), 8)


def test_mornings_that_scatter_are_less_certain_than_punctual_ones() -> None:
    scattered = [EIGHT - 15, EIGHT + 15, EIGHT - 5, EIGHT + 20]
    assert chance(lived(*scattered, until=EIGHT - 3), 8) < 0.5 * chance(lived(*[EIGHT] * 4, until=EIGHT - 3), 8)


def test_one_that_is_late_is_still_expected() -> None:
    nights = [EIGHT] * 4
    late = chance(lived(*nights, until=EIGHT + 20), 20)
    assert 0.2 < late < 0.8
    assert chance(lived(*nights, until=EIGHT + 90), 20) < 0.5 * late


def test_days_that_were_busy_at_this_time_tell_nothing_of_how_silences_end() -> None:
    """At noon all days were busy, as they had been for hours: only how long it has been silent counts."""
    assert chance(lived(*[EIGHT] * 4, until=EIGHT + 80), 8) < 0.1


def test_days_without_a_request_make_the_next_one_less_likely() -> None:
    often = chance(lived(*[EIGHT] * 4, until=EIGHT - 3), 8)
    assert chance(lived(EIGHT, EIGHT, None, None, until=EIGHT - 3), 8) < 0.7 * often


@pytest.mark.parametrize("until", [EIGHT - 60, EIGHT - 31, EIGHT - 3, EIGHT + 10, EIGHT + 90])
def test_a_longer_horizon_is_never_less_likely(until: int) -> None:
    found = lived(EIGHT, EIGHT - 9, EIGHT + 4, until=until).forecast().busy_chance[:, 0]
    assert (np.diff(found) >= 0.0).all()
    assert ((found >= 0.0) & (found <= 1.0)).all()


def test_series_know_nothing_of_each_other() -> None:
    two, alone = Forecaster(2, STEP_S), Forecaster(1, STEP_S)
    for step in range(2 * DAY + EIGHT - 3):
        rate = float(EIGHT <= step % DAY < 200) / STEP_S
        two.learn(np.array([rate, 0.0]), (FIRST + step) * STEP_S)
        alone.learn(np.array([rate]), (FIRST + step) * STEP_S)
    np.testing.assert_allclose(two.forecast().busy_chance[:, 0], alone.forecast().busy_chance[:, 0], rtol=1e-6)
