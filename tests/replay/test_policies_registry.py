"""All rivals alike: what a size must be, what may not matter, and a life in the world."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lull.replay.policies.holt_winters import ShippedHoltWinters
from lull.replay.policies.knative import Knative
from lull.replay.policies.phpa import Phpa
from lull.replay.policies.registry import RIVALS, Make, Rival
from lull.replay.policies.static import Static
from lull.replay.policies.training import Training
from lull.replay.world import Outcome, Physics, Policy, Seen, run, spread
from replay.policy_looks import lives, random_looks

STEPS = 90
WORLDS = st.sampled_from([Physics(), Physics(step_s=5.0), Physics(step_s=60.0, cold_start_s=180.0)])


def a_training(seed: int, of_series: np.ndarray) -> Training:
    """Three days in bins of ten minutes: a daily series, a noisy one, and one that is mostly silent."""
    chance = np.random.default_rng(seed)
    day = 4.0 + 3.0 * np.sin(2.0 * np.pi * np.arange(432) / 144.0)
    noise, rare = chance.uniform(0.0, 9.0, 432), chance.poisson(0.02, 432) * 0.05
    return Training(np.stack([day, noise, rare], axis=1), 600.0, of_series)


def _shipped(knob: np.ndarray, capacity_rps: np.ndarray, training: Training, physics: Physics) -> Policy:
    del training
    return Phpa(knob, capacity_rps, physics, np.full(len(knob), 5, dtype=np.int64), as_shipped=True)


MAKES: dict[str, Make] = {name: rival.make for name, rival in RIVALS.items()} | {
    "phpa as shipped": _shipped,
    "knative on concurrency": lambda knob, capacity, _, physics: Knative(knob, capacity, physics, metric="concurrency"),
}
KNOBS = {name: rival.sweep for name, rival in RIVALS.items()} | {
    "phpa as shipped": RIVALS["phpa"].sweep,
    "knative on concurrency": RIVALS["knative"].sweep,
}


def decide(name: str, seed: int, physics: Physics, order: np.ndarray | None = None) -> np.ndarray:
    """Sizes over some random looks, (ticks, 6), the columns rearranged before the policy is made."""
    columns = np.arange(6) if order is None else order
    knob, capacity = np.resize(KNOBS[name], 6)[columns], np.array([1.0, 2.0, 5.0, 1.0, 10.0, 0.3])[columns]
    training = a_training(seed, np.array([0, 1, 2, 0, 1, 2])[columns])
    looks = random_looks(seed, 6, STEPS, physics, capacity=np.array([1.0, 2.0, 5.0, 1.0, 10.0, 0.3]))
    return np.array(lives(MAKES[name](knob, capacity, training, physics), [_only(x, columns) for x in looks], physics))


def _only(look: Seen, columns: np.ndarray) -> Seen:
    fields = ("arrivals_rps", "served_rps", "in_flight", "queue", "ready", "starting")
    return Seen(look.now_s, *(getattr(look, field)[columns] for field in fields))


@pytest.mark.parametrize("name", MAKES)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), physics=WORLDS)
def test_sizes_are_whole_finite_and_never_negative(name: str, seed: int, physics: Physics) -> None:
    sizes = decide(name, seed, physics)
    assert np.isfinite(sizes).all()
    assert (sizes >= 0.0).all()
    assert (sizes == np.rint(sizes)).all()


@pytest.mark.parametrize("name", MAKES)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), physics=WORLDS)
def test_the_same_looks_lead_to_the_same_sizes(name: str, seed: int, physics: Physics) -> None:
    assert np.array_equal(decide(name, seed, physics), decide(name, seed, physics))


@pytest.mark.parametrize("name", MAKES)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), physics=WORLDS, order=st.permutations(range(6)))
def test_columns_know_nothing_of_each_other(name: str, seed: int, physics: Physics, order: list[int]) -> None:
    rearranged = np.array(order)
    assert np.array_equal(decide(name, seed, physics, rearranged), decide(name, seed, physics)[:, rearranged])


@pytest.mark.parametrize(
    "name", [name for name in MAKES if name not in {"keda", "knative", "keepalive", "lcp", "knative on concurrency"}]
)
def test_those_that_keep_one_never_go_below(name: str) -> None:
    assert decide(name, 3, Physics()).min() >= 1.0


@pytest.mark.parametrize("name", ["keda", "knative", "keepalive", "lcp", "knative on concurrency"])
def test_those_that_go_to_zero_get_there(name: str) -> None:
    assert decide(name, 3, Physics()).min() == 0.0


def live(make: Make, knobs: tuple[float, ...], arrivals: np.ndarray, *, score_from: int = 0) -> Outcome:
    """A life with each knob on each series of arrivals per step of 15 s; capacity is 10 rps."""
    physics = Physics()
    series = arrivals.shape[1]
    of_series = np.tile(np.arange(series), len(knobs))
    knob = np.repeat(np.array(knobs), series)
    capacity = np.full(len(knob), 10.0)
    training = Training(arrivals.astype(np.float64) / 15.0, 15.0, of_series)
    policy = make(knob, capacity, training, physics)
    return run(
        policy, arrivals.astype(np.float32), capacity, physics, of_series=of_series, seed=7, score_from=score_from
    )


def some_load(hours: float) -> np.ndarray:
    """Requests per step: a wave of an hour, bursts after silence, and rare single requests."""
    steps = int(hours * 240)
    at = np.arange(steps)
    wave = 30.0 + 25.0 * np.sin(2.0 * np.pi * at / 240.0)
    bursts = np.where(at % 200 < 20, 42.0, 0.0)
    bins = np.stack([wave, bursts], axis=1) * 15.0
    rare = spread(np.random.default_rng(4).poisson(0.02, (steps, 1)).astype(np.float64), 1, seed=5)
    return np.concatenate([bins, rare], axis=1)


@pytest.mark.parametrize("name", MAKES)
def test_every_rival_lives_through_a_mixed_load(name: str) -> None:
    arrivals = some_load(6.0)
    outcome = live(MAKES[name], KNOBS[name], arrivals)
    came = np.tile(arrivals.sum(axis=0), len(KNOBS[name]))
    assert outcome.requests == pytest.approx(came, rel=1e-5)
    assert (outcome.missed <= outcome.requests + 1e-9).all()
    assert (outcome.busy_s <= outcome.on_s + 1e-6).all()
    again = live(MAKES[name], KNOBS[name], arrivals)
    assert np.array_equal(outcome.provisioning_s, again.provisioning_s)


@pytest.mark.parametrize("rival", RIVALS.values(), ids=RIVALS)
def test_the_generous_end_serves_a_slow_wave_and_the_lax_end_pays_less(rival: Rival) -> None:
    """Over the wave of an hour, once half an hour has passed."""
    outcome = live(rival.make, (rival.sweep[0], rival.sweep[-1]), some_load(6.0)[:, :1], score_from=120)
    lax, generous = outcome.missed / outcome.requests
    assert generous < 0.005
    assert lax >= generous
    assert outcome.provisioning_s[0] < outcome.provisioning_s[1]


@pytest.mark.parametrize("rival", RIVALS.values(), ids=RIVALS)
def test_sweeps_run_from_lax_to_generous(rival: Rival) -> None:
    steps = np.diff(rival.sweep)
    assert (steps > 0.0).all() or (steps < 0.0).all()
    # Energy of a busy fleet grows along the sweep; small turns are chance.
    paid_s = live(rival.make, rival.sweep, some_load(3.0)[:, :1]).provisioning_s
    assert (np.diff(paid_s) > -0.05 * paid_s[:-1]).all()


def test_a_fixed_size_is_bought_for_the_peak_of_the_training() -> None:
    """A thousand bins at 10 rps and ten at 95 rps: p99.9 is 95 rps, 9.5 replicas of 10 rps."""
    rates = np.concatenate([np.full(1000, 10.0), np.full(10, 95.0)])[:, None]
    training = Training(np.concatenate([rates, np.zeros_like(rates)], axis=1), 60.0, np.array([0, 0, 1]))
    static = Static(np.array([1.0, 2.0, 1.0]), np.full(3, 10.0), training)
    assert static.desire(random_looks(0, 3, 1, Physics())[0]).tolist() == [10.0, 19.0, 1.0]


def test_names_are_those_of_the_command_line() -> None:
    assert list(RIVALS) == ["static", "hpa", "keda", "knative", "keepalive", "phpa", "dynamo", "lcp"]
    assert all(name == rival.name for name, rival in RIVALS.items())


def test_the_shipped_history_is_not_the_default() -> None:
    training = a_training(0, np.zeros(1, dtype=np.int64))
    policy = RIVALS["phpa"].make(np.array([0.5]), np.ones(1), training, Physics())
    assert isinstance(policy, Phpa)
    assert not isinstance(policy._model, ShippedHoltWinters)
