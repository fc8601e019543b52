"""Trackers, mixture and correction: against plain scalar versions, and by what they promise in the long run."""

from __future__ import annotations

import math
from statistics import NormalDist

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
        self.spread = 0.0
        self.seen = 0
        self.step = 0.05 / delay**0.75
        self.memory = 0.02 / delay

    def scale(self) -> float:
        return max(self.spread, 0.05)

    def quantiles(self, centre: float) -> list[float]:
        return [centre + offset * self.scale() for offset in self.offset]

    def learn(self, centre: float, target: float) -> None:
        error = target - centre
        scaled = error / self.scale()
        for i, (offset, level) in enumerate(zip(self.offset, LEVELS, strict=True)):
            was_too_low = 1.0 if scaled > offset else 0.0
            self.offset[i] += self.step * max(1.0, abs(offset)) * (was_too_low - (1.0 - level))
        self.seen += 1
        share = max(self.memory, 1.0 / self.seen)
        self.spread = math.sqrt((1.0 - share) * self.spread**2 + share * error**2)


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


DENSITIES = [NormalDist().pdf(NormalDist().inv_cdf(a)) for a in LEVELS]
EVEN = [6.0 / density / sum(1.0 / other for other in DENSITIES) for density in DENSITIES]


@pytest.mark.parametrize(
    ("target", "quantile", "loss"),
    [
        pytest.param(4.0, 4.0, 0.0, id="right"),
        pytest.param(7.0, 4.0, 3.0 * sum(w * a for w, a in zip(EVEN, LEVELS, strict=True)) / 6.0, id="too low"),
        pytest.param(2.0, 4.0, 2.0 * sum(w * (1 - a) for w, a in zip(EVEN, LEVELS, strict=True)) / 6.0, id="too high"),
    ],
)
def test_the_loss_of_one_value_for_all_levels(target: float, quantile: float, loss: float) -> None:
    found = pinball(f32([target]), np.full((6, 1), quantile, dtype=np.float32))
    assert found[0] == pytest.approx(loss, rel=1e-3, abs=1e-7)


def test_the_levels_of_a_normal_law_count_alike() -> None:
    """A law forecast by its own quantiles, and by those with one of them moved by a hundredth of its own loss."""
    drawn = np.random.default_rng(5).normal(50.0, 4.0, 200_000)
    quantiles = np.quantile(drawn, LEVELS)
    ahead = drawn - quantiles[:, None]
    losses = [EVEN[i] * np.maximum(a * ahead[i], (a - 1.0) * ahead[i]).mean() for i, a in enumerate(LEVELS)]
    np.testing.assert_allclose(losses, np.mean(losses), rtol=0.05)
    measured = pinball(f32(drawn), np.broadcast_to(f32(quantiles)[:, None], (6, len(drawn)))).mean()
    assert measured == pytest.approx(np.mean(losses), rel=1e-3)


def test_no_other_quantiles_lose_less_than_the_true_ones() -> None:
    drawn = np.random.default_rng(5).gamma(2.0, 3.0, 20_000).astype(np.float32)
    true = np.quantile(drawn, LEVELS)

    def mean_loss(quantiles: np.ndarray) -> float:
        return float(pinball(drawn, np.broadcast_to(f32(quantiles)[:, None], (6, len(drawn)))).mean())

    for i in range(6):
        for off in (-0.5, 0.5):
            assert mean_loss(true) < mean_loss(true + off * np.eye(6)[i])


