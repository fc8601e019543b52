"""What is taken out of the memory about one model."""

from __future__ import annotations

import numpy as np
import pytest

from builders import a_model, silence, some_signals
from explained import STEP_S, a_story, a_wave, goes_on, recalled
from lull.memory import Memory
from lull.model.start import Start
from lull.recall import PAST_S, recall


def test_of_a_model_that_nobody_remembers_there_is_nothing() -> None:
    story = a_wave(a_story(), ticks=5)
    plan = goes_on(story, some_signals(5.0))
    assert recall(story.memory, plan, a_model("other"), 10.0, story.now_s) is None


def test_before_the_first_step_is_over_there_is_no_forecast_and_no_past() -> None:
    story = a_story()
    found = recalled(story, goes_on(story, some_signals(5.0)))
    assert found is not None
    assert (found.until_s, found.rates_rps, found.expected, found.experts) == (None, (), (), ())
    assert [layer.number for layer in found.layers if layer.is_on] == [1, 2, 3, 4]
    assert all(layer.chance is None for layer in found.layers)


def test_the_past_begins_where_it_is_known_and_ends_with_the_last_step() -> None:
    story = a_story()
    for rate in (None, None, 3.0, None, 7.0):
        story.goes_on(silence() if rate is None else some_signals(rate))
    found = recalled(story, goes_on(story, some_signals(1.0)))
    assert found is not None
    assert found.rates_rps == (pytest.approx(3.0, rel=1e-4), None, pytest.approx(7.0, rel=1e-4))
    assert found.until_s == story.now_s, "the step that runs now is left out"


def test_no_more_than_three_hours_are_told() -> None:
    story = a_story()
    story.memory.forecaster.widen(1)
    story.goes_on(some_signals(5.0))
    story.goes_on(some_signals(5.0))
    column = story.memory.find([story.model.uid])
    steps = int(PAST_S / STEP_S) + 30
    for step in range(steps):
        rates = np.full(story.memory.forecaster.width, np.nan)
        rates[column] = float(step)
        story.memory.forecaster.learn(rates, story.now_s + STEP_S * step)
    found = recalled(story, goes_on(story, some_signals(1.0)))
    assert found is not None
    assert len(found.rates_rps) == PAST_S / STEP_S
    assert found.rates_rps[-1] == pytest.approx(steps - 1.0, rel=1e-4)


def test_the_higher_a_replica_the_less_likely_it_is_needed_and_the_more_its_miss_costs() -> None:
    story = a_wave(a_story())
    found = recalled(story, goes_on(story, some_signals(20.0)))
    assert found is not None
    chances = [layer.chance for layer in found.layers]
    worth_s = [layer.worth_s for layer in found.layers]
    assert len(found.layers) > 5
    assert chances == sorted(chances, reverse=True)
    assert chances[0] == pytest.approx(1.0, abs=0.01)
    assert worth_s[1:] == sorted(worth_s[1:]), "the first one has the price of a wake"


def test_gaps_are_of_each_replica() -> None:
    """Two minutes ago six replicas were needed, now two are."""
    story = a_story(replicas=6, prediction="Off")
    story.goes_on(some_signals(35.0), for_s=60.0)
    story.goes_on(some_signals(10.0), for_s=120.0)
    found = recalled(story, goes_on(story, some_signals(10.0)))
    assert found is not None
    gaps_s = [layer.gap_s for layer in found.layers[:6]]
    assert gaps_s[:2] == [0.0, 0.0]
    assert gaps_s[2:] == pytest.approx([120.0] * 4, abs=20.0)


def test_starts_are_those_of_the_model_and_what_is_planned_with() -> None:
    story, other = a_story(), Start("another", 1.0, 1.0, 7.0, is_cold_node=False)
    story.goes_on(some_signals(5.0))
    mine = [Start(story.model.uid, 2.0, 8.0, 170.0, is_cold_node=False)] * 8
    story.memory.learn_starts([*mine, other], {story.model.uid: 0})
    plan = goes_on(story, some_signals(5.0))
    found = recalled(story, plan)
    assert found is not None
    assert (found.starts.scheduling_s, found.starts.image_s, found.starts.loading_s) == (2.0, 8.0, 170.0)
    assert found.starts.p50_s == pytest.approx(180.0, rel=0.05)
    assert found.starts.p95_s == plan.lesson.costs.lead_s[0]


def whole(memory: Memory) -> list[np.ndarray]:
    return [
        memory.forecaster.forecast().quantiles_rps,
        memory.accounts.balance_s,
        memory.prices.factor,
        memory.starts.mean,
    ]


def test_recalling_changes_nothing_of_the_memory() -> None:
    story = a_wave(a_story(), ticks=60)
    plan = goes_on(story, some_signals(20.0))
    before = [column.copy() for column in whole(story.memory)]
    first = recalled(story, plan)
    assert all(np.array_equal(x, y, equal_nan=True) for x, y in zip(before, whole(story.memory), strict=True))
    assert recalled(story, plan) == first
