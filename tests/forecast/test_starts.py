"""Start-up times: what is planned with, against starts drawn from laws that are known."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lull.forecast.starts import StartTimes, _normal_share
from lull.model.start import LONGEST_S, Start

SEED = 20261121


def a_start(total_s: float = 60.0, uid: str = "m0", *, is_cold: bool = False) -> Start:
    """A start that is loading for nine tenths of its time."""
    return Start(uid, 0.02 * total_s, 0.08 * total_s, 0.9 * total_s, is_cold_node=is_cold)


def columns(width: int) -> dict[str, int]:
    return {f"m{i}": i for i in range(width)}


def learned(*starts: Start, width: int = 1) -> StartTimes:
    """Start times of models m0, m1 and so on after these starts, one at a time."""
    times = StartTimes(width)
    for start in starts:
        times.learn([start], columns(width))
    return times


def drawn(medians_s: np.ndarray, count: int, deviation: float) -> tuple[StartTimes, np.ndarray]:
    """One model per median with lognormal starts, and one further start of each."""
    chance = np.random.default_rng(SEED)
    times = StartTimes(len(medians_s))
    for _ in range(count):
        totals_s = medians_s * np.exp(deviation * chance.standard_normal(len(medians_s)))
        times.learn([a_start(t, f"m{i}") for i, t in enumerate(totals_s)], columns(len(medians_s)))
    return times, medians_s * np.exp(deviation * chance.standard_normal(len(medians_s)))


def test_of_a_model_that_never_started_the_prior_is_wide() -> None:
    times = StartTimes(2)
    assert not times.known.any()
    assert np.all((times.lead_s(0.5) >= 60.0) & (times.lead_s(0.5) <= 75.0))
    assert np.all(times.lead_s(0.95) >= 2.5 * 60.0)


def test_the_prior_is_a_setting() -> None:
    np.testing.assert_allclose(StartTimes(1, prior_s=180.0).lead_s(0.9), 3.0 * StartTimes(1).lead_s(0.9))


@pytest.mark.parametrize("median_s", [5.0, 60.0, 600.0])
@pytest.mark.parametrize("deviation", [0.05, 0.3, 0.6])
def test_quantiles_come_to_be_those_of_the_law(median_s: float, deviation: float) -> None:
    times, _ = drawn(np.full(200, median_s), 60, deviation)
    true_s = median_s * math.exp(1.645 * deviation)
    # 14 starts' worth of memory scatter by a quarter of the deviation; the guard only adds
    assert np.median(times.lead_s(0.5)) == pytest.approx(median_s, rel=0.05)
    assert true_s * 0.95 <= np.median(times.lead_s(0.95)) <= true_s * (1.15 + deviation / 2.0)


@pytest.mark.parametrize("count", [0, 1, 2, 5, 20, 60])
def test_of_any_number_of_starts_seen_a_twentieth_of_the_next_takes_longer_than_p95(count: int) -> None:
    """A fleet of models that differ as much as the prior expects; fewer may be late, hardly more."""
    medians_s = 60.0 * np.exp(0.6 * np.random.default_rng(7).standard_normal(2000))
    times, following_s = drawn(medians_s, count, 0.3)
    late = np.mean(following_s > times.lead_s(0.95))
    assert 0.005 <= late <= 0.065


def test_one_start_says_most_and_three_nearly_all() -> None:
    one, three = learned(a_start(300.0)), learned(*[a_start(300.0)] * 3)
    assert one.lead_s(0.5)[0] == pytest.approx(300.0, rel=0.35)
    assert three.lead_s(0.5)[0] == pytest.approx(300.0, rel=0.1)
    assert one.lead_s(0.95)[0] >= 300.0


def test_a_long_start_is_remembered_and_then_forgotten() -> None:
    usual = [a_start(60.0)] * 20
    assert learned(*usual).lead_s(0.95)[0] < 90.0
    assert learned(*usual, a_start(600.0)).lead_s(0.95)[0] >= 600.0
    assert learned(*usual, a_start(600.0), *usual * 5).lead_s(0.95)[0] < 120.0


def test_a_long_start_hardly_moves_the_median() -> None:
    usual = [a_start(60.0)] * 20
    assert learned(*usual, a_start(600.0)).lead_s(0.5)[0] < 80.0


def test_what_changed_is_learned_anew() -> None:
    times = learned(*[a_start(60.0)] * 60, *[a_start(200.0)] * 30)
    assert times.lead_s(0.5)[0] == pytest.approx(200.0, rel=0.25)


def test_warm_and_cold_nodes_are_told_apart() -> None:
    seen = [a_start(60.0), a_start(60.0), a_start(60.0), a_start(400.0, is_cold=True)] * 6
    times = learned(*seen)
    assert times.kind_s(0.5, is_cold_node=False)[0] == pytest.approx(60.0, rel=0.1)
    assert times.kind_s(0.5, is_cold_node=True)[0] == pytest.approx(400.0, rel=0.15)
    assert times.cold_ratio[0] == pytest.approx(0.25, abs=0.07)
    assert times.lead_s(0.5)[0] < 90.0
    assert times.lead_s(0.9)[0] > 300.0, "a quarter of the starts is cold"


def test_rare_cold_starts_leave_the_quantiles_below_their_share_alone() -> None:
    # the last cold one is long ago, and its length no longer guards
    times = learned(a_start(900.0, is_cold=True), *[a_start(60.0)] * 150)
    assert times.lead_s(0.9)[0] < 100.0
    assert times.kind_s(0.5, is_cold_node=True)[0] > 500.0, "forgotten by cold starts alone"


def test_models_of_one_group_help_each_other_out() -> None:
    times = StartTimes(12)
    times.assign(np.arange(6, 12), np.full(6, 1))
    times.learn([a_start(600.0, f"m{i}") for i in range(5)] * 4, columns(12))
    same, other = times.lead_s(0.5)[5], times.lead_s(0.5)[11]
    assert not times.known[5]
    assert same > 2.0 * other
    assert other == StartTimes(1).lead_s(0.5)[0]
    assert times.lead_s(0.95)[5] > 600.0, "and as wide as before"


def test_a_busy_model_does_not_speak_for_its_group() -> None:
    quiet = [a_start(60.0, f"m{i}") for i in range(1, 6)]
    few, many = StartTimes(7), StartTimes(7)
    few.learn([*quiet, *[a_start(600.0)] * 2], columns(7))
    many.learn([*quiet, *[a_start(600.0)] * 200], columns(7))
    assert many.lead_s(0.5)[6] < 1.15 * few.lead_s(0.5)[6]


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(a_start(LONGEST_S + 1.0), id="longer than an hour"),
        pytest.param(Start("m0", -1.0, 5.0, 60.0, is_cold_node=False), id="a negative phase"),
        pytest.param(Start("m0", 1.0, math.nan, 60.0, is_cold_node=False), id="an unknown phase"),
        pytest.param(a_start(60.0, "stranger"), id="of a model without a column"),
    ],
)
def test_absurd_starts_teach_nothing(start: Start) -> None:
    times = learned(start)
    assert not times.known[0]
    np.testing.assert_array_equal(times.lead_s(0.95), StartTimes(1).lead_s(0.95))


def test_a_start_within_the_second_is_a_start() -> None:
    times = learned(Start("m0", 0.0, 0.0, 0.0, is_cold_node=False))
    assert times.known[0]
    assert 0.0 < times.lead_s(0.5)[0] < 5.0


TOTALS = st.floats(0.0, LONGEST_S * 1.1)
STARTS = st.lists(st.builds(a_start, TOTALS, st.sampled_from(["m0", "m1", "m2", "x"]), is_cold=st.booleans()))


@given(STARTS)
def test_many_at_once_are_one_after_the_other(starts: list[Start]) -> None:
    together, apart = StartTimes(3), learned(*starts, width=3)
    together.learn(starts, columns(3))
    for name in StartTimes.COLUMNS:
        np.testing.assert_allclose(getattr(together, name), getattr(apart, name), rtol=1e-12, err_msg=name)


@given(STARTS, st.permutations(range(3)))
def test_which_column_a_model_has_says_nothing(starts: list[Start], order: list[int]) -> None:
    plain, moved = StartTimes(3), StartTimes(3)
    plain.learn(starts, columns(3))
    moved.learn(starts, {f"m{i}": order[i] for i in range(3)})
    np.testing.assert_allclose(moved.lead_s(0.95)[order], plain.lead_s(0.95), rtol=1e-9)


@settings(max_examples=200)
@given(STARTS, st.lists(st.floats(0.01, 0.995), min_size=2, max_size=5))
def test_quantiles_rise_and_a_cold_node_is_never_faster(starts: list[Start], levels: list[float]) -> None:
    times = learned(*starts, width=3)
    told = np.stack([times.lead_s(level) for level in sorted(levels)])
    assert np.isfinite(told).all()
    assert np.all(np.diff(told, axis=0) >= -1e-9 * told[:-1])
    warm, cold = (times.kind_s(0.5, is_cold_node=is_cold) for is_cold in (False, True))
    assert np.all(cold >= warm)
    assert np.all((times.cold_ratio > 0.0) & (times.cold_ratio < 1.0))


@given(STARTS)
def test_the_longest_of_few_starts_is_never_planned_below_its_share(starts: list[Start]) -> None:
    mine = [start for start in starts if start.model_uid == "m0" and start.total_s <= LONGEST_S][:10]
    if mine:
        assert learned(*mine).lead_s(0.95)[0] >= 0.999 * mine[-1].total_s


def test_new_columns_are_unknown_and_old_ones_stay() -> None:
    times = learned(*[a_start(300.0)] * 5)
    before = times.lead_s(0.95)[0]
    times.resize(4)
    assert times.lead_s(0.95).shape == (4,)
    assert times.known.tolist() == [True, False, False, False]
    assert times.lead_s(0.95)[0] == pytest.approx(before, rel=1e-9)
    times.learn([a_start(10.0, "m3")], columns(4))
    assert times.known.tolist() == [True, False, False, True]


def test_a_forgotten_column_is_as_new() -> None:
    times = learned(*[a_start(300.0)] * 5, a_start(30.0, "m1"), width=2)
    times.assign(np.array([0]), np.array([3]))
    times.forget(np.array([0]))
    fresh = learned(a_start(30.0, "m1"), width=2)
    for name in StartTimes.COLUMNS:
        np.testing.assert_array_equal(getattr(times, name), getattr(fresh, name), err_msg=name)
    np.testing.assert_array_equal(times.lead_s(0.5), fresh.lead_s(0.5))


def test_what_was_told_is_told_anew_after_a_start() -> None:
    times = learned(a_start(60.0))
    before = times.lead_s(0.95)
    with pytest.raises(ValueError, match="read-only"):
        before[0] = 0.0
    times.learn([a_start(500.0)], columns(1))
    assert times.lead_s(0.95)[0] > 499.0 > before[0]


def test_a_summary_tells_what_was_seen() -> None:
    warm = Start("m0", 2.0, 8.0, 50.0, is_cold_node=False)
    cold = Start("m0", 2.0, 108.0, 50.0, is_cold_node=True)
    times = learned(*[warm, warm, cold, warm] * 4, width=2)
    told = times.summary(0)
    assert (told.scheduling_s, told.image_s, told.loading_s) == (2.0, 8.0, 50.0), "of warm nodes, where any was met"
    assert told.seen == times.seen[0]
    assert (told.p50_s, told.p95_s) == (times.lead_s(0.5)[0], times.lead_s(0.95)[0])
    assert told.expected_s == times.expected_s[0]
    assert told.warm_p50_s == pytest.approx(60.0, rel=0.1)
    assert told.cold_p50_s == pytest.approx(160.0, rel=0.15)
    assert told.cold_ratio == pytest.approx(0.25, abs=0.05)


def test_of_a_model_that_never_started_the_phases_are_unknown() -> None:
    told = StartTimes(1).summary(0)
    assert (told.seen, told.scheduling_s, told.image_s, told.loading_s) == (0.0, None, None, None)
    assert told.p50_s < told.p95_s


def test_of_a_model_that_met_cold_nodes_alone_the_phases_are_of_those() -> None:
    assert learned(Start("m0", 2.0, 108.0, 50.0, is_cold_node=True)).summary(0).image_s == 108.0


@pytest.mark.parametrize("deviation", [0.05, 0.3, 0.6])
def test_the_expected_time_comes_to_be_the_mean_of_the_law(deviation: float) -> None:
    """A law's tail makes its mean longer than its median."""
    times, _ = drawn(np.full(400, 60.0), 60, deviation)
    # a tenth of the first starts was taken for cold; 60 starts leave 1 of 300 of that
    assert np.median(times.expected_s) == pytest.approx(60.0 * math.exp(deviation**2 / 2.0), rel=0.07)


