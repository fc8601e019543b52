"""How long silences last, against the very silences that a generated process made."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.forecast.experts import HORIZONS
from lull.forecast.gaps import Gaps

STEP_S = 60.0
ALWAYS = np.ones(1, dtype=bool)


def a_process(draw: Callable[[np.random.Generator], int], *, steps: int, width: int, seed: int) -> np.ndarray:
    """Busy runs of a few steps with silences of drawn lengths between them, (T, N)."""
    rng = np.random.default_rng(seed)
    busy = np.zeros((steps, width), dtype=bool)
    for column in range(width):
        at = int(rng.integers(0, 50))
        while at < steps:
            run = 1 + rng.geometric(0.5)
            busy[at : at + run, column] = True
            at += run + draw(rng)
    return busy


def steps_to_the_next(busy: np.ndarray) -> np.ndarray:
    """Steps from each step until the next busy one, (T, N)."""
    ahead, found = np.full(busy.shape[1], 10**9), np.empty(busy.shape, dtype=np.int64)
    for step in range(len(busy) - 1, -1, -1):
        found[step] = ahead
        ahead = np.where(busy[step], 1, ahead + 1)
    return found


LAWS = [
    pytest.param(lambda rng: rng.geometric(1.0 / 20.0), id="memoryless"),
    pytest.param(lambda rng: int(np.ceil(np.exp(rng.normal(2.5, 1.0)))), id="lognormal"),
    pytest.param(lambda _: 4, id="always as long"),
    pytest.param(lambda rng: 3 if rng.random() < 0.7 else 40, id="short ones and long ones"),
]


@pytest.mark.parametrize("draw", LAWS)
def test_the_chance_is_the_share_of_silences_that_did_end(draw: Callable[[np.random.Generator], int]) -> None:
    """Calibrated overall, and for every length that silences had reached, as far as bins tell lengths apart."""
    steps, width, taught = 6000, 120, 3000
    busy = a_process(draw, steps=steps, width=width, seed=11)
    ahead = steps_to_the_next(busy)
    gaps, told, came, lasted = Gaps(width, STEP_S), [], [], []
    for step in range(steps - HORIZONS[-1]):
        gaps.learn(busy[step], np.ones(width, dtype=bool))
        if step >= taught:
            told.append(gaps.chance_of_end())
            came.append(ahead[step] <= np.array(HORIZONS)[:, None])
            lasted.append(gaps.silent.copy())
    chance, ended, silent = np.array(told), np.array(came), np.array(lasted)
    for row, horizon in enumerate(HORIZONS[:4]):
        applies = silent >= horizon
        if applies.sum() > 500:
            assert abs(chance[:, row][applies].mean() - ended[:, row][applies].mean()) < 0.03
        for length in range(horizon, 13):
            those = silent == length
            if those.sum() > 5000:
                error = abs(chance[:, row][those].mean() - ended[:, row][those].mean())
                assert error < 0.06, (horizon, length)


def test_a_silence_ends_when_all_before_it_did_and_not_a_step_earlier() -> None:
    gaps = Gaps(1, STEP_S)
    for _ in range(200):
        for is_busy in (True, False, False, False):
            gaps.learn(np.array([is_busy]), ALWAYS)
    told = []
    gaps.learn(np.array([True]), ALWAYS)
    for _ in range(3):
        gaps.learn(np.array([False]), ALWAYS)
        told.append(float(gaps.chance_of_end()[0, 0]))
    assert told[0] < 0.02
    assert told[1] < 0.02
    assert told[2] > 0.98


@pytest.mark.parametrize("lasted", [1, 2, 5, 10, 60, 600])
def test_the_prior_alone_outlasts_twice_its_length_with_chance_seven_in_ten(lasted: int) -> None:
    gaps = Gaps(1, STEP_S)
    for _ in range(lasted):
        gaps.learn(np.array([False]), ALWAYS)
    chance = gaps.chance_of_end()[:, 0]
    for row, horizon in enumerate(HORIZONS):
        expected = 1.0 - (lasted / (lasted + horizon)) ** 0.5 if horizon <= lasted else 1.0
        assert chance[row] == pytest.approx(expected, abs=1e-6)
        if horizon == lasted:
            assert 1.0 - chance[row] == pytest.approx(0.707, abs=0.001)


@given(st.lists(st.tuples(st.sampled_from(["busy", "silent", "unknown"]), st.integers(1, 90)), max_size=25))
def test_the_chance_is_one_and_grows_with_the_horizon(runs: list[tuple[str, int]]) -> None:
    gaps = Gaps(1, STEP_S)
    for what, steps in runs:
        for _ in range(steps):
            gaps.learn(np.array([what == "busy"]), np.array([what != "unknown"]))
        chance = gaps.chance_of_end()[:, 0]
        assert ((chance >= 0.0) & (chance <= 1.0)).all()
        assert (np.diff(chance) >= 0.0).all()
        assert (chance[np.array(HORIZONS) > gaps.silent[0]] == 1.0).all()


def test_unknown_steps_are_neither_silence_nor_its_end() -> None:
    gaps = Gaps(2, STEP_S)
    for is_known in (True, True, False, True):
        gaps.learn(np.array([False, False]), np.array([True, is_known]))
    assert gaps.silent.tolist() == [4.0, 3.0]
    gaps.learn(np.array([True, True]), np.array([True, False]))
    assert gaps.silent.tolist() == [0.0, 3.0]
    assert gaps.counts.sum(axis=0).tolist() == [1.0, 0.0]


def test_old_silences_fade_by_the_day_also_where_nobody_told_of_them() -> None:
    stepped, skipped = Gaps(1, STEP_S), Gaps(1, STEP_S)
    for gaps in (stepped, skipped):
        for is_busy in (True, False, True):
            gaps.learn(np.array([is_busy]), ALWAYS)
    for _ in range(1440):
        stepped.learn(np.array([True]), np.array([False]))
    skipped.skip(1440)
    assert stepped.counts.sum() == pytest.approx(0.97, rel=1e-3)
    np.testing.assert_allclose(stepped.counts, skipped.counts, rtol=1e-3)


def test_silences_longer_than_any_bin_count_in_the_last() -> None:
    gaps = Gaps(1, STEP_S)
    for _ in range(25_000):
        gaps.learn(np.array([False]), ALWAYS)
    gaps.learn(np.array([True]), ALWAYS)
    assert gaps.counts[-1, 0] == 1.0
    assert np.isfinite(gaps.chance_of_end()).all()
