"""Studies: what is suited, who is tuned how, and the distance from the clairvoyant."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lull.errors import TraceError
from lull.replay.contenders import CLAIRVOYANT, CONTENDERS, NAMES
from lull.replay.lives import Life, live
from lull.replay.options import Options
from lull.replay.outcome import Outcome
from lull.replay.physics import Physics
from lull.replay.policies.registry import RIVALS
from lull.replay.stage import Stage, highest
from lull.replay.standings import Standing, entry_of, pareto, pick, provisioning_at
from lull.replay.study import Study
from replay.small_studies import PUNCTUAL, a_study, a_trace, bursts, steady


@pytest.mark.parametrize(
    ("bin_s", "step_s", "expected_s"),
    [(60.0, 15.0, 15.0), (60.0, 25.0, 20.0), (60.0, 90.0, 60.0), (300.0, 15.0, 15.0), (1.0, 15.0, 1.0)],
)
def test_a_bin_has_whole_steps(bin_s: float, step_s: float, expected_s: float) -> None:
    trace = a_trace(steady(int(2400 / bin_s), 9.0), bin_s=bin_s)
    stage = Stage.of(trace, Options(physics=Physics(step_s=step_s)))
    assert stage.physics.step_s == pytest.approx(expected_s)
    assert len(stage.arrivals) * stage.physics.step_s == pytest.approx(2400)
    assert stage.scored.sum(dtype=float) == pytest.approx(trace.requests.sum() / 2)


def test_series_that_train_on_nothing_are_left_out_with_the_reason() -> None:
    late = np.concatenate([np.zeros(20), steady(20)])
    stage = Stage.of(a_trace(late, steady(40)), Options())
    assert stage.series == ("s1",)
    assert list(stage.not_suited) == ["s0"]
    assert "no requests in the training half" in stage.not_suited["s0"]


@pytest.mark.parametrize(
    ("trace", "capacity_rps", "told"),
    [
        pytest.param(a_trace(np.zeros(40)), None, "nothing tells the scale", id="nothing suited"),
        pytest.param(
            a_trace(np.concatenate([steady(20), np.zeros(20)])), None, "in the second half", id="nothing to score"
        ),
        pytest.param(a_trace(steady(19)), None, "1200 s or more", id="too short"),
        pytest.param(a_trace(steady(40)), 1e-9, "--capacity", id="replicas beyond count"),
    ],
)
def test_what_cannot_be_studied_is_refused_with_the_mend(trace: object, capacity_rps: float | None, told: str) -> None:
    with pytest.raises(TraceError, match="shop: ") as refused:
        Stage.of(trace, Options(capacity_rps=capacity_rps))  # type: ignore[arg-type]
    assert told in str(refused.value)


def test_the_highest_of_a_bin() -> None:
    assert highest(np.array([[1.0, 5.0], [3.0, 4.0], [2.0, 9.0]]), 2).tolist() == [[3, 5], [2, 9]]


def an_outcome(missed: float, on_s: float) -> Outcome:
    one = np.ones(1)
    return Outcome(
        requests=100 * one,
        missed=missed * one,
        cold=0 * one,
        uncovered=missed * one,
        on_s=on_s * one,
        ready_s=on_s * one,
        busy_s=one,
        starts=0 * one,
        capacity_rps=one,
        physics=PUNCTUAL,
    )


@pytest.mark.parametrize(
    ("training", "place"),
    [
        pytest.param([(9, 10), (1, 20), (0, 30)], 1, id="the cheapest within the objective"),
        pytest.param([(9, 10), (1, 30), (0, 20)], 2, id="cheapest, not laxest"),
        pytest.param([(9, 10), (3, 20), (4, 30)], 1, id="none within: the one that misses least"),
        pytest.param([(3, 20), (3, 10)], 1, id="none within and a tie: the cheaper"),
        pytest.param([(0, 10), (0, 10)], 0, id="a tie: the laxer"),
    ],
)
def test_a_rival_is_tuned_on_the_training_half(training: list[tuple[float, float]], place: int) -> None:
    lived = tuple(an_outcome(missed, on_s) for missed, on_s in training)
    turned = tuple(an_outcome(50.0 - missed, on_s) for missed, on_s in training)
    knobs = tuple(float(knob) for knob in range(len(training)))
    life = Life("hpa", knobs, lived, turned, None)
    assert pick(life, 0.02) == place
    entry = entry_of(life, 0.02)
    assert (entry.knob, entry.missed_ratio) == (place, turned[place].missed[0] / 100.0)


def test_what_finds_its_own_knob_is_not_tuned() -> None:
    lived = tuple(an_outcome(missed, 10.0) for missed in (0.0, 50.0))
    assert pick(Life("lull", (1.0, math.nan), lived, lived, None), 0.02) == 1


POINTS = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=12)


@given(POINTS)
def test_a_front_rises_in_misses_and_falls_in_energy_and_beats_the_rest(points: list[tuple[int, int]]) -> None:
    front = pareto(np.array(points, dtype=float))
    assert (np.diff(front[:, 0]) > 0).all()
    assert (np.diff(front[:, 1]) < 0).all()
    assert {tuple(point) for point in front} <= {(float(a), float(b)) for a, b in points}
    assert all(((front[:, 0] <= a) & (front[:, 1] <= b)).any() for a, b in points)


@pytest.mark.parametrize(
    ("front", "wish", "energy_s"),
    [
        pytest.param([(0.01, 100), (0.04, 50)], 0.02, 75, id="halfway in orders of magnitude"),
        pytest.param([(0.01, 100), (0.04, 50)], 0.04, 50, id="a point"),
        pytest.param([(0.01, 100), (0.04, 50)], 0.01, 100, id="the first point"),
        pytest.param([(0.01, 100), (0.04, 50)], 0.2, 50, id="laxer than any: its last point"),
        pytest.param([(0.01, 100), (0.04, 50)], 0.0001, math.nan, id="does not get there"),
        pytest.param([(0.0, 100), (0.1, 50)], 0.02, 90, id="from no misses: a mixture of the two"),
        pytest.param([(0.001, 100), (0.101, 50)], 0.021, 90, id="far apart: a mixture of the two"),
        pytest.param([(0.002, 80)], 0.005, 80, id="a single point within"),
    ],
)
def test_the_energy_at_a_wish_by_hand(front: list[tuple[float, float]], wish: float, energy_s: float) -> None:
    assert provisioning_at(np.array(front), wish) == pytest.approx(energy_s, nan_ok=True)


def standing(found: Study, name: str) -> Standing:
    return next(each for each in found.standings if each.entry.name == name)


def test_a_steady_load_by_hand() -> None:
    """Ten requests a second and a sixth of them per replica: six replicas for 20 min, a start of 180 s for each.

    Headrooms below 0.85 buy five replicas or fewer and miss; 0.85 and 1 buy six.
    """
    found = a_study(a_trace(steady(40)), "static", "clairvoyant")
    static, best = found.standings
    assert static.entry.knob == 0.85
    assert static.entry.chosen.provisioning_s[0] == pytest.approx(6 * (1200 + 180))
    assert static.entry.missed_ratio == 0.0
    assert (static.ratio, static.ratio_uncovered, static.ratio_each) == pytest.approx((1.0, 1.0, 1.0))
    # with 0.5 % missed the clairvoyant does with 0.5 % less, since all of its energy serves alike
    assert best.at[0.005] == 1.0
    laxer = static.entry.front[1]
    mixed_s = 8280 + 0.005 / laxer[0] * (laxer[1] - 8280)
    assert static.at[0.005] == pytest.approx(mixed_s / (0.995 * 8280), rel=1e-6)


def test_the_clairvoyant_is_at_no_distance_from_itself() -> None:
    found = a_study(a_trace(*(bursts(120, seed) for seed in range(3))), "clairvoyant")
    (best,) = found.standings
    assert best.ratio == pytest.approx(1.0, rel=1e-6)
    assert best.ratio_each == pytest.approx(1.0, rel=1e-6)
    assert best.entry.missed_ratio <= 0.005
    assert (np.diff(best.entry.front, axis=0) * [1, -1] > 0).all()
    assert best.entry.front[:, 0].min() <= 1e-4
    assert best.entry.front[:, 0].max() >= 0.2


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from([*RIVALS, "lull", "lull-each"]))
def test_nobody_gets_below_the_clairvoyant_like_for_like(seed: int, name: str) -> None:
    found = a_study(a_trace(bursts(60, seed), steady(60), bursts(60, seed + 1)), name)
    (only,) = found.standings
    assert only.ratio_uncovered >= 1.0 - 1e-6 or math.isnan(only.ratio_uncovered)
    # who may miss only what each series missed by itself is worse off, and who may choose is better off
    assert only.ratio_each <= only.ratio * (1.0 + 1e-6) or math.isnan(only.ratio)


def test_lull_goes_in_with_its_own_price_and_shows_its_replicas() -> None:
    found = a_study(a_trace(steady(60), bursts(60, 3)), "lull", "hpa")
    lull = standing(found, "lull")
    assert math.isnan(lull.entry.knob)
    assert lull.entry.chosen is lull.entry.sweep[-1][1]
    assert {scene.policy for scene in found.scenes} == {"lull"}
    assert {scene.series for scene in found.scenes} == {"s0", "s1"}
    steady_scene = next(scene for scene in found.scenes if scene.series == "s0")
    assert steady_scene.need == pytest.approx(np.full(30, 6.0))
    assert steady_scene.clairvoyant.tolist() == [6.0] * 30
    assert steady_scene.shown is not None
    assert (steady_scene.shown >= 6.0).all()
    stage = found.stage
    bursty_scene = next(scene for scene in found.scenes if scene.series == "s1")
    assert bursty_scene.need == pytest.approx(bursts(60, 3)[30:] / 60.0 / stage.capacity_rps[1], rel=1e-5)


def test_what_is_shown_is_what_happened_at_its_own_price() -> None:
    """On time is what was shown, minute by minute, and a minute of starting for each replica that stood at the cut."""
    trace = a_trace(bursts(90, 3), bursts(90, 4))
    stage = Stage.of(trace, Options(physics=Physics(cold_start_sigma=0.0, step_s=60.0)))
    life = live(stage, "lull", lambda _: None, is_shown=True)
    own = life.scored[-1]
    assert life.replicas is not None
    up = np.maximum(np.diff(life.replicas, axis=0), 0.0).sum(axis=0)
    stood = own.on_s / 60.0 - life.replicas.sum(axis=0)
    assert (stood >= 0.0).all()
    assert own.starts == pytest.approx(stood + up + np.maximum(life.replicas[0] - stood, 0.0))


def test_another_seed_lets_replicas_start_at_other_times() -> None:
    """Nothing is rare in these series, so start-up times are the only chance there is."""
    trace = a_trace(bursts(120, 3))
    one, again, other = (a_study(trace, "lcp", physics=Physics(cold_start_sigma=0.9), seed=seed) for seed in (1, 1, 2))
    missed = [found.standings[0].entry.sweep[0][1].missed[0] for found in (one, again, other)]
    assert missed[0] == missed[1] != missed[2]


def test_one_price_for_the_fleet_is_not_a_price_for_each() -> None:
    found = a_study(a_trace(bursts(90, 3), bursts(90, 4) / 50.0), "lull", "lull-each")
    one, each = (standing(found, name).entry.sweep for name in ("lull", "lull-each"))
    assert [(a.provisioning_s == b.provisioning_s).all() for (_, a), (_, b) in zip(one, each, strict=True)] != [
        True
    ] * len(one)


def test_without_a_lull_nothing_is_shown_of_it() -> None:
    found = a_study(a_trace(bursts(60, 3)), "static")
    assert [(scene.shown, scene.policy) for scene in found.scenes] == [(None, "")]


def test_what_is_left_of_lull_without_a_part_takes_part() -> None:
    found = a_study(a_trace(bursts(60, 5)), "lull", ablate=True)
    names = [each.entry.name for each in found.standings]
    assert names == ["lull", "lull-no-forecast", "lull-no-prices", "lull-no-accounts"]
    assert len({each.entry.chosen.provisioning_s.sum() for each in found.standings}) > 1


def test_all_names_can_live() -> None:
    assert {name for name in NAMES if name != CLAIRVOYANT} <= set(CONTENDERS)


def test_the_progress_adds_up_to_all_of_it() -> None:
    told: list[float] = []
    a_study(a_trace(bursts(60, 1)), "lull", "hpa", "clairvoyant", progress=told.append)
    assert sum(told) == pytest.approx(1.0)
    assert min(told) > 0.0