def test_cold_nodes_lengthen_the_expected_time_by_their_share() -> None:
    times = learned(*[a_start(60.0), a_start(60.0), a_start(60.0), a_start(400.0, is_cold=True)] * 12)
    mixed_s = 60.0 + times.cold_ratio[0] * 340.0
    assert times.expected_s[0] == pytest.approx(mixed_s, rel=0.1)


@given(STARTS)
def test_the_expected_time_is_finite_and_beyond_the_median_of_warm_nodes(starts: list[Start]) -> None:
    times = learned(*starts, width=3)
    assert np.isfinite(times.expected_s).all()
    assert np.all(times.expected_s > times.kind_s(0.5, is_cold_node=False))


def test_no_models_have_no_starts() -> None:
    times = StartTimes(0)
    times.learn([a_start()], {})
    assert times.lead_s(0.95).shape == (0,)


def test_the_normal_law_is_near_enough() -> None:
    z = np.linspace(-6.0, 6.0, 500)
    exact = np.array([NormalDist().cdf(value) for value in z])
    assert np.abs(_normal_share(z) - exact).max() < 2e-4


def a_pull(*, is_first: bool = True, is_pull_alone: bool = True) -> Start:
    """Eight seconds, and fifty-two more for the image."""
    return Start("m0", 0.0, 52.0, 8.0, is_cold_node=True, is_first=is_first, is_pull_alone=is_pull_alone)


