"""What is learned of rest in the pod: power by rung, and wakes."""

from __future__ import annotations

import numpy as np
import pytest

from lull.forecast.rests import PRIORS_S, Rests
from lull.model.doze import Rung

CHAT, RANK = 0, 1


def some_rests() -> Rests:
    rests = Rests(0)
    rests.resize(2)
    return rests


def holding(rests: Rests, column: int, rung: Rung) -> float:
    return float(rests.known(np.array([column])).holding[rung, 0])


def test_power_is_unknown_until_both_rungs_were_measured() -> None:
    rests = some_rests()
    assert np.isnan(holding(rests, CHAT, Rung.LEVEL_1))
    rests.learn_power(CHAT, Rung.LEVEL_1, 80.0)
    assert np.isnan(holding(rests, CHAT, Rung.LEVEL_1))
    rests.learn_power(CHAT, Rung.AWAKE, 120.0)
    assert holding(rests, CHAT, Rung.LEVEL_1) == pytest.approx(80.0 / 120.0)
    assert np.isnan(holding(rests, RANK, Rung.LEVEL_1)), "models learn apart"
    assert np.isnan(holding(rests, CHAT, Rung.LEVEL_2))


def test_awake_holds_all_and_gone_nothing() -> None:
    rests = some_rests()
    assert (holding(rests, CHAT, Rung.AWAKE), holding(rests, -1, Rung.GONE)) == (1.0, 0.0)


def test_a_meter_that_tells_nothing_but_zero_tells_no_share() -> None:
    rests = some_rests()
    rests.learn_power(CHAT, Rung.AWAKE, 0.0)
    rests.learn_power(CHAT, Rung.LEVEL_1, 0.0)
    assert np.isnan(holding(rests, CHAT, Rung.LEVEL_1))


def test_power_follows_what_is_measured() -> None:
    rests = some_rests()
    rests.learn_power(CHAT, Rung.AWAKE, 100.0)
    for power_w in [50.0, *[70.0] * 60]:
        rests.learn_power(CHAT, Rung.LEVEL_1, power_w)
    assert holding(rests, CHAT, Rung.LEVEL_1) == pytest.approx(0.7, abs=0.01)


def test_wakes_begin_from_a_prior_and_are_learned_by_level() -> None:
    rests = some_rests()
    before = rests.known(np.array([CHAT, -1]))
    for level, prior_s in zip((Rung.LEVEL_1, Rung.LEVEL_2), PRIORS_S, strict=True):
        assert prior_s < before.wake_s[level, 0] < 5.0 * prior_s
        assert before.wake_s[level, 0] == before.wake_s[level, 1]
    rests.learn_wakes([(CHAT, Rung.LEVEL_2, 8.0)] * 20)
    after = rests.known(np.array([CHAT, RANK]))
    assert after.expected_s[Rung.LEVEL_2, 0] == pytest.approx(8.0, rel=0.1)
    assert after.wake_s[Rung.LEVEL_2, 0] < 12.0
    assert after.wake_s[Rung.LEVEL_1, 0] == before.wake_s[Rung.LEVEL_1, 0]


def test_a_forgotten_model_is_as_new() -> None:
    rests = some_rests()
    fresh = rests.known(np.array([CHAT]))
    rests.learn_power(CHAT, Rung.AWAKE, 100.0)
    rests.learn_wakes([(CHAT, Rung.LEVEL_1, 9.0)] * 5)
    rests.forget(np.array([CHAT]))
    again = rests.known(np.array([CHAT]))
    np.testing.assert_array_equal(again.wake_s, fresh.wake_s)
    assert not again.is_metered[0]
