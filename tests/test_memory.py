"""What the planner remembers: columns that come and go, steps that fill up, a past that is taken over."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import Story, a_history, plan_of, silence, some_signals
from lull.forecast.forecaster import Forecaster
from lull.memory import Memory
from lull.model.costs import Costs, Lesson
from lull.model.learned import Learned
from lull.model.start import Start
from lull.model.window import Window

STEP_S = 60.0
START_S = 28_000_000 * STEP_S
NAN = float("nan")


def a_lesson(
    rates: dict[str, float],
    *,
    replicas: float = 2.0,
    need: float = 1.0,
    missed: float = 0.0,
    held: float = 0.0,
    held_ever: float = 0.0,
    cold_ratio: float = NAN,
) -> Lesson:
    count = len(rates)
    whole = np.ones(count)
    return Lesson(
        uids=tuple(rates),
        arrivals_rps=np.array(list(rates.values())),
        missed_rps=missed * whole,
        held=held * whole,
        held_ever=held_ever * whole,
        pile=0.0 * whole,
        cold_ratio=cold_ratio * whole,
        allowed_ratio=0.01 * whole,
        need=need * whole,
        replicas=replicas * whole,
        costs=Costs(10.0 * whole, whole, 180.0 * whole, 60.0 * whole, beyond_s=120.0 * whole, cold_price_s=whole),
        learned=Learned.nothing(),
        window=Window.unseen(count, STEP_S),
    )


def a_memory() -> Memory:
    return Memory(a_history(), STEP_S)


def median_rps(memory: Memory, uid: str, horizon: int = 0) -> float:
    forecast = memory.forecaster.forecast()
    return float(forecast.quantiles_rps[0, horizon, memory.find([uid])[0]])


def test_a_step_is_learned_as_the_mean_of_its_rounds_once_it_is_over() -> None:
    memory = a_memory()
    for i, rate in enumerate((10.0, 20.0, NAN, 30.0)):
        memory.learn(a_lesson({"a": rate}), START_S + 10.0 * i)
        assert memory.forecaster.index is None, "a step that still runs is not learned"
    memory.learn(a_lesson({"a": 99.0}), START_S + STEP_S)
    assert memory.forecaster.index == 28_000_000
    assert abs(memory.forecaster.past(memory.find(["a"]), 28_000_000)[0] - 20.0) < 1e-3


def test_a_step_that_nobody_measured_is_unknown() -> None:
    memory = a_memory()
    for i, rate in enumerate((10.0, NAN, 10.0)):
        memory.learn(a_lesson({"a": rate}), START_S + STEP_S * i)
    at = memory.find(["a"])
    assert memory.forecaster.past(at, 28_000_000)[0] > 9.9
    assert np.isnan(memory.forecaster.past(at, 28_000_001)[0])


def test_a_clock_that_jumps_back_teaches_nothing_until_it_has_caught_up() -> None:
    memory = a_memory()
    for i in (0, 1, 2, -30, -29, 3):
        memory.learn(a_lesson({"a": 10.0}), START_S + STEP_S * i)
    assert memory.forecaster.index == 28_000_002


def test_models_that_come_late_find_the_others_as_they_were() -> None:
    memory, alone = a_memory(), a_memory()
    for i in range(30):
        rates = {"a": 5.0 + i % 7}
        alone.learn(a_lesson(rates), START_S + STEP_S * i)
        memory.learn(a_lesson(rates | ({"b": 3.0, "c": 4.0} if i >= 10 else {})), START_S + STEP_S * i)
    assert median_rps(memory, "a") == median_rps(alone, "a")
    assert median_rps(memory, "b") > 1.0


def test_who_is_gone_leaves_nothing_to_who_comes_after() -> None:
    memory = a_memory()
    for i in range(30):
        memory.learn(a_lesson({"old": 500.0}, replicas=40.0, need=40.0, missed=500.0), START_S + STEP_S * i)
    memory.learn(a_lesson({"new": 1.0}), START_S + STEP_S * 30)
    at = memory.find(["new"])
    assert at[0] == 0, "the column is used again"
    assert memory.find(["old"])[0] == -1
    assert memory.prices.factor[at] == 1.0
    assert memory.accounts.balance_s[:, at].sum() == 0.0
    assert np.isnan(memory.forecaster.forecast().quantiles_rps[:, :, at]).all()
    for i in range(31, 33):
        memory.learn(a_lesson({"new": 1.0}), START_S + STEP_S * i)
    assert median_rps(memory, "new") < 2.0


def test_whoever_waits_for_a_wake_has_arrived_in_that_very_step() -> None:
    """Asleep nothing is counted by servers, and what they count after the start may never be seen as a rate."""
    memory = a_memory()
    rounds = [(0.0, 0.0), (0.0, 3.0), (NAN, 1.0), (NAN, 0.0)]
    for i, (rate, held) in enumerate(rounds):
        memory.learn(a_lesson({"a": rate}, held=held, held_ever=held), START_S + 10.0 * i)
    memory.learn(a_lesson({"a": 0.0}), START_S + STEP_S)
    assert memory.forecaster.past(memory.find(["a"]), 28_000_000)[0] == pytest.approx(4.0 / STEP_S, rel=1e-3)


def test_a_step_in_which_nothing_else_is_known_has_those_that_wait() -> None:
    memory = a_memory()
    memory.learn(a_lesson({"a": NAN}, held=2.0, held_ever=2.0), START_S)
    memory.learn(a_lesson({"a": NAN}), START_S + STEP_S)
    assert memory.forecaster.past(memory.find(["a"]), 28_000_000)[0] == pytest.approx(2.0 / STEP_S, rel=1e-3)


def test_the_silence_before_a_wake_ends_with_the_request_that_waits() -> None:
    """A silence of three hours is known as one of three hours, though no server ever counted its end."""
    memory, silent = a_memory(), 180
    for step in range(silent + 30):
        is_woken = step == silent
        rate = NAN if silent <= step < silent + 2 else 0.0
        memory.learn(
            a_lesson({"a": rate}, held=float(is_woken), held_ever=float(step >= silent)), START_S + 60.0 * step
        )
    chance = memory.forecaster.forecast().busy_chance[0, memory.find(["a"])[0]]
    assert chance < 0.5, "it lasts anew"
    assert memory.forecaster.past(memory.find(["a"]), 28_000_000 + silent)[0] > 0.0


def test_what_was_counted_of_those_that_waited_is_remembered_and_forgotten() -> None:
    memory = a_memory()
    assert np.isnan(memory.held_ever(memory.find(["a"]))).all()
    memory.learn(a_lesson({"a": 0.0, "b": 0.0}, held_ever=7.0), START_S)
    assert memory.held_ever(memory.find(["a", "c"])).tolist()[0] == 7.0
    memory.learn(a_lesson({"b": 0.0}, held_ever=7.0), START_S + 10.0)
    memory.learn(a_lesson({"b": 0.0, "c": 0.0}, held_ever=0.0), START_S + 20.0)
    assert memory.held_ever(memory.find(["c"])).tolist() == [0.0]


@pytest.mark.parametrize(("cold_ratio", "moved"), [(NAN, (True, False)), (0.01, (False, True))])
def test_those_that_wait_for_a_wake_move_the_price_that_is_theirs(cold_ratio: float, moved: tuple[bool, bool]) -> None:
    memory = a_memory()
    for i in range(500):
        memory.learn(a_lesson({"a": 0.0}, held=0.2, held_ever=0.2 * i, cold_ratio=cold_ratio), START_S + 10.0 * i)
    at = memory.find(["a"])
    assert (memory.prices.factor[at][0] > 1.0, memory.prices.cold_factor[at][0] > 1.0) == moved


def test_prices_rise_where_too_many_requests_miss() -> None:
    memory = a_memory()
    for i in range(60):
        memory.learn(a_lesson({"a": 10.0}, missed=5.0), START_S + STEP_S * i)
    assert memory.prices.factor[memory.find(["a"])][0] > 1.0


def past_of(rates_rps: list[float], end: int) -> Forecaster:
    """A forecaster of one series that has learned these rates, the last of them as the step ``end``."""
    learned = Forecaster(1, STEP_S)
    for i, rate in enumerate(rates_rps):
        learned.learn(np.array([rate]), (end - len(rates_rps) + 1 + i) * STEP_S)
    return learned


def test_a_past_that_is_taken_over_is_as_good_as_one_that_was_lived() -> None:
    """Read meanwhile, it lags by some steps; those are told to it before."""
    rates = [5.0 + (i * 7) % 11 for i in range(300)]
    lived = past_of(rates, 28_000_299)
    memory = a_memory()
    for i in range(290, 301):
        memory.learn(a_lesson({"other": 1.0, "a": [*rates, 0.0][i]}), (28_000_000 + i) * STEP_S)
    assert memory.adopt(["gone", "a"], _two(past_of(rates[:296], 28_000_295)))
    at = memory.find(["a"])
    mine, theirs = memory.forecaster.forecast(), lived.forecast()
    np.testing.assert_allclose(mine.quantiles_rps[:, :, at[0]], theirs.quantiles_rps[:, :, 0], rtol=1e-3)
    assert median_rps(memory, "other") < 2.0


def _two(learned: Forecaster) -> Forecaster:
    """The same series twice."""
    return learned.only(np.array([0, 0]))


def test_a_past_that_reaches_further_than_the_memory_waits() -> None:
    memory = a_memory()
    for i in range(3):
        memory.learn(a_lesson({"a": 10.0}), START_S + STEP_S * i)
    past = past_of([10.0] * 5, 28_000_002)
    assert not memory.adopt(["a"], past)
    memory.learn(a_lesson({"a": 10.0}), START_S + STEP_S * 3)
    assert memory.adopt(["a"], past)


def test_a_past_that_comes_before_the_first_step_starts_the_forecast() -> None:
    memory = a_memory()
    memory.learn(a_lesson({"a": 10.0}), START_S)
    assert memory.adopt(["a"], past_of([7.0] * 50, 27_999_999))
    assert abs(median_rps(memory, "a") - 7.0) < 0.5


# Start-up times.


def starts_of(uid: str, total_s: float, count: int = 10) -> list[Start]:
    return [Start(uid, 1.0, 1.0, total_s - 2.0, is_cold_node=False)] * count


def p95_s(memory: Memory, *uids: str) -> list[float]:
    return memory.start_s(memory.find(uids), 0.95).tolist()


def test_start_times_are_of_each_model_and_others_keep_theirs_when_the_fleet_grows() -> None:
    memory = a_memory()
    memory.learn(a_lesson({"a": 1.0, "b": 1.0}), START_S)
    memory.learn_starts([*starts_of("a", 180.0), *starts_of("b", 5.0)], {"a": 0, "b": 0})
    before = p95_s(memory, "a", "b")
    assert 180.0 <= before[0] < 260.0
    assert 5.0 <= before[1] < 8.0
    memory.learn(a_lesson(dict.fromkeys("abcdef", 1.0)), START_S + STEP_S)
    memory.learn_starts([], dict.fromkeys("abcdef", 0))
    np.testing.assert_allclose(p95_s(memory, "a", "b"), before)


def test_starts_of_a_model_that_is_gone_say_nothing_of_the_one_that_gets_its_column() -> None:
    memory, fresh = a_memory(), a_memory()
    memory.learn(a_lesson({"old": 1.0}), START_S)
    memory.learn_starts(starts_of("old", 900.0), {"old": 2})
    for each in (memory, fresh):
        each.learn(a_lesson({"new": 1.0}), START_S + STEP_S)
        each.learn_starts([], {"new": 1})
    assert memory.find(["new"])[0] == 0, "the column is used again"
    assert p95_s(memory, "new") == p95_s(fresh, "new")


def test_a_model_without_starts_is_taken_for_one_of_its_group() -> None:
    memory = a_memory()
    groups = {"a": 0, "b": 0, "c": 0, "like": 0, "other": 3}
    memory.learn(a_lesson(dict.fromkeys(groups, 1.0)), START_S)
    memory.learn_starts([s for uid in "abc" for s in starts_of(uid, 600.0)], groups)
    like, other = memory.start_s(memory.find(["like", "other"]), 0.5)
    assert like > 2.0 * other


def test_who_changes_its_group_is_taken_for_one_of_the_new_one() -> None:
    memory = a_memory()
    memory.learn(a_lesson({"a": 1.0, "b": 1.0}), START_S)
    memory.learn_starts(starts_of("a", 600.0), {"a": 1, "b": 0})
    before = p95_s(memory, "b")
    memory.learn_starts([], {"a": 1, "b": 1})
    assert p95_s(memory, "b") > before


def test_before_any_start_was_seen_the_setting_counts_also_for_models_without_a_column() -> None:
    quick, slow = (Memory(a_history(), STEP_S, cold_start_s=prior_s) for prior_s in (30.0, 300.0))
    for memory in (quick, slow):
        memory.learn(a_lesson({"a": 1.0}), START_S)
    at = quick.find(["a", "stranger"])
    assert at.tolist() == [0, -1]
    for told in (lambda m: m.start_s(at, 0.95), lambda m: m.expected_start_s(at)):
        np.testing.assert_allclose(told(slow), 10.0 * told(quick))
        assert told(quick)[0] == told(quick)[1]


def test_starts_of_models_without_a_column_are_left_out() -> None:
    memory = a_memory()
    memory.learn(a_lesson({"a": 1.0}), START_S)
    before = p95_s(memory, "a", "stranger")
    memory.learn_starts(starts_of("stranger", 900.0), {"a": 0, "stranger": 0})
    assert p95_s(memory, "a", "stranger") == before


def test_a_target_that_cannot_be_read_for_a_round_costs_nothing_that_was_learned() -> None:
    story = Story()
    story.goes_on(some_signals(20.0), for_s=20 * STEP_S)
    uid = story.model.uid
    lost = story.look(silence(), replicas=None)
    expected, learned = median_rps(story.memory, uid), story.memory.learned
    story.memory.history.record(lost.observation, story.now_s)
    story.memory.learn(lost.lesson, story.now_s)
    assert lost.lesson.uids == ()
    assert median_rps(story.memory, uid) == expected
    assert story.memory.learned.uids == learned.uids == (uid,)
    assert story.memory.history.known_at_s([uid])[0] < story.now_s


def test_a_model_that_is_deleted_is_forgotten() -> None:
    story = Story()
    story.goes_on(some_signals(20.0), for_s=2 * STEP_S)
    gone = plan_of(memory=story.memory, now_s=story.now_s)
    story.memory.history.record(gone.observation, story.now_s)
    story.memory.learn(gone.lesson, story.now_s)
    assert story.memory.find([story.model.uid])[0] == -1
    assert np.isnan(story.memory.history.known_at_s([story.model.uid])[0])


# Who comes and goes, and pasts that are taken over.


def state(memory: Memory, uid: str) -> list[np.ndarray]:
    """All that is known of a model."""
    at = memory.find([uid])
    forecast = memory.forecaster.forecast()
    books = [getattr(part, name) for part in (memory.accounts, memory.prices) for name in part.COLUMNS]
    return [array[..., at] for array in (*books, forecast.quantiles_rps, forecast.busy_chance, forecast.error_ratio)]


def assert_same(one: Memory, other: Memory, uid: str) -> None:
    for mine, theirs in zip(state(one, uid), state(other, uid), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


FLEETS = st.lists(st.sets(st.sampled_from("bcdefgh"), max_size=7), min_size=2, max_size=12)


@settings(deadline=None, max_examples=40)
@given(FLEETS, st.integers(0, 2**16))
def test_who_stays_learns_the_same_whoever_comes_and_goes(fleets: list[set[str]], seed: int) -> None:
    """Columns are handed on and arrays grow meanwhile; each round of a fleet is a step and a half."""
    draw = np.random.default_rng(seed)
    memory, alone = a_memory(), a_memory()
    for i, others in enumerate(fleets):
        mine, missed = float(draw.gamma(2.0, 10.0)), float(draw.choice([0.0, 5.0]))
        replicas, need = float(draw.integers(0, 5)), float(draw.integers(0, 5))
        rates = {uid: float(draw.gamma(2.0, 50.0)) for uid in sorted(others)} | {"a": mine}
        at_s = START_S + 1.5 * STEP_S * i
        memory.learn(a_lesson(rates, replicas=replicas, need=need, missed=missed), at_s)
        alone.learn(a_lesson({"a": mine}, replicas=replicas, need=need, missed=missed), at_s)
    assert_same(memory, alone, "a")


@settings(deadline=None, max_examples=40)
@given(FLEETS)
def test_who_comes_finds_nothing_of_those_that_were_there(fleets: list[set[str]]) -> None:
    memory = a_memory()
    for i, others in enumerate(fleets):
        rates = dict.fromkeys(sorted(others), 300.0)
        memory.learn(a_lesson(rates, replicas=9.0, need=5.0, missed=100.0), START_S + STEP_S * i)
    new = "new"
    memory.learn(a_lesson({new: 2.0}), START_S + STEP_S * len(fleets))
    fresh = a_memory()
    fresh.learn(a_lesson({new: 2.0}), START_S)
    for part, other in ((memory.accounts, fresh.accounts), (memory.prices, fresh.prices)):
        for name in part.COLUMNS:
            mine, theirs = getattr(part, name)[..., memory.find([new])], getattr(other, name)[..., fresh.find([new])]
            np.testing.assert_array_equal(mine, theirs)
    assert np.isnan(memory.forecaster.forecast().quantiles_rps[:, :, memory.find([new])]).all()


def test_a_step_half_full_of_who_is_gone_is_not_the_newcomers() -> None:
    memory = a_memory()
    memory.learn(a_lesson({"old": 500.0}), START_S)
    memory.learn(a_lesson({"new": 1.0}), START_S + 10.0)
    memory.learn(a_lesson({"new": 1.0}), START_S + STEP_S)
    assert abs(memory.forecaster.past(memory.find(["new"]), 28_000_000)[0] - 1.0) < 1e-3


def test_a_past_that_is_taken_over_leaves_accounts_and_prices_as_they_are() -> None:
    """They are of what happened here; a past tells of arrivals alone."""
    memory = a_memory()
    for i in range(5):
        memory.learn(a_lesson({"a": 10.0}, replicas=4.0, need=2.0, missed=3.0), START_S + STEP_S * i)
    parts = (memory.accounts, memory.prices)
    before = [getattr(part, name).copy() for part in parts for name in part.COLUMNS]
    assert memory.adopt(["a"], past_of([7.0] * 50, 28_000_003))
    after = [getattr(part, name) for part in parts for name in part.COLUMNS]
    for mine, theirs in zip(after, before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_past_of_models_that_have_all_gone_is_done_with() -> None:
    memory = a_memory()
    for i in range(5):
        memory.learn(a_lesson({"a": 10.0}), START_S + STEP_S * i)
    before = median_rps(memory, "a")
    assert memory.adopt(["gone"], past_of([700.0] * 50, 28_000_003))
    assert median_rps(memory, "a") == before


def test_what_an_earlier_memory_learned_of_starts_counts_once() -> None:
    """The pods that are there taught the earlier one already."""
    earlier, later = a_memory(), a_memory()
    for memory in (earlier, later):
        memory.learn(a_lesson({"a": 1.0, "b": 1.0}), START_S)
    earlier.learn_starts(starts_of("a", 8.0), {"a": 0, "b": 0})
    (known, _) = earlier.startups(earlier.find(["a", "b"]))
    assert known is not None
    later.learn_starts(starts_of("a", 8.0), {"a": 0, "b": 0}, {"a": known.written})
    (after, unknown) = later.startups(later.find(["a", "b"]))
    assert after is not None
    assert after.written == known.written
    assert unknown is None
    later.learn_starts(starts_of("a", 80.0), {"a": 0, "b": 0}, {"a": known.written})
    (newer, _) = later.startups(later.find(["a", "b"]))
    assert newer is not None
    assert newer.p50_s > 2.0 * known.p50_s, "what was seen since is not overwritten"