def test_the_first_pull_of_an_image_is_not_expected_again() -> None:
    assert learned(a_pull()).cold_ratio[0] <= 0.05 < learned(a_pull(is_first=False)).cold_ratio[0]


def test_a_pull_shows_what_a_start_without_it_takes() -> None:
    """Else a model would have to start a second time before it may sleep, and never does while it may not."""
    times = learned(a_pull())
    assert times.kind_s(0.5, is_cold_node=False)[0] < 20.0
    assert times.lead_s(0.95)[0] < 60.0
    assert times.kind_s(0.5, is_cold_node=True)[0] >= 60.0


def test_what_was_learned_can_be_written_down_and_taken_up_again() -> None:
    """A new leader finds models that sleep, and no pods to learn from."""
    before, after = learned(a_pull(), a_start(9.0), a_start(12.0)), StartTimes(1)
    text = before.written(0)
    assert after.recall(0, text)
    assert after.written(0) == text
    for quantile in (0.5, 0.95):
        np.testing.assert_allclose(after.lead_s(quantile), before.lead_s(quantile), rtol=2e-3)
    after.learn([a_start(30.0)], columns(1))
    assert after.written(0) != text


@pytest.mark.parametrize("text", ["", "none", "1 2 3", "0 " * 20])
def test_what_cannot_be_read_teaches_nothing(text: str) -> None:
    times = StartTimes(1)
    assert not times.recall(0, text)
    assert not times.known.any()


def test_an_init_container_may_have_taken_the_time() -> None:
    times = learned(a_pull(is_pull_alone=False))
    assert times.kind_s(0.5, is_cold_node=False)[0] >= 50.0


def test_one_start_on_a_warm_node_is_enough_to_know_that_starts_are_short() -> None:
    assert learned(a_start(8.0)).lead_s(0.95)[0] < 30.0
