"""How far ahead of a rise a replica is asked for: as far as the model's own starts take, and no setting says it."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest

from builders import TICK_S, Story, a_memory, a_model, a_view, plan_of, some_settings, some_signals
from lull.decide.accounts import Accounts
from lull.forecast.forecaster import Forecaster
from lull.model.costs import Costs
from lull.model.reason import Reason
from lull.model.start import Start

STEP_S = 60.0
DAY = 1440
FIRST = 20_000 * DAY
RISE = FIRST + 3 * DAY + 600
"""Step of a rise that has come at ten each day."""
BEGIN = RISE - 20
QUIET_RPS, BUSY_RPS = 5.0, 30.0


def rate_rps(step: int) -> float:
    return BUSY_RPS if 600 <= step % DAY < 900 else QUIET_RPS


@pytest.fixture(scope="module")
def days() -> Forecaster:
    """Three days that rise at the same time, up to twenty minutes before the next rise."""
    learned = Forecaster(1, STEP_S)
    for step in range(FIRST, BEGIN):
        learned.learn(np.array([rate_rps(step) * (1.0 + 0.03 * np.sin(1.7 * step))]), step * STEP_S)
    return learned


@pytest.fixture
def asked_ahead_s(days: Forecaster) -> Callable[..., float]:
    """Lives up to the rise; gives how many seconds before it the replicas for it were asked for."""

    def live(*totals_s: float, uid: str | None = None, **settings: float) -> float:
        story = Story(a_model(prediction={"mode": "Enforce"}), replicas=1, settings=some_settings(**settings))
        story.memory, story.now_s = a_memory(cold_start_s=story.settings.cold_start_s), BEGIN * STEP_S
        story.goes_on(some_signals(QUIET_RPS))
        assert story.memory.adopt([story.model.uid], copy.deepcopy(days))
        starts = [Start(uid or story.model.uid, 1.0, 2.0, s - 3.0, is_cold_node=False) for s in totals_s]
        story.memory.learn_starts(starts, {story.model.uid: 0})
        while story.latest.after < 4:
            story.goes_on(some_signals(rate_rps(int(story.now_s // STEP_S))))
        ahead_s = RISE * STEP_S - (story.now_s - TICK_S)
        assert (ahead_s > 0.0) == (story.latest.reason is Reason.FORECAST_RISE)
        return ahead_s

    return live


@pytest.mark.parametrize("took_s", [60.0, 100.0, 180.0, 260.0])
def test_a_replica_is_asked_for_as_far_ahead_as_starts_took(took_s: float, asked_ahead_s: Callable[..., float]) -> None:
    ahead_s = asked_ahead_s(*[took_s] * 10)
    # Ten starts leave their 95th percentile a third above them; the forecast's horizons lie up to 2.5 times apart.
    assert took_s <= ahead_s <= 2.5 * (1.5 * took_s + TICK_S + STEP_S)


def test_what_starts_within_seconds_is_not_asked_for_minutes_ahead(asked_ahead_s: Callable[..., float]) -> None:
    assert asked_ahead_s(*[5.0] * 10) <= STEP_S


def test_what_sometimes_takes_long_is_asked_for_that_much_ahead(asked_ahead_s: Callable[..., float]) -> None:
    """A median is no promise: one start in five took five minutes."""
    assert asked_ahead_s(*[20.0, 20.0, 20.0, 20.0, 300.0] * 4) >= 300.0


def test_the_setting_counts_until_starts_were_seen(asked_ahead_s: Callable[..., float]) -> None:
    assert asked_ahead_s(cold_start_s=180.0) >= 180.0
    assert asked_ahead_s(cold_start_s=1.0) <= STEP_S
    seen = [5.0] * 10
    assert asked_ahead_s(*seen, cold_start_s=180.0) == pytest.approx(asked_ahead_s(*seen), abs=STEP_S)


def test_starts_of_others_say_nothing_of_how_far_ahead(asked_ahead_s: Callable[..., float]) -> None:
    assert asked_ahead_s(*[900.0] * 10, uid="another", cold_start_s=1.0) <= STEP_S


def test_a_start_is_paid_with_its_mean_and_planned_with_its_95th_percentile() -> None:
    memory, view = a_memory(), a_view()
    memory.learn(plan_of(view, memory=memory).lesson, 0.0)
    uid = view.deployment.uid
    memory.learn_starts([Start(uid, 1.0, 2.0, s, is_cold_node=False) for s in [40.0, 60.0, 90.0] * 10], {uid: 0})
    costs = plan_of(view, memory=memory, start_energy_s=200.0).lesson.costs
    (column,) = memory.find([uid])
    told = memory.starts.summary(column)
    assert told.p50_s < told.expected_s < told.p95_s
    assert costs.start_s[0] == pytest.approx(told.expected_s + 200.0)
    assert costs.beyond_s[0] == 200.0
    assert costs.lead_s[0] == pytest.approx(told.p95_s)


@pytest.mark.parametrize("lead_s", [60.0, 600.0])
def test_the_energy_of_a_start_is_booked_however_long_starts_may_take(lead_s: float) -> None:
    one, at = np.ones(1), np.zeros(1, dtype=np.int64)
    costs = Costs(10.0 * one, 0.0 * one, 180.0 * one, lead_s * one, beyond_s=120.0 * one, cold_price_s=0.0 * one)
    accounts = Accounts(1)
    accounts.learn(at, need=0.0 * one, on=one, costs=costs, notice_s=TICK_S, for_s=TICK_S)
    assert accounts.balance_s[0, 0] == -(120.0 + TICK_S)