class PlainMixture:
    """The shares of one horizon and series."""

    def __init__(self, experts: int) -> None:
        self.weights = [1.0 / experts] * experts
        self.mean = [0.0] * experts
        self.scale = NAN

    def shares(self) -> list[float]:
        least = min(self.mean)
        votes = [math.exp(-min(10.0 * (mean / least - 1.0), 4.0)) if least > 0.0 else 1.0 for mean in self.mean]
        products = [w * v for w, v in zip(self.weights, votes, strict=True)]
        return [product / sum(products) for product in products]

    def learn(self, losses: list[float], own: float) -> None:
        awake = [i for i, loss in enumerate(losses) if not math.isnan(loss)]
        if not awake:
            return
        if math.isnan(self.scale):
            self.scale = own
        elif not math.isnan(own):
            self.scale *= math.exp(0.05 * ((own > self.scale) - (own < self.scale)))
        self.mean = [
            mean + ((own if math.isnan(loss) else loss) - mean) / 2880.0
            for mean, loss in zip(self.mean, losses, strict=True)
        ]
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
        shares = mixture.shares(np.ones((3, 1, 1), dtype=bool))
        np.testing.assert_allclose(shares[:, 0, 0], plain.shares(), rtol=5e-3, atol=1e-4)
        assert shares.sum() == pytest.approx(1.0, abs=1e-4)


def test_shares_follow_who_is_right_and_come_back_when_that_changes() -> None:
    mixture, own, all_three = Mixture(3, 1, 1), f32([[1.0]]), np.ones((3, 1, 1), dtype=bool)
    leaders = []
    for good in (0, 1, 0):
        for _ in range(60):
            losses = f32([0.5 if i == good else 3.0 for i in range(3)]).reshape(3, 1, 1)
            mixture.learn(losses, own, ALL)
        shares = mixture.shares(all_three)
        leaders.append(int(shares[:, 0, 0].argmax()))
        assert shares.max() > 0.75, "the last hour has the last word"
    assert leaders == [0, 1, 0]


def test_who_alone_foresees_what_comes_once_a_day_leads_for_the_rest_of_it() -> None:
    """Two err alike but for ten steps a day, in which one of them is right."""
    mixture, own, both = Mixture(2, 1, 1), f32([[1.0]]), np.ones((2, 1, 1), dtype=bool)
    for step in range(2 * 1440):
        losses = f32([1.0, 100.0 if step % 1440 < 10 else 1.0]).reshape(2, 1, 1)
        mixture.learn(losses, own, ALL)
    assert mixture.shares(both)[0, 0, 0] > 0.95


def test_who_sleeps_neither_wins_nor_loses() -> None:
    mixture = Mixture(3, 1, 1)
    for _ in range(50):
        mixture.learn(f32([0.1, 9.0, NAN]).reshape(3, 1, 1), f32([[1.0]]), ALL)
    awake = mixture.shares(f32([True, True, False]).astype(bool).reshape(3, 1, 1))
    assert awake[2, 0, 0] == 0.0
    assert awake[0, 0, 0] > 0.9
    woken = mixture.shares(np.ones((3, 1, 1), dtype=bool))[:, 0, 0]
    assert woken[1] < woken[2] < woken[0]


def test_the_mixture_is_a_weighted_mean_of_those_awake() -> None:
    mixture = Mixture(3, 1, 2)
    for _ in range(30):
        mixture.learn(
            f32([1.0, 2.0, 1.5]).reshape(3, 1, 1) * np.ones((1, 1, 2), dtype=np.float32), f32([[1.0, 1.0]]), ALL
        )
    quantiles = np.full((6, 3, 1, 2), NAN, dtype=np.float32)
    quantiles[:, 0, 0, 0], quantiles[:, 2, 0, 0] = 3.0, 9.0
    shares = mixture.shares(~np.isnan(quantiles[0]))[:, 0, 0]
    mixed = mixture.mix(quantiles)
    assert 0.5 < shares[0] < 1.0
    np.testing.assert_allclose(mixed[:, 0, 0], 3.0 * shares[0] + 9.0 * (1.0 - shares[0]), rtol=1e-5)
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
    mixture, both = Mixture(2, 1, 1), np.ones((2, 1, 1), dtype=bool)
    for _ in range(5):
        mixture.learn(np.zeros((2, 1, 1), dtype=np.float32), f32([[0.0]]), ALL)
    np.testing.assert_allclose(mixture.shares(both)[:, 0, 0], 0.5)
    mixture.learn(f32([0.0, 1.0]).reshape(2, 1, 1), f32([[0.5]]), ALL)
    shares = mixture.shares(both)
    assert shares[0, 0, 0] > shares[1, 0, 0]
