"""Specs as columns, the defaults of an HPA filled in."""

import numpy as np
import pytest

from builders import a_history, a_model, a_view, no_advice, silence, some_facts, some_signals
from lull.decide.facts import Facts, gather
from lull.model.fleet import ModelView
from lull.model.reason import Reason

NAN = float("nan")


def facts_of(*models: ModelView, is_versed: bool = False) -> Facts:
    count = len(models)
    return gather(
        models,
        need_exact=np.full(count, 2.5),
        safe_exact=np.full(count, 3.5),
        is_lower_bound=np.zeros(count, dtype=bool),
        is_unreachable=np.zeros(count, dtype=bool),
        advice=no_advice(count),
        is_versed=np.full(count, is_versed),
        history=a_history(),
        now_s=0.0,
    )


def test_damping_has_the_documented_defaults() -> None:
    facts = facts_of(a_view())
    assert (facts.up_window_s[0], facts.down_window_s[0]) == (0.0, 300.0)
    assert (facts.up_tolerance[0], facts.down_tolerance[0]) == (0.0, 0.1)


@pytest.mark.parametrize(
    ("mode", "is_versed", "window_s"),
    [("Enforce", True, 0.0), ("Enforce", False, 300.0), ("Recommend", True, 300.0), ("Off", True, 300.0)],
)
def test_a_forecast_that_acts_and_knows_the_model_needs_no_window(mode: str, is_versed: bool, window_s: float) -> None:
    quick = {"scaleDown": {"stabilizationWindowSeconds": 60}}
    plain, stated = (a_view(a_model(prediction={"mode": mode}, behavior=b)) for b in ({}, quick))
    assert facts_of(plain, stated, is_versed=is_versed).down_window_s.tolist() == [window_s, 60.0]


def test_a_zero_is_a_value_and_no_absence() -> None:
    zeros = {"stabilizationWindowSeconds": 0, "tolerance": 0}
    facts = facts_of(a_view(a_model(behavior={"scaleUp": zeros, "scaleDown": zeros})))
    assert (facts.down_window_s[0], facts.down_tolerance[0]) == (0.0, 0.0)


def test_each_direction_has_its_own_damping() -> None:
    up = {"stabilizationWindowSeconds": 30, "tolerance": "0.2"}
    down = {"stabilizationWindowSeconds": 60, "tolerance": "0.4"}
    facts = facts_of(a_view(a_model(behavior={"scaleUp": up, "scaleDown": down})))
    assert (facts.up_window_s[0], facts.up_tolerance[0]) == (30.0, 0.2)
    assert (facts.down_window_s[0], facts.down_tolerance[0]) == (60.0, 0.4)


def test_columns_follow_the_models() -> None:
    views = [a_view(a_model(f"m{i}", minReplicas=i + 1, maxReplicas=10 + i), replicas=3 * i) for i in range(4)]
    facts = facts_of(*views)
    assert facts.uids == tuple(view.deployment.uid for view in views)
    assert list(facts.current) == [0, 3, 6, 9]
    assert list(facts.minimum) == [1, 2, 3, 4]
    assert list(facts.maximum) == [10, 11, 12, 13]


@pytest.mark.parametrize(
    ("view", "reason"),
    [
        pytest.param(a_view(signals=silence(Reason.NO_DATA)), Reason.NO_DATA, id="the fault of the signals"),
        pytest.param(a_view(signals=some_signals(1.0)), Reason.SERVICE_TIME_UNKNOWN, id="the only other cause"),
    ],
)
def test_demand_is_unknown_for_the_reason_of_the_signals(view: ModelView, reason: Reason) -> None:
    assert facts_of(view).unknown[0] is reason


def test_needs_are_whole_replicas_and_at_least_one() -> None:
    facts = some_facts([1] * 5, [0.0, 0.2, 1.0, 1.01, NAN], [0.0, 0.9, 1.2, 2.0, NAN])
    np.testing.assert_array_equal(facts.need, [1, 1, 1, 2, NAN])
    np.testing.assert_array_equal(facts.safe, [1, 1, 2, 2, NAN])
    assert list(facts.is_known) == [True, True, True, True, False]


def test_a_lower_bound_makes_what_is_there_the_safe_size() -> None:
    facts = some_facts([4, 4, 4], [2.0, 6.0, NAN], is_lower_bound=True)
    np.testing.assert_array_equal(facts.safe, [4, 6, NAN])
    np.testing.assert_array_equal(facts.need, [2, 6, NAN])
