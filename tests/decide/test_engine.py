"""The way of a decision: what the guards left, kept for whoever asks."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from builders import a_model, a_view, plan_of, silence, some_signals
from lull.decide.guards import GUARDS
from lull.model.spec import Key

WORLDS = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.one_of(st.none(), st.floats(0.0, 200.0)),
        st.sampled_from(["Recommend", "Enforce", "Paused"]),
        st.integers(1, 8),
    ),
    max_size=5,
)


@given(WORLDS)
def test_the_last_step_is_the_decision_and_there_is_one_for_each_guard(
    world: list[tuple[int, float | None, str, int]],
) -> None:
    views = [
        a_view(
            a_model(f"m{i}", mode=mode, maxReplicas=maximum),
            replicas=replicas,
            signals=silence() if rate is None else some_signals(rate),
        )
        for i, (replicas, rate, mode, maximum) in enumerate(world)
    ]
    plan = plan_of(*views)
    for view in views:
        decision, steps = plan.models[view.key].decision, plan.trail.steps(view.key)
        assert decision is not None
        assert [step.guard for step in steps] == ["wanted", *(guard.__name__ for guard in GUARDS), "paused"]
        assert (steps[-1].replicas, steps[-1].reason) == (decision.after, decision.reason)


def test_a_model_without_a_decision_has_no_way() -> None:
    model = a_model()
    plan = plan_of(a_view(model, replicas=None))
    assert plan.trail.steps(model.key) == ()
    assert plan.trail.numbers(model.key) == {}
    assert plan.trail.steps(Key("no", "body")) == ()


def test_the_numbers_that_the_guards_went_by_are_those_of_the_spec() -> None:
    behavior = {"scaleUp": {"tolerance": "0.2"}, "scaleDown": {"stabilizationWindowSeconds": 60}}
    model = a_model(behavior=behavior)
    numbers = plan_of(a_view(a_model("other")), a_view(model, signals=some_signals(5.0))).trail.numbers(model.key)
    assert (numbers["up_tolerance"], numbers["down_tolerance"]) == (0.2, 0.1)
    assert (numbers["up_window_s"], numbers["down_window_s"]) == (0.0, 60.0)
    assert 0.0 < numbers["safe_limit_rps"] < 6.366


def test_what_is_unknown_is_no_number() -> None:
    model = a_model(capacity={"concurrency": 4})
    plan = plan_of(a_view(model, signals=some_signals(5.0, service_time_s=None)))
    assert "safe_limit_rps" not in plan.trail.numbers(model.key)


def test_the_way_is_kept_as_columns_and_not_as_words() -> None:
    """Ten thousand models would take longer to word than to decide."""
    trail = plan_of(*(a_view(a_model(f"m{i}")) for i in range(7))).trail
    assert all(isinstance(column, np.ndarray) and column.shape == (7,) for column in (*trail.desired, *trail.reasons))
