"""Trackers, mixture and correction: against plain scalar versions, and by what they promise in the long run."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.forecast.calibration import LEVELS, Correction, Mixture, Trackers, pinball

NAN = math.nan
NORMAL = (0.0, 0.8416, 1.2816, 1.6449, 2.3263, 2.7478)
ALL = np.ones((1, 1), dtype=bool)


def f32(values: object) -> np.ndarray:
    return np.array(values, dtype=np.float32)


class PlainTracker:
    """One expert, one horizon, one series."""

    def __init__(self, delay: int) -> None:
        self.offset = list(NORMAL)
        self.spread = NAN
        self.step = 0.05 / delay**0.75
        self.memory = 0.02 / delay

    def scale(self) -> float:
        return 0.05 if math.isnan(self.spread) else max(self.spread, 0.05)

    def quantiles(self, centre: float) -> list[float]:
        return [centre + offset * self.scale() for offset in self.offset]

    def learn(self, centre: float, target: float) -> None:
        error = target - centre
        scaled = error / self.scale()
        for i, (offset, level) in enumerate(zip(self.offset, LEVELS, strict=True)):
            was_too_low = 1.0 if scaled > offset else 0.0
            self.offset[i] += self.step * max(1.0, abs(offset)) * (was_too_low - (1.0 - level))
        if math.isnan(self.spread):
            self.spread = max(abs(error), 0.05)
        else:
            self.spread = math.sqrt((1.0 - self.memory) * self.spread**2 + self.memory * error**2)


@pytest.mark.parametrize("delay", [1, 10, 60])
def test_a_tracker_is_its_formula(delay: int) -> None:
    rng = np.random.default_rng(2)
    trackers, plain = Trackers(1, [delay], 1), PlainTracker(delay)
    for _ in range(300):
        centre, target = rng.normal(5.0, 1.0), rng.normal(6.0, 2.0)
        np.testing.assert_allclose(
            trackers.quantiles(f32([[[centre]]]))[:, 0, 0, 0], plain.quantiles(centre), rtol=2e-3
        )
        if rng.random() < 0.8:
            plain.learn(float(np.float32(centre)), float(np.float32(target)))
            trackers.learn(f32([[[centre]]]), f32([[target]]), ALL)
        else:
            trackers.learn(f32([[[centre]]]), f32([[target]]), ~ALL)


@pytest.mark.parametrize("bias", [-3.0, 0.0, 3.0])
def test_the_right_share_lies_below_each_quantile_whatever_the_forecast(bias: float) -> None:
    """Heavy tails about a centre that is off: the promise of online conformal inference."""
    rng = np.random.default_rng(3)
    width, steps, taught = 40, 4000, 1500
    trackers, below = Trackers(1, [1], width), []
    for step in range(steps):
        centre = np.full((1, 1, width), 20.0 + bias, dtype=np.float32)
        target = f32(20.0 + rng.standard_t(3.0, (1, width)))
        if step >= taught:
            below.append(target <= trackers.quantiles(centre)[:, 0])
        trackers.learn(centre, target, np.ones((1, 1, width), dtype=bool))
    share = np.mean(below, axis=(0, 2, 3))
    np.testing.assert_allclose(share, LEVELS, atol=0.006)


def test_a_correction_mends_quantiles_that_are_all_wrong() -> None:
    rng = np.random.default_rng(4)
    width, steps, taught = 40, 8000, 4000
    correction, below = Correction([1], width), []
    mixed = np.full((len(LEVELS), 1, width), 3.0, dtype=np.float32)
    for step in range(steps):
        issued = correction.quantiles(mixed)
        target = f32(5.0 + rng.gamma(2.0, 1.0, (1, width)))
        if step >= taught:
            below.append(target <= issued)
        correction.learn(issued, target, np.ones((1, width), dtype=bool))
    np.testing.assert_allclose(np.mean(below, axis=(0, 2, 3)), LEVELS, atol=0.01)


@given(st.lists(st.floats(-10.0, 10.0), min_size=6, max_size=6), st.lists(st.floats(-20.0, 20.0), max_size=40))
def test_corrected_quantiles_are_in_the_order_of_their_levels(mixed: list[float], targets: list[float]) -> None:
    correction = Correction([5], 1)
    for target in targets:
        issued = correction.quantiles(f32(mixed).reshape(-1, 1, 1))
        assert (np.diff(issued[:, 0, 0]) >= 0.0).all()
        correction.learn(issued, f32([[target]]), ALL)


@pytest.mark.parametrize(
    ("target", "quantile", "loss"),
    [
        pytest.param(4.0, 4.0, 0.0, id="right"),
        pytest.param(7.0, 4.0, 3.0 * sum(LEVELS) / 6.0, id="too low"),
        pytest.param(2.0, 4.0, 2.0 * (6.0 - sum(LEVELS)) / 6.0, id="too high"),
    ],
)
def test_the_loss_of_one_value_for_all_levels(target: float, quantile: float, loss: float) -> None:
    found = pinball(f32([target]), np.full((6, 1), quantile, dtype=np.float32))
    assert found[0] == pytest.approx(loss, rel=1e-5, abs=1e-7)


def test_no_other_quantiles_lose_less_than_the_true_ones() -> None:
    drawn = np.random.default_rng(5).gamma(2.0, 3.0, 20_000).astype(np.float32)
    true = np.quantile(drawn, LEVELS)

    def mean_loss(quantiles: np.ndarray) -> float:
        return float(pinball(drawn, np.broadcast_to(f32(quantiles)[:, None], (6, len(drawn)))).mean())

    for i in range(6):
        for off in (-0.5, 0.5):
            assert mean_loss(true) < mean_loss(true + off * np.eye(6)[i])


class PlainMixture:
    """The weights of one horizon and series."""

    def __init__(self, experts: int) -> None:
        self.weights = [1.0 / experts] * experts
        self.scale = NAN

    def learn(self, losses: list[float], own: float) -> None:
        awake = [i for i, loss in enumerate(losses) if not math.isnan(loss)]
        if not awake:
            return
        if math.isnan(self.scale):
            self.scale = own
        elif not math.isnan(own):
            self.scale *= math.exp(0.05 * ((own > self.scale) - (own < self.scale)))
        before = sum(self.weights[i] for i in awake)
        shrunk = {i: self.weights[i] * math.exp(-0.2 * min(losses[i] / self.scale, 8.0)) for i in awake}
        for i in awake:
            share = 0.99 * shrunk[i] / sum(shrunk.values()) + 0.01 / len(awake)
            self.weights[i] = before * share


LOSSES = st.one_of(st.just(NAN), st.floats(2.0**-6, 50.0, width=16))


@given(st.lists(st.tuples(LOSSES, LOSSES, LOSSES, st.floats(2.0**-6, 50.0, width=16)), max_size=40))
def test_the_mixture_is_its_formula(rounds: list[tuple[float, float, float, float]]) -> None:
    mixture, plain = Mixture(3, 1, 1), PlainMixture(3)
    for *losses, own in rounds:
        plain.learn(losses, own)
        mixture.learn(f32(losses).reshape(3, 1, 1), f32([[own]]), ALL)
        np.testing.assert_allclose(mixture.weights[:, 0, 0], plain.weights, rtol=5e-3, atol=1e-6)
        assert mixture.weights.sum() == pytest.approx(1.0, abs=1e-4)


def test_weights_follow_who_is_right_and_come_back_when_that_changes() -> None:
    mixture, own = Mixture(2, 1, 1), f32([[1.0]])
    leaders = []
    for good in (0, 1, 0):
        for _ in range(60):
            losses = f32([0.5 if i == good else 3.0 for i in range(2)]).reshape(2, 1, 1)
            mixture.learn(losses, own, ALL)
        leaders.append(int(mixture.weights[:, 0, 0].argmax()))
        assert mixture.weights.max() > 0.97
    assert leaders == [0, 1, 0]


def test_who_sleeps_neither_wins_nor_loses() -> None:
    mixture = Mixture(3, 1, 1)
    for _ in range(50):
        mixture.learn(f32([0.1, 9.0, NAN]).reshape(3, 1, 1), f32([[1.0]]), ALL)
    assert mixture.weights[2, 0, 0] == pytest.approx(1.0 / 3.0)
    assert mixture.weights[0, 0, 0] > 0.6


def test_the_mixture_is_a_weighted_mean_of_those_awake() -> None:
    mixture = Mixture(3, 1, 2)
    mixture.weights[:, 0, 0] = [0.5, 0.25, 0.25]
    quantiles = np.full((6, 3, 1, 2), NAN, dtype=np.float32)
    quantiles[:, 0, 0, 0], quantiles[:, 2, 0, 0] = 3.0, 9.0
    mixed = mixture.mix(quantiles)
    np.testing.assert_allclose(mixed[:, 0, 0], 5.0)
    assert np.isnan(mixed[:, 0, 1]).all(), "nobody is awake"


def test_what_is_not_known_teaches_nothing() -> None:
    mixture, trackers, correction = Mixture(2, 1, 1), Trackers(2, [1], 1), Correction([1], 1)
    mixture.learn(f32([1.0, 5.0]).reshape(2, 1, 1), f32([[1.0]]), ~ALL)
    trackers.learn(np.zeros((2, 1, 1), dtype=np.float32), f32([[9.0]]), np.zeros((2, 1, 1), dtype=bool))
    correction.learn(np.zeros((6, 1, 1), dtype=np.float32), f32([[9.0]]), ~ALL)
    for part, fresh in ((mixture, Mixture(2, 1, 1)), (trackers, Trackers(2, [1], 1)), (correction, Correction([1], 1))):
        for name in part.COLUMNS:
            np.testing.assert_array_equal(getattr(part, name), getattr(fresh, name))


def test_a_loss_of_nothing_at_all_divides_nothing() -> None:
    mixture = Mixture(2, 1, 1)
    for _ in range(5):
        mixture.learn(np.zeros((2, 1, 1), dtype=np.float32), f32([[0.0]]), ALL)
    np.testing.assert_allclose(mixture.weights[:, 0, 0], 0.5)
    mixture.learn(f32([0.0, 1.0]).reshape(2, 1, 1), f32([[0.5]]), ALL)
    assert mixture.weights[0, 0, 0] > mixture.weights[1, 0, 0]
