"""What would change a decision next: the sentences, and that their numbers come true."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import START_S, a_model, a_view, plan_of, silence, some_signals
from explained import LATER_S, a_story, explained, goes_on, recalled
from lull.forecast.starts import StartTimes
from lull.model.plan import Foreseen, ModelPlan, Trail
from lull.model.reason import Reason
from lull.model.recollection import LayerAccount, Recollection
from lull.render.changes import changes, duration, percent, thresholds_rps


def told(found: dict[str, object]) -> str:
    sentences = found["next"]
    assert isinstance(sentences, list)
    return "\n".join(sentences)


@given(st.floats(0.5, 100.0), st.sampled_from([0.0, 0.1, 0.4]), st.sampled_from([0.0, 0.1, 0.4]))
def test_beyond_the_thresholds_another_size_is_needed_and_within_them_not(rate: float, up: float, down: float) -> None:
    """The size that is decided is there; then the rate to size for moves past each threshold, and not quite to it."""
    behavior = {"scaleUp": {"tolerance": str(up)}, "scaleDown": {"tolerance": str(down), **_AT_ONCE}}
    model = a_model(maxReplicas=100, behavior=behavior)
    size = _size(model, 1, rate, up=0.0)
    plan = plan_of(a_view(model, replicas=size, signals=_at(rate)))
    up_rps, down_rps = thresholds_rps(model, plan.models[model.key], plan.trail)
    after = plan.models[model.key].decision.after
    assert up_rps is not None
    assert _size(model, after, up_rps * 1.001) > after
    assert _size(model, after, up_rps * 0.999) <= after
    if down_rps is None:
        assert after == 1
    else:
        assert _size(model, after, down_rps * 0.999) < after
        assert _size(model, after, down_rps * 1.001) >= after


_AT_ONCE = {"stabilizationWindowSeconds": 0}


def _at(sizing_rps: float) -> object:
    """Signals of which exactly this rate is sized for."""
    return some_signals(0.0, recent_rps=sizing_rps)


def _size(model: object, replicas: int, sizing_rps: float, **_: float) -> int:
    plan = plan_of(a_view(model, replicas=replicas, signals=_at(sizing_rps)))  # type: ignore[arg-type]
    decision = plan.models[model.key].decision  # type: ignore[attr-defined]
    assert decision is not None
    return decision.after


def test_the_bounds_close_a_direction() -> None:
    model = a_model(maxReplicas=3, minReplicas=3)
    plan = plan_of(a_view(model, replicas=3, signals=some_signals(90.0)))
    assert thresholds_rps(model, plan.models[model.key], plan.trail) == (None, None)
    found = explained(a_story(replicas=3, maxReplicas=3, minReplicas=3), some_signals(90.0))
    assert "maxReplicas 3 holds; the need is 15" in told(found)
    assert "minReplicas 3 holds from below" in told(found)


def test_a_disabled_direction_has_no_threshold() -> None:
    model = a_model(behavior={"scaleUp": {"selectPolicy": "Disabled"}})
    plan = plan_of(a_view(model, replicas=2, signals=some_signals(9.0)))
    up_rps, down_rps = thresholds_rps(model, plan.models[model.key], plan.trail)
    assert up_rps is None
    assert down_rps is not None


def test_the_time_until_the_window_lets_go_comes_true() -> None:
    """One tick before nothing has gone, and at that time it goes."""
    story = a_story(replicas=4, prediction="Off")
    story.goes_on(some_signals(20.0), for_s=400.0)
    story.goes_on(some_signals(3.0), for_s=100.0)
    held = recalled(story, goes_on(story, some_signals(3.0)))
    assert held is not None
    assert held.settles_in_s is not None
    assert 150.0 < held.settles_in_s <= 300.0
    ends_s = story.now_s + LATER_S + held.settles_in_s
    while story.now_s <= ends_s:
        assert story.goes_on(some_signals(3.0)).after == 4
    assert story.goes_on(some_signals(3.0)).after == 1


def test_a_window_that_is_not_filled_with_knowledge_is_waited_for() -> None:
    story = a_story(replicas=4, prediction="Off")
    story.goes_on(some_signals(1.0), for_s=100.0)
    found = explained(story, some_signals(1.0))
    assert "lets more of the change through in 3 min 16 s" in told(found)


def test_a_window_that_lets_all_through_is_not_told() -> None:
    story = a_story(replicas=4, prediction="Off")
    story.goes_on(some_signals(20.0), for_s=400.0)
    assert recalled(story, goes_on(story, some_signals(20.0))).settles_in_s is None
    assert "stabilisation" not in told(explained(story, some_signals(20.0)))


def test_recommend_tells_how_to_let_it_act() -> None:
    found = explained(a_story(replicas=2, mode="Recommend"), some_signals(30.0))
    assert found["next"][0] == "spec.mode Enforce would let Lull scale the target"


def test_recommend_without_a_change_needs_no_other_mode() -> None:
    assert "spec.mode" not in told(explained(a_story(replicas=2, mode="Recommend"), some_signals(9.0)))


@pytest.mark.parametrize(
    ("replicas", "spec", "signals", "says"),
    [
        pytest.param(2, {"mode": "Paused"}, some_signals(30.0), "set spec.mode to Recommend or Enforce", id="paused"),
        pytest.param(0, {}, some_signals(30.0), "scale the target up by hand", id="zero"),
        pytest.param(2, {}, silence(), "nothing is taken away: Prometheus gave no answer", id="unknown"),
        pytest.param(
            2,
            {"behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}}},
            some_signals(30.0),
            "step policies",
            id="steps",
        ),
        pytest.param(2, {"capacity": {"requestsPerSecond": "0.5"}}, some_signals(0.5), "a faster replica", id="slow"),
    ],
)
def test_what_stands_in_the_way_has_its_mend(replicas: int, spec: dict, signals: object, says: str) -> None:
    assert says in told(explained(a_story(replicas=replicas, **spec), signals))


def test_prediction_off_says_how_to_see_more() -> None:
    assert "spec.prediction.mode Recommend" in told(explained(a_story(prediction="Off"), some_signals(9.0)))


def concluded(
    size: int, before: int, reason: Reason = Reason.STEADY, *, start_to: int = 0, keep_to: int = 0
) -> tuple[ModelPlan, Trail]:
    """A plan of this size, and of what the forecast asks for."""
    plan = plan_of(a_view(replicas=before, signals=some_signals(9.0)))
    ((key, model),) = plan.models.items()
    foreseen = Foreseen(9.0, 60.0, "Last", None, start_to, keep_to)
    decision = replace(model.decision, before=before, after=size, reason=reason)
    return replace(plan.models[key], decision=decision, foreseen=foreseen), plan.trail


def remembering(*layers: LayerAccount) -> Recollection:
    return Recollection(60.0, None, (), (), (), (), layers, StartTimes(1).summary(0), 1.0, None, 1.0, None, None)


@pytest.mark.parametrize(
    ("size", "before", "start_to", "keep_to", "says"),
    [
        pytest.param(2, 2, 5, 2, "would have 5 replicas started ahead", id="starts"),
        pytest.param(2, 6, 0, 4, "would keep 4 replicas", id="keeps what the need lets go"),
        pytest.param(2, 3, 0, 9, "would keep 3 replicas", id="keeps no more than there are"),
        pytest.param(4, 2, 4, 2, None, id="the need asks for as much"),
        pytest.param(2, 2, 0, 2, None, id="keeps what stays anyway"),
        pytest.param(2, 2, 0, 0, None, id="asks for nothing"),
    ],
)
def test_a_forecast_that_may_only_recommend_tells_what_it_would_do(
    size: int, before: int, start_to: int, keep_to: int, says: str | None
) -> None:
    model = a_model(prediction={"mode": "Recommend"})
    found = changes(model, *concluded(size, before, start_to=start_to, keep_to=keep_to), None)
    assert [text for text in found if "spec.prediction" in text] == (
        [f"spec.prediction.mode Enforce {says}"] if says else []
    )


def test_a_forecast_that_may_act_needs_no_other_mode() -> None:
    model = a_model(prediction={"mode": "Enforce"})
    assert "spec.prediction" not in "".join(changes(model, *concluded(2, 2, start_to=5), None))


def test_a_replica_that_the_forecast_holds_is_told_with_what_it_is_worth() -> None:
    held = remembering(LayerAccount(4, True, 200.0, 400.0, 0.0, True, 0.3))
    found = changes(a_model(), *concluded(4, 4, Reason.FORECAST_HOLD, keep_to=4), held)
    said = (
        "replica 4 was needed last 3 min 20 s ago; a start and what is missed meanwhile cost as much as holding it for"
    )
    assert f"{said} 6 min 40 s" in found
    assert said not in "".join(changes(a_model(), *concluded(4, 4), held))


@pytest.mark.parametrize(
    ("size", "chance", "says"),
    [
        pytest.param(3, 0.125, "with a chance of 12.5 %", id="some"),
        pytest.param(3, 1e-9, "with a chance of less than 0.1 %", id="hardly any"),
        pytest.param(3, None, None, id="unknown"),
        pytest.param(20, 0.5, None, id="at the most there may be"),
    ],
)
def test_the_next_replica_has_its_chance(size: int, chance: float | None, says: str | None) -> None:
    coming = remembering(LayerAccount(size + 1, False, None, None, 0.0, None, chance))
    found = [text for text in changes(a_model(), *concluded(size, size), coming) if "chance" in text]
    expected = f"replica {size + 1} is needed before a start would be ready {says}"
    assert found == ([expected] if says else [])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.25, "0.25 s"),
        (9.6, "10 s"),
        (59.6, "1 min"),
        (200.0, "3 min 20 s"),
        (3600.0, "1 h"),
        (7500.0, "2 h 5 min"),
        (86_400.0, "1 d"),
        (90_000.0, "1 d 1 h"),
    ],
)
def test_spans_are_told_in_their_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("ratio", "text"), [(0.0, "0 %"), (0.0001, "less than 0.1 %"), (0.001, "0.1 %"), (0.5, "50 %"), (1.0, "100 %")]
)
def test_shares_are_percents_and_what_is_small_is_not_zero(ratio: float, text: str) -> None:
    assert percent(ratio) == text


def test_nothing_is_said_of_thresholds_where_demand_was_never_known() -> None:
    model = a_model(capacity={"concurrency": 4})
    plan = plan_of(a_view(model, signals=some_signals(5.0, service_time_s=None)), now_s=START_S)
    assert thresholds_rps(model, plan.models[model.key], plan.trail) == (None, None)
